//! Which executor runs a model, where and in which numbers. The one place that knows executors by name.

use backend::Backend;
use backend_native::{Native, is_whole};
use kernels::{Dtype, Kernels};
use nn::Source;

use crate::place::{Asked, Chosen, Inventory, Place, no_kernels};
use crate::{Error, LoadOptions, graphs, processors};

type Open = fn(&Source, &LoadOptions, Chosen) -> Result<Box<dyn Backend>, Error>;
type Bytes = fn(&Source, &LoadOptions, &Chosen) -> Result<u64, Error>;

/// An executor, and what it can be asked for.
struct Executor {
    name: &'static str,
    /// Whether it computes on GPUs.
    on_gpus: bool,
    /// Number formats on the CPU.
    dtypes: &'static [&'static str],
    open: Open,
    /// About what it will hold, by the headers and sizes of the model's files.
    bytes: Bytes,
}

/// Number formats on GPUs.
const GPU_DTYPES: &[&str] = &["f32", "bf16", "f16"];

/// All number formats that a load may ask for.
pub(crate) const DTYPES: [&str; 5] = ["auto", "f32", "bf16", "f16", "int8"];

/// All executors, by name.
pub(crate) const BACKENDS: [&str; 3] = [EXECUTORS[0].name, EXECUTORS[1].name, EXECUTORS[2].name];

/// The first is the default on the CPU, the first of those on GPUs there.
const EXECUTORS: &[Executor; 3] = &[
    Executor {
        name: "native",
        on_gpus: false,
        dtypes: &["f32", "bf16", "int8"],
        open: |source, options, _| Ok(Box::new(Native::load(source, format(options))?)),
        bytes: as_multiplied,
    },
    Executor { name: "candle", on_gpus: true, dtypes: &["f32"], open: CANDLE, bytes: CANDLE_BYTES },
    Executor { name: "onnx", on_gpus: false, dtypes: &["f32", "f16", "int8"], open: ONNX, bytes: ONNX_BYTES },
];

/// The number format of our kernels; none leaves it to them.
fn format(options: &LoadOptions) -> Option<Dtype> {
    asked(&options.dtype).and_then(Dtype::named)
}

/// Half of it in the smaller formats; in int8 that is too much, since only tables take two bytes a number.
fn as_multiplied(source: &Source, options: &LoadOptions, _: &Chosen) -> Result<u64, Error> {
    let dtype = match format(options) {
        Some(dtype) => dtype,
        None if is_whole(source)? => Dtype::Int8,
        None => Kernels::best()?.preferred().0,
    };
    let whole = as_f32(source)?;
    Ok(if dtype == Dtype::F32 { whole } else { whole / 2 })
}

/// Every number becomes an f32, however it lies in the file.
pub(crate) fn as_f32(source: &Source) -> Result<u64, Error> {
    Ok(source.numbers()?.saturating_mul(size_of::<f32>() as u64))
}

#[cfg(feature = "candle")]
const CANDLE: Open = crate::candle::open;
#[cfg(not(feature = "candle"))]
const CANDLE: Open = |_, _, _| Err(left_out("candle"));
#[cfg(feature = "candle")]
const CANDLE_BYTES: Bytes = crate::candle::bytes;
#[cfg(not(feature = "candle"))]
const CANDLE_BYTES: Bytes = |_, _, _| Err(left_out("candle"));

#[cfg(feature = "onnx")]
const ONNX: Open = |source, options, _| crate::onnx::open(source, options);
#[cfg(not(feature = "onnx"))]
const ONNX: Open = |_, _, _| Err(left_out("onnx"));
#[cfg(feature = "onnx")]
const ONNX_BYTES: Bytes = |source, options, _| crate::onnx::bytes(source, options);
#[cfg(not(feature = "onnx"))]
const ONNX_BYTES: Bytes = |_, _, _| Err(left_out("onnx"));

/// Refuses by name what no executor, or not the chosen one, can do.
pub(crate) fn check(options: &LoadOptions) -> Result<(), Error> {
    chosen(options)?;
    graphs::check(options)
}

/// A model in its executor, and what the choice of the processor has to say.
pub(crate) struct Opened {
    pub(crate) backend: Box<dyn Backend>,
    /// Why this one.
    pub(crate) reason: String,
    /// Of a GPU that is left aside.
    pub(crate) warning: Option<String>,
}

