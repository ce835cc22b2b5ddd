//! A model by a name of the user's choice.

use std::path::Path;

use backend::PoolingMode;
use serde::Serialize;
use serde_json::Value;

use super::fields::{Fields, Origin};
use crate::executor::{BACKENDS, DTYPES};
use crate::load::Task;
use crate::place::Asked;
use crate::{Error, LoadOptions};

/// What is known of a model before it is loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    /// What it is launched by.
    pub name: String,
    /// Its folder, as a full path.
    pub folder: String,
    /// What it is for, by name.
    pub task: Task,
    /// How it is loaded.
    #[serde(flatten)]
    pub options: LoadOptions,
}

const NAMES: [&str; 12] = [
    "folder",
    "task",
    "backend",
    "device",
    "dtype",
    "providers",
    "threads",
    "maxLength",
    "maxBatch",
    "pooling",
    "adapter",
    "onnxFile",
];

/// Those of ONNX Runtime, also for a build without it.
const PROVIDERS: [&str; 6] = ["cuda", "tensorrt", "coreml", "directml", "openvino", "cpu"];

impl Registration {
    /// Reads what `about` says of a model; paths that are not full are seen from `base`.
    ///
    /// # Errors
    /// A fault of `origin`; a name that is reserved (`ERR_DUPLICATE`).
    pub(crate) fn read(name: &str, about: &Value, origin: Origin<'_>, base: &Path) -> Result<Self, Error> {
        check_name("model", name, origin)?;
        let fields = Fields::of(about, origin, &format!("model {name:?}"), &NAMES)?;
        let folder = fields.text("folder")?;
        let folder = folder.ok_or_else(|| origin.fault(format!("model {name:?} must name its folder")))?;
        let full = |path: String| full_path(&base.join(path), origin);
        let options = LoadOptions {
            backend: fields.word("backend", &BACKENDS)?,
            device: device(&fields)?,
            dtype: fields.word("dtype", &DTYPES)?,
            providers: fields.words("providers", &PROVIDERS)?.unwrap_or_default(),
            threads: fields.whole("threads", 1024)?.map(|threads| threads as usize),
            max_length: fields.whole("maxLength", (1 << 31) - 1)?.map(|tokens| tokens as usize),
            max_batch: fields.whole("maxBatch", 1 << 24)?.map(|texts| texts as usize),
            pooling: fields.word("pooling", &PoolingMode::ALL.map(|(name, _)| name))?,
            adapter: fields.text("adapter")?.map(full).transpose()?,
            onnx_file: fields.text("onnxFile")?,
            ..LoadOptions::default()
        };
        Ok(Self { name: name.into(), folder: full(folder)?, task: task(&fields)?, options })
    }
}

/// A device, or an array of several: with commas, as [`LoadOptions`] has them.
pub(crate) fn device(fields: &Fields<'_>) -> Result<Option<String>, Error> {
    let device = match fields.value("device") {
        Some(Value::Array(_)) => fields.texts("device")?.map(|devices| devices.join(",")),
        _ => fields.text("device")?,
    };
    match device.as_deref().map(Asked::parse) {
        Some(Err(wrong)) => Err(fields.fault(wrong)),
        _ => Ok(device),
    }
}

fn task(fields: &Fields<'_>) -> Result<Task, Error> {
    let name = fields.word("task", &Task::ALL.map(|(name, _)| name))?;
    Ok(name.and_then(|name| Task::named(&name)).unwrap_or(Task::Embed))
}

/// A working directory that changes later changes nothing.
fn full_path(path: &Path, origin: Origin<'_>) -> Result<String, Error> {
    let full = std::path::absolute(path);
    let full = full.map_err(|error| origin.fault(format!("{}: {error}", path.display())))?;
    Ok(full.to_string_lossy().into_owned())
}

/// What nobody may call a model: it means something else already.
const RESERVED: [&str; 1] = ["default"];

