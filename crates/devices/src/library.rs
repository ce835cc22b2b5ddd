//! Opening libraries and calling NVIDIA's driver: the one place of this crate where the compiler is not asked.
//!
//! A library runs code of its own when it is opened, so only two kinds are: the driver that the system has (or that
//! the process's owner names), and CUDA's libraries in folders that they name. None is ever closed.
#![expect(unsafe_code, reason = "functions of another library")]

use std::ffi::{CStr, OsStr, c_char, c_int, c_uint};
use std::path::Path;

use libloading::Library;

use crate::is_whole;

/// What the driver's functions give: 0 is well.
pub(crate) type Code = c_int;
type Handle = c_int;

/// The driver's functions, with the types of cuda.h (CUDA 13.0, `cuInit` to `cuDeviceGetPCIBusId`), which have not
/// changed since 4.0.
pub(crate) struct Functions {
    init: unsafe extern "system" fn(c_uint) -> Code,
    version: unsafe extern "system" fn(*mut c_int) -> Code,
    count: unsafe extern "system" fn(*mut c_int) -> Code,
    device: unsafe extern "system" fn(*mut Handle, c_int) -> Code,
    name: unsafe extern "system" fn(*mut c_char, c_int, Handle) -> Code,
    memory: unsafe extern "system" fn(*mut usize, Handle) -> Code,
    attribute: unsafe extern "system" fn(*mut c_int, c_int, Handle) -> Code,
    uuid: Option<unsafe extern "system" fn(*mut [u8; 16], Handle) -> Code>,
    bus: Option<unsafe extern "system" fn(*mut c_char, c_int, Handle) -> Code>,
}

/// Why a library is no driver.
pub(crate) enum Unfit {
    /// What the system's loader said.
    Load(String),
    /// The function that is missing.
    Function(&'static str),
}

/// Room for a name, as NVIDIA's own programs have it.
const NAME: usize = 256;

/// Opens a library for good.
pub(crate) fn open(file: &OsStr) -> Result<(), String> {
    load(file).map(std::mem::forget)
}

fn load(file: &OsStr) -> Result<Library, String> {
    let path = Path::new(file);
    // A bare name is the loader's to find, and it says what it does not find.
    let is_named = path.parent().is_some_and(|folder| folder != Path::new(""));
    if is_named && is_whole(path).is_ok_and(|whole| !whole) {
        return Err(format!("{}: the file was cut short", path.display()));
    }
    // SAFETY: the file is a library of the system's or one that the owner of the process names (module comment).
    unsafe { Library::new(file) }.map_err(|error| {
        // The system's own words, which `libloading` keeps one level down.
        std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string)
    })
}

impl Functions {
    /// Opens the driver for good.
    pub(crate) fn open(file: &OsStr) -> Result<Self, Unfit> {
        let library = load(file).map_err(Unfit::Load)?;
        macro_rules! function {
            ($name:literal) => {
                // SAFETY: the function of that name has the type of the field, by cuda.h.
                unsafe { library.get($name) }.map(|symbol| *symbol)
            };
        }
        let functions = Self {
            init: function!("cuInit").map_err(|_| Unfit::Function("cuInit"))?,
            version: function!("cuDriverGetVersion").map_err(|_| Unfit::Function("cuDriverGetVersion"))?,
            count: function!("cuDeviceGetCount").map_err(|_| Unfit::Function("cuDeviceGetCount"))?,
            device: function!("cuDeviceGet").map_err(|_| Unfit::Function("cuDeviceGet"))?,
            name: function!("cuDeviceGetName").map_err(|_| Unfit::Function("cuDeviceGetName"))?,
            memory: function!("cuDeviceTotalMem_v2").map_err(|_| Unfit::Function("cuDeviceTotalMem_v2"))?,
            attribute: function!("cuDeviceGetAttribute")
                .map_err(|_| Unfit::Function("cuDeviceGetAttribute"))?,
            uuid: function!("cuDeviceGetUuid_v2").or_else(|_| function!("cuDeviceGetUuid")).ok(),
            bus: function!("cuDeviceGetPCIBusId").ok(),
        };
        std::mem::forget(library);
        Ok(functions)
    }

    /// Must come before all but [`version`](Self::version).
    pub(crate) fn init(&self) -> Result<(), Code> {
        // SAFETY: takes a number.
        well(unsafe { (self.init)(0) })
    }

    /// As 13000.
    pub(crate) fn version(&self) -> Result<c_int, Code> {
        // SAFETY: writes one number.
        number(|out| unsafe { (self.version)(out) })
    }

    /// Devices that this process may see.
    pub(crate) fn count(&self) -> Result<c_int, Code> {
        // SAFETY: writes one number.
        number(|out| unsafe { (self.count)(out) })
    }

    /// The handle of a device by its place.
    pub(crate) fn device(&self, place: c_int) -> Result<Handle, Code> {
        // SAFETY: writes one number.
        number(|out| unsafe { (self.device)(out, place) })
    }

    /// For people.
    pub(crate) fn name(&self, device: Handle) -> Result<String, Code> {
        // SAFETY: writes at most so many bytes.
        text(|out, length| unsafe { (self.name)(out, length, device) })
    }

    /// Bytes of memory.
    pub(crate) fn memory(&self, device: Handle) -> Result<usize, Code> {
        let mut bytes = 0;
        // SAFETY: writes one size.
        well(unsafe { (self.memory)(&raw mut bytes, device) }).map(|()| bytes)
    }

    /// An attribute by its number in cuda.h.
    pub(crate) fn attribute(&self, attribute: c_int, device: Handle) -> Result<c_int, Code> {
        // SAFETY: writes one number.
        number(|out| unsafe { (self.attribute)(out, attribute, device) })
    }

    /// What names the device, or the slice of one, whatever its place.
    pub(crate) fn uuid(&self, device: Handle) -> Option<[u8; 16]> {
        let mut uuid = [0; 16];
        // SAFETY: writes 16 bytes.
        well(unsafe { (self.uuid?)(&raw mut uuid, device) }).ok().map(|()| uuid)
    }

    /// As `0000:65:00.0`.
    pub(crate) fn bus(&self, device: Handle) -> Option<String> {
        let function = self.bus?;
        // SAFETY: writes at most so many bytes.
        text(|out, length| unsafe { function(out, length, device) }).ok()
    }
}

fn well(code: Code) -> Result<(), Code> {
    if code == 0 { Ok(()) } else { Err(code) }
}

fn number(call: impl FnOnce(*mut c_int) -> Code) -> Result<c_int, Code> {
    let mut value = 0;
    well(call(&raw mut value)).map(|()| value)
}

fn text(call: impl FnOnce(*mut c_char, c_int) -> Code) -> Result<String, Code> {
    let mut bytes = [0_u8; NAME];
    // One byte stays zero, whatever the function does.
    well(call(bytes.as_mut_ptr().cast(), NAME as c_int - 1))?;
    Ok(CStr::from_bytes_until_nul(&bytes).map(|text| text.to_string_lossy().into_owned()).unwrap_or_default())
}