/// Loads a model into the executor that the options choose.
pub(crate) fn open(source: &Source, options: &LoadOptions) -> Result<Opened, Error> {
    let (executor, chosen) = chosen(options)?;
    let on_gpu = chosen.on_gpu();
    let is_auto = options.device.as_deref().is_none_or(|device| device == "auto");
    match open_at(executor, source, options, chosen) {
        // A GPU that does not open, or is full, is none that works.
        Err(fault @ (Error::Device { .. } | Error::Run(_))) if on_gpu && is_auto => {
            let executor = asked(&options.backend).map(named).transpose()?.unwrap_or(&EXECUTORS[0]);
            let chosen = Chosen {
                warning: Some(fault.to_string()),
                ..without_gpus(&format!("auto: the CPU, since {fault}"))
            };
            check_dtype(executor, &chosen, options)?;
            open_at(executor, source, options, chosen)
        }
        opened => opened,
    }
}

fn open_at(
    executor: &Executor,
    source: &Source,
    options: &LoadOptions,
    chosen: Chosen,
) -> Result<Opened, Error> {
    let (own, warning) = (chosen.reason.clone(), chosen.warning.clone());
    let backend = (executor.open)(source, options, chosen)?;
    // ONNX Runtime chooses among processors of its own.
    let reason = if executor.name == "onnx" { backend.description().device_reason } else { own };
    Ok(Opened { backend, reason, warning })
}

/// About what a model will hold in the executor that the options choose.
pub(crate) fn bytes(source: &Source, options: &LoadOptions) -> Result<u64, Error> {
    let (executor, chosen) = chosen(options)?;
    (executor.bytes)(source, options, &chosen)
}

fn chosen(options: &LoadOptions) -> Result<(&'static Executor, Chosen), Error> {
    decide(options, has_gpus().then_some(Inventory::this as fn() -> _))
}

/// The driver is asked only where the answer matters: for a GPU that is named, and for `auto` in a binary made for them.
fn decide(
    options: &LoadOptions,
    made_for_gpus: Option<fn() -> Inventory>,
) -> Result<(&'static Executor, Chosen), Error> {
    let device = Asked::parse(options.device.as_deref().unwrap_or("auto"))?;
    let named = asked(&options.backend).map(named).transpose()?;
    if !options.providers.is_empty() && named.is_none_or(|executor| executor.name != "onnx") {
        let message = "providers are those of ONNX Runtime: pass them with backend \"onnx\"".into();
        return Err(Error::Options { message });
    }
    let dtype = asked(&options.dtype);
    let chosen = match (named, &device) {
        (Some(executor), _) if !executor.on_gpus => on_cpu(executor, &device)?,
        (_, Asked::Cpu) => without_gpus("as asked for"),
        (_, Asked::Auto) if dtype.is_some_and(|dtype| !GPU_DTYPES.contains(&dtype)) => {
            without_gpus("auto: the CPU, since GPUs do not compute in this dtype")
        }
        (_, Asked::Auto) if made_for_gpus.is_none() => {
            without_gpus(&format!("auto: the CPU, since {}", no_kernels(processors::left_aside())))
        }
        _ => made_for_gpus.unwrap_or(Inventory::this)().choose(&device)?,
    };
    let on_gpu = chosen.on_gpu();
    let executor = named.or_else(|| EXECUTORS.iter().find(|executor| !on_gpu || executor.on_gpus));
    let executor = executor.unwrap_or(&EXECUTORS[0]);
    check_dtype(executor, &chosen, options)?;
    Ok((executor, chosen))
}

fn check_dtype(executor: &Executor, chosen: &Chosen, options: &LoadOptions) -> Result<(), Error> {
    let (dtypes, place) = match chosen.on_gpu() {
        true => (GPU_DTYPES, " on GPUs"),
        false if executor.on_gpus => (executor.dtypes, " on the CPU"),
        false => (executor.dtypes, ""),
    };
    match asked(&options.dtype).filter(|dtype| !dtypes.contains(dtype)) {
        None => Ok(()),
        Some(dtype) => {
            let (name, all) = (executor.name, dtypes.join(", "));
            let remedy = format!("backend {name:?} computes in {all}{place} in this version");
            Err(Error::Unavailable { what: format!("dtype {dtype:?}"), remedy })
        }
    }
}

fn named(backend: &str) -> Result<&'static Executor, Error> {
    EXECUTORS.iter().find(|executor| executor.name == backend).ok_or_else(|| Error::Unavailable {
        what: format!("backend {backend:?}"),
        remedy: format!("there are {}", BACKENDS.join(", ")),
    })
}

