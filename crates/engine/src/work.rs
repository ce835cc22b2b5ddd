//! What a kind of model does with texts: the part in which embedders, rerankers and the others differ.

use std::sync::Arc;

use text::{Encoded, Limit};

use crate::classifier::Classifier;
use crate::embedder::Embedder;
use crate::hybrid::HybridEmbedder;
use crate::load::Parts;
use crate::model::Model;
use crate::multi_vector::MultiVectorEmbedder;
use crate::request::CallSettings;
use crate::reranker::Reranker;
use crate::sparse::SparseEmbedder;
use crate::spec::Purpose;
use crate::{Error, Overflow, Task};

/// A kind of model.
pub(crate) trait Work: Send + Sync {
    /// How a call's texts are read. A fault here is the whole call's.
    fn plan(&self, model: &Model, settings: &CallSettings) -> Result<Plan, Error> {
        Plan::prompted(model, settings)
    }

    /// A text's tokens: in one window, or several that are computed each by itself.
    fn encode(&self, call: &Call, text: &str) -> Result<Vec<Encoded>, Error> {
        call.windows(text)
    }

    /// Whether the model computes; else a text's tokens are all that its row is made of.
    fn computes(&self, _: &Call) -> bool {
        true
    }

    /// How long rows of the result are.
    fn width(&self, call: &Call) -> Width;

    /// From what the model makes of a text's windows to a row of the result.
    fn finish(&self, call: &Call, windows: &[Made]) -> Result<Piece, Error>;
}

/// The kind that a model's files and its task make it.
pub(crate) fn work(parts: &Parts) -> Result<Box<dyn Work>, Error> {
    let (spec, tokenizer) = (&parts.spec, &parts.tokenizer.tokenizer);
    Ok(match &spec.purpose {
        Purpose::Embed => Box::new(Embedder),
        Purpose::Rerank => Box::new(Reranker::new(&spec.source.config, false)?),
        Purpose::Judge => Box::new(Reranker::new(&spec.source.config, true)?),
        Purpose::Classify(labels) => Box::new(Classifier::new(labels)),
        Purpose::Sparse(lexicon, queries) => {
            Box::new(SparseEmbedder::new(*lexicon, queries.clone(), tokenizer))
        }
        Purpose::Tokens(late) => Box::new(MultiVectorEmbedder::new(late, tokenizer, &spec.source.config)?),
        Purpose::Hybrid(late) => Box::new(HybridEmbedder::new(late, tokenizer)),
    })
}

/// Texts on their way through a model.
pub(crate) struct Call {
    pub(crate) model: Arc<Model>,
    pub(crate) texts: Vec<String>,
    pub(crate) settings: CallSettings,
    pub(crate) plan: Plan,
}

/// How a call's texts are read.
pub(crate) struct Plan {
    /// What stands before each.
    pub(crate) prompt: String,
    pub(crate) limit: Limit,
    /// Whether a text that is too long is read in windows.
    pub(crate) chunks: bool,
}

impl Call {
    /// Settings brought into a plan; a fault here is the whole call's.
    pub(crate) fn new(model: Arc<Model>, texts: Vec<String>, settings: CallSettings) -> Result<Self, Error> {
        if settings.query.is_some() != (model.task() == Task::Rerank) {
            let message = "a reranker, and no other model, reads its texts with a query".into();
            return Err(Error::Internal { message });
        }
        let plan = model.work.plan(&model, &settings)?;
        Ok(Self { model, texts, settings, plan })
    }

    /// Bytes of a text, with its query.
    pub(crate) fn bytes(&self, row: usize) -> usize {
        self.query().len() + self.texts[row].len()
    }

    /// What a reranker reads each text with.
    pub(crate) fn query(&self) -> &str {
        self.settings.query.as_deref().unwrap_or_default()
    }

    /// The tokens of a text behind the prompt: in one window, or in several where it is too long and may be read so.
    pub(crate) fn windows(&self, text: &str) -> Result<Vec<Encoded>, Error> {
        let (Plan { prompt, limit, chunks }, tokenizer) = (&self.plan, self.model.tokenizer());
        Ok(match chunks {
            true => tokenizer.encode_windows(prompt, text, limit)?,
            false => vec![tokenizer.encode_prompted(prompt, text, limit)?],
        })
    }

    pub(crate) fn encode(&self, row: usize) -> Result<Vec<Encoded>, Error> {
        self.model.work.encode(self, &self.texts[row])
    }

    pub(crate) fn width(&self) -> Width {
        self.model.work.width(self)
    }

    pub(crate) fn finish(&self, windows: &[Made]) -> Result<Piece, Error> {
        self.model.work.finish(self, windows)
    }
}

impl Plan {
    /// Texts without anything before them.
    pub(crate) fn plain(model: &Model, settings: &CallSettings) -> Self {
        let limit = settings.limit(model.tokenizer(), model.info().max_length);
        Self { prompt: String::new(), limit, chunks: settings.overflow == Overflow::Chunk }
    }

    /// Texts behind the prompt that the call chooses.
    pub(crate) fn prompted(model: &Model, settings: &CallSettings) -> Result<Self, Error> {
        Ok(Self { prompt: model.prompt(&settings.prompt)?, ..Self::plain(model, settings) })
    }
}

/// How long rows of a result are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    /// All the same.
    Fixed(usize),
    /// Each its own, made of vectors of so many values.
    Ragged(usize),
}

/// A window of a text, and what the model made of it.
pub(crate) struct Made {
    /// Its tokens.
    pub(crate) text: Encoded,
    /// One vector, or one a token; of several outputs, one after the other.
    pub(crate) values: Vec<f32>,
}

/// A row of the result.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    /// The token of each value, where rows are sparse.
    pub(crate) indices: Vec<u32>,
    /// Its values.
    pub(crate) values: Vec<f32>,
}

impl From<Vec<f32>> for Piece {
    fn from(values: Vec<f32>) -> Self {
        Self { values, ..Self::default() }
    }
}

/// The windows of a text, all of whose values are numbers.
pub(crate) fn finite(windows: &[Made]) -> Result<&[Made], Error> {
    let values = windows.iter().flat_map(|window| &window.values);
    if values.into_iter().all(|value| value.is_finite()) { Ok(windows) } else { Err(Error::NotFinite) }
}
