//! What can go wrong while a model runs.

/// A fault of one batch. The model stays usable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A token id beyond the rows of the embedding table.
    #[error(
        "index {id} of a token or segment is outside the model's table of {rows} rows: fetch model and tokenizer again"
    )]
    TokenId {
        /// The id.
        id: u32,
        /// Rows of the table.
        rows: usize,
    },
    /// A text with more tokens than the model has positions.
    #[error("a text of {tokens} tokens is longer than the model's {limit} positions; lower maxLength")]
    TooLong {
        /// Tokens of the text.
        tokens: usize,
        /// Positions of the model.
        limit: usize,
    },
    /// An empty text where the model needs at least one token.
    #[error("a text without tokens has no vector, and this tokenizer adds none: pass some text")]
    Empty,
    /// A library that computes for us failed.
    #[error("{library} failed: {message}; backend \"native\" does without it")]
    Library {
        /// Which one.
        library: &'static str,
        /// What it said.
        message: String,
    },
    /// A device's own memory is full.
    #[error(
        "{device} has {free} bytes of memory free, which {what} do not fit; use a smaller model or dtype, lower \
         maxLength, or free other models"
    )]
    DeviceMemory {
        /// The device.
        device: String,
        /// What was to fit.
        what: String,
        /// Bytes that were free.
        free: u64,
    },
    /// The working memory for this batch cannot be had.
    #[error("{bytes} bytes of working memory cannot be had; pass shorter texts or lower maxLength")]
    Memory {
        /// Bytes asked for.
        bytes: usize,
    },
}
