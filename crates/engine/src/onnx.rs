//! The `onnx` executor: its settings out of the options, its faults as ours.

use backend::Backend;
use backend_onnx::{LoadError, Onnx, Provider, Settings};
use nn::Source;

use crate::scheduler::Lane;
use crate::{Error, LoadOptions, graphs, threads};

/// Loads a model's export.
pub(crate) fn open(source: &Source, options: &LoadOptions) -> Result<Box<dyn Backend>, Error> {
    let settings = Settings {
        library: options.onnx_library.as_ref().map(Into::into),
        threads: Lane::new(threads::asked(options)?).threads(),
        files: graphs::candidates(options),
        dtype: options.dtype.clone().filter(|dtype| dtype != "auto"),
        pools: options.pooling.is_some(),
        providers: providers(options)?,
    };
    Ok(Box::new(Onnx::load(source, &settings).map_err(fault)?))
}

/// Bytes of a model's export, its external data included.
pub(crate) fn bytes(source: &Source, options: &LoadOptions) -> Result<u64, Error> {
    backend_onnx::bytes(&source.folder, &graphs::candidates(options)).map_err(fault)
}

/// Those of the option, else those of the variable that other servers of ONNX models read.
fn providers(options: &LoadOptions) -> Result<Vec<Provider>, Error> {
    const VARIABLE: &str = "ORT_EXECUTION_PROVIDER";
    let known = Provider::ALL.map(|(name, _)| format!("{name:?}")).join(", ");
    let named =
        |name: &str| Provider::named(name).ok_or_else(|| format!("must name some of {known}, got {name:?}"));
    if !options.providers.is_empty() {
        let providers = options.providers.iter().map(|name| named(name)).collect::<Result<_, _>>();
        return providers.map_err(|wrong| Error::Options { message: format!("providers {wrong}") });
    }
    let value = std::env::var(VARIABLE).unwrap_or_default();
    let names = value.split(',').map(str::trim).filter(|name| !name.is_empty());
    let providers = names.map(|name| named(&name.to_lowercase())).collect::<Result<_, _>>();
    providers.map_err(|wrong| Error::Settings { message: format!("{VARIABLE} {wrong}") })
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
