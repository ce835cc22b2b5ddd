//! From a folder to a model that runs.

use std::path::Path;
use std::sync::Arc;

use backend::{Backend, Pooling, PoolingMode};
use kernels::both;
use nn::{FileId, HeadSource, Key, LayerSource, Store, files};
use serde::{Serialize, Serializer};
use text::{Limit, Reading, Tokenizer};
use twox_hash::XxHash3_64;

use crate::executor::Opened;
use crate::scheduler::{Lane, Scheduler};
use crate::spec::Purpose;
use crate::{Error, Spec, executor, judge, threads};

/// What a user may decide about a load. Empty fields: as the model's files say.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadOptions {
    /// `"native"`, `"candle"` or `"onnx"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// `"auto"`, `"cpu"`, `"cuda"`, `"cuda:N"`, several of these with commas, or `"metal"`.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "one_or_several")]
    pub device: Option<String>,
    /// `"auto"`, `"f32"`, `"bf16"` or `"int8"`, as far as the backend has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dtype: Option<String>,
    /// Providers of ONNX Runtime by name, for `"onnx"`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<String>,
    /// Threads this model may use at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// Tokens of the longest text that is not cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// The most tokens of the longest text, where `max_length` is silent: the files' own limit if that is lower.
    #[serde(skip)]
    pub length_cap: Option<usize>,
    /// The most texts of a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_batch: Option<usize>,
    /// A pooling by name, instead of the files'.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pooling: Option<String>,
    /// The folder of a PEFT LoRA adapter to merge into the weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
    /// The graph's file below the model's folder, for `"onnx"`; `None`: the one of the number format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub onnx_file: Option<String>,
    /// The file of the ONNX Runtime library, for `"onnx"`; none is the one that `ORT_DYLIB_PATH` names.
    #[serde(skip)]
    pub onnx_library: Option<String>,
    /// Where a model comes from that is named and not a folder.
    #[serde(skip)]
    pub hub: hub::Options,
}

/// Several devices as an array, as the face takes them.
fn one_or_several<S: Serializer>(device: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    let names: Vec<&str> = device.iter().flat_map(|device| device.split(',')).collect();
    match names[..] {
        [name] => serializer.serialize_str(name),
        _ => names.serialize(serializer),
    }
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
    /// Why on this processor.
    pub(crate) reason: String,
    /// Of a GPU that is left aside.
    pub(crate) warning: Option<String>,
    pub(crate) max_length: usize,
}

/// What a model is loaded for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// One vector a text.
    Embed,
    /// One score a pair of texts.
    Rerank,
    /// One score a label.
    Classify,
    /// Weights of tokens of the vocabulary.
    Sparse,
    /// One vector a token.
    Late,
    /// One vector a text, weights of its tokens and one vector a token.
    Hybrid,
}

impl Task {
    /// All of them, with their names.
    pub const ALL: [(&str, Self); 6] = [
        ("embed", Self::Embed),
        ("rerank", Self::Rerank),
        ("classify", Self::Classify),
        ("sparse", Self::Sparse),
        ("late", Self::Late),
        ("hybrid", Self::Hybrid),
    ];

    /// The task of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|&(_, task)| task)
    }

    /// How a user loads it.
    pub(crate) fn method(self) -> &'static str {
        match self {
            Self::Embed => "Embedder.load",
            Self::Rerank => "Reranker.load",
            Self::Classify => "Classifier.load",
            Self::Sparse => "SparseEmbedder.load",
            Self::Late => "MultiVectorEmbedder.load",
            Self::Hybrid => "HybridEmbedder.load",
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|&&(_, task)| task == self).map_or("", |(name, _)| name)
    }
}

