//! What a model folder's own files claim about its pipeline.
//!
//! The files are those of sentence-transformers
//! (<https://github.com/huggingface/sentence-transformers/tree/v5.1.0/sentence_transformers/models>), in the
//! old and the new spelling. What they do not say follows that library's defaults; what they say and this
//! version cannot do is refused by name.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use backend::{Pooling, PoolingMode};
use nn::{Activation, Config, DenseSource, HeadSource, LayerSource, NormSource, Source, files};
use serde::Deserialize;
use text::Reading;

use crate::kind::Kind;
use crate::labels::Labels;
use crate::late::Late;
use crate::lexicon::Lexicon;
use crate::load::Task;
use crate::router::{QueryTable, ROUTER, Route};
use crate::static_model::{STATIC, StaticModel};
use crate::{Error, LoadOptions, hybrid, judge, labels, late, lexicon};

/// What a model is for, with what its files say about that.
#[derive(Debug)]
pub(crate) enum Purpose {
    /// One vector a text.
    Embed,
    /// A score a pair by a classification head.
    Rerank,
    /// A score a pair by the answer of a language model.
    Judge,
    /// A score a label.
    Classify(Labels),
    /// Weights of tokens; of queries by a table alone, where there is one.
    Sparse(Lexicon, Option<Arc<QueryTable>>),
    /// One vector a token.
    Tokens(Late),
    /// One vector a text, weights of its own tokens and one vector a token.
    Hybrid(Late),
}

impl Purpose {
    /// Tokens that mark what a text is for.
    pub(crate) fn markers(&self) -> &[String] {
        match self {
            Self::Tokens(late) => &late.markers,
            _ => &[],
        }
    }

    /// What it adds to the fingerprint.
    pub(crate) fn fingerprint(&self) -> String {
        match self {
            Self::Embed | Self::Rerank => String::new(),
            other => format!(" {other:?}"),
        }
    }
}

/// A model's pipeline.
#[derive(Debug)]
pub struct Spec {
    /// The transformer and what follows it.
    pub source: Source,
    /// Holds tokenizer.json.
    pub tokenizer: PathBuf,
    /// Holds tokenizer_config.json, if there is one.
    pub tokenizer_settings: PathBuf,
    /// Whether the vector is brought to length 1 at the end.
    pub normalizes: bool,
    /// Prompts by name.
    pub prompts: BTreeMap<String, String>,
    /// The prompt used when a call names none.
    pub default_prompt: Option<String>,
    /// `max_seq_length`, where the files set one.
    pub max_seq_length: Option<usize>,
    /// Whether texts are lowercased before the tokenizer.
    pub lowercase: bool,
    /// Which tokens of a text the model sees.
    pub reading: Reading,
    /// Leading values to keep (`truncate_dim`), where the files say so.
    pub truncate_dim: Option<usize>,
    /// What the model was loaded for.
    pub(crate) purpose: Purpose,
}

/// A module as a list names it.
#[derive(Deserialize)]
pub(crate) struct ModuleEntry {
    pub(crate) path: String,
    #[serde(rename = "type")]
    pub(crate) class: String,
}

#[derive(Default, Deserialize)]
struct TransformerConfig {
    max_seq_length: Option<usize>,
    #[serde(default)]
    do_lower_case: bool,
    /// Arguments of the tokenizer, since 5.4.
    #[serde(default)]
    processing_kwargs: BTreeMap<String, serde_json::Value>,
}

#[derive(Default, Deserialize)]
struct ModelConfig {
    /// null is no prompt.
    #[serde(default)]
    prompts: BTreeMap<String, Option<String>>,
    default_prompt_name: Option<String>,
    truncate_dim: Option<usize>,
}

#[derive(Deserialize)]
struct DenseConfig {
    in_features: usize,
    out_features: usize,
    #[serde(default = "yes")]
    bias: bool,
    #[serde(default = "tanh")]
    activation_function: String,
    #[serde(default)]
    use_residual: bool,
    module_input_name: Option<String>,
    module_output_name: Option<String>,
}

/// What Pooling makes, and Dense takes unless it says otherwise.
const SENTENCE: &str = "sentence_embedding";

fn yes() -> bool {
    true
}

fn tanh() -> String {
    "Tanh".into()
}

