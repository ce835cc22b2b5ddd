//! What this binary is, and what it finds on this machine.

use napi_derive::napi;

/// The version that this binary was built as: that of the package it belongs to.
#[napi(catch_unwind)]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").into()
}

/// Kernels and threads, as JSON.
#[napi(catch_unwind)]
pub fn machine() -> String {
    serde_json::to_string(&engine::Machine::this()).unwrap_or_default()
}

/// The processors of this machine, as JSON.
#[napi(catch_unwind)]
pub fn processors() -> String {
    serde_json::to_string(&engine::Processor::all()).unwrap_or_default()
}

/// Opens what the binary with CUDA's kernels is linked against; null if that binary may be loaded, else why not.
#[napi(catch_unwind)]
pub fn open_cuda_libraries() -> Option<String> {
    engine::open_libraries()
}

/// Notes why the binary with CUDA's kernels is not the one in use.
#[napi(catch_unwind)]
pub fn leave_cuda_aside(reason: String) {
    engine::leave_aside(reason);
}
