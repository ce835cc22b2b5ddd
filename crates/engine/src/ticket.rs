//! A hold on work that was handed over: what drops it, or texts of it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::scheduler::Priority;

/// A hold on a job, given to it when it starts.
#[derive(Debug, Default, Clone)]
pub struct Ticket {
    cancelled: Arc<AtomicBool>,
    dropped: Arc<Mutex<BTreeSet<usize>>>,
    pub(crate) priority: Priority,
    pub(crate) line: Option<u64>,
}

impl Ticket {
    /// A ticket for a job of that priority. Jobs of one line, a number of the caller's for the whole process, begin in their
    /// order, and take turns with others as one.
    pub fn new(priority: Priority, line: Option<u64>) -> Self {
        Self { priority, line, ..Self::default() }
    }

    /// Drops what has not begun; the job then ends with [`Error::Cancelled`](crate::Error::Cancelled).
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Drops what has not begun of these texts. The job goes on for the others and ends as ever; nobody may look at the rows
    /// of those that were dropped.
    pub fn drop_rows(&self, rows: Range<usize>) {
        self.dropped.lock().unwrap_or_else(PoisonError::into_inner).extend(rows);
    }

    /// Whether somebody waits for the text of that row.
    pub(crate) fn wants(&self, row: usize) -> bool {
        !self.dropped.lock().unwrap_or_else(PoisonError::into_inner).contains(&row)
    }

    /// For who waits for something other than a job.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        self.cancelled.clone()
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}
