//! What can go wrong between a string and its ids.

/// Each message says what was expected, what came, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `tokenizer.json` is not a tokenizer that works.
    #[error(
        "tokenizer.json is not a usable tokenizer: {message}. Download it again, or report it to its author"
    )]
    Broken {
        /// What is wrong with it.
        message: String,
    },
    /// `tokenizer_config.json` cannot be understood.
    #[error("tokenizer_config.json is not valid: {message}. Download it again")]
    BrokenSettings {
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
