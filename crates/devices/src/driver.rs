//! NVIDIA's driver and its devices, asked once a process.

use std::ffi::{OsStr, OsString};
use std::sync::OnceLock;

use crate::library::{Code, Functions, Unfit};
use crate::{Capability, NoDriver};

/// A driver that has devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Driver {
    /// The version of CUDA that it knows.
    pub version: (u32, u32),
    /// In its order, which CUDA_VISIBLE_DEVICES changes; never empty.
    pub gpus: Vec<Gpu>,
}

/// A device of NVIDIA's, or a slice of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// Its place.
    pub index: usize,
    /// For people.
    pub name: String,
    /// Bytes.
    pub memory: u64,
    /// What it runs.
    pub capability: Capability,
    /// As `GPU-6f5c…`, whatever its place.
    pub uuid: Option<String>,
    /// Where it sits: `0000:65:00.0`.
    pub bus: Option<String>,
}

/// Names the driver's file where the system does not find it.
const VARIABLE: &str = "EMBED_NATIVE_CUDA_DRIVER";
/// Attributes of cuda.h.
const CAPABILITY_MAJOR: i32 = 75;
const CAPABILITY_MINOR: i32 = 76;
/// The first whose slices (MIG) and bfloat16 are what this crate takes them for.
const LEAST: (u32, u32) = (11, 0);

/// The process's driver. Opened at the first call; a machine without one has no such library, and that is all that
/// happens.
///
/// # Errors
/// Why there is no device to compute on.
pub fn driver() -> &'static Result<Driver, NoDriver> {
    static DRIVER: OnceLock<Result<Driver, NoDriver>> = OnceLock::new();
    DRIVER.get_or_init(|| {
        let named = std::env::var_os(VARIABLE).filter(|value| !value.is_empty());
        driver_of(&named.unwrap_or_else(usual))
    })
}

/// The library by the name that the system's loader finds it by.
fn usual() -> OsString {
    if cfg!(windows) { "nvcuda.dll".into() } else { "libcuda.so.1".into() }
}

/// The driver of that library.
///
/// # Errors
/// Why there is no device to compute on.
pub fn driver_of(library: &OsStr) -> Result<Driver, NoDriver> {
    if cfg!(target_os = "macos") {
        let reason = "macOS has none".into();
        return Err(NoDriver::Library { library: library.display().to_string(), reason });
    }
    let name = || library.display().to_string();
    let functions = Functions::open(library).map_err(|unfit| match unfit {
        Unfit::Load(reason) => NoDriver::Library { library: name(), reason },
        Unfit::Function(function) => NoDriver::Function { library: name(), function },
    })?;
    ask(&functions)
}

fn ask(functions: &Functions) -> Result<Driver, NoDriver> {
    let version = functions.version().map_err(failed("cuDriverGetVersion"))?.max(0) as u32;
    let version = (version / 1000, version % 1000 / 10);
    if version < LEAST {
        return Err(NoDriver::TooOld { found: version, least: LEAST });
    }
    match functions.init() {
        Err(NO_DEVICE) => return Err(no_device()),
        ready => ready.map_err(failed("cuInit"))?,
    }
    let count = functions.count().map_err(failed("cuDeviceGetCount"))?;
    let gpus = (0..count).map(|place| gpu(functions, place)).collect::<Result<Vec<_>, _>>()?;
    if gpus.is_empty() { Err(no_device()) } else { Ok(Driver { version, gpus }) }
}

fn gpu(functions: &Functions, place: i32) -> Result<Gpu, NoDriver> {
    let device = functions.device(place).map_err(failed("cuDeviceGet"))?;
    let attribute = |number| {
        let value = functions.attribute(number, device).map_err(failed("cuDeviceGetAttribute"))?;
        Ok(value.max(0) as u32)
    };
    let capability = Capability::new(attribute(CAPABILITY_MAJOR)?, attribute(CAPABILITY_MINOR)?);
    Ok(Gpu {
        index: place as usize,
        name: functions.name(device).map_err(failed("cuDeviceGetName"))?,
        memory: functions.memory(device).map_err(failed("cuDeviceTotalMem_v2"))? as u64,
        capability,
        uuid: functions.uuid(device).map(uuid),
        bus: functions.bus(device),
    })
}

/// As nvidia-smi writes it.
fn uuid(bytes: [u8; 16]) -> String {
    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let group = |range: std::ops::Range<usize>| hex[range].concat();
    format!("GPU-{}-{}-{}-{}-{}", group(0..4), group(4..6), group(6..8), group(8..10), group(10..16))
}

fn no_device() -> NoDriver {
    NoDriver::NoDevice { visible: std::env::var("CUDA_VISIBLE_DEVICES").ok() }
}

fn failed(function: &'static str) -> impl Fn(Code) -> NoDriver {
    move |code| NoDriver::Failed { function, code, meaning: meaning(code) }
}

const NO_DEVICE: Code = 100;

/// Codes of cuda.h (`CUresult`) that a machine in trouble gives.
fn meaning(code: Code) -> Option<&'static str> {
    Some(match code {
        2 => "out of memory",
        3 => "not initialized",
        34 => "the driver is a stub for linking, not a driver",
        46 => "the device is not available: another process may have it for itself",
        100 => "no device",
        101 => "no such device",
        214 => "an uncorrectable error of memory (ECC): the device must be reset",
        802 => "the system is not ready: is the fabric manager running?",
        803 => "driver and kernel module are of different versions: reboot, or install them again",
        804 => "this driver's compatibility package does not support the device",
        999 => "unknown: are the device files there, and may this process open them?",
        _ => return None,
    })
}