impl Spec {
    /// Reads the small JSON files of a folder, for a task. Files of an adapter's folder win over the model's.
    ///
    /// # Errors
    /// A file that is missing, broken or asks for what is not supported.
    pub(crate) fn read(folder: &Path, options: &LoadOptions, task: Task) -> Result<Self, Error> {
        let adapter = options.adapter.as_ref().map(Path::new);
        let modules = modules(folder)?;
        let transformer = modules.first().map_or(folder.to_path_buf(), |module| module.folder.clone());
        let winner = |name: &str| match adapter.map(|adapter| adapter.join(name)) {
            Some(own) if own.symlink_metadata().is_ok() => own,
            _ => transformer.join(name),
        };
        let list = modules.first().map(|module| (module.class(), module.list.path()));
        let fixed = StaticModel::find(folder, list)?;
        let config = match &fixed {
            Some(found) => found.config.clone(),
            None => Config::open(&winner("config.json"))?,
        };
        check_transformer(&config, &modules)?;
        let about: TransformerConfig = match &fixed {
            Some(found) => TransformerConfig { max_seq_length: found.max_length, ..Default::default() },
            None => transformer_config(&winner("sentence_bert_config.json"))?,
        };
        let (prompts, model) = prompts(&folder.join("config_sentence_transformers.json"))?;
        let (head, purpose) = match task {
            Task::Embed => {
                let own = adapter.is_some_and(|adapter| config.path().starts_with(adapter));
                // An adapter's config wins over the modules beside the model's.
                let beside = if own { &[] } else { &modules[..] };
                check_embedder(&config, beside, options.pooling.is_some())?;
                (embedding_head(&modules)?, Purpose::Embed)
            }
            Task::Rerank => reranker_head(&config, &modules)?,
            Task::Classify => classifier_head(&config, &modules)?,
            Task::Sparse => lexicon::head(folder, &transformer, &config, &modules)?,
            Task::Late => late::head(folder, &transformer, &config, &modules)?,
            Task::Hybrid => hybrid::head(&transformer, &config, &modules)?,
        };
        Ok(Self {
            tokenizer: parent(winner("tokenizer.json")),
            tokenizer_settings: parent(winner("tokenizer_config.json")),
            source: Source { folder: transformer, config, adapter: adapter.map(Path::to_path_buf), head },
            normalizes: match &purpose {
                Purpose::Tokens(late) => late.normalizes,
                _ => fixed.as_ref().is_some_and(|found| found.normalizes) || ends_normalized(&modules),
            },
            reading: fixed.map_or(Reading::Framed, |found| found.reading),
            prompts,
            default_prompt: model.default_prompt_name,
            max_seq_length: match &purpose {
                Purpose::Embed | Purpose::Sparse(..) | Purpose::Hybrid(_) => about.max_seq_length,
                Purpose::Tokens(late) => late.document_length.or(about.max_seq_length),
                _ => None,
            },
            lowercase: about.do_lower_case,
            truncate_dim: model.truncate_dim.filter(|_| task == Task::Embed),
            purpose,
        })
    }

    /// A text without tokens is a zero vector: the reference's sum over no rows.
    pub(crate) fn blank_is_zero(&self) -> bool {
        let bare = matches!(&self.source.head, HeadSource::Embedding { layers, .. } if layers.is_empty());
        self.reading != Reading::Framed && bare
    }
}

fn ends_normalized(modules: &[FoundModule]) -> bool {
    modules.last().is_some_and(|module| module.class() == "Normalize")
}

fn transformer_config(path: &Path) -> Result<TransformerConfig, Error> {
    let about: TransformerConfig = optional(path)?;
    match about.processing_kwargs.first_key_value() {
        Some((name, _)) => {
            let message = format!("processing_kwargs with {name:?} are not supported");
            Err(nn::Error::Unsupported { path: path.into(), message }.into())
        }
        None => Ok(about),
    }
}

/// The prompts by name, and what else that file says. The default prompt must be one of them.
fn prompts(path: &Path) -> Result<(BTreeMap<String, String>, ModelConfig), Error> {
    let mut model: ModelConfig = optional(path)?;
    let read = std::mem::take(&mut model.prompts);
    let prompts: BTreeMap<_, _> =
        read.into_iter().map(|(name, prompt)| (name, prompt.unwrap_or_default())).collect();
    // sentence-transformers knows these two without a file.
    let known = |name: &str| prompts.contains_key(name) || ["query", "document"].contains(&name);
    match model.default_prompt_name.as_deref().filter(|name| !known(name)) {
        Some(name) => {
            let names = prompts.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let message = format!("default_prompt_name is {name:?}, and prompts has only [{names}]");
            Err(nn::Error::Broken { path: path.into(), message }.into())
        }
        None => Ok((prompts, model)),
    }
}

