//! The `onnx` executor: a model's ONNX export, run by ONNX Runtime.
//!
//! Nothing of ONNX Runtime is in our build. [`Onnx::load`] opens the library that the user has (npm's
//! `onnxruntime-node` carries one) once a process, for good. The graph makes one row a token; pooling and
//! dense layers are those of the native executor, so both give the same vectors from the same rows.
//!
//! Files come from strangers: they are read and checked here, and the library gets bytes, never a path.

mod error;
mod external;
mod gate;
mod graph;
mod inputs;
mod library;
mod model_file;
mod onnx;
mod operators;
mod proto;
mod provider;
mod session;

pub use error::LoadError;
pub use model_file::bytes;
pub use onnx::{Onnx, Settings};
pub use provider::Provider;