/// Checks the name of a model, or a uid: short, and no path.
pub(crate) fn check_name(what: &'static str, name: &str, origin: Origin<'_>) -> Result<(), Error> {
    let reserved = |reason: &str| Error::Taken { what, name: name.into(), reason: reason.into() };
    if RESERVED.contains(&name) {
        return Err(reserved("is the model that is loaded where none is named"));
    }
    if name.contains(['/', '\\']) && matches!(origin, Origin::Call(_)) {
        return Err(reserved("belongs to a folder or to a model of the hub"));
    }
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    let well = name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.chars().all(plain);
    if well {
        return Ok(());
    }
    let rule = "1 to 64 of A-Z, a-z, 0-9, \".\", \"_\" and \"-\", a letter or digit first";
    Err(origin.fault(format!("the name of a {what} must be {rule}, got {name:?}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(name: &str, about: Value) -> Result<Registration, Error> {
        Registration::read(name, &about, Origin::Call("register"), Path::new("base"))
    }

    #[test]
    fn a_registration_says_how_a_model_is_loaded() {
        let about = json!({ "folder": "tiny", "task": "rerank", "threads": 2, "maxLength": 64, "maxBatch": 8, "adapter": "a" });
        let found = read("mine-1.0", about).unwrap();
        let options = found.options;
        assert_eq!((found.task, options.threads, options.max_length), (Task::Rerank, Some(2), Some(64)));
        assert_eq!(options.max_batch, Some(8));
        assert!(Path::new(&found.folder).is_absolute() && found.folder.ends_with("tiny"));
        assert!(Path::new(&options.adapter.unwrap()).is_absolute());
        assert_eq!(read("plain", json!({ "folder": "x" })).unwrap().task, Task::Embed);
    }

    #[test]
    fn it_is_written_as_it_was_read() {
        let about =
            json!({ "backend": "onnx", "providers": ["cuda", "cpu"], "device": ["cuda:0", "cuda:1"] });
        let mut expected = about.clone();
        let mut whole = about;
        whole["folder"] = json!(std::env::temp_dir());
        let found = read("a", whole).unwrap();
        assert_eq!(found.options.device.as_deref(), Some("cuda:0,cuda:1"));
        assert_eq!(found.options.providers, ["cuda", "cpu"]);
        for (field, value) in
            [("name", json!("a")), ("task", json!("embed")), ("folder", json!(found.folder))]
        {
            expected[field] = value;
        }
        assert_eq!(serde_json::to_value(&found).unwrap(), expected);
        let single = read("a", json!({ "folder": "x", "device": "cuda:0" })).unwrap();
        assert_eq!(serde_json::to_value(&single).unwrap()["device"], "cuda:0");
    }

    #[cfg(feature = "onnx")]
    #[test]
    fn the_providers_are_those_of_the_executor() {
        assert_eq!(PROVIDERS, backend_onnx::Provider::ALL.map(|(name, _)| name));
    }

    #[test]
    fn names_that_mean_something_else_are_refused() {
        for (name, code) in [
            ("default", "ERR_DUPLICATE"),
            ("org/model", "ERR_DUPLICATE"),
            ("..\\x", "ERR_DUPLICATE"),
            ("", "ERR_INVALID_ARGUMENT"),
            (".hidden", "ERR_INVALID_ARGUMENT"),
            ("two words", "ERR_INVALID_ARGUMENT"),
            (&"x".repeat(65), "ERR_INVALID_ARGUMENT"),
        ] {
            assert_eq!(read(name, json!({ "folder": "x" })).unwrap_err().code(), code, "{name}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (about, words) in [
            (json!({}), "must name its folder"),
            (json!({ "folder": 7 }), "folder must be a text"),
            (
                json!({ "folder": "x", "task": "sing" }),
                "\"embed\" or \"rerank\" or \"classify\" or \"sparse\" or",
            ),
            (json!({ "folder": "x", "backend": "onxx" }), "got \"onxx\" (did you mean \"onnx\"?)"),
            (json!({ "folder": "x", "dtype": "b16" }), "got \"b16\" (did you mean \"bf16\"?)"),
            (json!({ "folder": "x", "dtype": 16 }), "dtype must be a text, got 16"),
            (json!({ "folder": "x", "pooling": "average" }), "pooling must be \"cls\" or"),
            (json!({ "folder": "x", "providers": ["cpu", "cude"] }), "providers[1] must be \"cuda\" or"),
            (json!({ "folder": "x", "device": "gpu" }), "device \"gpu\" is none; use \"auto\", \"cpu\""),
            (json!({ "folder": "x", "device": ["cuda:0", "cuda:0"] }), "names one twice"),
            (json!({ "folder": "x", "threads": 0 }), "threads must be a whole number from 1 to 1024, got 0"),
            (json!({ "folder": "x", "thread": 2 }), "mean \"threads\""),
            (json!({ "folder": "x", "providers": "cpu" }), "providers must be an array of 1 to 64 texts"),
            (json!({ "folder": "x", "providers": [""] }), "providers must be an array"),
            (json!({ "folder": "x", "device": [] }), "device must be an array"),
            (json!("x"), "must be an object"),
        ] {
            let error = read("a", about).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
