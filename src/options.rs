//! Options as JavaScript has them.

use engine::{CallSettings, Overflow, Priority, PromptChoice, Role, Score, Side, Source, Ticket, Token};
use napi_derive::napi;

/// What a load may decide.
#[napi(object)]
pub struct LoadOptions {
    /// `native`, `candle` or `onnx`.
    pub backend: Option<String>,
    /// `auto`, `cpu`, `cuda`, `cuda:N`, several with commas, or `metal`.
    pub device: Option<String>,
    /// `auto`, `f32` or `int8`.
    pub dtype: Option<String>,
    /// Threads this model may use at once.
    pub threads: Option<u32>,
    /// Tokens of the longest text that is not cut.
    pub max_length: Option<u32>,
    /// The most texts of a batch.
    pub max_batch: Option<u32>,
    /// A pooling by name.
    pub pooling: Option<String>,
    /// The folder of a PEFT LoRA adapter.
    pub adapter: Option<String>,
    /// The graph's file below the model's folder.
    pub onnx_file: Option<String>,
    /// The file of the ONNX Runtime library.
    pub onnx_library: Option<String>,
    /// Providers of ONNX Runtime.
    pub providers: Option<Vec<String>>,
    /// Where a model comes from that is named.
    pub hub: Option<HubOptions>,
}

/// What may be decided about a hub and its cache.
#[napi(object)]
pub struct HubOptions {
    /// A branch, a tag or a commit.
    pub revision: Option<String>,
    /// The folder of the cache.
    pub cache_dir: Option<String>,
    /// Whether no socket may be opened.
    pub offline: Option<bool>,
    /// What opens private and gated models.
    pub token: Option<String>,
    /// The address of a hub.
    pub endpoint: Option<String>,
    /// `huggingface` or `modelscope`.
    pub source: Option<String>,
}

/// A query and the documents that are read with it.
#[napi(object)]
pub struct Pairs {
    /// The query.
    pub query: String,
    /// The documents.
    pub documents: Vec<String>,
}

/// What a rerank call may decide.
#[napi(object)]
pub struct RerankOptions {
    /// What makes a document fit.
    pub instruction: Option<String>,
    /// `model`, `sigmoid` or `logit`.
    pub score: Option<String>,
    /// `truncate`, `error` or `chunk`.
    pub overflow: Option<String>,
    /// `right` or `left`.
    pub truncation_side: Option<String>,
    /// `interactive` or `background`.
    pub priority: Option<String>,
}

/// What an embed call may decide; all texts of a job share it.
#[napi(object)]
pub struct EmbedOptions {
    /// A prompt of the model by name.
    pub prompt: Option<String>,
    /// A prompt as text.
    pub prompt_text: Option<String>,
    /// `query` or `document`: the model's own prompt for it.
    pub purpose: Option<String>,
    /// Leading values to keep.
    pub dimensions: Option<u32>,
    /// Whether vectors have length 1.
    pub normalize: Option<bool>,
    /// Of labels: `model`, `sigmoid` or `logit`.
    pub score: Option<String>,
    /// `truncate`, `error` or `chunk`.
    pub overflow: Option<String>,
    /// `right` or `left`.
    pub truncation_side: Option<String>,
    /// `interactive` or `background`.
    pub priority: Option<String>,
}

impl From<LoadOptions> for engine::LoadOptions {
    fn from(options: LoadOptions) -> Self {
        Self {
            backend: options.backend,
            device: options.device,
            dtype: options.dtype,
            threads: options.threads.map(|threads| threads as usize),
            max_length: options.max_length.map(|length| length as usize),
            max_batch: options.max_batch.map(|texts| texts as usize),
            length_cap: None,
            pooling: options.pooling,
            adapter: options.adapter,
            onnx_file: options.onnx_file,
            onnx_library: options.onnx_library,
            providers: options.providers.unwrap_or_default(),
            hub: options.hub.map(Into::into).unwrap_or_default(),
        }
    }
}

impl From<HubOptions> for engine::HubOptions {
    fn from(options: HubOptions) -> Self {
        Self {
            revision: options.revision,
            cache_dir: options.cache_dir.map(Into::into),
            offline: options.offline,
            token: options.token.as_deref().map(Token::new),
            endpoint: options.endpoint,
            source: match options.source.as_deref() {
                Some("modelscope") => Source::ModelScope,
                _ => Source::HuggingFace,
            },
            // That of the call: the variables are read on another thread, later.
            working_folder: std::env::current_dir().ok(),
        }
    }
}

impl From<EmbedOptions> for CallSettings {
    fn from(options: EmbedOptions) -> Self {
        let (purpose, role) = match options.purpose.as_deref() {
            Some("query") => (PromptChoice::Query, Role::Query),
            Some("document") => (PromptChoice::Document, Role::Document),
            _ => (PromptChoice::Default, Role::Document),
        };
        let named = options.prompt.map(PromptChoice::Named);
        Self {
            prompt: options.prompt_text.map(PromptChoice::Literal).or(named).unwrap_or(purpose),
            role,
            dimensions: options.dimensions.map(|dimensions| dimensions as usize),
            normalize: options.normalize,
            score: score(options.score.as_deref()),
            overflow: overflow(options.overflow.as_deref()),
            side: side(options.truncation_side.as_deref()),
            ..Self::default()
        }
    }
}

impl From<RerankOptions> for CallSettings {
    fn from(options: RerankOptions) -> Self {
        Self {
            instruction: options.instruction,
            score: score(options.score.as_deref()),
            overflow: overflow(options.overflow.as_deref()),
            side: side(options.truncation_side.as_deref()),
            ..Self::default()
        }
    }
}

/// A kind of score by name.
fn score(name: Option<&str>) -> Score {
    match name {
        Some("sigmoid") => Score::Sigmoid,
        Some("logit") => Score::Logit,
        _ => Score::Model,
    }
}

/// A ticket for a job of a line, of a priority by name.
pub(crate) fn ticket(line: u64, priority: Option<&str>) -> Ticket {
    let priority = match priority {
        Some("background") => Priority::Background,
        _ => Priority::Interactive,
    };
    Ticket::new(priority, Some(line))
}

fn overflow(name: Option<&str>) -> Overflow {
    match name {
        Some("error") => Overflow::Error,
        Some("chunk") => Overflow::Chunk,
        _ => Overflow::Truncate,
    }
}

fn side(name: Option<&str>) -> Option<Side> {
    match name {
        Some("left") => Some(Side::Left),
        Some("right") => Some(Side::Right),
        _ => None,
    }
}
