//! Options as JavaScript has them.

use engine::{EmbedSettings, Overflow, PromptChoice, Side};
use napi_derive::napi;

/// What a load may decide.
#[napi(object)]
pub struct LoadOptions {
    /// `native`.
    pub backend: Option<String>,
    /// `auto` or `cpu`.
    pub device: Option<String>,
    /// `auto` or `f32`.
    pub dtype: Option<String>,
    /// Threads this model may use at once.
    pub threads: Option<u32>,
    /// Tokens of the longest text that is not cut.
    pub max_length: Option<u32>,
    /// A pooling by name.
    pub pooling: Option<String>,
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
    /// `truncate` or `error`.
    pub overflow: Option<String>,
    /// `right` or `left`.
    pub truncation_side: Option<String>,
}

impl From<LoadOptions> for engine::LoadOptions {
    fn from(options: LoadOptions) -> Self {
        Self {
            backend: options.backend,
            device: options.device,
            dtype: options.dtype,
            threads: options.threads.map(|threads| threads as usize),
            max_length: options.max_length.map(|length| length as usize),
            pooling: options.pooling,
        }
    }
}

impl From<EmbedOptions> for EmbedSettings {
    fn from(options: EmbedOptions) -> Self {
        let purpose = match options.purpose.as_deref() {
            Some("query") => PromptChoice::Query,
            Some("document") => PromptChoice::Document,
            _ => PromptChoice::Default,
        };
        let named = options.prompt.map(PromptChoice::Named);
        Self {
            prompt: options.prompt_text.map(PromptChoice::Literal).or(named).unwrap_or(purpose),
            dimensions: options.dimensions.map(|dimensions| dimensions as usize),
            normalize: options.normalize,
            overflow: match options.overflow.as_deref() {
                Some("error") => Overflow::Error,
                _ => Overflow::Truncate,
            },
            side: match options.truncation_side.as_deref() {
                Some("left") => Some(Side::Left),
                Some("right") => Some(Side::Right),
                _ => None,
            },
        }
    }
}
