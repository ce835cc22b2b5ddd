//! The seam between model files and executors.

use backend::{Batch, Pooling};

use crate::weights::Table;
use crate::{Activation, Attention, FeedForward, Linear, Norm};

/// An executor: it takes weights in whatever layout it likes, and runs passes over ragged batches.
pub trait Device: Send + Sync + Sized + 'static {
    /// A linear layer's weight.
    type Matrix: Send + Sync + 'static;
    /// Rows that are looked up by index.
    type Rows: Send + Sync + 'static;
    /// Numbers that keep all their digits: a bias, a norm's weight, rows that contents meet.
    type Vector: Send + Sync + 'static;
    /// Activations: one row a token, or one row a text after pooling.
    type Tensor;
    /// One pass over one batch.
    type Pass<'a>: Pass<Self>;

    /// Names the layout of uploaded weights: equal layouts share them.
    fn layout(&self) -> &str;
    /// Takes a weight of `rows` outputs by `columns` inputs, row-major as checkpoints store it.
    fn matrix(&self, rows: usize, columns: usize, values: Vec<f32>) -> Result<Self::Matrix, backend::Error>;
    /// Takes a table of `rows` rows.
    fn rows(&self, rows: usize, columns: usize, values: Vec<f32>) -> Result<Self::Rows, backend::Error>;
    /// Takes numbers that keep all their digits.
    fn vector(&self, values: Vec<f32>) -> Result<Self::Vector, backend::Error>;
    /// Begins a pass over `batch`.
    fn pass<'a>(&'a self, batch: &'a Batch) -> Self::Pass<'a>;
}

/// What a row of a [`Table`] is chosen by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Index {
    /// The token's id.
    Token,
    /// The token's place in its text, plus an offset.
    Position {
        /// Added to the place.
        offset: usize,
    },
    /// The token's place among those that are not `pad`, from `pad + 1` on; `pad` itself takes row `pad`. How the
    /// RoBERTa line counts, also where a text writes the padding token out.
    CountedPosition {
        /// The padding token's id.
        pad: u32,
    },
    /// The token's segment.
    Segment,
}

impl Index {
    /// The row of each token of a batch, before any check against the table.
    pub fn rows(self, batch: &Batch) -> Vec<u32> {
        match self {
            Self::Token => batch.ids().to_vec(),
            Self::Segment => batch.types().to_vec(),
            Self::Position { offset } => {
                let places = batch.texts().flat_map(|text| 0..text.len());
                places.map(|place| (place + offset) as u32).collect()
            }
            Self::CountedPosition { pad } => {
                batch.texts().flat_map(|text| counted_positions(&batch.ids()[text], pad)).collect()
            }
        }
    }
}

fn counted_positions(ids: &[u32], pad: u32) -> impl Iterator<Item = u32> {
    let mut last = pad;
    ids.iter().map(move |&id| {
        if id == pad {
            return pad;
        }
        last += 1;
        last
    })
}

/// One term of an embedding sum.
pub struct Lookup<'a, D: Device> {
    /// The rows.
    pub table: &'a Table<D>,
    /// Which of them.
    pub index: Index,
}

/// The operations a model file may use. Coarse, so that an executor can fuse behind each; texts never see
/// one another, and padding, if an executor needs any, is its own secret.
pub trait Pass<D: Device> {
    /// `[tokens, columns]`: the sum of one row of each table.
    fn embed(&mut self, lookups: &[Lookup<'_, D>]) -> Result<D::Tensor, backend::Error>;
    /// Normalises each row.
    fn norm(&mut self, x: &D::Tensor, norm: &Norm<D>) -> Result<D::Tensor, backend::Error>;
    /// `activation(x·Wᵀ + b)`: `[rows, outputs]`.
    fn linear(&mut self, x: &D::Tensor, linear: &Linear<D>) -> Result<D::Tensor, backend::Error>;
    /// `residual + linear(x)`.
    fn linear_add(
        &mut self,
        x: &D::Tensor,
        linear: &Linear<D>,
        residual: D::Tensor,
    ) -> Result<D::Tensor, backend::Error>;
    /// `residual + x`.
    fn add(&mut self, x: &D::Tensor, residual: D::Tensor) -> Result<D::Tensor, backend::Error>;
    /// `factor · x`.
    fn scale(&mut self, x: D::Tensor, factor: f32) -> Result<D::Tensor, backend::Error>;
    /// `activation(a) · b` of columns `[a | b]`: half as wide.
    fn gate(&mut self, x: &D::Tensor, activation: Activation) -> Result<D::Tensor, backend::Error>;
    /// The block's sum with `x`, as wide as `x`.
    fn feed_forward(&mut self, x: D::Tensor, block: &FeedForward<D>) -> Result<D::Tensor, backend::Error> {
        block.run(self, x)
    }
    /// `[tokens, (2·reach + 1)·columns]`: each row among its neighbours in its text, from `reach` before to `reach`
    /// behind, side by side; zeros beyond the ends. A linear layer makes a convolution of it.
    fn neighbours(&mut self, x: &D::Tensor, reach: usize) -> Result<D::Tensor, backend::Error>;
    /// Attention within each text: `[tokens, heads·head_dim]`.
    fn attention(
        &mut self,
        projected: D::Tensor,
        attention: &Attention<D>,
    ) -> Result<D::Tensor, backend::Error>;
    /// One row a text: `[texts, modes·columns]`.
    fn pool(&mut self, x: &D::Tensor, pooling: &Pooling) -> Result<D::Tensor, backend::Error>;
    /// Copies the rows out, row-major.
    fn read(&mut self, x: &D::Tensor, out: &mut [f32]) -> Result<(), backend::Error>;
}

/// A loaded architecture: token ids in, one row a token out.
pub trait Model<D: Device>: Send + Sync {
    /// Columns of the rows it makes.
    fn width(&self) -> usize;
    /// Most tokens a text may have, where the weights set a limit.
    fn positions(&self) -> Option<usize>;
    /// The last hidden state of each token: `[tokens, width]`.
    fn forward(&self, pass: &mut D::Pass<'_>) -> Result<D::Tensor, backend::Error>;
}
