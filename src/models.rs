//! The models of the process, called directly: nothing here takes long. What goes in and comes out is JSON.

use engine::{Registry, Settings};
use napi_derive::napi;
use serde::Serialize;

use crate::vectors::thrown;

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Takes part with these options, on a machine with so many bytes of memory; gives the settings that hold.
#[napi(catch_unwind)]
pub fn join_models(options: String, memory: f64) -> napi::Result<String, &'static str> {
    Registry::process().join(&options, memory as u64).map(|settings| json(&settings)).map_err(thrown)
}

/// Registers a model; gives the registration.
#[napi(catch_unwind)]
pub fn register_model(name: String, about: String) -> napi::Result<String, &'static str> {
    Registry::process().register(&name, &about).map(|model| json(&model)).map_err(thrown)
}

/// All registrations.
#[napi(catch_unwind)]
pub fn registered_models() -> String {
    json(&Registry::process().registrations())
}

/// All running models.
#[napi(catch_unwind)]
pub fn running_models() -> String {
    json(&Registry::process().list())
}

/// What they come to.
#[napi(catch_unwind)]
pub fn models_stats() -> String {
    json(&Registry::process().stats())
}

/// Lets a running model go.
#[napi(catch_unwind)]
pub fn terminate_model(uid: String) -> napi::Result<(), &'static str> {
    Registry::process().terminate(&uid).map_err(thrown)
}

/// Takes back a launch that nobody waits for.
#[napi(catch_unwind)]
pub fn withdraw_launch(number: f64) {
    Registry::process().withdraw(number as u64);
}

/// Lets all of them go; gives their number.
#[napi(catch_unwind)]
pub fn stop_models() -> u32 {
    Registry::process().stop_all() as u32
}

/// All presets, by name.
#[napi(catch_unwind)]
pub fn model_presets() -> String {
    json(&Settings::presets())
}