impl Serialize for Task {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Reads a folder.
pub(crate) fn load(folder: &Path, options: &LoadOptions, task: Task) -> Result<Parts, Error> {
    let (spec, tokenizer, opened) = read(folder, options, task)?;
    let Opened { backend, reason, warning } = opened;
    check_vocabulary(&spec, &tokenizer.tokenizer)?;
    let max_length = max_length(&spec, &tokenizer.tokenizer, backend.positions(), options)?;
    // A limit that leaves no room for text shows here and not at every call.
    tokenizer.tokenizer.encode("", &Limit::new(max_length))?;
    Ok(Parts { spec, tokenizer, backend, reason, warning, max_length })
}

/// A folder's files: its tokenizer on one thread and its weights on another, if there are two with nothing else to do.
fn read(
    folder: &Path,
    options: &LoadOptions,
    task: Task,
) -> Result<(Spec, Arc<SharedTokenizer>, Opened), Error> {
    let spec = claims(folder, options, task)?;
    // The weights of its head are the rows of two words.
    if let Purpose::Judge = spec.purpose {
        let (spec, tokenizer) = answering(spec)?;
        let opened = executor::open(&spec.source, options)?;
        return Ok((spec, tokenizer, opened));
    }
    let lane = Lane::new(threads::asked(options)?);
    let parts = || both(|| tokenizer(&(&spec).into()), || executor::open(&spec.source, options));
    let (tokenizer, opened) =
        if lane.threads() > 1 { Scheduler::process().led(&lane, parts) } else { parts() };
    Ok((spec, tokenizer?, opened?))
}

/// All of a folder but its weights.
pub(crate) fn described(
    folder: &Path,
    options: &LoadOptions,
    task: Task,
) -> Result<(Spec, Arc<SharedTokenizer>), Error> {
    answering(claims(folder, options, task)?)
}

/// The tokenizer, and what the head of a model that answers in words is made of.
fn answering(mut spec: Spec) -> Result<(Spec, Arc<SharedTokenizer>), Error> {
    let tokenizer = tokenizer(&(&spec).into())?;
    if let Purpose::Judge = spec.purpose {
        let tokens = judge::answers(&tokenizer.tokenizer, &spec.source.config)?;
        spec.source.head = HeadSource::Answers { tokens };
    }
    Ok((spec, tokenizer))
}

/// A tokenizer takes about so many times the bytes of its file.
const TOKENIZER_GROWTH: u64 = 8;

/// Bytes that a folder's model will hold once loaded, by the headers and sizes of its files.
pub(crate) fn bytes(folder: &Path, options: &LoadOptions, task: Task) -> Result<u64, Error> {
    let spec = claims(folder, options, task)?;
    let path = spec.tokenizer.join("tokenizer.json");
    let tokenizer = if files::exists(&path)? { files::open(&path)?.1.len() } else { 0 };
    let tensors = executor::bytes(&spec.source, options)?;
    Ok(tensors.saturating_add(tokenizer.saturating_mul(TOKENIZER_GROWTH)))
}

/// The folders of a model and of its adapter must be there.
pub(crate) fn check_folders(folder: &Path, options: &LoadOptions) -> Result<(), Error> {
    if !folder.is_dir() {
        return Err(Error::NotAFolder { name: folder.display().to_string() });
    }
    match options.adapter.as_ref().filter(|adapter| !Path::new(adapter).is_dir()) {
        Some(missing) => Err(Error::NotAnAdapter { name: missing.clone() }),
        None => Ok(()),
    }
}

/// What the small files of a folder and the options claim.
fn claims(folder: &Path, options: &LoadOptions, task: Task) -> Result<Spec, Error> {
    executor::check(options)?;
    check_folders(folder, options)?;
    let mut spec = Spec::read(folder, options, task)?;
    match (&options.pooling, &mut spec.source.head) {
        (None, _) => Ok(spec),
        (Some(name), HeadSource::Embedding { pooling, .. }) => {
            pooling.modes = vec![pooling_named(name)?];
            Ok(spec)
        }
        (Some(_), _) => {
            let method = task.method();
            let message =
                format!("{method}: pooling is an option of Embedder.load; this model's head is its own");
            Err(Error::Options { message })
        }
    }
}

/// The tokenizer's own ids must be rows of the table, which has as many as config.json says (each model file checks
/// that). A table may be larger, as padded ones are. An added token beyond it is a fault of the text in which it occurs.
fn check_vocabulary(spec: &Spec, tokenizer: &Tokenizer) -> Result<(), Error> {
    let config = &spec.source.config;
    let rows = config.value()["vocab_size"].as_u64().unwrap_or(u64::MAX);
    match tokenizer.highest_plain() {
        Some(highest) if u64::from(highest) >= rows => {
            let tokenizer = spec.tokenizer.join("tokenizer.json");
            Err(Error::Vocabulary { tokenizer, highest, config: config.path().into(), rows })
        }
        _ => Ok(()),
    }
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

/// What a tokenizer is made of.
pub(crate) struct TokenizerFiles<'a> {
    /// Holds tokenizer.json.
    pub(crate) tokenizer: &'a Path,
    /// Holds tokenizer_config.json, if there is one.
    pub(crate) settings: &'a Path,
    /// Whether texts are lowercased before.
    pub(crate) lowercase: bool,
    /// Which tokens of a text count.
    pub(crate) reading: Reading,
    /// Tokens that are kept whole.
    pub(crate) markers: &'a [String],
}

impl<'a> From<&'a Spec> for TokenizerFiles<'a> {
    fn from(spec: &'a Spec) -> Self {
        Self {
            tokenizer: &spec.tokenizer,
            settings: &spec.tokenizer_settings,
            lowercase: spec.lowercase,
            reading: spec.reading,
            markers: spec.purpose.markers(),
        }
    }
}

