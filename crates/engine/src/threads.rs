//! How many threads compute.

use crate::{Error, LoadOptions};

/// Physical cores this process may use: what the affinity mask and the cgroup's quota allow, and no more
/// than there are cores, since two hardware threads of one core share its multipliers.
pub(crate) fn allowed() -> usize {
    usable().min(cores())
}

/// Hardware threads that the affinity mask and the cgroup's quota allow.
pub(crate) fn usable() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Physical cores.
pub(crate) fn cores() -> usize {
    num_cpus::get_physical().max(1)
}

/// As many as a load asks for: by its option, else, with ONNX Runtime, by the variable that other servers of its models
/// read.
pub(crate) fn asked(options: &LoadOptions) -> Result<Option<usize>, Error> {
    const VARIABLE: &str = "ORT_NUM_THREADS";
    let value = std::env::var(VARIABLE).unwrap_or_default();
    if options.threads.is_some() || options.backend.as_deref() != Some("onnx") || value.is_empty() {
        return Ok(options.threads);
    }
    let threads = value.parse().ok().filter(|threads| (1..=1024).contains(threads));
    let wrong = || Error::Settings {
        message: format!("{VARIABLE} must be a whole number from 1 to 1024, got {value:?}"),
    };
    threads.ok_or_else(wrong).map(Some)
}
