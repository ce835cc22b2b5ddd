//! The contract between the engine and whatever runs a model.
//!
//! A [`Backend`] turns a [`Batch`] of token ids into one vector a text. It is not a scheduler, knows no
//! strings and no files: the engine tokenizes, decides which texts share a batch and on which thread it
//! runs; the backend computes, on the calling thread, into memory the caller owns.
//!
//! ```
//! use backend::{Batch, Text};
//! let mut batch = Batch::default();
//! batch.push(Text { ids: &[101, 2829, 4419, 102], types: &[], prompt_tokens: 0 });
//! assert_eq!((batch.len(), batch.tokens()), (1, 4));
//! ```

mod batch;
mod error;
mod groups;
mod pooling;

pub use batch::{Batch, Text};
pub use error::Error;
pub use groups::{Group, Padding};
pub use pooling::{Pooling, PoolingMode};

/// What a loaded model reports about the way it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// `"native"`, `"candle"` or `"onnx"`.
    pub backend: &'static str,
    /// `"cpu"`, `"cuda:0"`, `"metal"`.
    pub device: String,
    /// Why this device: what was asked for, or what `auto` found.
    pub device_reason: String,
    /// The number format of weights and multiplies: `"f32"`, `"bf16"`, …
    pub dtype: &'static str,
    /// Why this number format: what was asked for, or what `auto` found.
    pub dtype_reason: String,
    /// The kernel family or library that multiplies, e.g. `"avx512"`.
    pub kernel: String,
    /// Names the arithmetic as far as it changes vectors by more than rounding; part of the fingerprint.
    pub arithmetic: &'static str,
    /// Whether the same text gives the same bits in any batch.
    pub batch_invariant: bool,
}

/// One output of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// Numbers of a row.
    pub dims: usize,
    /// Whether there is a row for each token, not for each text.
    pub per_token: bool,
}

impl Form {
    /// Numbers that it has for so many texts of so many tokens together.
    pub fn length(self, texts: usize, tokens: usize) -> usize {
        self.dims.saturating_mul(if self.per_token { tokens } else { texts })
    }
}

/// A model ready to run. Shared by all threads; one call computes on the thread that makes it.
pub trait Backend: Send + Sync {
    /// How this model runs.
    fn description(&self) -> Description;

    /// Its outputs, at least one.
    fn forms(&self) -> &[Form];

    /// Numbers of a row of the first output.
    fn dims(&self) -> usize {
        self.forms().first().map_or(0, |form| form.dims)
    }

    /// Most tokens a text may have, where the weights set a limit.
    fn positions(&self) -> Option<usize>;

    /// Tokens that make a batch worth while; a single text may be longer.
    fn batch_tokens(&self) -> usize;

    /// How many calls may compute at once; an executor with threads of its own takes one.
    fn concurrency(&self) -> usize {
        usize::MAX
    }

    /// Whether threads that have nothing else to do can help with a pass.
    fn takes_help(&self) -> bool {
        false
    }

    /// Threads worth having beside those that compute: they read texts meanwhile.
    fn readers(&self) -> usize {
        0
    }

    /// Whether the model's own file pools, whatever the pipeline beside it says.
    fn pools(&self) -> bool {
        false
    }

    /// A hash over the bytes of every weight the model uses.
    fn weights_hash(&self) -> u64;

    /// Writes the [`forms`](Self::forms) one after the other, each row-major and before normalisation: `[batch.len(), dims]`,
    /// or `[batch.tokens(), dims]` where each token has a row.
    ///
    /// # Errors
    /// A token id outside the model's table, a text longer than its positions, memory that cannot be had.
    fn embed(&self, batch: &Batch, out: &mut [f32]) -> Result<(), Error>;
}
