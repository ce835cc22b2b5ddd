//! A view of rows in somebody else's buffer: shape and stride, no ownership.

use std::ops::Range;

/// Rows of `f32` in a borrowed buffer: element (r, c) stands at `r * stride + c`.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// The buffer, at least `(rows - 1) * stride + columns` long.
    pub data: &'a [f32],
    /// How many rows.
    pub rows: usize,
    /// How many columns of each row belong to the matrix.
    pub columns: usize,
    /// From the start of one row to the start of the next, at least `columns`.
    pub stride: usize,
}

/// As [`Matrix`], to be written.
#[derive(Debug)]
pub struct MatrixMut<'a> {
    /// The buffer, at least `(rows - 1) * stride + columns` long.
    pub data: &'a mut [f32],
    /// How many rows.
    pub rows: usize,
    /// How many columns of each row belong to the matrix.
    pub columns: usize,
    /// From the start of one row to the start of the next, at least `columns`.
    pub stride: usize,
}

impl<'a> Matrix<'a> {
    /// `rows * columns` numbers without gaps.
    ///
    /// # Panics
    /// When `data` is shorter than that.
    pub fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// Rows that start `stride` numbers apart.
    ///
    /// # Panics
    /// When `stride < columns`, or the last row leaves `data`.
    pub fn strided(data: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        let matrix = Self { data, rows, columns, stride };
        matrix.check("matrix");
        matrix
    }

    /// Row `r`, `columns` long.
    #[inline(always)]
    pub fn row(&self, r: usize) -> &'a [f32] {
        &self.data[r * self.stride..][..self.columns]
    }

    /// Some of its rows.
    #[inline(always)]
    pub(crate) fn part(&self, rows: Range<usize>) -> Self {
        Self { data: &self.data[rows.start * self.stride..], rows: rows.len(), ..*self }
    }

    /// The fields are public, so every safe method asks this before it trusts them.
    #[track_caller]
    pub(crate) fn check(&self, name: &str) {
        check(name, self.data.len(), [self.rows, self.columns, self.stride]);
    }
}

impl<'a> MatrixMut<'a> {
    /// `rows * columns` numbers without gaps.
    ///
    /// # Panics
    /// When `data` is shorter than that.
    pub fn new(data: &'a mut [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// Rows that start `stride` numbers apart.
    ///
    /// # Panics
    /// When `stride < columns`, or the last row leaves `data`.
    pub fn strided(data: &'a mut [f32], rows: usize, columns: usize, stride: usize) -> Self {
        let matrix = Self { data, rows, columns, stride };
        matrix.check("matrix");
        matrix
    }

    /// Row `r`, `columns` long.
    #[inline(always)]
    pub fn row(&self, r: usize) -> &[f32] {
        &self.data[r * self.stride..][..self.columns]
    }

    /// Row `r`, `columns` long, to be written.
    #[inline(always)]
    pub fn row_mut(&mut self, r: usize) -> &mut [f32] {
        &mut self.data[r * self.stride..][..self.columns]
    }

    /// The same rows, lent out again.
    pub fn reborrow(&mut self) -> MatrixMut<'_> {
        MatrixMut { data: self.data, rows: self.rows, columns: self.columns, stride: self.stride }
    }

    /// The same rows, to be read.
    pub fn view(&self) -> Matrix<'_> {
        Matrix { data: self.data, rows: self.rows, columns: self.columns, stride: self.stride }
    }

    /// As [`Matrix::check`].
    #[track_caller]
    pub(crate) fn check(&self, name: &str) {
        check(name, self.data.len(), [self.rows, self.columns, self.stride]);
    }
}

#[track_caller]
fn check(name: &str, length: usize, [rows, columns, stride]: [usize; 3]) {
    let fits = rows == 0 || end(rows, columns, stride).is_some_and(|end| end <= length);
    assert!(
        fits && stride >= columns,
        "{name}: {rows} rows of {columns} columns at stride {stride} do not fit {length} numbers"
    );
}

fn end(rows: usize, columns: usize, stride: usize) -> Option<usize> {
    (rows - 1).checked_mul(stride)?.checked_add(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_a_stride_apart() {
        let data: Vec<f32> = (0..11).map(|i| i as f32).collect();
        let matrix = Matrix::strided(&data, 3, 3, 4);
        assert_eq!(matrix.row(0), [0.0, 1.0, 2.0]);
        assert_eq!(matrix.row(2), [8.0, 9.0, 10.0]);
    }

    #[test]
    fn no_rows_need_no_numbers() {
        Matrix::new(&[], 0, 384);
        MatrixMut::new(&mut [], 0, 384);
    }

    #[test]
    #[should_panic(expected = "3 rows of 3 columns at stride 4 do not fit 10 numbers")]
    fn a_row_that_leaves_the_buffer_is_refused() {
        Matrix::strided(&[0.0; 10], 3, 3, 4);
    }

    #[test]
    #[should_panic(expected = "stride 2")]
    fn rows_that_overlap_are_refused() {
        MatrixMut::strided(&mut [0.0; 10], 2, 3, 2);
    }

    #[test]
    #[should_panic(expected = "do not fit")]
    fn sizes_that_overflow_are_refused() {
        Matrix::strided(&[0.0; 10], usize::MAX, 2, usize::MAX / 2);
    }
}
