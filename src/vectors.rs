//! Helpers on vectors, called directly: callers pass no more than a few milliseconds of work.

use kernels::{Kernels, Matrix};
use napi::bindgen_prelude::{Float32Array, Uint32Array};
use napi_derive::napi;

/// The rows nearest to a query.
#[napi(object)]
pub struct TopRows {
    /// Row numbers, best first.
    pub indices: Uint32Array,
    /// Their cosines.
    pub scores: Float32Array,
}

fn best() -> napi::Result<&'static Kernels> {
    Kernels::best().map_err(|error| napi::Error::from_reason(error.to_string()))
}

/// Cosine of two vectors of equal length; 0 where one is zero.
#[napi]
pub fn similarity(a: &[f32], b: &[f32]) -> napi::Result<f64> {
    Ok(f64::from(best()?.cosine(a, b)))
}

/// The `k` rows of `vectors` (each as long as `query`) with the largest cosine; ties by lower row.
#[napi]
pub fn top_k(query: &[f32], vectors: &[f32], k: u32) -> napi::Result<TopRows> {
    let rows = vectors.len() / query.len().max(1);
    let found = best()?.top_k(query, Matrix::new(vectors, rows, query.len()), k as usize);
    let (indices, scores): (Vec<u32>, Vec<f32>) = found.into_iter().unzip();
    Ok(TopRows { indices: Uint32Array::new(indices), scores: Float32Array::new(scores) })
}

/// The kernel tables that run on this CPU, slowest first.
#[napi]
pub fn kernels() -> Vec<String> {
    Kernels::supported().iter().map(|table| table.name().to_string()).collect()
}
