//! What can be wrong with a model's files.

use std::borrow::Cow;
use std::path::PathBuf;

/// A fault found while a model is loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that cannot be opened or read.
    #[error("{}: cannot be read: {source}; check that it is whole and that this process may read it", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file that has to be there.
    #[error("{}: not found; {remedy}", path.display())]
    NotFound {
        /// The file.
        path: PathBuf,
        /// What to do.
        remedy: Cow<'static, str>,
    },
    /// A file that is not what its name says.
    #[error("{}: {message}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What was expected and what is there.
        message: String,
    },
    /// A tensor the architecture needs.
    #[error(
        "{}: no tensor \"{tensor}\"; the weights do not belong to this config.json, or the file is incomplete",
        path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// A tensor of another shape than config.json asks for.
    #[error(
        "{}: tensor \"{tensor}\" has shape {found:?}, config.json asks for {expected:?}; \
         the weights do not belong to this config.json",
        path.display()
    )]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// By the config.
        expected: Vec<usize>,
        /// In the file.
        found: Vec<usize>,
    },
    /// Something real that this version does not do.
    #[error("{}: {message}", path.display())]
    Unsupported {
        /// The file that asks for it.
        path: PathBuf,
        /// What it asks for, and what would work.
        message: String,
    },
    /// A tensor that the device does not take.
    #[error("{}: tensor \"{tensor}\" cannot be brought to the device: {source}", path.display())]
    Upload {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Why.
        source: backend::Error,
    },
    /// Not enough memory for a tensor.
    #[error("{}: {bytes} bytes for tensor \"{tensor}\" cannot be had; free memory or take a smaller model", path.display())]
    Memory {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Bytes asked for.
        bytes: usize,
    },
}

impl Error {
    /// The file that it is about.
    pub fn path_mut(&mut self) -> &mut PathBuf {
        match self {
            Self::Read { path, .. }
            | Self::NotFound { path, .. }
            | Self::Broken { path, .. }
            | Self::Missing { path, .. }
            | Self::Shape { path, .. }
            | Self::Unsupported { path, .. }
            | Self::Upload { path, .. }
            | Self::Memory { path, .. } => path,
        }
    }
}
