//! The vocabulary in which model files are written, and where their weights come from.
//!
//! A model file says *what* is computed: look up, multiply, normalise, attend, pool. A [`Device`] decides
//! *how*: which layout the weights have, whether texts are padded, what is fused. This crate holds the words
//! between them, reads checkpoints ([`Checkpoint`], [`Weights`]) and keeps every tensor once a process
//! ([`Store`]). It computes nothing itself.
//!
//! ```
//! use nn::Activation;
//! // `gelu` in a config is the erf form; the tanh form has names of its own.
//! assert_eq!(Activation::named("gelu"), Some(Activation::Gelu));
//! assert_eq!(Activation::named("gelu_new"), Some(Activation::GeluTanh));
//! ```

mod activation;
mod adapter;
mod attention;
mod checkpoint;
mod config;
mod device;
mod error;
mod feed_forward;
pub mod files;
mod head;
mod linear;
mod loaded;
mod norm;
mod positions;
mod rope;
mod rope_settings;
mod source;
mod store;
mod uses;
mod weights;
pub mod whole;

pub use activation::Activation;
pub use attention::{Attention, DistanceBias, Mask, NormSpan};
pub use checkpoint::Checkpoint;
pub use config::Config;
pub use device::{Device, Index, Lookup, Model, Pass};
pub use error::Error;
pub use feed_forward::FeedForward;
pub use head::{Head, HeadLayer};
pub use linear::{Convolution, Linear, Part};
pub use loaded::{Architectures, Loaded};
pub use norm::{Norm, NormKind};
pub use positions::{Distances, Positions};
pub use rope::{Frequencies, Rope, RopeStyle, RopeTable};
pub use rope_settings::{RopeDefaults, RopeSettings};
pub use source::{DenseSource, HeadSource, LayerSource, NormSource, Source};
pub use store::{FileId, Key, Store};
pub use uses::{Use, Uses};
pub use weights::{Loader, Table, Weights};
