//! From a name and a revision to a folder of files that are what the hub says they are.
//!
//! Sources, the cache on disk, and nothing of models: which files are wanted is the caller's to say. Everything blocks; a
//! caller gives it a thread of its own.
//!
//! ```no_run
//! use hub::{ModelName, Options, Settings, Snapshot, Task};
//!
//! let settings = Settings::new(&Options::default())?;
//! let model = ModelName::parse("sentence-transformers/all-MiniLM-L6-v2")?;
//! let snapshot = Snapshot::open(&model, &settings, &Task::silent())?;
//! snapshot.fetch(&["config.json".into()])?;
//! snapshot.finish()?;
//! println!("{} at {}", snapshot.folder().display(), snapshot.commit());
//! # Ok::<(), hub::Error>(())
//! ```
//!
//! | file | noun |
//! |---|---|
//! | `name.rs` | names that become folders |
//! | `settings.rs` | options and variables |
//! | `address.rs`, `client.rs`, `tries.rs` | addresses, questions to a hub, trying again |
//! | `huggingface.rs`, `modelscope.rs` | how each hub lists and gives files |
//! | `listing.rs`, `digest.rs` | what a commit's files are |
//! | `hashing.rs` | the digest of what is being written, beside the writing |
//! | `cache.rs`, `disk.rs`, `lock.rs`, `unique.rs` | the cache's layout, files that appear whole |
//! | `partial.rs`, `download.rs`, `snapshot.rs` | a file on its way, one file, all files |
//! | `derive.rs` | a file made of one of the hub's |
//! | `task.rs` | who waits: progress and cancelling |
//! | `tools.rs` | list, verify, remove, size, prune |

mod address;
mod cache;
mod client;
mod derive;
mod digest;
mod disk;
mod download;
mod error;
mod hashing;
mod huggingface;
mod listing;
mod lock;
mod modelscope;
mod name;
mod partial;
mod settings;
mod snapshot;
mod task;
mod tools;
mod tries;
mod unique;

pub use digest::Digest;
pub use error::Error;
pub use name::ModelName;
pub use settings::{Options, Patience, Settings, Source, Token};
pub use snapshot::Snapshot;
pub use task::{Progress, Task};
pub use tools::{Damaged, Model, Revision, list, prune, remove, size, verify};
