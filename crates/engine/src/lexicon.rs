//! What a sparse model's files claim: SPLADE's weights of the vocabulary, or bge-m3's weights of a text's own tokens.
//!
//! Sources: sentence-transformers 6.2, `sparse_encoder/models/SpladePooling.py`; FlagEmbedding 1.3,
//! `inference/embedder/encoder_only/m3.py`.

use std::path::Path;
use std::sync::Arc;

use nn::{Activation, Config, DenseSource, HeadSource, LayerSource, files};
use serde::Deserialize;
use text::{Encoded, Tokenizer};

use crate::Error;
use crate::kind::Kind;
use crate::load::Task;
use crate::router::QueryTable;
use crate::spec::{FoundModule, Purpose, is_architecture, query_table};
use crate::work::Piece;

/// How weights of tokens come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lexicon {
    /// The logarithm of 1 + the positive part of each logit, so many times over; of all tokens of a text the largest.
    Splade {
        /// Once; twice for `log1p_relu`.
        logarithms: usize,
        /// Of all tokens the sum instead.
        sum: bool,
    },
    /// The largest weight of each token of the text, without special tokens.
    OwnTokens,
}

#[derive(Deserialize)]
struct SpladePooling {
    #[serde(default = "max")]
    pooling_strategy: String,
    #[serde(default = "relu")]
    activation_function: String,
}

fn max() -> String {
    "max".into()
}

fn relu() -> String {
    "relu".into()
}

/// bge-m3's weights of tokens, beside the model.
const WEIGHTS: &str = "sparse_linear.safetensors";

/// The head of a sparse model.
pub(crate) fn head(
    folder: &Path,
    transformer: &Path,
    config: &Config,
    modules: &[FoundModule],
) -> Result<(HeadSource, Purpose), Error> {
    match modules {
        [_, pooling] if pooling.class() == "SpladePooling" => {
            Ok(splade(&pooling.config()?)?.head(query_table(folder)?))
        }
        [] if is_architecture(config, "ForMaskedLM") => {
            Ok(Lexicon::Splade { logarithms: 1, sum: false }.head(None))
        }
        _ => {
            if let Some(layer) = own_layer(transformer, config)? {
                let layers = vec![layer];
                return Ok((HeadSource::Tokens { layers }, Purpose::Sparse(Lexicon::OwnTokens, None)));
            }
            let kind = Kind::of(config, modules);
            let why = "it weighs no tokens: it has neither a masked-language-model head with SpladePooling behind it or \
                       nothing, nor sparse_linear.safetensors beside its weights";
            match modules.last().filter(|_| kind.is(Task::Sparse)) {
                Some(last) => Err(last.refused("stands where only SpladePooling is supported").into()),
                None => Err(kind.refusal(Task::Sparse, config, why).into()),
            }
        }
    }
}

fn splade(config: &Config) -> Result<Lexicon, Error> {
    let fields: SpladePooling = config.read()?;
    let unknown = |field: &str, value: &str, known: &str| -> Error {
        config.unsupported(format!("{field} {value:?} is not known; known are {known}")).into()
    };
    let sum = match fields.pooling_strategy.as_str() {
        "max" => false,
        "sum" => true,
        other => return Err(unknown("pooling_strategy", other, "max and sum")),
    };
    let logarithms = match fields.activation_function.as_str() {
        "relu" => 1,
        "log1p_relu" => 2,
        other => return Err(unknown("activation_function", other, "relu and log1p_relu")),
    };
    Ok(Lexicon::Splade { logarithms, sum })
}

/// bge-m3's layer that weighs tokens, if it lies beside the model.
pub(crate) fn own_layer(folder: &Path, config: &Config) -> Result<Option<LayerSource>, Error> {
    if !own_file(folder, WEIGHTS, config)? {
        return Ok(None);
    }
    beside(folder, WEIGHTS, config, Some(1)).map(Some)
}

/// Whether a layer's file lies beside the model. One that is there as a pickle alone is refused.
pub(crate) fn own_file(folder: &Path, file: &'static str, config: &Config) -> Result<bool, Error> {
    if files::exists(&folder.join(file))? {
        return Ok(true);
    }
    let pickle = file.replace(".safetensors", ".pt");
    if files::exists(&folder.join(&pickle))? {
        let message = format!(
            "{pickle} lies beside it, a pickle, which is not read as it is: `npx @x/embed-native convert <folder>` makes {file} of it"
        );
        return Err(config.unsupported(message).into());
    }
    Ok(false)
}

