//! Weights in the order the multiply reads them.

use crate::aligned::Aligned;

/// How a table wants its weights: the register block of its multiply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The table's name.
    pub(crate) isa: &'static str,
    /// Outputs in a register; the last panel may be as narrow.
    pub(crate) lanes: usize,
    /// Outputs in a full panel.
    pub(crate) panel: usize,
}

/// A weight matrix packed for one table: panels of `panel` outputs, in each of them the weights of input 0 for
/// all its outputs, then of input 1, and so on. Outputs that only fill up the last panel have zero weights.
#[derive(Debug)]
pub struct Packed {
    rows: usize,
    columns: usize,
    layout: Layout,
    data: Aligned,
}

impl Packed {
    /// Packs `weights[rows][columns]`, checked by the caller.
    pub(crate) fn new(layout: Layout, rows: usize, columns: usize, weights: &[f32]) -> Self {
        let mut data = Aligned::zeroed(layout.padded(rows) * columns);
        let mut rest = data.first_mut(layout.padded(rows) * columns);
        let mut first = 0;
        while first < rows && columns > 0 {
            let width = layout.width(rows - first);
            let (panel, after) = rest.split_at_mut(width * columns);
            let last = rows.min(first + width);
            fill(panel, width, &weights[first * columns..last * columns], columns);
            (first, rest) = (last, after);
        }
        Self { rows, columns, layout, data }
    }

    /// Outputs: columns of the product.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Inputs: the length of a dot product.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        self.data.bytes()
    }

    /// Who packed it.
    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// The panel that begins with output `first`, and all after it.
    pub(crate) fn panels_from(&self, first: usize) -> &[f32] {
        &self.data.as_slice()[first * self.columns..]
    }
}

impl Layout {
    /// Outputs of the panel that begins where `left` outputs are left.
    #[inline(always)]
    pub(crate) fn width(self, left: usize) -> usize {
        if left > self.lanes { self.panel } else { self.lanes }
    }

    /// Outputs, and those that fill up the last panel.
    #[inline(always)]
    pub(crate) fn padded(self, rows: usize) -> usize {
        let full = rows / self.panel * self.panel;
        if full == rows { rows } else { full + self.width(rows - full) }
    }
}

/// Inputs packed at a time, so that the part of the panel that is written stays in the first cache.
const STEP: usize = 32;

/// One panel from the rows it is made of, at most `width` of them.
fn fill(panel: &mut [f32], width: usize, rows: &[f32], columns: usize) {
    for (step, part) in panel.chunks_mut(STEP * width).enumerate() {
        for (j, row) in rows.chunks_exact(columns).enumerate() {
            for (target, &weight) in part[j..].iter_mut().step_by(width).zip(&row[step * STEP..]) {
                *target = weight;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: Layout = Layout { isa: "test", lanes: 2, panel: 4 };

    #[test]
    fn panels_are_full_but_for_the_last() {
        for (rows, padded) in
            [(0, 0), (1, 2), (2, 2), (3, 4), (4, 4), (5, 6), (6, 6), (7, 8), (8, 8), (9, 10)]
        {
            assert_eq!(LAYOUT.padded(rows), padded, "{rows} rows");
        }
    }

    #[test]
    fn every_weight_has_its_place_and_the_rest_is_zero() {
        let weights: Vec<f32> = (1..=15).map(|i| i as f32).collect();
        let packed = Packed::new(LAYOUT, 5, 3, &weights);
        assert_eq!((packed.rows(), packed.columns()), (5, 3));
        assert_eq!(packed.panels_from(0)[..12], [1., 4., 7., 10., 2., 5., 8., 11., 3., 6., 9., 12.]);
        assert_eq!(packed.panels_from(4)[..6], [13., 0., 14., 0., 15., 0.]);
        assert!(packed.bytes() >= 18 * 4);
    }
}
