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

/// How well a query and a document meet, each of vectors of `dims` values: the sum over the query's vectors of their
/// largest product with any of the document's (Khattab and Zaharia 2020, arXiv:2004.12832, eq. 3). 0 where either has none.
///
/// # Errors
/// A process setting that names no kernel; a number that is none, or is infinite.
pub fn max_sim(query: &[f32], document: &[f32], dims: usize) -> Result<f32, Error> {
    let kernels = Kernels::best()?;
    for (name, vectors) in [("query", query), ("document", document)] {
        if let Some(at) = vectors.iter().position(|value| !value.is_finite()) {
            let message = format!("maxSim: {name}[{at}] is {}; finite numbers are needed", vectors[at]);
            return Err(Error::Options { message });
        }
    }
    let rows = |vectors| <[f32]>::chunks_exact(vectors, dims.max(1));
    if document.len() < dims {
        return Ok(0.0);
    }
    let best = |query: &[f32]| {
        rows(document).map(|document| kernels.dot(query, document)).fold(f32::NEG_INFINITY, f32::max)
    };
    Ok(rows(query).map(|query| f64::from(best(query))).sum::<f64>() as f32)
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

/// As [`top_k`], of whole numbers of 8 bits.
///
/// # Errors
/// A process setting that names no kernel.
pub fn top_k_int8(query: &[i8], vectors: &[i8], k: usize) -> Result<Vec<(u32, f32)>, Error> {
    Ok(Kernels::best()?.top_k_int8(query, whole(vectors, query.len()), k))
}

/// As [`top_k`], of bits that stand for -1 and 1, eight in a byte.
///
/// # Errors
/// A process setting that names no kernel.
pub fn top_k_binary(query: &[u8], vectors: &[u8], k: usize) -> Result<Vec<(u32, f32)>, Error> {
    Ok(Kernels::best()?.top_k_binary(query, whole(vectors, query.len()), k))
}

/// The rows that are there wholly.
fn whole<T>(vectors: &[T], length: usize) -> &[T] {
    &vectors[..vectors.len() - vectors.len() % length.max(1)]
}

/// The kernel tables this CPU can run, slowest first.
pub fn kernel_names() -> Vec<String> {
    Kernels::supported().iter().map(|table| table.name().to_string()).collect()
}
