//! kernels
pub use gemm::Epilogue;
pub use isa::{Kernels, UnknownIsa};
pub use matrix::{Matrix, MatrixMut};
pub use op::activation::Activation;
pub use op::attention::{Attention, DistanceBias, Mask, Scratch};
pub use op::norm::Norm;
pub use op::rope::{HeadColumns, RopeArgs, RopeStyle};
pub use pack::Packed;

mod aligned;
mod gemm;
mod isa;
mod matrix;
mod op;
mod pack;
mod simd;