/// A layer on tokens in a file of its own beside the model; `None` outputs: as many as inputs.
pub(crate) fn beside(
    folder: &Path,
    file: &'static str,
    config: &Config,
    outputs: Option<usize>,
) -> Result<LayerSource, Error> {
    let inputs = config.value()["hidden_size"].as_u64().unwrap_or(0) as usize;
    config.check_size("hidden_size", inputs)?;
    let activation = outputs.map(|_| Activation::Relu);
    let (folder, config, outputs) = (folder.to_path_buf(), config.clone(), outputs.unwrap_or(inputs));
    let (file, bias) = (Some(file), true);
    Ok(LayerSource::Dense(DenseSource { folder, file, config, inputs, outputs, bias, activation }))
}

impl Lexicon {
    /// The head that it needs, and itself.
    fn head(self, queries: Option<Arc<QueryTable>>) -> (HeadSource, Purpose) {
        let largest = !matches!(self, Self::Splade { sum: true, .. });
        (HeadSource::Vocabulary { largest }, Purpose::Sparse(self, queries))
    }

    /// The weights above 0, by ascending token, of what the model made of a text.
    pub(crate) fn weigh(self, text: &Encoded, made: &[f32], specials: &[u32]) -> Piece {
        let weights: Vec<(u32, f32)> = match self {
            Self::Splade { logarithms, sum } => {
                let weight = |logit: f32| (0..logarithms).fold(logit.max(0.0), |value, _| value.ln_1p());
                let weights = match sum {
                    true => summed(made, text.ids.len(), weight),
                    false => made.iter().map(|&logit| weight(logit)).collect(),
                };
                (0..).zip(weights).filter(|&(_, weight)| weight > 0.0).collect()
            }
            Self::OwnTokens => largest_of_each(text, made, specials),
        };
        let (indices, values) = weights.into_iter().unzip();
        Piece { indices, values }
    }

    /// Tokens that a text's own weights leave out: those of the frame, of padding and of unknown words.
    pub(crate) fn specials(self, tokenizer: &Tokenizer) -> Vec<u32> {
        let names = ["cls_token", "eos_token", "pad_token", "unk_token"];
        names.iter().filter_map(|name| tokenizer.named(name)).collect()
    }
}

/// Of `[tokens, vocabulary]` the sum of each column's weights.
fn summed(logits: &[f32], tokens: usize, weight: impl Fn(f32) -> f32) -> Vec<f32> {
    let columns = logits.len() / tokens.max(1);
    let mut sums = vec![0.0_f64; columns];
    for row in logits.chunks_exact(columns.max(1)) {
        sums.iter_mut().zip(row).for_each(|(sum, &logit)| *sum += f64::from(weight(logit)));
    }
    sums.into_iter().map(|sum| sum as f32).collect()
}

/// The weights of a text's windows as one: the largest of each token, as within a window.
pub(crate) fn largest(windows: impl Iterator<Item = Piece>) -> Piece {
    let join = |all: Piece, next: Piece| {
        let mut weights: Vec<(u32, f32)> = [all, next]
            .into_iter()
            .flat_map(|Piece { indices, values }| indices.into_iter().zip(values))
            .collect();
        keep_largest(&mut weights);
        let (indices, values) = weights.into_iter().unzip();
        Piece { indices, values }
    };
    windows.reduce(join).unwrap_or_default()
}

fn keep_largest(weights: &mut Vec<(u32, f32)>) {
    weights.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
    weights.dedup_by_key(|(id, _)| *id);
}

fn largest_of_each(text: &Encoded, made: &[f32], specials: &[u32]) -> Vec<(u32, f32)> {
    let mut weights: Vec<(u32, f32)> = text.ids.iter().copied().zip(made.iter().copied()).collect();
    weights.retain(|(id, weight)| *weight > 0.0 && !specials.contains(id));
    keep_largest(&mut weights);
    weights
}
