//! The `onnx` executor: its settings out of the options, its faults as ours.

use backend::Backend;
use backend_onnx::{LoadError, Onnx, Settings};
use nn::Source;

use crate::scheduler::Lane;
use crate::{Error, LoadOptions, graphs};

/// Loads a model's export.
pub(crate) fn open(source: &Source, options: &LoadOptions) -> Result<Box<dyn Backend>, Error> {
    let settings = Settings {
        library: options.onnx_library.as_ref().map(Into::into),
        threads: Lane::new(options.threads).threads(),
        files: graphs::candidates(options),
        dtype: options.dtype.clone().filter(|dtype| dtype != "auto"),
        pools: options.pooling.is_some(),
    };
    Ok(Box::new(Onnx::load(source, &settings).map_err(fault)?))
}

/// Bytes of a model's export, its external data included.
pub(crate) fn bytes(source: &Source, options: &LoadOptions) -> Result<u64, Error> {
    backend_onnx::bytes(&source.folder, &graphs::candidates(options)).map_err(fault)
}

fn fault(error: LoadError) -> Error {
    match error {
        LoadError::Model(error) => Error::Model(error),
        LoadError::Kernel(error) => Error::Kernel(error),
        LoadError::Unavailable { what, remedy } => {
            Error::Unavailable { what: what.into(), remedy: remedy.into() }
        }
        library => Error::Library { message: library.to_string() },
    }
}
