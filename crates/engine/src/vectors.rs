//! Arithmetic on finished vectors, on the calling thread: callers bring no more than they can wait for.

use kernels::{Kernels, Matrix};

use crate::Error;

/// Cosine of two vectors of equal length; 0 where one is zero.
///
/// # Errors
/// A process setting that names no kernel.
pub fn cosine(a: &[f32], b: &[f32]) -> Result<f32, Error> {
    Ok(Kernels::best()?.cosine(a, b))
}

/// The `k` rows of `vectors`, each as long as `query`, with the largest cosine: row and score, best first,
/// ties by lower row.
///
/// # Errors
/// A process setting that names no kernel.
pub fn top_k(query: &[f32], vectors: &[f32], k: usize) -> Result<Vec<(u32, f32)>, Error> {
    let rows = vectors.len() / query.len().max(1);
    Ok(Kernels::best()?.top_k(query, Matrix::new(vectors, rows, query.len()), k))
}

/// The kernel tables this CPU can run, slowest first.
pub fn kernel_names() -> Vec<String> {
    Kernels::supported().iter().map(|table| table.name().to_string()).collect()
}