fn parent(file: PathBuf) -> PathBuf {
    file.parent().map(Path::to_path_buf).unwrap_or_default()
}

/// What is of another kind is no embedder. An encoder without modules is one if its pooling was asked for, whatever it
/// was made for: sentence-transformers would average its tokens, and say so in a warning.
fn check_embedder(config: &Config, modules: &[FoundModule], pooled: bool) -> Result<(), Error> {
    let kind = Kind::of(config, modules);
    if kind.is(Task::Embed) || (pooled && modules.is_empty()) {
        return Ok(());
    }
    Err(kind.refusal(Task::Embed, config, "it makes no vector of a text").into())
}

/// The modules behind the transformer.
pub(crate) fn embedding_head(modules: &[FoundModule]) -> Result<HeadSource, Error> {
    let is_static = modules.first().is_some_and(|first| first.class() == STATIC);
    let mut pooling = is_static.then(|| Pooling::of(PoolingMode::Mean));
    let mut layers = Vec::new();
    let mut ended = false;
    for module in modules.iter().skip(1) {
        match module.class() {
            "Pooling" if pooling.is_none() => pooling = Some(read_pooling(&module.config()?)?),
            "Dense" if pooling.is_some() && !ended => layers.push(read_dense(module, SENTENCE)?),
            "LayerNorm" if pooling.is_some() && !ended => layers.push(read_norm(module)?),
            "Normalize" if pooling.is_some() && !ended => ended = true,
            "Pooling" | "Dense" | "LayerNorm" | "Normalize" => {
                return Err(module.refused(MODULE_ORDER).into());
            }
            _ => return Err(module.unknown().into()),
        }
    }
    match (pooling, modules.last()) {
        (Some(pooling), _) => Ok(HeadSource::Embedding { pooling, layers }),
        (None, None) => Ok(HeadSource::Embedding { pooling: Pooling::of(PoolingMode::Mean), layers }),
        (None, Some(last)) => {
            Err(last.refused("is not followed by Pooling, which makes one vector of many").into())
        }
    }
}

const MODULE_ORDER: &str = "is out of order; supported is Transformer and Pooling, or StaticEmbedding; then any Dense and LayerNorm, and Normalize last";

/// Whether config.json names an architecture that ends so.
pub(crate) fn is_architecture(config: &Config, end: &str) -> bool {
    let names = config.value()["architectures"].as_array().into_iter().flatten();
    names.filter_map(|name| name.as_str()).any(|name| name.ends_with(end))
}

/// A cross-encoder's own head, or a language model's two answers, whose ids only the tokenizer knows. One with a pooling
/// embeds.
fn reranker_head(config: &Config, modules: &[FoundModule]) -> Result<(HeadSource, Purpose), Error> {
    let pooled = modules.iter().any(|module| module.class() == "Pooling");
    if is_architecture(config, "ForCausalLM") && !pooled {
        judge::check(config)?;
        return Ok((HeadSource::Answers { tokens: Vec::new() }, Purpose::Judge));
    }
    let refused = |why: &str| Error::from(Kind::of(config, modules).refusal(Task::Rerank, config, why));
    // What is broken about labels is told first.
    labels::named(config)?;
    match labels::count(config) {
        Some(1) => Ok((HeadSource::Classifier { labels: 1 }, Purpose::Rerank)),
        Some(labels) => {
            let message = format!("has {labels} labels; a reranker has one: load it with Classifier.load");
            Err(config.unsupported(message).into())
        }
        None => Err(refused(
            "architectures names no sequence classifier, so it scores no pairs without an adapter",
        )),
    }
}

fn classifier_head(config: &Config, modules: &[FoundModule]) -> Result<(HeadSource, Purpose), Error> {
    if labels::count(config).is_none() {
        let why = "architectures names no sequence classifier, so it has no labels";
        return Err(Kind::of(config, modules).refusal(Task::Classify, config, why).into());
    }
    let labels = Labels::read(config)?;
    Ok((HeadSource::Classifier { labels: labels.names.len() }, Purpose::Classify(labels)))
}

/// More would be no model.
const MOST_MODULES: usize = 32;

/// A module that modules.json names.
pub(crate) struct FoundModule {
    class: String,
    pub(crate) folder: PathBuf,
    list: Config,
}

