//! Weights that a model keeps in files beside itself.
//!
//! A model names such files itself, so a hostile one names what is not its own: CVE-2022-25882 and CVE-2024-27318
//! are two of several in the onnx package. Every name is checked here, every file read here, and ONNX Runtime
//! opens none.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use nn::{Error, files};

use crate::model_file::ModelFile;
use crate::proto::TensorProto;

/// By the name that the model gives each.
pub(crate) type Files = BTreeMap<String, Arc<[u8]>>;

/// Where ONNX Runtime takes a tensor from the process's own memory, at an address that the model names.
const MEMORY_TAG: &str = "_ORT_MEM_ADDR_";

/// Reads every file that the model's weights lie in.
pub(crate) fn read(model: &ModelFile) -> Result<Files, Error> {
    let mut files = Files::new();
    if let Some(tensor) = elsewhere(model) {
        return Err(refused(model, tensor, "only initializers of the main graph may lie in other files"));
    }
    let tensors = model.proto.graph.iter().flat_map(|graph| &graph.initializers);
    for tensor in tensors.filter(|tensor| tensor.is_external()) {
        let place = Place::of(model, tensor)?;
        let bytes = match files.get(&place.location) {
            Some(bytes) => bytes,
            None => files.entry(place.location.clone()).or_insert(contents(model, tensor, &place.location)?),
        };
        place.check(model, tensor, bytes.len() as u64)?;
    }
    Ok(files)
}

/// A tensor in another file, where ONNX Runtime would look for the file by itself.
fn elsewhere(model: &ModelFile) -> Option<&TensorProto> {
    model.proto.graph.as_ref().and_then(|graph| graph.external_inside())
}

fn refused(model: &ModelFile, tensor: &TensorProto, reason: &str) -> Error {
    let place = field(tensor, "location").unwrap_or("");
    Error::Broken {
        path: model.path.clone(),
        message: format!("tensor {:?} lies in {place:?}: {reason}", tensor.name),
    }
}

fn field<'a>(tensor: &'a TensorProto, key: &str) -> Option<&'a str> {
    tensor.external_data.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str())
}

/// Where a tensor's values lie.
struct Place {
    location: String,
    offset: u64,
    length: u64,
}

impl Place {
    fn of(model: &ModelFile, tensor: &TensorProto) -> Result<Self, Error> {
        let keys = ["location", "offset", "length"];
        let twice = |key: &&str| tensor.external_data.iter().filter(|entry| entry.key == **key).count() > 1;
        if let Some(key) = keys.iter().find(|key| twice(key)) {
            return Err(refused(model, tensor, &format!("{key} is given twice")));
        }
        let Some(location) = field(tensor, "location").filter(|location| !location.is_empty()) else {
            return Err(refused(model, tensor, "no location is given"));
        };
        let number = |key: &str| match field(tensor, key) {
            Some(text) => text.parse::<u64>().map(Some).map_err(|_| {
                refused(model, tensor, &format!("{key} is {text:?}, which is not a number from 0"))
            }),
            None => Ok(None),
        };
        let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
        let Some(needed) = tensor.bytes() else {
            return Err(refused(model, tensor, "its shape and type have no size"));
        };
        match length {
            Some(length) if length != needed => {
                Err(refused(model, tensor, &format!("length is {length}, its shape takes {needed} bytes")))
            }
            _ => Ok(Self { location: location.into(), offset, length: needed }),
        }
    }

    fn check(&self, model: &ModelFile, tensor: &TensorProto, available: u64) -> Result<(), Error> {
        let end = self.offset.checked_add(self.length);
        if end.is_some_and(|end| end <= available) {
            return Ok(());
        }
        let reason = format!(
            "{} bytes from {} leave the file's {available}; it was cut short",
            self.length, self.offset
        );
        Err(refused(model, tensor, &reason))
    }
}

/// The bytes of a file that may be read.
fn contents(model: &ModelFile, tensor: &TensorProto, location: &str) -> Result<Arc<[u8]>, Error> {
    let refuse = |reason: &str| refused(model, tensor, reason);
    let plain = Path::new(location).components().all(|part| matches!(part, Component::Normal(_)));
    if !plain || location.contains(['\\', ':', '\0']) || location.contains(MEMORY_TAG) {
        return Err(refuse("only a plain path below the model's folder is read"));
    }
    let path = inside(model, location)?.ok_or_else(|| refuse("the file is outside of the model's folder"))?;
    let (mut file, metadata) = files::open(&path)?;
    if links(&metadata) != 1 {
        return Err(refuse("the file has several names (hard links), and may belong to somebody else"));
    }
    let mut bytes = room(&path, &tensor.name, metadata.len())?;
    // Nobody else has it yet.
    if let Some(bytes) = Arc::get_mut(&mut bytes) {
        file.read_exact(bytes).map_err(|source| Error::Read { path, source })?;
    }
    Ok(bytes)
}

/// Where a location leads, if that is below the model's folder. A hub's cache links each name to a file among
/// others of the same model: there a file beside the one that the model itself is counts as inside.
fn inside(model: &ModelFile, location: &str) -> Result<Option<PathBuf>, Error> {
    let folder = model.path.parent().unwrap_or(Path::new("."));
    let resolve =
        |path: &Path| path.canonicalize().map_err(|source| Error::Read { path: path.into(), source });
    let path = folder.join(location);
    if !files::exists(&path)? {
        return Err(Error::NotFound {
            path,
            remedy: "the model keeps weights in it; copy it beside the model".into(),
        });
    }
    let target = resolve(&path)?;
    let below = target.starts_with(resolve(folder)?);
    let beside = || -> Result<bool, Error> {
        Ok(model.path.is_symlink() && target.parent() == resolve(&model.path)?.parent())
    };
    Ok((below || beside()?).then_some(target))
}

#[cfg(unix)]
fn links(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::nlink(metadata)
}

/// Other systems do not tell in stable Rust.
#[cfg(not(unix))]
fn links(_: &Metadata) -> u64 {
    1
}

/// Zeros, after asking whether there is room: an `Arc` has no way to fail.
fn room(path: &Path, tensor: &str, bytes: u64) -> Result<Arc<[u8]>, Error> {
    let fault = || Error::Memory { path: path.into(), tensor: tensor.into(), bytes: bytes as usize };
    let length = usize::try_from(bytes).map_err(|_| fault())?;
    Vec::<u8>::new().try_reserve_exact(length).map_err(|_| fault())?;
    Ok(std::iter::repeat_n(0, length).collect())
}
