//! Cross-encoders: they read a query and a document together and score the pair.

use nn::{Activation, Config};
use text::Encoded;

use crate::labels::sigmoid;
use crate::model::Model;
use crate::request::{CallSettings, Score};
use crate::work::{Call, Made, Piece, Plan, Width, Work};
use crate::{Error, judge};

/// What scores pairs of texts: one row of width 1 each.
pub(crate) struct Reranker {
    /// What the model's config makes of a logit: `Sigmoid` or `Logit`.
    own_score: Score,
    /// Whether a language model answers.
    judges: bool,
}

impl Reranker {
    pub(crate) fn new(config: &Config, judges: bool) -> Result<Self, Error> {
        Ok(Self { own_score: own_score(config)?, judges })
    }
}

impl Work for Reranker {
    fn plan(&self, model: &Model, settings: &CallSettings) -> Result<Plan, Error> {
        let plan = Plan::plain(model, settings);
        let (what, remedy) = match self.judges {
            false if settings.instruction.is_some() => (
                "instruction with this model",
                "only language models that rerank take one (Qwen3-Reranker); leave it out",
            ),
            true if plan.chunks => (
                "onOverflow \"chunk\" with this model",
                "a language model that reranks takes \"truncate\" and \"error\"",
            ),
            _ => return Ok(plan),
        };
        Err(Error::Unavailable { what: what.into(), remedy: remedy.into() })
    }

    fn encode(&self, call: &Call, document: &str) -> Result<Vec<Encoded>, Error> {
        let (tokenizer, query) = (call.model.tokenizer(), call.query());
        let Plan { limit, chunks, .. } = &call.plan;
        Ok(match chunks {
            true => tokenizer.encode_pair_windows(query, document, limit)?,
            false if self.judges => {
                vec![judge::encode(
                    tokenizer,
                    call.settings.instruction.as_deref(),
                    [query, document],
                    limit,
                )?]
            }
            false => vec![tokenizer.encode_pair(query, document, limit)?],
        })
    }

    fn width(&self, _: &Call) -> Width {
        Width::Fixed(1)
    }

    fn finish(&self, call: &Call, windows: &[Made]) -> Result<Piece, Error> {
        let logit = windows.iter().map(logit).try_fold(f32::NEG_INFINITY, |best, logit| Ok(best.max(logit?)));
        let logit = logit.map_err(|()| Error::NotFinite)?;
        let score = match call.settings.score {
            Score::Model => self.own_score,
            asked => asked,
        };
        Ok(vec![if score == Score::Logit { logit } else { sigmoid(logit) }].into())
    }
}

/// The logit of a window: its one value, or what "yes" has before "no".
fn logit(window: &Made) -> Result<f32, ()> {
    let logit = match window.values[..] {
        [no, yes] => yes - no,
        ref values => values[0],
    };
    if logit.is_finite() { Ok(logit) } else { Err(()) }
}

/// The function that a cross-encoder's config names, by old and new spelling; the logistic function where it
/// names none (`sentence_transformers/cross_encoder/CrossEncoder.py`, v5.1, for one label).
fn own_score(config: &Config) -> Result<Score, Error> {
    let fields = config.value();
    let named =
        [&fields["sentence_transformers"]["activation_fn"], &fields["sbert_ce_default_activation_function"]]
            .into_iter()
            .find_map(|value| value.as_str());
    match named.map(|class| (class, Activation::torch_class(class))) {
        None | Some((_, Some(Some(Activation::Sigmoid)))) => Ok(Score::Sigmoid),
        Some((_, Some(None))) => Ok(Score::Logit),
        Some((class, _)) => {
            Err(config.unsupported(format!("activation_fn {class:?} is not supported for a reranker")).into())
        }
    }
}
