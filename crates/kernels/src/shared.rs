//! A matrix whose columns several threads write, each its own.
#![expect(unsafe_code, reason = "rows are lent to several threads at once")]

use std::marker::PhantomData;
use std::ops::Range;

use crate::matrix::MatrixMut;

/// As [`MatrixMut`], lent to all parts of a call. A part touches none but its columns.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'a> {
    data: *mut f32,
    rows: usize,
    columns: usize,
    stride: usize,
    owner: PhantomData<&'a mut [f32]>,
}

// SAFETY: it lends nothing by itself; whoever asks for columns vouches that nobody else does.
unsafe impl Send for Shared<'_> {}
// SAFETY: the same.
unsafe impl Sync for Shared<'_> {}

impl<'a> From<MatrixMut<'a>> for Shared<'a> {
    fn from(matrix: MatrixMut<'a>) -> Self {
        matrix.check("matrix");
        let MatrixMut { data, rows, columns, stride } = matrix;
        Self { data: data.as_mut_ptr(), rows, columns, stride, owner: PhantomData }
    }
}

impl<'a> Shared<'a> {
    /// From the start of one row to that of the next.
    #[inline(always)]
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// Some columns of a row.
    ///
    /// # Safety
    /// As long as the slice lives, nobody else touches them.
    #[inline(always)]
    pub(crate) unsafe fn row(&self, row: usize, columns: Range<usize>) -> &'a mut [f32] {
        let length = columns.len();
        // SAFETY: within the matrix, and the caller's alone.
        unsafe { std::slice::from_raw_parts_mut(self.block(row..row + 1, columns), length) }
    }

    /// Some of its rows.
    pub(crate) fn part(&self, rows: Range<usize>) -> Self {
        let data = self.block(rows.clone(), 0..0);
        Self { data, rows: rows.len(), ..*self }
    }

    /// The first number of a block, whose rows are a stride apart.
    #[inline(always)]
    pub(crate) fn block(&self, rows: Range<usize>, columns: Range<usize>) -> *mut f32 {
        let within = rows.start < rows.end && rows.end <= self.rows;
        assert!(within && columns.start <= columns.end && columns.end <= self.columns, "a block of c");
        // SAFETY: within the matrix, whose shape was checked against its memory.
        unsafe { self.data.add(rows.start * self.stride + columns.start) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_write_their_own_columns() {
        let mut data = [0.0; 11];
        let shared = Shared::from(MatrixMut::strided(&mut data, 3, 3, 4));
        std::thread::scope(|scope| {
            for (columns, number) in [(0..1, 1.0), (1..3, 2.0)] {
                scope.spawn(move || {
                    // SAFETY: each thread has columns of its own.
                    (0..3).for_each(|r| unsafe { shared.row(r, columns.clone()) }.fill(number));
                });
            }
        });
        assert_eq!(data, [1.0, 2.0, 2.0, 0.0, 1.0, 2.0, 2.0, 0.0, 1.0, 2.0, 2.0]);
    }

    #[test]
    #[should_panic(expected = "a block of c")]
    fn columns_beyond_the_last_are_refused() {
        Shared::from(MatrixMut::new(&mut [0.0; 6], 2, 3)).block(0..1, 2..4);
    }
}
