//! A graph in ONNX Runtime, made, run and dropped only while the process is not ending.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use nn::Source;
use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::SessionBuilder;

use crate::LoadError;
use crate::error::ENDING;
use crate::external::Files;
use crate::gate::{self, Inside};
use crate::graph::Graph;
use crate::library::Library;
use crate::model_file::{ModelFile, broken};
use crate::provider::Provider;

/// A graph that runs. One run at a time, for all handles that share it: `ort` asks for it, and a run has all threads.
pub(crate) struct Running(Mutex<Option<Session>>);

impl Running {
    /// Opens a graph from bytes alone.
    pub(crate) fn open(
        model: &ModelFile,
        files: &Files,
        library: &Library,
        (threads, provider): (usize, Provider),
    ) -> Result<Self, LoadError> {
        let _inside = Inside::enter().ok_or(LoadError::Ending)?;
        let session = open(model, files, library, (threads, provider))?;
        gate::watch();
        Ok(Self(Mutex::new(Some(session))))
    }

    /// What it takes and gives.
    pub(crate) fn graph(&self, path: &Path, source: &Source) -> Result<Graph, LoadError> {
        let session = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let session = session.as_ref().ok_or(LoadError::Ending)?;
        Ok(Graph::of(session, path, &source.config, &source.head)?)
    }

    /// Lends the session.
    pub(crate) fn with<R>(
        &self,
        work: impl FnOnce(&mut Session) -> Result<R, backend::Error>,
    ) -> Result<R, backend::Error> {
        let mut session = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (Inside::enter(), session.as_mut()) {
            (Some(_inside), Some(session)) => work(session),
            _ => Err(failed(ENDING)),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let session = self.0.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        match Inside::enter() {
            Some(_inside) => drop(session),
            None => std::mem::forget(session),
        }
    }
}

/// A fault that ONNX Runtime reports.
pub(crate) fn failed(message: &str) -> backend::Error {
    backend::Error::Library { library: "ONNX Runtime", message: one_line(message) }
}

fn open(
    model: &ModelFile,
    files: &Files,
    library: &Library,
    (threads, provider): (usize, Provider),
) -> Result<Session, LoadError> {
    let refused = |error: ort::Error| {
        let (name, reason) = (library.name(), one_line(error.message()));
        let remedy = "export the model again, or take a newer onnxruntime";
        broken(&model.path, format!("{name} refuses the graph: {reason}; {remedy}"))
    };
    // The graph has no part in it yet.
    let mut builder = builder(library, threads, provider).map_err(|error| LoadError::Provider {
        provider: provider.name(),
        library: library.name(),
        message: said(error.message()),
        needs: provider.needs(),
    })?;
    for (location, bytes) in files {
        builder = builder
            .with_external_initializer_file_in_memory(location, bytes.clone())
            .map_err(|error| refused(error.into()))?;
    }
    Ok(builder.commit_from_memory(&model.bytes).map_err(refused)?)
}

/// Memory goes back after each run: lengths differ from run to run, and an arena or a pattern would keep the
/// largest. Threads sleep when there is nothing to do.
fn builder(library: &Library, threads: usize, provider: Provider) -> Result<SessionBuilder, ort::Error> {
    let builder = Session::builder(&library.environment)?
        .with_intra_threads(threads.max(1))?
        .with_inter_threads(1)?
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?
        .with_memory_pattern(false)?
        .with_log_level(LogLevel::Fatal)?
        // What was checked as protobuf is not to be read as anything else.
        .with_config_entry("session.load_model_format", "ONNX")?
        .with_execution_providers([provider.dispatch()])?;
    Ok(builder)
}

/// What is wrong, without the place in ONNX Runtime's sources that comes before it.
fn said(message: &str) -> String {
    one_line(message.rsplit_once("FAIL : ").map_or(message, |(_, said)| said))
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_without_its_place_in_sources() {
        let fault = "/src/core/provider_bridge_ort.cc:1539 onnxruntime::Provider& onnxruntime::ProviderLibrary::Get() \
                     [ONNXRuntimeError] : 1 : FAIL : Failed to load library libx.so\nwith error: no file";
        assert_eq!(said(fault), "Failed to load library libx.so with error: no file");
        assert_eq!(said("no  device"), "no device");
    }
}
