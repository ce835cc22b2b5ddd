//! Which executor runs a model. The one place that knows them by name.

use backend::Backend;
use backend_native::{Native, is_whole};
use kernels::{Dtype, Kernels};
use nn::Source;

use crate::{Error, LoadOptions, graphs};

type Open = fn(&Source, &LoadOptions) -> Result<Box<dyn Backend>, Error>;
type Bytes = fn(&Source, &LoadOptions) -> Result<u64, Error>;

/// An executor, and what it can be asked for.
struct Executor {
    name: &'static str,
    devices: &'static [&'static str],
    dtypes: &'static [&'static str],
    open: Open,
    /// About what it will hold, by the headers and sizes of the model's files.
    bytes: Bytes,
}

/// The first is the default.
const EXECUTORS: &[Executor] = &[
    Executor {
        name: "native",
        devices: &["cpu"],
        dtypes: &["f32", "bf16", "int8"],
        open: |source, options| Ok(Box::new(Native::load(source, format(options))?)),
        bytes: as_multiplied,
    },
    Executor { name: "candle", devices: &["cpu"], dtypes: &["f32"], open: CANDLE, bytes: as_f32 },
    Executor {
        name: "onnx",
        devices: &["cpu"],
        dtypes: &["f32", "f16", "int8"],
        open: ONNX,
        bytes: ONNX_BYTES,
    },
];

/// The number format of our kernels; none leaves it to them.
fn format(options: &LoadOptions) -> Option<Dtype> {
    asked(&options.dtype).and_then(Dtype::named)
}

/// Half of it in the smaller formats; in int8 that is too much, since only tables take two bytes a number.
fn as_multiplied(source: &Source, options: &LoadOptions) -> Result<u64, Error> {
    let dtype = match format(options) {
        Some(dtype) => dtype,
        None if is_whole(source)? => Dtype::Int8,
        None => Kernels::best()?.preferred().0,
    };
    let whole = as_f32(source, options)?;
    Ok(if dtype == Dtype::F32 { whole } else { whole / 2 })
}

/// Every number becomes an f32, however it lies in the file.
fn as_f32(source: &Source, _: &LoadOptions) -> Result<u64, Error> {
    Ok(source.numbers()?.saturating_mul(size_of::<f32>() as u64))
}

#[cfg(feature = "candle")]
const CANDLE: Open = |source, _| Ok(Box::new(backend_candle::Candle::load(source)?));
#[cfg(not(feature = "candle"))]
const CANDLE: Open = |_, _| Err(left_out("candle"));

#[cfg(feature = "onnx")]
const ONNX: Open = crate::onnx::open;
#[cfg(not(feature = "onnx"))]
const ONNX: Open = |_, _| Err(left_out("onnx"));
#[cfg(feature = "onnx")]
const ONNX_BYTES: Bytes = crate::onnx::bytes;
#[cfg(not(feature = "onnx"))]
const ONNX_BYTES: Bytes = |_, _| Err(left_out("onnx"));

/// Refuses by name what no executor, or not the chosen one, can do.
pub(crate) fn check(options: &LoadOptions) -> Result<(), Error> {
    chosen(options)?;
    graphs::check(options)
}

/// Loads a model into the executor that the options choose.
pub(crate) fn open(source: &Source, options: &LoadOptions) -> Result<Box<dyn Backend>, Error> {
    (chosen(options)?.open)(source, options)
}

/// About what a model will hold in the executor that the options choose.
pub(crate) fn bytes(source: &Source, options: &LoadOptions) -> Result<u64, Error> {
    (chosen(options)?.bytes)(source, options)
}

fn chosen(options: &LoadOptions) -> Result<&'static Executor, Error> {
    let backend = asked(&options.backend).unwrap_or(EXECUTORS[0].name);
    let executor = EXECUTORS.iter().find(|executor| executor.name == backend).ok_or_else(|| {
        let names: Vec<_> = EXECUTORS.iter().map(|executor| executor.name).collect();
        Error::Unavailable {
            what: format!("backend {backend:?}"),
            remedy: format!("there are {}", names.join(", ")),
        }
    })?;
    if let Some(device) = asked(&options.device).filter(|device| !executor.devices.contains(device)) {
        let reason = format!("backend {backend:?} computes on {}", executor.devices.join(", "));
        return Err(Error::Device { device: device.into(), reason });
    }
    if let Some(dtype) = asked(&options.dtype).filter(|dtype| !executor.dtypes.contains(dtype)) {
        let remedy =
            format!("backend {backend:?} computes in {} in this version", executor.dtypes.join(", "));
        return Err(Error::Unavailable { what: format!("dtype {dtype:?}"), remedy });
    }
    Ok(executor)
}

/// An executor that this build was made without.
#[cfg(not(all(feature = "candle", feature = "onnx")))]
fn left_out(name: &str) -> Error {
    Error::Unavailable {
        what: format!("backend {name:?}"),
        remedy: format!("this build was made without it; build with the cargo feature {name:?}"),
    }
}

/// What was asked for, unless it is left to us.
fn asked(option: &Option<String>) -> Option<&str> {
    option.as_deref().filter(|&value| value != "auto")
}
