//! Why a model cannot be taken.

use std::path::PathBuf;

/// A fault found while a model is loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The model's files.
    #[error(transparent)]
    Model(#[from] nn::Error),
    /// The kernels that the process's settings ask for.
    #[error(transparent)]
    Kernel(#[from] kernels::UnknownIsa),
    /// Something asked for that this executor cannot do.
    #[error("{what} is not available: {remedy}")]
    Unavailable {
        /// The option.
        what: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// No ONNX Runtime was named or found.
    #[error(
        "backend \"onnx\" needs the library of ONNX Runtime ≥ {least}: \
         npm install onnxruntime-node, or set ORT_DYLIB_PATH to the library's file"
    )]
    NoLibrary {
        /// The oldest version that does.
        least: String,
    },
    /// A file that is named as the library and is not one that loads here.
    #[error(
        "{}: does not load as ONNX Runtime: {reason}; {named_by} must name its library, built for this system and processor",
        path.display()
    )]
    Library {
        /// The file.
        path: PathBuf,
        /// What named it.
        named_by: &'static str,
        /// Why not.
        reason: String,
    },
    /// A library that is too old.
    #[error(
        "{}: this is ONNX Runtime {found}, and at least {least} is needed: npm install onnxruntime-node@latest, \
         or set ORT_DYLIB_PATH to a newer library",
        path.display()
    )]
    TooOld {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: String,
        /// The oldest version that does.
        least: String,
    },
    /// A provider that the library has and cannot start.
    #[error("{provider} of {library} does not start: {message} ({needs})")]
    Provider {
        /// Its name.
        provider: &'static str,
        /// The library.
        library: String,
        /// What the library said.
        message: String,
        /// What it needs.
        needs: &'static str,
    },
    /// None of the providers that were asked for computes here.
    #[error(
        "none of these providers computes here: {against}; {library} has {has}; name \"cpu\" as the last of them to go on \
         without"
    )]
    NoProvider {
        /// What is against each.
        against: String,
        /// The library.
        library: String,
        /// What it was built with.
        has: String,
    },
    /// The library refused to set itself up.
    #[error("ONNX Runtime does not start: {message}")]
    Start {
        /// What it said.
        message: String,
    },
    /// The process is ending.
    #[error("{}", ENDING)]
    Ending,
}

/// Said of work that would begin while the process ends.
pub(crate) const ENDING: &str = "the process is ending; nothing is computed any more";
