//! What a late-interaction model's files claim (ColBERT, Khattab and Zaharia 2020, arXiv:2004.12832): the projection
//! of tokens, markers of queries and documents, lengths, the expansion of queries, and tokens of documents that do not
//! count. Read in the layouts of PyLate, Stanford's ColBERT, sentence-transformers 6 and bge-m3.
//!
//! Source: sentence-transformers 6.2, `multi_vector_encoder/model.py` (`_parse_model_config`,
//! `_maybe_load_stanford_metadata`), which reads all but the last; FlagEmbedding 1.3,
//! `inference/embedder/encoder_only/m3.py`.

use std::path::Path;

use nn::{Checkpoint, Config, DenseSource, HeadSource, LayerSource};
use serde::Deserialize;

use crate::Error;
use crate::finish::normalize;
use crate::kind::Kind;
use crate::lexicon::{beside, own_file};
use crate::load::Task;
use crate::spec::{FoundModule, Purpose, is_architecture, optional, read_dense};

/// How texts become vectors of their tokens.
#[derive(Debug, Default, Clone)]
pub(crate) struct Late {
    /// Tokens that are kept whole in a text.
    pub(crate) markers: Vec<String>,
    /// What stands before a query and a document.
    pub(crate) prompts: [String; 2],
    /// Tokens of the longest query, where the files say so.
    pub(crate) query_length: Option<usize>,
    /// Tokens of the longest document, where the files say so.
    pub(crate) document_length: Option<usize>,
    /// What queries are filled up with.
    pub(crate) expansion: Option<Expansion>,
    /// Tokens that do not count in documents.
    pub(crate) skipped: Vec<String>,
    /// Whether the first token does not count.
    pub(crate) skips_first: bool,
    /// Whether each vector is brought to length 1.
    pub(crate) normalizes: bool,
}

/// A query becomes at least so long; the rest is a token that stands for what was not said.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Expansion {
    #[serde(default = "fixed")]
    strategy: String,
    /// Whether the other tokens see the added ones.
    #[serde(default)]
    pub(crate) attend: bool,
    /// The added token; `None`: the tokenizer's mask.
    pub(crate) token: Option<String>,
    /// Tokens of an expanded query.
    pub(crate) length: usize,
}

fn fixed() -> String {
    "fixed".into()
}

/// ColBERT's own length of queries.
const QUERY_LENGTH: usize = 32;
/// Every query is as long as its expansion: this bounds what one costs.
const MOST_LENGTH: usize = 1 << 13;
const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
const WEIGHTS: &str = "colbert_linear.safetensors";
const TOKENS: &str = "token_embeddings";

/// The head of a late-interaction model.
pub(crate) fn head(
    folder: &Path,
    transformer: &Path,
    config: &Config,
    modules: &[FoundModule],
) -> Result<(HeadSource, Purpose), Error> {
    let (layers, late) = if let Some((layer, late)) = own_layer(transformer, config)? {
        (vec![layer], late)
    } else if modules.is_empty() && is_architecture(config, "HF_ColBERT") {
        (vec![projection(transformer, config)?], stanford(&folder.join("artifact.metadata"))?)
    } else {
        of_modules(folder, transformer, config, modules)?
    };
    late.check(config)?;
    Ok((HeadSource::Tokens { layers }, Purpose::Tokens(late)))
}

/// bge-m3's layer that makes vectors of tokens, if it lies beside the model.
pub(crate) fn own_layer(folder: &Path, config: &Config) -> Result<Option<(LayerSource, Late)>, Error> {
    if !own_file(folder, WEIGHTS, config)? {
        return Ok(None);
    }
    let late = Late { skips_first: true, normalizes: true, ..Late::default() };
    Ok(Some((beside(folder, WEIGHTS, config, None)?, late)))
}

#[derive(Default, Deserialize)]
struct Artifact {
    query_token_id: Option<String>,
    doc_token_id: Option<String>,
    query_maxlen: Option<usize>,
    doc_maxlen: Option<usize>,
    mask_punctuation: Option<bool>,
    attend_to_mask_tokens: Option<bool>,
}

