//! Hybrid embedders: a vector, weights of tokens and vectors of tokens of a text, by one run of its encoder (bge-m3).

use std::path::Path;

use nn::{Config, HeadSource};
use text::Tokenizer;

use crate::embedder::mean;
use crate::finish::normalize;
use crate::kind::Kind;
use crate::late::{self, Late};
use crate::lexicon::{self, Lexicon};
use crate::spec::{FoundModule, Purpose, embedding_head};
use crate::work::{Call, Made, Piece, Width, Work, finite};
use crate::{Error, Task};

/// The three heads of bge-m3.
pub(crate) fn head(
    transformer: &Path,
    config: &Config,
    modules: &[FoundModule],
) -> Result<(HeadSource, Purpose), Error> {
    let weights = lexicon::own_layer(transformer, config)?;
    let vectors = late::own_layer(transformer, config)?;
    let (Some(weights), Some((vectors, late))) = (weights, vectors) else {
        let why = "it lacks sparse_linear.safetensors or colbert_linear.safetensors beside its weights, which make weights \
                   and vectors of tokens";
        return Err(Kind::of(config, modules).refusal(Task::Hybrid, config, why).into());
    };
    let tokens = |layer| HeadSource::Tokens { layers: vec![layer] };
    let heads = vec![embedding_head(modules)?, tokens(weights), tokens(vectors)];
    Ok((HeadSource::Several(heads), Purpose::Hybrid(late)))
}

/// What makes three things of a text at once. Values of a row: its one vector, a weight for each of its indices, and its tokens'
/// vectors.
pub(crate) struct HybridEmbedder {
    late: Late,
    /// Tokens whose own weights do not count.
    specials: Vec<u32>,
}

impl HybridEmbedder {
    pub(crate) fn new(late: &Late, tokenizer: &Tokenizer) -> Self {
        Self { late: late.clone(), specials: Lexicon::OwnTokens.specials(tokenizer) }
    }
}

impl Work for HybridEmbedder {
    fn width(&self, call: &Call) -> Width {
        Width::Ragged(call.model.backend.forms().last().map_or(0, |form| form.dims))
    }

    fn finish(&self, call: &Call, windows: &[Made]) -> Result<Piece, Error> {
        let (dims, normalizes) = (call.model.backend.dims(), call.model.spec.normalizes);
        let mut whole = mean(finite(windows)?, dims, normalizes).into_owned();
        if normalizes {
            normalize(&mut whole);
        }
        let weigh = |Made { text, values }: &Made| {
            Lexicon::OwnTokens.weigh(text, &values[dims..][..text.ids.len()], &self.specials)
        };
        let mut piece = lexicon::largest(windows.iter().map(weigh));
        whole.append(&mut piece.values);
        for Made { text, values } in windows {
            whole.extend(self.late.keep(&text.ids, &values[dims + text.ids.len()..], &[]));
        }
        Ok(Piece { values: whole, ..piece })
    }
}