/// Of an executor that knows nothing else.
fn on_cpu(executor: &Executor, device: &Asked) -> Result<Chosen, Error> {
    if !matches!(device, Asked::Auto | Asked::Cpu) {
        let mut reason = format!("backend {:?} computes on cpu; GPUs are for \"candle\"", executor.name);
        if executor.name == "onnx" {
            reason += ", and ONNX Runtime's own are named by the option providers";
        }
        return Err(Error::Device { device: device.to_string(), reason });
    }
    Ok(without_gpus("this backend computes on the CPU"))
}

fn without_gpus(reason: &str) -> Chosen {
    Chosen { places: vec![Place::Cpu], reason: reason.into(), warning: None }
}

/// Whether this binary is made for any.
fn has_gpus() -> bool {
    cfg!(any(feature = "cuda", feature = "metal"))
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
pub(crate) fn asked(option: &Option<String>) -> Option<&str> {
    option.as_deref().filter(|&value| value != "auto")
}

#[cfg(test)]
mod tests {
    use devices::{Capability, Compiled, Driver, Gpu};

    use super::*;

    /// One GPU that works.
    fn h100() -> Inventory {
        let capability = Capability::new(9, 0);
        let gpu = Gpu { index: 0, name: "H100".into(), memory: 80 << 30, capability, uuid: None, bus: None };
        let compiled = Compiled { ptx: vec![Capability::new(8, 0)], ..Compiled::default() };
        let driver = Ok(Driver { version: (13, 0), gpus: vec![gpu] });
        Inventory::of(&driver, &compiled, None, Some("Metal is part of macOS".into()))
    }

    fn nobody() -> Inventory {
        panic!("the driver was asked")
    }

    fn decided(
        [backend, device, dtype]: [&str; 3],
        gpus: Option<fn() -> Inventory>,
    ) -> Result<String, Error> {
        let option = |text: &str| (!text.is_empty()).then(|| text.to_string());
        let options = LoadOptions {
            backend: option(backend),
            device: option(device),
            dtype: option(dtype),
            ..LoadOptions::default()
        };
        decide(&options, gpus).map(|(executor, chosen)| format!("{} {:?}", executor.name, chosen.places[0]))
    }

    #[test]
    fn executor_and_processor_are_chosen_together() {
        let gpu = "candle Nvidia(0, Capability { major: 9, minor: 0 })";
        for (options, expected) in [
            (["", "", ""], gpu),
            (["", "auto", "bf16"], gpu),
            (["", "cuda", ""], gpu),
            (["candle", "auto", "f16"], gpu),
            (["candle", "cuda:0", "f32"], gpu),
            (["candle", "cpu", ""], "candle Cpu"),
        ] {
            assert_eq!(decided(options, Some(h100)).unwrap(), expected, "{options:?}");
        }
        for (options, expected) in [
            (["", "cpu", ""], "native Cpu"),
            (["", "auto", "int8"], "native Cpu"),
            (["native", "auto", ""], "native Cpu"),
            (["onnx", "", "int8"], "onnx Cpu"),
        ] {
            assert_eq!(decided(options, Some(nobody)).unwrap(), expected, "{options:?}");
        }
        assert_eq!(decided(["", "", ""], None).unwrap(), "native Cpu");
    }

    #[test]
    fn number_formats_are_all_listed_and_told_by_place() {
        let all = EXECUTORS.iter().flat_map(|executor| executor.dtypes).chain(GPU_DTYPES);
        assert!(all.into_iter().all(|dtype| DTYPES.contains(dtype)));
        for (options, expected) in [
            (["candle", "cpu", "bf16"], "backend \"candle\" computes in f32 on the CPU"),
            (["candle", "cuda", "int8"], "backend \"candle\" computes in f32, bf16, f16 on GPUs"),
            (["native", "cpu", "f16"], "backend \"native\" computes in f32, bf16, int8 in"),
        ] {
            let error = decided(options, Some(h100)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for (options, code) in [
            (["native", "cuda", ""], "ERR_DEVICE"),
            (["onnx", "cuda:0", ""], "ERR_DEVICE"),
            (["", "cuda:9", ""], "ERR_DEVICE"),
            (["", "metal", ""], "ERR_DEVICE"),
            (["", "cuda", "int8"], "ERR_UNSUPPORTED"),
            (["candle", "cpu", "bf16"], "ERR_UNSUPPORTED"),
            (["rocm", "", ""], "ERR_UNSUPPORTED"),
            (["", "gpu", ""], "ERR_INVALID_ARGUMENT"),
        ] {
            assert_eq!(decided(options, Some(h100)).unwrap_err().code(), code, "{options:?}");
        }
    }
}