/// Stanford's layout: `linear.weight` beside the encoder's weights, and artifact.metadata.
fn stanford(path: &Path) -> Result<Late, Error> {
    let fields: Artifact = optional(path)?;
    let [query, document] = [(fields.query_token_id, "[unused0]"), (fields.doc_token_id, "[unused1]")]
        .map(|(marker, usual)| marker.unwrap_or_else(|| usual.into()));
    let expansion = Expansion {
        strategy: fixed(),
        attend: fields.attend_to_mask_tokens.unwrap_or(false),
        token: None,
        length: fields.query_maxlen.unwrap_or(QUERY_LENGTH),
    };
    Ok(Late {
        prompts: [format!("{query} "), format!("{document} ")],
        markers: vec![query, document],
        document_length: fields.doc_maxlen,
        expansion: Some(expansion),
        skipped: if fields.mask_punctuation.unwrap_or(true) { punctuation() } else { Vec::new() },
        normalizes: true,
        ..Late::default()
    })
}

/// The layer `linear` among the encoder's weights; its shape is in no config.
fn projection(folder: &Path, config: &Config) -> Result<LayerSource, Error> {
    let shape = Checkpoint::open(folder)?.shape_of("linear.weight")?;
    let [outputs, inputs] = shape[..] else {
        return Err(config
            .broken(format!("linear.weight has shape {shape:?}; outputs by inputs is expected"))
            .into());
    };
    config.check_size("rows of linear.weight", outputs)?;
    let (folder, config) = (folder.to_path_buf(), config.clone());
    let dense = DenseSource { folder, file: None, config, inputs, outputs, bias: false, activation: None };
    Ok(LayerSource::Dense(dense))
}

fn punctuation() -> Vec<String> {
    PUNCTUATION.chars().map(String::from).collect()
}

/// What PyLate writes into config_sentence_transformers.json.
#[derive(Default, Deserialize)]
struct Knobs {
    /// `ColBERT` of PyLate's.
    model_type: Option<String>,
    query_prefix: Option<String>,
    document_prefix: Option<String>,
    query_length: Option<usize>,
    document_length: Option<usize>,
    do_query_expansion: Option<bool>,
    attend_to_expansion_tokens: Option<bool>,
    skiplist_words: Option<Vec<String>>,
    #[serde(default)]
    prompts: std::collections::BTreeMap<String, Option<String>>,
}

/// What sentence-transformers 6 writes into sentence_bert_config.json.
#[derive(Default, Deserialize)]
struct TransformerKnobs {
    query_length: Option<usize>,
    document_length: Option<usize>,
    query_expansion: Option<Expansion>,
    max_seq_length: Option<usize>,
}

#[derive(Deserialize)]
struct MaskConfig {
    #[serde(default)]
    skiplist_words: Vec<String>,
    skiplist_tasks: Option<Vec<String>>,
    keep_only_token_ids: Option<Vec<u32>>,
}

fn of_modules(
    folder: &Path,
    transformer: &Path,
    config: &Config,
    modules: &[FoundModule],
) -> Result<(Vec<LayerSource>, Late), Error> {
    let kind = Kind::of(config, modules);
    let pooled = modules.iter().any(|module| module.class() == "Pooling");
    if modules.is_empty() || pooled || kind.is(Task::Sparse) {
        let why = "it keeps no vectors of tokens: it has neither modules of such, nor HF_ColBERT as its architecture, nor \
                   colbert_linear.safetensors beside its weights";
        return Err(kind.refusal(Task::Late, config, why).into());
    }
    let knobs: Knobs = optional(&folder.join("config_sentence_transformers.json"))?;
    let own: TransformerKnobs = optional(&transformer.join("sentence_bert_config.json"))?;
    let mut late = if knobs.is_pylate() { knobs.late() } else { own.late(&knobs) };
    let mut layers = Vec::new();
    for module in modules.iter().skip(1) {
        match module.class() {
            "Dense" if module.is_pylate() => layers.push(read_dense(module, "sentence_embedding")?),
            "Dense" => layers.push(read_dense(module, TOKENS)?),
            "MultiVectorMask" => late.skipped = skipped(&module.config()?)?,
            "Normalize" => late.normalizes = true,
            _ => {
                return Err(module
                    .refused(
                        "makes no vectors of tokens; supported is Transformer, and behind it Dense, MultiVectorMask \
                         and Normalize",
                    )
                    .into());
            }
        }
    }
    Ok((layers, late))
}

