//! What can go wrong between a string and its ids.

use std::io;
use std::path::PathBuf;

/// Each message says what was expected, what came, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The folder has no tokenizer.
    #[error(
        "{} does not exist: a model needs a tokenizer.json. Download the whole folder, or convert an \
         older tokenizer by saving it again with transformers", path.display()
    )]
    Missing {
        /// The file that was looked for.
        path: PathBuf,
    },
    /// The file is there and cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file was read and is not a tokenizer that works.
    #[error("{} is not a usable tokenizer: {message}. Download it again, or report it to its author", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The tokenizer failed on a text.
    #[error("the tokenizer failed on this text: {message}. The fault is in the model's tokenizer.json")]
    Encode {
        /// What the tokenizer said.
        message: String,
    },
    /// The text is too long, and [`crate::Overflow::Error`] was asked for.
    #[error(
        "the text has at least {tokens} tokens, the limit is {limit}: shorten or split it, raise the \
         limit, or allow truncation"
    )]
    TooLong {
        /// Tokens with special ones; of a very long text only as many as were counted.
        tokens: usize,
        /// [`crate::Limit::max_length`].
        limit: usize,
    },
    /// The limit leaves no room for any of the text.
    #[error(
        "a limit of {limit} tokens leaves no room for text: this model adds {specials} special tokens, \
         so the limit must be at least {}", specials + 1
    )]
    NoRoom {
        /// [`crate::Limit::max_length`].
        limit: usize,
        /// How many tokens this model adds to each text.
        specials: usize,
    },
}
