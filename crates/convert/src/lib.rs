//! Weights from one kind of file to another: PyTorch's pickles to safetensors, and safetensors to fewer bits.
//!
//! A pickle is a program for Python's unpickler, which may call anything. Here a machine of a few instructions builds plain
//! values of it; it knows the names that `torch.save` writes for a `state_dict`, refuses all others, and calls nothing.
//!
//! | file | noun |
//! |---|---|
//! | `pickle.rs` | the machine: bytes → values |
//! | `tensors.rs` | values → tensors: where each lies, in which order |
//! | `archive.rs` | PyTorch's zip archive: bytes of a storage |
//! | `safetensors.rs` | the file that is written |
//! | `file.rs` | a file that appears whole or not at all |
//! | `smaller.rs` | the same weights in fewer bits |

mod archive;
mod error;
mod file;
mod pickle;
mod safetensors;
mod smaller;
mod tensors;

use std::io::Write;
use std::path::Path;
use std::sync::atomic::AtomicBool;

pub use error::Error;
pub use file::{beside, place, remove};
pub use smaller::{Format, smaller};

/// The file that a pickle of this name becomes; `None` for names that are not known to hold weights.
pub fn becomes(pickle: &str) -> Option<&'static str> {
    match pickle {
        "pytorch_model.bin" => Some("model.safetensors"),
        "adapter_model.bin" => Some("adapter_model.safetensors"),
        "sparse_linear.pt" => Some("sparse_linear.safetensors"),
        "colbert_linear.pt" => Some("colbert_linear.safetensors"),
        _ => None,
    }
}

/// Whether a file holds the weights of a layer that stands beside a model's own.
pub fn is_beside(name: &str) -> bool {
    ["sparse_linear.safetensors", "colbert_linear.safetensors"].contains(&name)
}

/// Writes the tensors of a file that `torch.save` made of a `state_dict`, as they are, in safetensors.
///
/// # Errors
/// A file that is broken, holds or asks for anything but tensors, or is of PyTorch before 1.6; what cannot be written; who
/// waits has gone.
pub fn unpickle(from: &Path, to: &mut impl Write, cancelled: &AtomicBool) -> Result<(), Error> {
    let mut archive = archive::Archive::open(from)?;
    let tensors = tensors::read(&mut archive)?;
    let entries = tensors.iter().map(|tensor| (tensor.name.clone(), tensor.dtype, tensor.shape.clone()));
    let mut out = safetensors::Writer::begin(to, None, entries.collect())?;
    for tensor in &tensors {
        error::check(cancelled)?;
        tensor.copy(&mut archive, &mut out)?;
    }
    out.finish()
}