impl FoundModule {
    /// The class without its Python package.
    pub(crate) fn class(&self) -> &str {
        let packages = ["sentence_transformers.", "pylate."];
        match packages.iter().find_map(|package| self.class.strip_prefix(package)) {
            Some(inside) => inside.rsplit('.').next().unwrap_or(inside),
            None => &self.class,
        }
    }

    /// Whether it is PyLate's, whose Dense works on tokens and does not say so.
    pub(crate) fn is_pylate(&self) -> bool {
        self.class.starts_with("pylate.")
    }

    pub(crate) fn config(&self) -> Result<Config, Error> {
        Ok(Config::open(&self.folder.join("config.json"))?)
    }

    fn unknown(&self) -> nn::Error {
        self.refused(
            "is not supported; supported are Transformer, StaticEmbedding, Pooling, Dense, LayerNorm and Normalize",
        )
    }

    pub(crate) fn refused(&self, why: &str) -> nn::Error {
        self.list.unsupported(format!("module {:?} {why}", self.class))
    }
}

/// The modules in order, the transformer first. Without modules.json there is only a transformer, whose
/// tokens are averaged: what sentence-transformers makes of a plain transformers folder.
fn modules(folder: &Path) -> Result<Vec<FoundModule>, Error> {
    let path = folder.join("modules.json");
    if !files::exists(&path)? {
        return Ok(Vec::new());
    }
    let list = Config::open(&path)?;
    let entries: Vec<ModuleEntry> = list.read()?;
    list.check(entries.len() <= MOST_MODULES, || {
        format!("lists {} modules; at most {MOST_MODULES} are read", entries.len())
    })?;
    let each = |folder: &Path, entries: Vec<ModuleEntry>| -> Result<Vec<FoundModule>, Error> {
        entries.into_iter().map(|entry| found(folder, entry, &list)).collect()
    };
    let mut modules = each(folder, entries)?;
    // Documents' modules stand for a router: all classes but one read nothing else.
    if is_routed(&modules) {
        modules = each(&modules[0].folder, Route::read(&modules[0].folder)?.documents)?;
    }
    match modules.first() {
        Some(first)
            if ["Transformer", "MLMTransformer", OWN_TRANSFORMER, STATIC].contains(&first.class()) =>
        {
            Ok(modules)
        }
        Some(first) => {
            Err(first.refused("comes first, where only Transformer and StaticEmbedding are supported").into())
        }
        None => Err(list.broken("lists no modules").into()),
    }
}

fn is_routed(modules: &[FoundModule]) -> bool {
    matches!(modules, [only] if only.class() == ROUTER)
}

/// The table that weighs queries' tokens, where modules.json names a router to one.
pub(crate) fn query_table(folder: &Path) -> Result<Option<Arc<QueryTable>>, Error> {
    let path = folder.join("modules.json");
    if !files::exists(&path)? {
        return Ok(None);
    }
    let list = Config::open(&path)?;
    let entries: Vec<ModuleEntry> = list.read()?;
    let modules: Vec<FoundModule> =
        entries.into_iter().map(|entry| found(folder, entry, &list)).collect::<Result<_, _>>()?;
    if !is_routed(&modules) {
        return Ok(None);
    }
    let queries = Route::read(&modules[0].folder)?.queries;
    let entry = ModuleEntry { path: queries, class: String::new() };
    Ok(Some(Arc::new(QueryTable::open(&found(&modules[0].folder, entry, &list)?.folder)?)))
}

/// A model's own transformer module, beside its weights.
const OWN_TRANSFORMER: &str = "custom_st.Transformer";

/// Own modules are read where what they do is known: Jina v3's chooses an adapter by task, and none without one
/// (<https://huggingface.co/jinaai/jina-embeddings-v3/blob/main/custom_st.py>).
fn check_transformer(config: &Config, modules: &[FoundModule]) -> Result<(), Error> {
    let code = config.value()["auto_map"]["AutoModel"].as_str().unwrap_or_default();
    match modules.first() {
        Some(first) if first.class() == OWN_TRANSFORMER && !code.starts_with("jinaai/xlm-roberta-flash-") => {
            Err(first
                .refused("is code of the model's own, which is not run; only that of Jina v3 is known")
                .into())
        }
        _ => Ok(()),
    }
}

