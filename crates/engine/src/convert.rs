//! A model's folder with weights of another kind: pickles as safetensors, and weights in fewer bits.

use std::fmt::Display;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use ::convert::{Format, becomes, place, smaller, unpickle};
use backend_native::Native;
use kernels::Dtype;
use nn::{Checkpoint, Uses, files};
use serde::{Deserialize, Serialize};

use crate::fetch::on_own_thread;
use crate::{Error, Task, Ticket, load, wanted};

/// What to make of a folder.
#[derive(Debug, Default, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Conversion {
    /// A folder that is not there yet, for the whole model; without it safetensors are put beside pickles.
    pub output: Option<String>,
    /// `"f32"`, `"bf16"` or `"int8"`; without it weights stay as they are.
    pub dtype: Option<String>,
    /// With `"int8"`, tables of embeddings become whole numbers, too.
    pub small_tables: bool,
}

/// A folder after its conversion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Converted {
    /// Where the model is.
    pub folder: PathBuf,
    /// The files of weights that were written, with slashes.
    pub written: Vec<String>,
    /// Bytes of all weights in the folder.
    pub bytes: u64,
}

/// Converts a folder's weights as a [`Conversion`] in JSON says, on a thread of its own.
pub fn convert(
    folder: String,
    wanted: &str,
    ticket: Ticket,
    done: impl FnOnce(Result<Converted, Error>) + Send + 'static,
) {
    let wanted = serde_json::from_str::<Conversion>(wanted)
        .map_err(|error| Error::Options { message: format!("what to convert to: {error}") });
    on_own_thread(move || converted(Path::new(&folder), &wanted?, &ticket.flag()), done);
}

fn converted(folder: &Path, wanted: &Conversion, cancelled: &AtomicBool) -> Result<Converted, Error> {
    if !folder.is_dir() {
        return Err(Error::OnlyFolders { name: folder.display().to_string() });
    }
    let format = format(wanted)?;
    check_model(folder, format)?;
    let Some(output) = wanted.output.as_deref().map(Path::new) else {
        let written = unpickle_all(folder, folder, cancelled)?;
        return Converted::of(folder, written);
    };
    let stage = stage(output)?;
    let made = filled(folder, &stage, format, cancelled).and_then(|written| {
        // An empty folder makes room.
        let _ = fs::remove_dir(output);
        fs::rename(&stage, output).map_err(|source| ::convert::Error::disk(output, source))?;
        Converted::of(output, written)
    });
    made.map_err(|error| {
        let _ = fs::remove_dir_all(&stage);
        told(error, &stage, folder, output)
    })
}

/// A fault of the stage, whose name nobody knows: what was read is the model's, what was written the output's.
fn told(mut error: Error, stage: &Path, folder: &Path, output: &Path) -> Error {
    let (path, place) = match &mut error {
        Error::Convert(::convert::Error::Disk { path, .. }) => (path, output),
        Error::Convert(::convert::Error::Model(error))
        | Error::Native(backend_native::LoadError::Model(error))
        | Error::Model(error) => (error.path_mut(), folder),
        Error::Tokenizer { folder: path, .. } | Error::OutsideFolder { path, .. } => (path, folder),
        _ => return error,
    };
    if let Ok(inside) = path.strip_prefix(stage).map(Path::to_path_buf) {
        *path = place.join(inside);
    }
    error
}

/// A model or an adapter says what it is. An adapter's weights are added to others before they are rounded.
fn check_model(folder: &Path, format: Option<Format>) -> Result<(), Error> {
    for name in ["config.json", "modules.json"] {
        if files::exists(&folder.join(name))? {
            return Ok(());
        }
    }
    let adapter = folder.join("adapter_config.json");
    if files::exists(&adapter)? {
        let message = "belongs to an adapter, whose weights stay as they are: convert the model it is for, or load \
                       that with this adapter and a dtype";
        let fault = nn::Error::Unsupported { path: adapter, message: message.into() };
        return format.map_or(Ok(()), |_| Err(fault.into()));
    }
    let remedy = "pass the folder of a model, as `download` gives it".into();
    Err(nn::Error::NotFound { path: folder.join("config.json"), remedy }.into())
}

