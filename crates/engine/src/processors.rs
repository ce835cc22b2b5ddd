//! The processors of this machine, for people: what there is, and what is against it.

use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::place::Inventory;

/// A processor.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Processor {
    /// What `device` takes; for a kind of which there is none, its bare name.
    pub device: String,
    /// For people; None where there is none.
    pub name: Option<String>,
    /// Bytes.
    pub memory: Option<u64>,
    /// As `9.0`.
    pub capability: Option<String>,
    /// As `GPU-6f5c…`: which it is, whatever its place.
    pub uuid: Option<String>,
    /// As `0000:65:00.0`.
    pub bus: Option<String>,
    /// Whether a model can run on it.
    pub usable: bool,
    /// Why not.
    pub reason: Option<String>,
}

impl Processor {
    fn kind(device: &str, against: Option<String>) -> Self {
        Self {
            device: device.into(),
            name: None,
            memory: None,
            capability: None,
            uuid: None,
            bus: None,
            usable: against.is_none(),
            reason: against,
        }
    }

    /// All of this machine: the CPU, NVIDIA's GPUs, Apple's. A kind of which there is none stands there with the reason.
    pub fn all() -> Vec<Self> {
        let found = Inventory::this();
        let mut all = vec![Self::kind("cpu", None)];
        match found.nvidia {
            Err(reason) => all.push(Self::kind("cuda", Some(reason))),
            Ok(gpus) => all.extend(gpus.into_iter().map(|(gpu, against)| Self {
                name: Some(gpu.name),
                memory: Some(gpu.memory),
                capability: Some(gpu.capability.to_string()),
                uuid: gpu.uuid,
                bus: gpu.bus,
                ..Self::kind(&format!("cuda:{}", gpu.index), against)
            })),
        }
        all.push(Self::kind("metal", found.apple));
        all
    }
}

static LEFT_ASIDE: Mutex<Option<String>> = Mutex::new(None);

/// Notes why the binary with kernels for NVIDIA's GPUs is not the one in use.
pub fn leave_aside(reason: String) {
    *LEFT_ASIDE.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
}

/// That reason, if it was noted.
pub(crate) fn left_aside() -> Option<String> {
    LEFT_ASIDE.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Opens NVIDIA's driver and CUDA's libraries for the binary that is linked against them; None if it may be loaded.
pub fn open_libraries() -> Option<String> {
    devices::libraries().as_ref().err().map(ToString::to_string)
}

/// What is against Apple's GPU.
pub(crate) fn against_apple() -> Option<String> {
    if cfg!(not(target_os = "macos")) {
        return Some("Metal is part of macOS".into());
    }
    (!cfg!(feature = "metal")).then(|| "this binary is built without the cargo feature \"metal\"".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_there_with_its_reason() {
        let all = Processor::all();
        assert!(all[0].device == "cpu" && all[0].usable);
        for kind in ["cuda", "metal"] {
            assert!(all.iter().any(|one| one.device.starts_with(kind)), "{kind}");
        }
        assert!(all.iter().all(|one| one.usable == one.reason.is_none()));
    }
}
