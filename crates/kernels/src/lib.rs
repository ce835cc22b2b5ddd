//! CPU arithmetic for transformer encoders, in `f32`; weights may be multiplied in a smaller number format.
//!
//! What it is: one table of kernels for each instruction set ([`Kernels`]), with the multiply, attention and the
//! small ops around them. A table can be had only where it runs. Callers lend the memory, and the thread that calls
//! computes, with those of its [`Team`] where it leads one. A row's result never depends on the other rows, bit for bit.
//!
//! What it is not: no tensors, no models, no threads of its own, and no allocation but for packed weights and [`Scratch`].
//!
//! ```
//! use kernels::{Activation, Dtype, Epilogue, Kernels, Matrix, MatrixMut, Scratch};
//!
//! let kernels = Kernels::best()?;
//! // Two outputs of three inputs, as a checkpoint stores them.
//! let weights = kernels.pack(Dtype::F32, 2, 3, &[1.0, 0.0, -1.0, 0.5, 0.5, 0.5]);
//! let x = [1.0, 2.0, 3.0];
//! let mut y = [0.0; 2];
//! let epilogue = Epilogue { bias: Some(&[0.5, 1.0]), activation: Some(Activation::Relu), ..Default::default() };
//! kernels.gemm(Matrix::new(&x, 1, 3), &weights, MatrixMut::new(&mut y, 1, 2), epilogue, &mut Scratch::default());
//! assert_eq!(y, [0.0, 4.0]);
//! # Ok::<(), kernels::UnknownIsa>(())
//! ```
#![cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    allow(dead_code, reason = "only the generic table is compiled")
)]

pub use dtype::{Dtype, from_bf16, to_bf16};
pub use exit::at_exit;
pub use gemm::Epilogue;
pub use isa::{CHUNK, Kernels};
pub use matrix::{Matrix, MatrixMut};
pub use op::activation::Activation;
pub use op::attention::{Attention, DistanceBias, Mask, Scratch};
pub use op::norm::Norm;
pub use op::positions::Positions;
pub use op::rope::{HeadColumns, RopeArgs, RopeStyle};
pub use pack::{Packed, whole_weights};
pub use priority::step_back;
pub use team::{Team, both};
pub use unknown::UnknownIsa;

mod aligned;
mod dtype;
mod exit;
mod gemm;
mod isa;
mod matrix;
mod op;
mod pack;
mod priority;
#[cfg(test)]
mod random;
mod shapes;
mod shared;
mod simd;
mod team;
#[cfg(test)]
mod testing;
mod unknown;
