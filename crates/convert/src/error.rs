//! What can go wrong while weights are converted.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// A fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file that is read.
    #[error(transparent)]
    Model(#[from] nn::Error),
    /// The file that is written.
    #[error("the converted weights cannot be written: {0}; make room, or choose another folder")]
    Write(std::io::Error),
    /// A file's place.
    #[error("{}: cannot be written: {source}; make room, or choose another folder", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Nobody waits any more.
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    /// A fault of a file that is written.
    pub fn disk(path: &Path, source: std::io::Error) -> Self {
        Self::Disk { path: path.into(), source }
    }

    pub(crate) fn broken(path: &Path, message: impl Into<String>) -> Self {
        nn::Error::Broken { path: path.into(), message: message.into() }.into()
    }

    pub(crate) fn unsupported(path: &Path, message: impl Into<String>) -> Self {
        nn::Error::Unsupported { path: path.into(), message: message.into() }.into()
    }
}

/// Ends work that nobody waits for.
pub(crate) fn check(cancelled: &AtomicBool) -> Result<(), Error> {
    if cancelled.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
}
