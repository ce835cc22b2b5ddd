//! Element-wise operations: on the CPU on the calling thread and in place, elsewhere candle's own.
//!
//! candle's own hand tensors of 65,536 elements and more to threads that serve the whole process, spin while they
//! wait and take one caller at a time (`candle_core::utils::barrier_pool`,
//! <https://github.com/huggingface/candle/blob/0.11.1/candle-core/src/cpu_backend/utils.rs>). Operations from outside
//! run where they are called; these are candle's functions in loops of our own.

use candle_core::op::{Gelu, GeluErf, Relu, Silu, Tanh, UnaryOpT};
use candle_core::{
    CpuStorage, CustomOp1, D, DType, Error, InplaceOp1, InplaceOp2, Layout, Result, Shape, Tensor, bail,
};
use candle_nn::ops;
use nn::Activation;

/// Whether the loops of this file take it.
pub(crate) fn is_ours(x: &Tensor) -> bool {
    x.device().is_cpu() && x.dtype() == DType::F32
}

/// In f32, in which softmax, norms and poolings are computed.
pub(crate) fn as_f32(x: &Tensor) -> Result<Tensor> {
    x.to_dtype(DType::F32)
}

/// `x + y`, where the last dimensions of `x` are those of `y`.
pub(crate) fn add(x: Tensor, y: &Tensor) -> Result<Tensor> {
    if !is_ours(&x) {
        return x.broadcast_add(y);
    }
    x.inplace_op2(y, &Combine { name: "add", function: |x: &mut f32, y: f32| *x += y })?;
    Ok(x)
}

/// `x · y`, likewise.
pub(crate) fn multiply(x: Tensor, y: &Tensor) -> Result<Tensor> {
    if !is_ours(&x) {
        return x.broadcast_mul(y);
    }
    x.inplace_op2(y, &Combine { name: "multiply", function: |x: &mut f32, y: f32| *x *= y })?;
    Ok(x)
}

/// `activation(x)`.
pub(crate) fn activate(x: Tensor, activation: Activation) -> Result<Tensor> {
    if !is_ours(&x) {
        return activated(&x, activation);
    }
    x.inplace_op1(&Map(function(activation)))?;
    Ok(x)
}

/// Each row less its mean.
pub(crate) fn centred(x: &Tensor) -> Result<Tensor> {
    if !is_ours(x) {
        return x.broadcast_sub(&x.mean_keepdim(D::Minus1)?);
    }
    x.apply_op1_no_bwd(&Centre)
}

fn activated(x: &Tensor, activation: Activation) -> Result<Tensor> {
    match activation {
        Activation::Gelu => x.gelu_erf(),
        Activation::GeluTanh => x.gelu(),
        Activation::Silu => x.silu(),
        Activation::Relu => x.relu(),
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => ops::sigmoid(x),
        Activation::QuickGelu => x.mul(&ops::sigmoid(&x.affine(1.702, 0.0)?)?),
    }
}

fn function(activation: Activation) -> fn(f32) -> f32 {
    match activation {
        Activation::Gelu => GeluErf::f32,
        Activation::GeluTanh => Gelu::f32,
        Activation::Silu => Silu::f32,
        Activation::Relu => Relu::f32,
        Activation::Tanh => Tanh::f32,
        Activation::Sigmoid => sigmoid,
        Activation::QuickGelu => |x| x * sigmoid(1.702 * x),
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

struct Combine<F> {
    name: &'static str,
    function: F,
}

impl<F: Fn(&mut f32, f32)> InplaceOp2 for Combine<F> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(
        &self,
        x: &mut CpuStorage,
        x_layout: &Layout,
        y: &CpuStorage,
        y_layout: &Layout,
    ) -> Result<()> {
        if !x_layout.dims().ends_with(y_layout.dims()) {
            bail!("{}: {:?} does not end in {:?}", self.name, x_layout.shape(), y_layout.shape());
        }
        let y = values(y, y_layout, self.name)?;
        for x in values_mut(x, x_layout, self.name)?.chunks_exact_mut(y.len().max(1)) {
            x.iter_mut().zip(y).for_each(|(x, y)| (self.function)(x, *y));
        }
        Ok(())
    }
}

struct Map(fn(f32) -> f32);

impl InplaceOp1 for Map {
    fn name(&self) -> &'static str {
        "activate"
    }

    fn cpu_fwd(&self, x: &mut CpuStorage, layout: &Layout) -> Result<()> {
        values_mut(x, layout, "activate")?.iter_mut().for_each(|x| *x = (self.0)(*x));
        Ok(())
    }
}

struct Centre;

impl CustomOp1 for Centre {
    fn name(&self) -> &'static str {
        "centre"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let columns = layout.dims().last().copied().unwrap_or(1).max(1);
        let mut centred = values(x, layout, "centre")?.to_vec();
        for row in centred.chunks_exact_mut(columns) {
            let mean = row.iter().copied().map(f64::from).sum::<f64>() / columns as f64;
            row.iter_mut().for_each(|value| *value = (f64::from(*value) - mean) as f32);
        }
        Ok((CpuStorage::F32(centred), layout.shape().clone()))
    }
}

fn values<'a>(storage: &'a CpuStorage, layout: &Layout, name: &'static str) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&values[start..end]),
        (_, None) => Err(Error::RequiresContiguous { op: name }),
        (other, _) => Err(Error::UnsupportedDTypeForOp(dtype(other), name)),
    }
}

fn values_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout, name: &'static str) -> Result<&'a mut [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&mut values[start..end]),
        (_, None) => Err(Error::RequiresContiguous { op: name }),
        (other, _) => Err(Error::UnsupportedDTypeForOp(dtype(other), name)),
    }
}

fn dtype(storage: &CpuStorage) -> candle_core::DType {
    candle_core::backend::BackendStorage::dtype(storage)
}
