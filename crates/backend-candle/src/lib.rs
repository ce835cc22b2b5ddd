//! The `candle` executor: the same models on candle's tensors (<https://github.com/huggingface/candle>, 0.11).
//!
//! On the CPU [`Candle`] computes in f32, one thread a call and without padding, as `native` does. It is slower than
//! our own kernels there; it is here as the second opinion on every number, and as the way to devices that candle
//! knows and our kernels do not: NVIDIA's and Apple's GPUs. Those compute one batch at a time, attention in padded
//! groups, in half precision where they are fast in it; softmax, norms and pooling stay in f32.

mod attention;
mod candle;
mod device;
mod elementwise;
mod fault;
#[cfg(feature = "flash-attn")]
mod flash;
mod groups;
mod layer;
mod padded;
mod pass;
mod pooling;
mod positions;
mod split;
mod thread;

pub use candle::{Candle, LoadError, Settings};
pub use device::{CandleDevice, Format, Place};
