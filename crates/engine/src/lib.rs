//! The hall: from a model folder to vectors, on the engine's own threads.
//!
//! [`Model::load`] reads what a folder's own files claim ([`Spec`]), opens its tokenizer and weights
//! through the process's store, and hands them to a backend. [`Model::run`] takes texts, returns at
//! once, and calls back when the vectors are there. Nothing here knows JavaScript.

mod cache;
#[cfg(feature = "candle")]
mod candle;
mod classifier;
mod contain;
mod convert;
mod embedder;
mod error;
mod executor;
mod fetch;
mod finish;
mod graphs;
mod hybrid;
mod info;
mod job;
mod judge;
mod kind;
mod labels;
mod late;
mod lexicon;
mod load;
mod machine;
mod model;
mod multi_vector;
#[cfg(feature = "onnx")]
mod onnx;
mod overflow;
mod place;
#[cfg(test)]
mod probe;
mod processors;
mod registry;
mod request;
mod reranker;
mod router;
mod scheduler;
mod sparse;
mod spec;
mod static_model;
mod threads;
mod ticket;
mod timing;
mod totals;
mod vectors;
mod wanted;
mod work;

pub use cache::{CacheTool, use_cache};
pub use contain::contained;
pub use convert::{Conversion, Converted, convert};
pub use error::Error;
pub use fetch::{Fetched, download, fetch};
pub use hub::{Options as HubOptions, Progress, Source, Token};
pub use info::Info;
pub use job::{RowFault, Rows};
pub use load::{LoadOptions, Task};
pub use machine::Machine;
pub use model::Model;
pub use overflow::{Overflow, Side};
pub use processors::{Processor, leave_aside, open_libraries};
pub use registry::{Registration, Registry, Running, Settings, Stats};
pub use request::{CallSettings, PromptChoice, Request, Role, Score};
pub use scheduler::{Priority, spawn};
pub use spec::Spec;
pub use ticket::Ticket;
pub use timing::Timing;
pub use totals::Totals;
pub use vectors::{cosine, kernel_names, max_sim, top_k, top_k_binary, top_k_int8};
