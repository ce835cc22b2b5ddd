//! Strings to token ids, equal to sentence-transformers.
//!
//! What it is: a model folder's `tokenizer.json`, read once and shared by all
//! threads; truncation that keeps the special tokens; prompts.
//! What it is not: no tensors, no batches, no padding, no network.
//!
//! ```no_run
//! use text::{Limit, Reading, Source, Tokenizer};
//!
//! let file = std::fs::read("some-model/tokenizer.json")?;
//! let source = Source { tokenizer: &file, settings: None, lowercase: false, reading: Reading::Framed, markers: &[] };
//! let tokenizer = Tokenizer::parse(&source)?;
//! let encoded = tokenizer.encode("A man is playing a guitar.", &Limit::new(256))?;
//! assert!(encoded.ids.len() <= 256);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | file | noun |
//! |---|---|
//! | `tokenizer.rs` | the tokenizer: load, encode, count |
//! | `limit.rs` | how long, which side is cut, what happens to longer texts |
//! | `reading.rs` | which tokens a model sees: framed, or bare words |
//! | `frame.rs` | the special tokens around a text |
//! | `pair.rs` | two texts as one input |
//! | `settings.rs` | `tokenizer_config.json` |
//! | `words.rs` | texts word by word: no more than is needed, and what words become is remembered |
//! | `chunks.rs` | texts that are too long, as windows that overlap |
//! | `barrier.rs` | where a text may be cut without changing tokens |
//! | `locality.rs` | which normalizers and pre-tokenizers look no further than that |
//! | `guard.rs` | panics of the `tokenizers` crate become errors |
//!
//! Whitespace: sentence-transformers stripped every text up to 5.3
//! (`models/Transformer.py`, `tokenize`) and has not since 5.4
//! (`base/modules/transformer.py`, `preprocess`). This crate does as 5.4 to 6.2
//! do: nothing is stripped, and a prompt is put before the text as it is
//! (`base/modality.py`, `prepend_prompt_to_texts`).

mod barrier;
mod chunks;
mod error;
mod frame;
mod guard;
mod limit;
mod locality;
#[cfg(test)]
#[path = "../tests/common/nasty.rs"]
mod nasty;
mod pair;
mod reading;
mod settings;
mod tokenizer;
mod words;

pub use error::Error;
pub use limit::{Limit, Overflow, Side};
pub use reading::Reading;
pub use tokenizer::{Encoded, Source, Tokenizer};
