//! The model's file: which one it is, and its bytes.

use std::path::{Path, PathBuf};

use nn::{Error, files};
use prost::Message;

use crate::proto::ModelProto;
use crate::{LoadError, operators};

/// protobuf ends at two gigabytes; larger models keep their weights in files beside it.
const LARGEST: u64 = (1 << 31) - 1;

/// A model's file and what it says of itself.
pub(crate) struct ModelFile {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
    pub(crate) proto: ModelProto,
}

impl ModelFile {
    /// Reads the first of these files of a folder that is there.
    pub(crate) fn open(folder: &Path, files: &[String]) -> Result<Self, Error> {
        let path = find(folder, files)?;
        let bytes = files::read_whole(&path, LARGEST)?;
        let proto = ModelProto::decode(bytes.as_slice())
            .map_err(|error| broken(&path, format!("is not an ONNX model, or was cut short: {error}")))?;
        let file = Self { path, bytes, proto };
        file.check()?;
        Ok(file)
    }

    /// A graph of known operators, whose inputs and outputs are tensors.
    fn check(&self) -> Result<(), Error> {
        let graph = self.proto.graph.as_ref().filter(|graph| !graph.nodes.is_empty());
        let Some(graph) = graph else {
            return Err(broken(&self.path, "is not an ONNX model: it holds no graph".into()));
        };
        let odd = graph.inputs.iter().chain(&graph.outputs).find(|value| {
            let kind = value.kind.as_ref();
            kind.is_none_or(|kind| kind.tensor.is_none())
        });
        operators::check(&self.proto)
            .map_err(|message| Error::Unsupported { path: self.path.clone(), message })?;
        match odd {
            Some(value) => Err(Error::Unsupported {
                path: self.path.clone(),
                message: format!(
                    "{:?} of the graph is no tensor; a text encoder has only tensors",
                    value.name
                ),
            }),
            None => Ok(()),
        }
    }
}

pub(crate) fn broken(path: &Path, message: String) -> Error {
    Error::Broken { path: path.into(), message }
}

/// Bytes of the first of these graphs that is there, and of what lies beside it under its name: exporters call external
/// data `model.onnx_data` or `model.onnx.data`.
///
/// # Errors
/// There is no such file, or it cannot be seen.
pub fn bytes(folder: &Path, files: &[String]) -> Result<u64, LoadError> {
    let path = find(folder, files)?;
    let fault = |source| Error::Read { path: path.clone(), source };
    let (place, name) = (path.parent().unwrap_or(folder), path.file_name().unwrap_or_default());
    let name = name.to_string_lossy();
    let mut sum = 0_u64;
    for entry in place.read_dir().map_err(fault)? {
        let entry = entry.map_err(fault)?;
        if entry.file_name().to_string_lossy().starts_with(&*name) {
            sum = sum.saturating_add(entry.path().metadata().map_err(fault)?.len());
        }
    }
    Ok(sum)
}

/// The first that is there.
fn find(folder: &Path, names: &[String]) -> Result<PathBuf, Error> {
    for name in names {
        let path = folder.join(name);
        if files::exists(&path)? {
            return Ok(path);
        }
    }
    let wanted = names.first().map_or("onnx/model.onnx", String::as_str);
    let found = graphs(folder);
    let remedy = match found.is_empty() {
        true => "backend \"onnx\" runs an ONNX export: optimum-cli export onnx --task feature-extraction makes one".into(),
        false => format!("there are {}: name one of them as onnxFile", found.join(", ")),
    };
    Err(Error::NotFound { path: folder.join(wanted), remedy: remedy.into() })
}

/// The graphs of a folder, where exporters put them; what cannot be seen is not told of.
fn graphs(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for place in ["", "onnx/"] {
        let entries = folder.join(place).read_dir().into_iter().flatten().flatten();
        let names = entries.map(|entry| format!("{place}{}", entry.file_name().to_string_lossy()));
        found.extend(names.filter(|name| name.ends_with(".onnx")));
    }
    found.sort_unstable();
    found
}
