//! The handle of a loaded model.

use std::sync::{Mutex, PoisonError};

use engine::{
    ClassifyRequest, EmbedSettings, Error, Loaded, Request, Rows, SparseRequest, Task, Ticket, TokensRequest,
};
use napi_derive::napi;

use crate::options::{EmbedOptions, score};

/// A loaded model. Its memory is shared and freed with the last handle.
#[napi]
pub struct Model {
    info: String,
    task: Task,
    loaded: Mutex<Option<Loaded>>,
}

/// Told how a job ended.
pub(crate) type Done = Box<dyn FnOnce(Result<Rows, Error>) + Send>;

/// Runs texts through a model of any kind but a reranker, which takes pairs.
pub(crate) fn run(loaded: Loaded, texts: Vec<String>, options: EmbedOptions, ticket: Ticket, done: Done) {
    let (role, score) = (options.role(), score(options.score.as_deref()));
    let settings = EmbedSettings::from(options);
    let EmbedSettings { overflow, side, .. } = settings;
    match loaded {
        Loaded::Embedder(model) => model.embed(Request { texts, settings, ticket }, done),
        Loaded::Classifier(model) => {
            model.classify(ClassifyRequest { texts, score, overflow, side, ticket }, done);
        }
        Loaded::Sparse(model) => {
            let prompt = settings.prompt;
            model.embed(SparseRequest { texts, prompt, role, overflow, side, ticket }, done);
        }
        Loaded::Hybrid(model) => {
            let prompt = settings.prompt;
            model.embed(SparseRequest { texts, prompt, role, overflow, side, ticket }, done);
        }
        Loaded::MultiVector(model) => {
            model.embed(TokensRequest { texts, role, overflow, side, ticket }, done);
        }
        Loaded::Reranker(_) => done(Err(Error::Internal { message: "a reranker embeds nothing".into() })),
    }
}

impl Model {
    pub(crate) fn new(loaded: Loaded) -> Self {
        let info = serde_json::to_string(loaded.info()).unwrap_or_default();
        Self { info, task: loaded.task(), loaded: Mutex::new(Some(loaded)) }
    }

    /// What was loaded, unless disposed.
    pub(crate) fn loaded(&self) -> Option<Loaded> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[napi]
impl Model {
    /// What it is and how it runs, as JSON.
    #[napi(catch_unwind)]
    pub fn info(&self) -> String {
        self.info.clone()
    }

    /// What it was loaded for, by name.
    #[napi(catch_unwind)]
    pub fn task(&self) -> String {
        self.task.name().into()
    }

    /// Gives back this handle's share; calls in flight finish. May be called twice.
    #[napi(catch_unwind)]
    pub fn dispose(&self) {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
