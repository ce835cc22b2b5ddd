//! The library of ONNX Runtime: found, checked, and opened once a process.

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use devices::is_whole;
use nn::files;
use ort::LoadDynamicError;
use ort::environment::Environment;

use crate::LoadError;
use crate::gate::{self, Inside};

/// Names the library's file.
const VARIABLE: &str = "ORT_DYLIB_PATH";

/// The library in use.
#[derive(Clone)]
pub(crate) struct Library {
    pub(crate) environment: Environment,
    /// As `1.31.1`; empty where the file does not tell.
    version: String,
}

/// It stays for the life of the process: ONNX Runtime has one environment, and a library whose threads have run
/// cannot be taken out safely.
static LIBRARY: Mutex<Option<Library>> = Mutex::new(None);

impl Library {
    /// The process's library; the first load opens it, and later ones share it, whatever they name. A failure
    /// leaves no trace, so that the next load may name a better file; but one whose functions are not what their
    /// names say stays loaded, and later loads fail with it.
    pub(crate) fn open(hint: Option<&Path>) -> Result<Self, LoadError> {
        let mut library = LIBRARY.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(library) = &*library {
            return Ok(library.clone());
        }
        let _inside = Inside::enter().ok_or(LoadError::Ending)?;
        let opened = Self::load(&File::choose(hint)?)?;
        gate::watch();
        *library = Some(opened.clone());
        Ok(opened)
    }

    fn load(file: &File) -> Result<Self, LoadError> {
        if is_whole(&file.path).is_ok_and(|whole| !whole) {
            return Err(file.refused("it was cut short".into()));
        }
        let bytes = files::read(&file.path)?.unwrap_or_default();
        // `ort` panics where a library has the name of a function and not its behaviour.
        let started = catch_unwind(|| Self::start(file));
        let environment = started
            .unwrap_or_else(|_| Err(file.refused("it does not behave as ONNX Runtime does".into())))?;
        Ok(Self { environment, version: version(&bytes) })
    }

    fn start(file: &File) -> Result<Environment, LoadError> {
        let builder = ort::init_from(&file.path).map_err(|error| file.fault(error))?;
        let start = |error: ort::Error| LoadError::Start { message: error.message().into() };
        builder.with_name("embed-native").with_telemetry(false).build().map_err(start)
    }

    /// For people: `onnxruntime 1.31.1`.
    pub(crate) fn name(&self) -> String {
        format!("onnxruntime {}", self.version).trim_end().into()
    }
}

/// A file that is to be the library.
struct File {
    path: PathBuf,
    named_by: &'static str,
}

impl File {
    /// The caller's, who has read the variable if it is set; else the variable's.
    fn choose(hint: Option<&Path>) -> Result<Self, LoadError> {
        let variable = std::env::var_os(VARIABLE).filter(|value| !value.is_empty());
        let named_by = if variable.is_some() { VARIABLE } else { "onnxLibrary" };
        let Some(path) = hint.or(variable.as_deref().map(Path::new)) else {
            return Err(LoadError::NoLibrary { least: least() });
        };
        // Absolute and without links, so that the system's loader searches for nothing.
        let found = path.canonicalize().map_err(|error| (path.into(), error.to_string()));
        let regular = |path: PathBuf| match files::open(&path) {
            Ok(_) => Ok(path),
            Err(nn::Error::Broken { message, .. }) => Err((path, message)),
            Err(error) => Err((path, error.to_string())),
        };
        match found.and_then(regular) {
            Ok(path) => Ok(Self { path, named_by }),
            Err((path, reason)) => Err(LoadError::Library { path, named_by, reason }),
        }
    }

    fn fault(&self, error: LoadDynamicError) -> LoadError {
        self.refused(match error {
            LoadDynamicError::BadVersion { version_str: found, .. } => {
                return LoadError::TooOld { path: self.path.clone(), found, least: least() };
            }
            // The system's own words, which `libloading` keeps one level down.
            LoadDynamicError::Dlopen { error, .. } => {
                std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string)
            }
            LoadDynamicError::MissingApi { .. } => "it is a library without OrtGetApiBase".into(),
            LoadDynamicError::InvalidVersionString => "its version is no text".into(),
        })
    }

    fn refused(&self, reason: String) -> LoadError {
        LoadError::Library { path: self.path.clone(), named_by: self.named_by, reason }
    }
}

/// The oldest version whose functions are all that we call.
fn least() -> String {
    format!("1.{}", ort::MINOR_VERSION)
}

/// The version, which `ort` reads and keeps to itself: the library holds it as a C string.
fn version(library: &[u8]) -> String {
    let texts = library.split(|&byte| byte == 0).filter(|text| text.starts_with(b"1.") && text.len() < 16);
    let version = texts.filter_map(|text| std::str::from_utf8(text).ok()).find(|text| is_version(text));
    version.unwrap_or_default().into()
}

fn is_version(text: &str) -> bool {
    let parts: Vec<Option<u32>> = text.split('.').map(|part| part.parse().ok()).collect();
    matches!(parts[..], [Some(1), Some(minor), Some(_)] if minor >= ort::MINOR_VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let known = ["1.24.0", "1.31.1"];
        assert!(known.into_iter().all(is_version));
        assert!(!["1.2.11", "1.31", "1.31.1.2", "1.x.1", "2.31.1", ""].into_iter().any(is_version));
    }
}