fn found(folder: &Path, entry: ModuleEntry, list: &Config) -> Result<FoundModule, Error> {
    let inside = Path::new(&entry.path)
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !inside {
        return Err(Error::OutsideFolder { path: list.path().into(), module: entry.path });
    }
    Ok(FoundModule { class: entry.class, folder: folder.join(entry.path), list: list.clone() })
}

pub(crate) fn optional<T: Default + serde::de::DeserializeOwned>(path: &Path) -> Result<T, Error> {
    if files::exists(path)? { Ok(Config::open(path)?.read()?) } else { Ok(T::default()) }
}

/// Modes in the order in which the reference concatenates them, with the field of the old spelling.
const POOLING_FIELDS: [(&str, PoolingMode); 6] = [
    ("pooling_mode_cls_token", PoolingMode::Cls),
    ("pooling_mode_max_tokens", PoolingMode::Max),
    ("pooling_mode_mean_tokens", PoolingMode::Mean),
    ("pooling_mode_mean_sqrt_len_tokens", PoolingMode::MeanSqrtLen),
    ("pooling_mode_weightedmean_tokens", PoolingMode::WeightedMean),
    ("pooling_mode_lasttoken", PoolingMode::LastToken),
];

fn read_pooling(config: &Config) -> Result<Pooling, Error> {
    let fields = config.value();
    let has_width =
        ["word_embedding_dimension", "embedding_dimension"].iter().any(|name| fields[name].is_u64());
    config.check(has_width, || "no embedding_dimension (older: word_embedding_dimension)".into())?;
    let include_prompt = fields["include_prompt"].as_bool().unwrap_or(true);
    let mut modes = named_modes(config)?;
    if modes.is_empty() {
        let chosen = POOLING_FIELDS.iter().filter(|(field, _)| fields[field].as_bool() == Some(true));
        modes = chosen.map(|&(_, mode)| mode).collect();
    }
    if modes.is_empty() {
        modes.push(PoolingMode::Mean);
    }
    let repeated = (1..modes.len()).any(|at| modes[..at].contains(&modes[at]));
    config.check(!repeated, || "pooling_mode names a mode twice".into())?;
    Ok(Pooling { modes, include_prompt, padding: None })
}

/// `pooling_mode` of the new spelling: a name, or a list of names.
fn named_modes(config: &Config) -> Result<Vec<PoolingMode>, Error> {
    let value = &config.value()["pooling_mode"];
    let names = match value.as_array() {
        Some(names) => names.iter().collect(),
        None if value.is_null() => Vec::new(),
        None => vec![value],
    };
    let mode = |name: &&serde_json::Value| name.as_str().and_then(PoolingMode::named);
    names.iter().map(|name| mode(name).ok_or_else(|| unknown_mode(config, name))).collect()
}

fn unknown_mode(config: &Config, name: &serde_json::Value) -> Error {
    let known: Vec<_> = PoolingMode::ALL.iter().map(|(name, _)| *name).collect();
    config.unsupported(format!("pooling_mode {name} is not known; known are {}", known.join(", "))).into()
}

/// A Dense module that works on `input`: sentences, or tokens.
pub(crate) fn read_dense(module: &FoundModule, input: &str) -> Result<LayerSource, Error> {
    let config = module.config()?;
    let fields: DenseConfig = config.read()?;
    if fields.use_residual {
        return Err(config.unsupported("use_residual true is not supported").into());
    }
    for name in [fields.module_input_name, fields.module_output_name].into_iter().flatten() {
        if name != input {
            return Err(config.unsupported(format!("works on {name:?}; supported is {input:?}")).into());
        }
    }
    let class = &fields.activation_function;
    let activation = Activation::torch_class(class)
        .ok_or_else(|| config.unsupported(format!("activation_function {class:?} is not supported")))?;
    let (inputs, outputs) = (fields.in_features, fields.out_features);
    config.check_size("in_features", inputs)?;
    config.check_size("out_features", outputs)?;
    let folder = module.folder.clone();
    let bias = fields.bias;
    Ok(LayerSource::Dense(DenseSource { folder, file: None, config, inputs, outputs, bias, activation }))
}

/// A LayerNorm module, of sentences.
fn read_norm(module: &FoundModule) -> Result<LayerSource, Error> {
    let config = module.config()?;
    let columns = config.value()["dimension"].as_u64().unwrap_or(0) as usize;
    config.check_size("dimension", columns)?;
    Ok(LayerSource::Norm(NormSource { folder: module.folder.clone(), config, columns }))
}
