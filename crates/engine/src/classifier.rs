//! A loaded classifier: it reads a text and scores labels.

use std::sync::Arc;

use text::{Encoded, Limit};

use crate::job::{Job, Made, Piece, Rows, Ticket, Width, Work, finite};
use crate::labels::{Labels, Scores};
use crate::load::Task;
use crate::model::Model;
use crate::spec::Purpose;
use crate::{Error, Fetched, Info, LoadOptions, Overflow, Score, Side};

/// A model that scores labels of texts. Shared by all who hold it; dropped by the last.
pub struct Classifier {
    model: Model,
}

/// Texts to classify.
pub struct ClassifyRequest {
    /// The texts.
    pub texts: Vec<String>,
    /// Which number a label gets.
    pub score: Score,
    /// What happens to a text that is too long.
    pub overflow: Overflow,
    /// The end at which it is cut; `None`: as the tokenizer's files say.
    pub side: Option<Side>,
    /// A copy of what can cancel them.
    pub ticket: Ticket,
}

impl Classifier {
    /// Loads the model of a folder, on the calling thread.
    ///
    /// # Errors
    /// As [`Classifier::open`].
    pub fn load(folder: &str, options: &LoadOptions) -> Result<Arc<Self>, Error> {
        Self::open(&folder.into(), options)
    }

    /// Loads a model that was fetched, on the calling thread.
    ///
    /// # Errors
    /// As [`Embedder::open`](crate::Embedder::open); a model without a classification head, labels that disagree.
    pub fn open(model: &Fetched, options: &LoadOptions) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Self { model: Model::load(model, options, Task::Classify)? }))
    }

    /// What it is and how it runs.
    pub fn info(&self) -> &Info {
        &self.model.info
    }

    /// What it shares with other kinds.
    pub(crate) fn model(&self) -> &Model {
        &self.model
    }

    /// Scores labels on the engine's threads and calls `done` on one of them: a row a text, a column a label.
    pub fn classify(
        self: &Arc<Self>,
        request: ClassifyRequest,
        done: impl FnOnce(Result<Rows, Error>) + Send + 'static,
    ) {
        let ClassifyRequest { texts, score, overflow, side, ticket } = request;
        let limit = self.model.limit(overflow, side);
        let scores = match score {
            Score::Model => self.labels().map_or(Scores::Softmax, |labels| labels.scores),
            Score::Sigmoid => Scores::Sigmoid,
            Score::Logit => Scores::Logits,
        };
        let work = ClassifyWork { classifier: self.clone(), texts, scores, limit };
        Job::start(work, ticket, Box::new(done));
    }

    fn labels(&self) -> Option<&Labels> {
        match &self.model.spec.purpose {
            Purpose::Classify(labels) => Some(labels),
            _ => None,
        }
    }
}

/// Texts on their way to scores.
struct ClassifyWork {
    classifier: Arc<Classifier>,
    texts: Vec<String>,
    scores: Scores,
    limit: Limit,
}

impl Work for ClassifyWork {
    fn model(&self) -> &Model {
        &self.classifier.model
    }

    fn len(&self) -> usize {
        self.texts.len()
    }

    fn bytes(&self, row: usize) -> usize {
        self.texts[row].len()
    }

    fn encode(&self, row: usize) -> Result<Vec<Encoded>, Error> {
        Ok(vec![self.model().tokenizer().encode(&self.texts[row], &self.limit)?])
    }

    fn width(&self) -> Width {
        Width::Fixed(self.model().backend.dims())
    }

    fn finish(&self, windows: &[Made]) -> Result<Piece, Error> {
        let mut values: Vec<f32> =
            finite(windows)?.iter().flat_map(|window| &window.values).copied().collect();
        self.scores.apply(&mut values);
        Ok(Piece { values, ..Piece::default() })
    }
}