fn skipped(config: &Config) -> Result<Vec<String>, Error> {
    let fields: MaskConfig = config.read()?;
    let documents = |tasks: &Vec<String>| tasks.len() == 1 && tasks[0] == "document";
    if fields.skiplist_tasks.as_ref().is_some_and(|tasks| !documents(tasks)) {
        return Err(config.unsupported("skiplist_tasks other than [\"document\"] are not supported").into());
    }
    if fields.keep_only_token_ids.is_some_and(|ids| !ids.is_empty()) {
        return Err(config.unsupported("keep_only_token_ids is not supported: it is for images").into());
    }
    Ok(fields.skiplist_words)
}

impl Knobs {
    fn is_pylate(&self) -> bool {
        let named = self.model_type.as_deref() == Some("ColBERT");
        named || self.query_prefix.is_some() || self.document_prefix.is_some()
    }

    /// PyLate's: markers before texts, queries filled up, vectors of length 1, punctuation left out unless said.
    fn late(self) -> Late {
        let Self { mut prompts, .. } = self;
        let mut prompt = |name: &str, marker: &Option<String>| {
            let marker = marker.clone().unwrap_or_default();
            let rest = prompts.remove(name).flatten().unwrap_or_default();
            let rest = rest.strip_prefix(&marker).map(String::from).unwrap_or(rest);
            format!("{marker}{rest}")
        };
        let own = [prompt("query", &self.query_prefix), prompt("document", &self.document_prefix)];
        let markers = [&self.query_prefix, &self.document_prefix].into_iter().flatten();
        let expansion = Expansion {
            strategy: fixed(),
            attend: self.attend_to_expansion_tokens.unwrap_or(false),
            token: None,
            length: self.query_length.unwrap_or(QUERY_LENGTH),
        };
        Late {
            markers: markers.flat_map(|marker| [marker.as_str(), marker.trim()].map(String::from)).collect(),
            prompts: own,
            query_length: self.query_length,
            document_length: self.document_length,
            expansion: self.do_query_expansion.unwrap_or(true).then_some(expansion),
            skipped: self.skiplist_words.unwrap_or_else(punctuation),
            normalizes: true,
            ..Late::default()
        }
    }
}

impl TransformerKnobs {
    fn late(self, knobs: &Knobs) -> Late {
        let prompt = |name: &str| knobs.prompts.get(name).cloned().flatten().unwrap_or_default();
        Late {
            prompts: [prompt("query"), prompt("document")],
            query_length: self.query_length,
            document_length: self.document_length.or(self.max_seq_length),
            expansion: self.query_expansion,
            ..Late::default()
        }
    }
}

impl Late {
    fn check(&self, config: &Config) -> Result<(), Error> {
        let Some(expansion) = &self.expansion else { return Ok(()) };
        config.check((1..=MOST_LENGTH).contains(&expansion.length), || {
            format!(
                "queries are filled up to {} tokens; it must be from 1 to {MOST_LENGTH}",
                expansion.length
            )
        })?;
        if !["fixed", "min"].contains(&expansion.strategy.as_str()) {
            let message = format!("query_expansion strategy {:?} is not known", expansion.strategy);
            return Err(config.unsupported(message).into());
        }
        Ok(())
    }

    /// Of one vector a token, those of the tokens that count: `skipped` are the tokens that do not, ascending.
    pub(crate) fn keep(&self, ids: &[u32], vectors: &[f32], skipped: &[u32]) -> Vec<f32> {
        let dims = vectors.len() / ids.len().max(1);
        let mut kept = Vec::with_capacity(vectors.len());
        for ((place, id), vector) in ids.iter().enumerate().zip(vectors.chunks_exact(dims.max(1))) {
            if (place > 0 || !self.skips_first) && skipped.binary_search(id).is_err() {
                kept.extend_from_slice(vector);
            }
        }
        if self.normalizes {
            kept.chunks_exact_mut(dims.max(1)).for_each(normalize);
        }
        kept
    }

    /// Tokens of the longest query: an expansion of fixed length cuts, too.
    pub(crate) fn longest_query(&self) -> Option<usize> {
        match &self.expansion {
            Some(expansion) if expansion.strategy == "fixed" => Some(expansion.length),
            Some(expansion) => self.query_length.map(|length| length.max(expansion.length)),
            None => self.query_length,
        }
    }
}
