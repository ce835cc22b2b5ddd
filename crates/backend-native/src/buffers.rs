//! Working memory: each thread keeps its buffers from pass to pass, so a running engine allocates nothing
//! and its memory is bounded by the batch, not by the traffic.

use std::cell::RefCell;
use std::rc::Rc;

use backend::Error;
use kernels::{Matrix, MatrixMut, Scratch};

/// Bytes a thread keeps between passes. A batch of a base-size model needs about 6 MB; a long text may need
/// far more, which goes back to the system afterwards.
const KEPT_BYTES: usize = 16 << 20;

/// Floats in a cache line, the alignment that full-width loads and stores like.
const LINE: usize = 16;

/// The buffers of one thread that are not in use.
#[derive(Clone, Default)]
pub(crate) struct Buffers {
    free: Rc<RefCell<Vec<Vec<f32>>>>,
    scratch: Rc<RefCell<Scratch>>,
}

thread_local! {
    static BUFFERS: Buffers = Buffers::default();
}

impl Buffers {
    /// Those of the calling thread.
    pub(crate) fn of_thread() -> Self {
        BUFFERS.with(Buffers::clone)
    }

    /// A buffer of `rows × columns` with arbitrary contents.
    pub(crate) fn take(&self, rows: usize, columns: usize) -> Result<Buffer, Error> {
        let needed = rows.saturating_mul(columns).saturating_add(LINE);
        let memory = match self.smallest_of(needed) {
            Some(memory) => memory,
            None => zeros(needed)?,
        };
        let start = memory.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
        Ok(Buffer { memory, start, rows, columns, home: self.clone() })
    }

    /// Room for the kernels' own needs.
    pub(crate) fn scratch(&self) -> std::cell::RefMut<'_, Scratch> {
        self.scratch.borrow_mut()
    }

    /// Gives back to the system what exceeds the bound.
    pub(crate) fn shrink(&self) {
        let mut free = self.free.borrow_mut();
        let mut total: usize = free.iter().map(|memory| size_of_val(&memory[..])).sum();
        free.sort_by_key(|memory| std::cmp::Reverse(memory.len()));
        free.retain(|memory| {
            let keep = total <= KEPT_BYTES;
            if !keep {
                total -= size_of_val(&memory[..]);
            }
            keep
        });
        self.scratch.borrow_mut().shrink();
    }

    fn smallest_of(&self, needed: usize) -> Option<Vec<f32>> {
        let mut free = self.free.borrow_mut();
        let fitting = free.iter().enumerate().filter(|(_, memory)| memory.len() >= needed);
        let place = fitting.min_by_key(|(_, memory)| memory.len())?.0;
        Some(free.swap_remove(place))
    }
}

fn zeros(length: usize) -> Result<Vec<f32>, Error> {
    let mut memory = Vec::new();
    let bytes = length.saturating_mul(size_of::<f32>());
    memory.try_reserve_exact(length).map_err(|_| Error::Memory { bytes })?;
    memory.resize(length, 0.0);
    Ok(memory)
}

/// A row-major matrix that returns its memory to its thread's buffers when dropped.
pub struct Buffer {
    memory: Vec<f32>,
    start: usize,
    rows: usize,
    columns: usize,
    home: Buffers,
}

impl Buffer {
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    pub(crate) fn values(&self) -> &[f32] {
        &self.memory[self.start..][..self.rows * self.columns]
    }

    pub(crate) fn values_mut(&mut self) -> &mut [f32] {
        &mut self.memory[self.start..][..self.rows * self.columns]
    }

    pub(crate) fn matrix(&self) -> Matrix<'_> {
        Matrix::new(self.values(), self.rows, self.columns)
    }

    pub(crate) fn matrix_mut(&mut self) -> MatrixMut<'_> {
        let (rows, columns) = (self.rows, self.columns);
        MatrixMut::new(self.values_mut(), rows, columns)
    }

    /// The rows of one text.
    pub(crate) fn rows_of(&self, text: &std::ops::Range<usize>) -> Matrix<'_> {
        let values = &self.values()[text.start * self.columns..text.end * self.columns];
        Matrix::new(values, text.len(), self.columns)
    }

    /// The rows of one text, to be written.
    pub(crate) fn rows_of_mut(&mut self, text: &std::ops::Range<usize>) -> MatrixMut<'_> {
        let columns = self.columns;
        let values = &mut self.values_mut()[text.start * columns..text.end * columns];
        MatrixMut::new(values, text.len(), columns)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.home.free.borrow_mut().push(std::mem::take(&mut self.memory));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_and_bounded() {
        let buffers = Buffers::default();
        let first = buffers.take(4, 8).unwrap();
        let place = first.values().as_ptr();
        assert_eq!(place.align_offset(64), 0);
        drop(first);
        assert_eq!(buffers.take(2, 8).unwrap().values().as_ptr(), place);
        drop(buffers.take(1 << 12, 1 << 12).unwrap());
        buffers.shrink();
        let kept: usize = buffers.free.borrow().iter().map(|memory| size_of_val(&memory[..])).sum();
        assert!(kept <= KEPT_BYTES, "{kept}");
    }

    #[test]
    fn absurd_sizes_are_refused() {
        assert!(matches!(Buffers::default().take(usize::MAX, 8), Err(Error::Memory { .. })));
        assert!(matches!(Buffers::default().take(1 << 40, 1 << 10), Err(Error::Memory { .. })));
    }
}
