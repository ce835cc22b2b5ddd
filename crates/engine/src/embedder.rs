//! A loaded embedding model.

use std::borrow::Cow;
use std::sync::Arc;

use text::{Encoded, Limit};

use crate::finish::{Finish, normalize};
use crate::job::{Job, Made, Piece, Rows, Ticket, Width, Work};
use crate::load::Task;
use crate::model::Model;
use crate::{Error, Fetched, Info, LoadOptions, Overflow, Side};

/// What a call may decide about its vectors.
#[derive(Debug, Default, Clone)]
pub struct EmbedSettings {
    /// What stands before each text.
    pub prompt: PromptChoice,
    /// Leading values to keep; `None`: all, or as the model's files say.
    pub dimensions: Option<usize>,
    /// Whether vectors have length 1; `None`: as the model's pipeline says.
    pub normalize: Option<bool>,
    /// What happens to a text that is too long.
    pub overflow: Overflow,
    /// The end at which it is cut; `None`: as the tokenizer's files say.
    pub side: Option<Side>,
}

/// Which prompt stands before each text.
#[derive(Debug, Default, Clone)]
pub enum PromptChoice {
    /// The model's default prompt, if it has one.
    #[default]
    Default,
    /// The model's prompt for queries.
    Query,
    /// The model's prompt for documents.
    Document,
    /// A prompt of the model by name.
    Named(String),
    /// This text.
    Literal(String),
}

/// Texts to embed.
pub struct Request {
    /// The texts.
    pub texts: Vec<String>,
    /// What they have in common.
    pub settings: EmbedSettings,
    /// A copy of what can cancel them.
    pub ticket: Ticket,
}

/// A model that turns texts into vectors. Shared by all who hold it; dropped by the last.
pub struct Embedder {
    model: Model,
}

impl Embedder {
    /// Loads the model of a folder, on the calling thread.
    ///
    /// # Errors
    /// As [`Embedder::open`].
    pub fn load(folder: &str, options: &LoadOptions) -> Result<Arc<Self>, Error> {
        Self::open(&folder.into(), options)
    }

    /// Loads a model that was fetched, on the calling thread.
    ///
    /// # Errors
    /// Files that are missing, broken or ask for what is not supported; options that cannot be had.
    pub fn open(model: &Fetched, options: &LoadOptions) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Self { model: Model::load(model, options, Task::Embed)? }))
    }

    /// One of a model that a test has changed.
    #[cfg(test)]
    pub(crate) fn of(model: Model) -> Arc<Self> {
        Arc::new(Self { model })
    }

    /// What it is and how it runs.
    pub fn info(&self) -> &Info {
        &self.model.info
    }

    /// What it shares with other kinds.
    pub(crate) fn model(&self) -> &Model {
        &self.model
    }

    /// Embeds texts on the engine's threads and calls `done` on one of them when all rows are there; a fault
    /// in the settings calls it at once.
    pub fn embed(
        self: &Arc<Self>,
        request: Request,
        done: impl FnOnce(Result<Rows, Error>) + Send + 'static,
    ) {
        let Request { texts, settings, ticket } = request;
        match self.plan(&settings) {
            Ok(plan) => Job::start(EmbedWork { embedder: self.clone(), texts, plan }, ticket, Box::new(done)),
            Err(error) => done(Err(error)),
        }
    }

    /// Settings brought into numbers; a fault here is the whole call's.
    fn plan(&self, settings: &EmbedSettings) -> Result<Plan, Error> {
        let most = self.model.info.dims;
        let dimensions = match settings.dimensions {
            Some(value) if value == 0 || value > most => {
                return Err(Error::OutOfRange { name: "dimensions", value, least: 1, most });
            }
            chosen => chosen.unwrap_or(most),
        };
        let normalize = settings.normalize.unwrap_or(self.model.spec.normalizes);
        Ok(Plan {
            prompt: self.model.prompt(&settings.prompt)?,
            finish: Finish { dimensions, normalize },
            limit: self.model.limit(settings.overflow, settings.side),
            chunks: matches!(settings.overflow, Overflow::Chunk),
        })
    }
}

/// What all texts of a job have in common.
struct Plan {
    prompt: String,
    finish: Finish,
    limit: Limit,
    /// Whether a text that is too long is read in windows.
    chunks: bool,
}

/// The vector of one window; of several their mean, each counted by its tokens. Where the model's own pipeline brings vectors
/// to length 1, they have it first, whatever length the call asks for: it changes no direction. In the order of the windows,
/// so that the same text gives the same bits.
pub(crate) fn mean<'a>(windows: &'a [Made], dims: usize, unit: bool) -> Cow<'a, [f32]> {
    let vector = |window: &'a Made| &window.values[..dims];
    if let [one] = windows {
        return Cow::Borrowed(vector(one));
    }
    let mut sum = vec![0.0_f64; dims];
    for window in windows {
        let mut values = vector(window).to_vec();
        if unit {
            normalize(&mut values);
        }
        let tokens = window.text.ids.len() as f64;
        sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += tokens * f64::from(value));
    }
    let total: usize = windows.iter().map(|window| window.text.ids.len()).sum();
    Cow::Owned(sum.into_iter().map(|value| (value / total.max(1) as f64) as f32).collect())
}

/// Texts on their way to vectors.
struct EmbedWork {
    embedder: Arc<Embedder>,
    texts: Vec<String>,
    plan: Plan,
}

impl Work for EmbedWork {
    fn model(&self) -> &Model {
        &self.embedder.model
    }

    fn len(&self) -> usize {
        self.texts.len()
    }

    fn bytes(&self, row: usize) -> usize {
        self.texts[row].len()
    }

    fn encode(&self, row: usize) -> Result<Vec<Encoded>, Error> {
        let Plan { prompt, limit, chunks, .. } = &self.plan;
        self.model().windows(prompt, &self.texts[row], limit, *chunks)
    }

    fn width(&self) -> Width {
        Width::Fixed(self.plan.finish.dimensions)
    }

    fn finish(&self, windows: &[Made]) -> Result<Piece, Error> {
        let mut values = vec![0.0; self.plan.finish.dimensions];
        let model = self.model();
        let mean = mean(windows, model.backend.dims(), model.spec.normalizes);
        self.plan.finish.apply(&mean, &mut values)?;
        Ok(Piece { values, ..Piece::default() })
    }
}