fn format(wanted: &Conversion) -> Result<Option<Format>, Error> {
    let message = |message: &str| Error::Options { message: message.into() };
    let Some(name) = wanted.dtype.as_deref() else {
        let plain = !wanted.small_tables;
        return if plain { Ok(None) } else { Err(message("smallTables goes with dtype \"int8\"")) };
    };
    let dtype = Dtype::named(name)
        .ok_or_else(|| message(&format!("dtype is {name:?}; weights become f32, bf16 or int8")))?;
    if wanted.small_tables && dtype != Dtype::Int8 {
        return Err(message("smallTables goes with dtype \"int8\""));
    }
    if wanted.output.is_none() {
        return Err(message(
            "a dtype needs an output: a folder for the converted model, which leaves this one as it is",
        ));
    }
    Ok(Some(Format { dtype, tables: wanted.small_tables }))
}

/// A new folder beside the output, which takes its name once it is whole.
fn stage(output: &Path) -> Result<PathBuf, Error> {
    let refused = |reason: &dyn Display| Error::Options {
        message: format!("output {:?} {reason}: name a new folder", output.display().to_string()),
    };
    // A place that no disk has.
    let disk = |source: io::Error| match source.kind() {
        ErrorKind::NotADirectory | ErrorKind::InvalidInput | ErrorKind::InvalidFilename => {
            refused(&format!("can be no folder ({source})"))
        }
        _ => ::convert::Error::disk(output, source).into(),
    };
    let name = output.file_name().unwrap_or_default().to_string_lossy();
    if is_weights(&name) {
        return Err(refused(&"is named as a file of weights, and a whole model is written"));
    }
    if output.symlink_metadata().is_ok() && fs::read_dir(output).map_err(disk)?.next().is_some() {
        return Err(refused(&"is there and not empty"));
    }
    let stage = ::convert::beside(output);
    fs::create_dir_all(&stage).map_err(disk)?;
    Ok(stage)
}

/// The folders of a model that may hold weights, relative to its own: itself and those of its modules.
fn places(folder: &Path) -> Vec<String> {
    let mut places = wanted::modules(folder);
    places.push(String::new());
    places.retain(|place| {
        Path::new(place).components().all(|part| matches!(part, std::path::Component::Normal(_)))
    });
    places.sort();
    places.dedup();
    places
}

/// Makes safetensors of all pickles that have none beside them.
fn unpickle_all(from: &Path, to: &Path, cancelled: &AtomicBool) -> Result<Vec<String>, Error> {
    let mut written = Vec::new();
    for inside in places(from) {
        let folder = from.join(&inside);
        for name in names(&folder)? {
            let Some(target) = becomes(&name) else { continue };
            let model = target == "model.safetensors";
            if files::exists(&folder.join(target))? || (model && has_weights(&folder)?) {
                continue;
            }
            place(&to.join(&inside).join(target), |file| unpickle(&folder.join(&name), file, cancelled))?;
            written.push(joined(&inside, target));
        }
    }
    let several = from.join("pytorch_model.bin.index.json");
    if written.is_empty() && files::exists(&several)? && !has_weights(from)? {
        let message =
            "weights in several pickles are not converted: save the model in one, or as safetensors";
        return Err(nn::Error::Unsupported { path: several, message: message.into() }.into());
    }
    Ok(written)
}

const INDEX: &str = "model.safetensors.index.json";

fn has_weights(folder: &Path) -> Result<bool, Error> {
    Ok(files::exists(&folder.join("model.safetensors"))? || files::exists(&folder.join(INDEX))?)
}

fn joined(place: &str, name: &str) -> String {
    if place.is_empty() { name.into() } else { format!("{place}/{name}") }
}

/// Files of a folder, in order.
fn names(folder: &Path) -> Result<Vec<String>, Error> {
    let fault = |source| Error::from(nn::Error::Read { path: folder.into(), source });
    let mut names = Vec::new();
    if !folder.is_dir() {
        return Ok(names);
    }
    for entry in fs::read_dir(folder).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        if entry.path().is_file() {
            names.extend(entry.file_name().into_string());
        }
    }
    names.sort();
    Ok(names)
}

