//! A download as seen by who waits for it: how far it is, and whether it is still wanted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::Error;

/// How far a download is. Bytes that were in the cache already do not count.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// The file that moved last, with its path in the model.
    pub file: String,
    /// Bytes of it that are there.
    pub file_received: u64,
    /// Its size in bytes.
    pub file_total: u64,
    /// Bytes of all files that are there.
    pub received: u64,
    /// Bytes of all files. It grows once if small files name further ones.
    pub total: u64,
    /// Bytes a second, over the last seconds.
    pub rate: f64,
    /// Seconds left at that rate.
    pub time_left: f64,
}

type Listener = Arc<dyn Fn(Progress) + Send + Sync>;

/// Who waits.
#[derive(Clone)]
pub struct Task {
    cancelled: Arc<AtomicBool>,
    listener: Listener,
}

impl Task {
    /// A task that ends when `cancelled` is set, and tells `listener`, from any thread and at most ten times a second,
    /// how far it is.
    pub fn new(cancelled: Arc<AtomicBool>, listener: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        Self { cancelled, listener: Arc::new(listener) }
    }

    /// A task that nobody watches.
    pub fn silent() -> Self {
        Self::new(Arc::default(), |_| {})
    }

    /// Set when nobody waits any more.
    pub fn flag(&self) -> &AtomicBool {
        &self.cancelled
    }

    /// Ends a cancelled task.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.cancelled.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// Waits, unless cancelled.
    pub(crate) fn sleep(&self, time: Duration) -> Result<(), Error> {
        let end = Instant::now() + time;
        loop {
            self.check()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(Duration::from_millis(20)));
        }
    }
}

/// Between two reports.
const PAUSE: Duration = Duration::from_millis(100);

/// The rate is of about so long.
const WINDOW: f64 = 3.0;

/// Counts the bytes of all files of one download.
pub(crate) struct Meter {
    task: Task,
    state: Mutex<State>,
}

struct State {
    received: u64,
    total: u64,
    rate: f64,
    counted: u64,
    last: Instant,
}

impl Meter {
    pub(crate) fn new(task: &Task) -> Self {
        let state = State { received: 0, total: 0, rate: 0.0, counted: 0, last: Instant::now() };
        Self { task: task.clone(), state: Mutex::new(state) }
    }

    pub(crate) fn task(&self) -> &Task {
        &self.task
    }

    /// So many bytes are to come.
    pub(crate) fn expect(&self, bytes: u64) {
        self.lock().total += bytes;
    }

    /// A file has `now` bytes of `total`, `new` more than before: fewer, after a restart.
    pub(crate) fn moved(&self, file: &str, new: i64, now: u64, total: u64) {
        let mut state = self.lock();
        state.received = state.received.saturating_add_signed(new);
        state.counted += new.max(0) as u64;
        let passed = state.last.elapsed();
        if passed < PAUSE && now < total {
            return;
        }
        let seconds = passed.as_secs_f64().max(1e-3);
        let (current, weight) = (state.counted as f64 / seconds, 1.0 - (-seconds / WINDOW).exp());
        state.rate = if state.rate == 0.0 { current } else { state.rate + weight * (current - state.rate) };
        (state.counted, state.last) = (0, Instant::now());
        let left = state.total.saturating_sub(state.received) as f64;
        let progress = Progress {
            file: file.into(),
            file_received: now,
            file_total: total,
            received: state.received,
            total: state.total,
            rate: state.rate,
            time_left: if state.rate > 0.0 { left / state.rate } else { f64::INFINITY },
        };
        drop(state);
        (self.task.listener)(progress);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
