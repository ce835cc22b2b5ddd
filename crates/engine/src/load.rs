//! From a folder to a model that runs.

use std::path::Path;
use std::sync::Arc;

use backend::{Backend, Pooling, PoolingMode};
use backend_native::Native;
use nn::{FileId, Key, Store};
use text::Tokenizer;

use crate::{Error, Spec};

/// What a user may decide about a load. Empty fields: as the model's files say.
#[derive(Debug, Default, Clone)]
pub struct LoadOptions {
    /// `"native"`.
    pub backend: Option<String>,
    /// `"auto"` or `"cpu"`.
    pub device: Option<String>,
    /// `"auto"` or `"f32"`.
    pub dtype: Option<String>,
    /// Threads this model may use at once.
    pub threads: Option<usize>,
    /// Tokens of the longest text that is not cut.
    pub max_length: Option<usize>,
    /// A pooling by name, instead of the files'.
    pub pooling: Option<String>,
}

/// A tokenizer and a hash of its file.
pub(crate) struct SharedTokenizer {
    pub(crate) tokenizer: Tokenizer,
    pub(crate) hash: u64,
}

/// Everything read from a folder.
pub(crate) struct Parts {
    pub(crate) spec: Spec,
    pub(crate) tokenizer: Arc<SharedTokenizer>,
    pub(crate) backend: Box<dyn Backend>,
    pub(crate) max_length: usize,
}

/// What a model is loaded for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// One vector a text.
    Embed,
}

/// Reads a folder.
pub(crate) fn load(folder: &Path, options: &LoadOptions, _task: Task) -> Result<Parts, Error> {
    refuse_unavailable(options)?;
    if !folder.is_dir() {
        return Err(Error::NotAFolder { name: folder.display().to_string() });
    }
    let mut spec = Spec::read(folder)?;
    if let Some(name) = &options.pooling {
        spec.source.pooling.modes = vec![pooling_named(name)?];
    }
    let tokenizer = tokenizer(&spec)?;
    let backend = Native::load(&spec.source)?;
    let max_length = max_length(&spec, &tokenizer.tokenizer, backend.positions(), options.max_length)?;
    Ok(Parts { spec, tokenizer, backend: Box::new(backend), max_length })
}

fn pooling_named(name: &str) -> Result<PoolingMode, Error> {
    PoolingMode::named(name).ok_or_else(|| {
        let known: Vec<_> = PoolingMode::ALL.iter().map(|(name, _)| *name).collect();
        Error::Unavailable {
            what: format!("pooling {name:?}"),
            remedy: format!("use one of {}", known.join(", ")),
        }
    })
}

fn refuse_unavailable(options: &LoadOptions) -> Result<(), Error> {
    let asked = |option: &Option<String>| option.clone().unwrap_or_else(|| "auto".into());
    let (backend, device, dtype) = (asked(&options.backend), asked(&options.device), asked(&options.dtype));
    if !matches!(&backend[..], "auto" | "native") {
        let remedy = "this version has \"native\" only".into();
        return Err(Error::Unavailable { what: format!("backend {backend:?}"), remedy });
    }
    if !matches!(&device[..], "auto" | "cpu") {
        let reason = "backend \"native\" computes on the CPU: use \"auto\" or \"cpu\"".into();
        return Err(Error::Device { device, reason });
    }
    if !matches!(&dtype[..], "auto" | "f32") {
        let remedy = "backend \"native\" computes in \"f32\" in this version".into();
        return Err(Error::Unavailable { what: format!("dtype {dtype:?}"), remedy });
    }
    Ok(())
}

/// The tokenizer, once a process for each file.
fn tokenizer(spec: &Spec) -> Result<Arc<SharedTokenizer>, Error> {
    let path = spec.source.folder.join("tokenizer.json");
    let id = std::fs::metadata(&path).map(|metadata| FileId::of(&path, &metadata));
    let read = || -> Result<SharedTokenizer, Error> {
        let options = text::LoadOptions { lowercase: spec.lowercase };
        let tokenizer = Tokenizer::load(&spec.source.folder, &options)?;
        let bytes = std::fs::read(&path).map_err(|source| nn::Error::Read { path: path.clone(), source })?;
        Ok(SharedTokenizer { tokenizer, hash: twox_hash::XxHash3_64::oneshot(&bytes) })
    };
    match id {
        Ok(id) => {
            let form = format!("tokenizer lowercase={}", spec.lowercase);
            Store::process().get_or_make(Key { files: vec![id], form }, read)
        }
        Err(_) => read().map(Arc::new),
    }
}

/// The longest text in tokens: the option, else `max_seq_length`, else the smaller of the config's positions
/// and the tokenizer's length, as sentence-transformers decides (`models/Transformer.py`, v5.1).
fn max_length(
    spec: &Spec,
    tokenizer: &Tokenizer,
    positions: Option<usize>,
    asked: Option<usize>,
) -> Result<usize, Error> {
    let config = spec.source.config.value()["max_position_embeddings"].as_u64().map(|value| value as usize);
    let most = positions.or(config).unwrap_or(usize::MAX);
    if let Some(value) = asked {
        if value == 0 || value > most {
            return Err(Error::OutOfRange { name: "maxLength", value, least: 1, most });
        }
        return Ok(value);
    }
    let silent = config.unwrap_or(usize::MAX).min(tokenizer.model_max_length().unwrap_or(usize::MAX));
    Ok(spec.max_seq_length.unwrap_or(silent).min(most))
}

impl Parts {
    /// A hash over everything that changes vectors by more than rounding.
    pub(crate) fn fingerprint(&self) -> String {
        let Spec { source, normalizes, prompts, default_prompt, lowercase, truncate_dim, .. } = &self.spec;
        let dense: Vec<_> = source.dense.iter().map(|layer| layer.activation).collect();
        let Pooling { modes, include_prompt } = &source.pooling;
        let description = self.backend.description();
        let facts = format!(
            "1 {:016x} {:016x} {modes:?} {include_prompt} {dense:?} {normalizes} {prompts:?} {default_prompt:?} \
             {lowercase} {truncate_dim:?} {} {} {} {}",
            self.backend.weights_hash(),
            self.tokenizer.hash,
            self.max_length,
            description.dtype,
            description.arithmetic,
            arithmetic_fields(source.config.value()),
        );
        format!("{:016x}", twox_hash::XxHash3_64::oneshot(facts.as_bytes()))
    }
}

/// A config without the fields that only tell where it came from.
fn arithmetic_fields(config: &serde_json::Value) -> serde_json::Value {
    const ORIGIN: [&str; 5] =
        ["_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version"];
    let mut config = config.clone();
    if let Some(fields) = config.as_object_mut() {
        fields.retain(|name, _| !ORIGIN.contains(&name.as_str()));
    }
    config
}