/// A whole model in an empty folder; returns the weights that are not copies.
fn filled(
    from: &Path,
    to: &Path,
    format: Option<Format>,
    cancelled: &AtomicBool,
) -> Result<Vec<String>, Error> {
    for inside in places(from) {
        for name in names(&from.join(&inside))?.iter().filter(|name| is_copied(name)) {
            let (source, target) = (from.join(&inside).join(name), to.join(&inside).join(name));
            let disk = |source| ::convert::Error::disk(&target, source);
            // What cannot be read is another fault than what cannot be written.
            drop(files::open(&source)?);
            fs::create_dir_all(to.join(&inside)).map_err(disk)?;
            fs::copy(&source, &target).map_err(disk)?;
        }
    }
    let mut written = unpickle_all(from, to, cancelled)?;
    if let Some(format) = format {
        written = shrink(to, format, cancelled)?;
    }
    Ok(written)
}

/// Descriptions, papers and weights that we read; not those of other frameworks.
fn is_copied(name: &str) -> bool {
    !name.starts_with('.') && !OTHERS.iter().any(|end| name.ends_with(end))
}

/// Whether a file of that name holds weights, ours or another framework's.
fn is_weights(name: &str) -> bool {
    name.ends_with(".safetensors") || OTHERS.iter().any(|end| name.ends_with(end))
}

/// How names of other frameworks' weights end.
const OTHERS: [&str; 12] = [
    ".bin",
    ".pt",
    ".pth",
    ".ckpt",
    ".h5",
    ".msgpack",
    ".ot",
    ".onnx",
    ".onnx_data",
    ".gguf",
    ".npz",
    ".pkl",
];

/// Writes each checkpoint that a load takes in a number format.
fn shrink(folder: &Path, format: Format, cancelled: &AtomicBool) -> Result<Vec<String>, Error> {
    let uses = uses(folder, format.dtype)?;
    let mut written = Vec::new();
    for file in uses.files() {
        let (place_of, name) = (file.parent().unwrap_or(folder), file.file_name().unwrap_or_default());
        let beside = ::convert::is_beside(&name.to_string_lossy());
        let checkpoint =
            if beside { Checkpoint::of_file(file.clone())? } else { Checkpoint::open(place_of)? };
        let target = if beside { file.clone() } else { place_of.join("model.safetensors") };
        place(&target, |out| smaller(&checkpoint, format, |name| uses.of(file, name), out, cancelled))?;
        if target != *file {
            for name in names(place_of)?.iter().filter(|name| is_shard(name)) {
                ::convert::remove(&place_of.join(name))?;
            }
        }
        let relative = target.strip_prefix(folder).unwrap_or(&target);
        written.push(relative.to_string_lossy().replace('\\', "/"));
    }
    Ok(written)
}

fn is_shard(name: &str) -> bool {
    name == INDEX || (name.starts_with("model-") && name.ends_with(".safetensors"))
}

/// How a folder's tensors are taken, for whatever it can be loaded for.
fn uses(folder: &Path, dtype: Dtype) -> Result<Uses, Error> {
    let (mut all, mut fault) = (None::<Uses>, None);
    for (_, task) in Task::ALL {
        let taken = load::described(folder, &Default::default(), task)
            .and_then(|(spec, _)| Ok(Native::uses(&spec.source, dtype)?));
        match taken {
            Ok(uses) => all.get_or_insert_default().join(uses),
            Err(error) => drop(fault.get_or_insert(error)),
        }
    }
    match (all, fault) {
        (Some(uses), _) => Ok(uses),
        (None, fault) => Err(fault.unwrap_or(Error::OnlyFolders { name: folder.display().to_string() })),
    }
}

impl Converted {
    fn of(folder: &Path, written: Vec<String>) -> Result<Self, Error> {
        let mut bytes = 0;
        for inside in places(folder) {
            let place = folder.join(&inside);
            for name in names(&place)?.iter().filter(|name| name.ends_with(".safetensors")) {
                bytes += files::open(&place.join(name))?.1.len();
            }
        }
        Ok(Self { folder: folder.into(), written, bytes })
    }
}
