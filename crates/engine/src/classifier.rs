//! Classifiers: they read a text and score labels.

use crate::Error;
use crate::labels::{Labels, Scores};
use crate::model::Model;
use crate::request::{CallSettings, Score};
use crate::work::{Call, Made, Piece, Plan, Width, Work, finite};

/// What scores labels of texts: a row a text, a column a label.
pub(crate) struct Classifier {
    /// What the model's config makes of logits.
    own_scores: Scores,
}

impl Classifier {
    pub(crate) fn new(labels: &Labels) -> Self {
        Self { own_scores: labels.scores }
    }
}

impl Work for Classifier {
    fn plan(&self, model: &Model, settings: &CallSettings) -> Result<Plan, Error> {
        Ok(Plan { chunks: false, ..Plan::plain(model, settings) })
    }

    fn width(&self, call: &Call) -> Width {
        Width::Fixed(call.model.backend.dims())
    }

    fn finish(&self, call: &Call, windows: &[Made]) -> Result<Piece, Error> {
        let windows = finite(windows)?;
        let mut values: Vec<f32> = windows.iter().flat_map(|window| &window.values).copied().collect();
        let scores = match call.settings.score {
            Score::Model => self.own_scores,
            Score::Sigmoid => Scores::Sigmoid,
            Score::Logit => Scores::Logits,
        };
        scores.apply(&mut values);
        Ok(values.into())
    }
}