/// The tokenizer, once a process for each pair of files.
pub(crate) fn tokenizer(made_of: &TokenizerFiles<'_>) -> Result<Arc<SharedTokenizer>, Error> {
    let TokenizerFiles { tokenizer, settings, lowercase, reading, markers } = *made_of;
    let folder = tokenizer;
    let (path, settings) = (tokenizer.join("tokenizer.json"), settings.join("tokenizer_config.json"));
    let files = [identity(&path)?, identity(&settings)?];
    let settled = files[1].is_some();
    let form = format!("tokenizer lowercase={lowercase} {reading:?} settings={settled} {markers:?}");
    Store::process().get_or_make(Key { files: files.into_iter().flatten().collect(), form }, || {
        let missing =
            "a model needs one; an older tokenizer becomes one by saving it again with transformers";
        let tokenizer = files::read(&path)?
            .ok_or_else(|| nn::Error::NotFound { path: path.clone(), remedy: missing.into() })?;
        let settings = files::read(&settings)?;
        let settings = settings.as_deref();
        let source = text::Source { tokenizer: &tokenizer, settings, lowercase, reading, markers };
        let hash =
            XxHash3_64::oneshot(&tokenizer) ^ XxHash3_64::oneshot(settings.unwrap_or(b"none")).rotate_left(1);
        let parsed = Tokenizer::parse(&source);
        let tokenizer = parsed.map_err(|error| Error::Tokenizer { folder: folder.into(), error })?;
        Ok(SharedTokenizer { tokenizer, hash })
    })
}

/// None where there is no such file.
fn identity(path: &Path) -> Result<Option<FileId>, Error> {
    if !files::exists(path)? {
        return Ok(None);
    }
    let (_, metadata) = files::open(path)?;
    Ok(Some(FileId::of(path, &metadata)))
}

/// A static model has no longest text. This bounds the memory that one takes; a call that wants more says so
/// with `maxLength`.
pub(crate) const UNLIMITED: usize = 1 << 16;

/// The longest text in tokens: the option, else `max_seq_length`, else the smaller of the config's positions
/// and the tokenizer's length, as sentence-transformers decides (`models/Transformer.py`, v5.1). A model without
/// a table of positions may read longer texts than its config's positions, if `max_seq_length` says so.
fn max_length(
    spec: &Spec,
    tokenizer: &Tokenizer,
    positions: Option<usize>,
    options: &LoadOptions,
) -> Result<usize, Error> {
    let config = spec.source.config.value()["max_position_embeddings"].as_u64().map(|value| value as usize);
    let silent = match spec.reading {
        Reading::Framed => {
            config.unwrap_or(usize::MAX).min(tokenizer.model_max_length().unwrap_or(usize::MAX))
        }
        Reading::Bare | Reading::Known => tokenizer.own_limit().unwrap_or(UNLIMITED),
    };
    let own = spec.max_seq_length.unwrap_or(silent).min(positions.unwrap_or(usize::MAX));
    let most = positions.or(config).unwrap_or(usize::MAX).max(own);
    if let Some(value) = options.max_length {
        if value == 0 || value > most {
            return Err(Error::OutOfRange { name: "maxLength", value, least: 1, most });
        }
        return Ok(value);
    }
    Ok(own.min(options.length_cap.unwrap_or(usize::MAX)))
}

impl Parts {
    /// A hash over everything that changes vectors by more than rounding.
    pub(crate) fn fingerprint(&self) -> String {
        let Spec { source, normalizes, prompts, default_prompt, lowercase, reading, truncate_dim, .. } =
            &self.spec;
        let head = head_facts(&source.head);
        let head = format!("{head}{}", self.spec.purpose.fingerprint());
        let description = self.backend.description();
        let facts = format!(
            "1 {:016x} {:016x} {head} {normalizes} {prompts:?} {default_prompt:?} \
             {lowercase} {reading:?} {truncate_dim:?} {} {} {} {}",
            self.backend.weights_hash(),
            self.tokenizer.hash,
            self.max_length,
            description.dtype,
            description.arithmetic,
            arithmetic_fields(source.config.value()),
        );
        format!("{:016x}", XxHash3_64::oneshot(facts.as_bytes()))
    }
}

fn head_facts(head: &HeadSource) -> String {
    match head {
        HeadSource::Embedding { pooling: Pooling { modes, include_prompt, .. }, layers } => {
            format!("{modes:?} {include_prompt} {}", layer_facts(layers))
        }
        HeadSource::Classifier { labels } => format!("classifier {labels}"),
        HeadSource::Answers { tokens } => format!("answers {tokens:?}"),
        HeadSource::Vocabulary { .. } => "vocabulary".into(),
        HeadSource::Tokens { layers } => format!("tokens {}", layer_facts(layers)),
        HeadSource::Several(heads) => heads.iter().map(head_facts).collect::<Vec<_>>().join(" and "),
    }
}

fn layer_facts(layers: &[LayerSource]) -> String {
    let fact = |layer: &LayerSource| match layer {
        LayerSource::Dense(dense) => format!("{} {:?}", dense.outputs, dense.activation),
        LayerSource::Norm(norm) => format!("norm {}", norm.columns),
    };
    format!("{:?}", layers.iter().map(fact).collect::<Vec<_>>())
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
