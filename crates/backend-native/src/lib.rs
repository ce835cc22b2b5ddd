//! The `native` executor: our own CPU kernels behind the contract.
//!
//! [`Native`] holds a model whose weights are packed for one kernel table, and runs ragged batches without
//! padding: cost follows the real tokens, and each row's result depends on its own text alone, bit for bit.
//! It is one thread a call; the engine gives each core a batch of its own.

mod buffers;
mod device;
mod native;
mod pass;
mod rows;

pub use device::NativeDevice;
pub use native::{LoadError, Native, is_whole};
pub use rows::Rows;
