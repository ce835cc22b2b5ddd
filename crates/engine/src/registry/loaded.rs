//! A model, whatever it was loaded for.

use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::load::Task;
use crate::model::Model;
use crate::{
    Classifier, ClassifyRequest, EmbedSettings, Embedder, Error, Fetched, HybridEmbedder, Info, LoadOptions,
    MultiVectorEmbedder, Overflow, PromptChoice, Request, RerankRequest, Reranker, Role, Rows, Score,
    SparseEmbedder, SparseRequest, Ticket, TokensRequest,
};

/// A loaded model. Shared by all who hold it; dropped by the last.
#[derive(Clone)]
pub enum Loaded {
    /// One vector a text.
    Embedder(Arc<Embedder>),
    /// One score a pair of texts.
    Reranker(Arc<Reranker>),
    /// One score a label.
    Classifier(Arc<Classifier>),
    /// Weights of tokens.
    Sparse(Arc<SparseEmbedder>),
    /// One vector a token.
    MultiVector(Arc<MultiVectorEmbedder>),
    /// A vector, weights of tokens and one vector a token.
    Hybrid(Arc<HybridEmbedder>),
}

/// A model that others may have let go.
#[derive(Clone)]
pub(crate) enum Fading {
    Embedder(Weak<Embedder>),
    Reranker(Weak<Reranker>),
    Classifier(Weak<Classifier>),
    Sparse(Weak<SparseEmbedder>),
    MultiVector(Weak<MultiVectorEmbedder>),
    Hybrid(Weak<HybridEmbedder>),
}

impl Loaded {
    /// Loads a folder for a task, on the calling thread.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn load(folder: &str, options: &LoadOptions, task: Task) -> Result<Self, Error> {
        Self::open(&folder.into(), options, task)
    }

    /// Loads a model that was fetched for a task, on the calling thread.
    ///
    /// # Errors
    /// As [`Embedder::open`], [`Reranker::open`] and those of the other kinds.
    pub fn open(model: &Fetched, options: &LoadOptions, task: Task) -> Result<Self, Error> {
        Ok(match task {
            Task::Embed => Self::Embedder(Embedder::open(model, options)?),
            Task::Rerank => Self::Reranker(Reranker::open(model, options)?),
            Task::Classify => Self::Classifier(Classifier::open(model, options)?),
            Task::Sparse => Self::Sparse(SparseEmbedder::open(model, options)?),
            Task::Late => Self::MultiVector(MultiVectorEmbedder::open(model, options)?),
            Task::Hybrid => Self::Hybrid(HybridEmbedder::open(model, options)?),
        })
    }

    /// What it was loaded for.
    pub fn task(&self) -> Task {
        match self {
            Self::Embedder(_) => Task::Embed,
            Self::Reranker(_) => Task::Rerank,
            Self::Classifier(_) => Task::Classify,
            Self::Sparse(_) => Task::Sparse,
            Self::MultiVector(_) => Task::Late,
            Self::Hybrid(_) => Task::Hybrid,
        }
    }

    /// What it is and how it runs.
    pub fn info(&self) -> &Info {
        &self.model().info
    }

    /// Counts the tokens of each text, special ones included and nothing cut: the `tokens` of rows without columns.
    pub fn count(
        self,
        texts: Vec<String>,
        ticket: Ticket,
        done: impl FnOnce(Result<Rows, Error>) + Send + 'static,
    ) {
        self.note_use();
        crate::spawn(move || self.model().count(&texts, &ticket), done);
    }

    fn model(&self) -> &Model {
        match self {
            Self::Embedder(embedder) => embedder.model(),
            Self::Reranker(reranker) => reranker.model(),
            Self::Classifier(classifier) => classifier.model(),
            Self::Sparse(embedder) => embedder.model(),
            Self::MultiVector(embedder) => embedder.model(),
            Self::Hybrid(embedder) => embedder.model(),
        }
    }

    /// How long ago it was last asked or at work.
    pub(crate) fn idle_for(&self) -> Duration {
        self.model().used.ago()
    }

    /// It is asked now.
    pub(crate) fn note_use(&self) {
        self.model().used.note();
    }

    /// The same model, held no more.
    pub(crate) fn fading(&self) -> Fading {
        match self {
            Self::Embedder(embedder) => Fading::Embedder(Arc::downgrade(embedder)),
            Self::Reranker(reranker) => Fading::Reranker(Arc::downgrade(reranker)),
            Self::Classifier(classifier) => Fading::Classifier(Arc::downgrade(classifier)),
            Self::Sparse(embedder) => Fading::Sparse(Arc::downgrade(embedder)),
            Self::MultiVector(embedder) => Fading::MultiVector(Arc::downgrade(embedder)),
            Self::Hybrid(embedder) => Fading::Hybrid(Arc::downgrade(embedder)),
        }
    }

    /// Computes texts for the sake of computing.
    pub(crate) fn compute(
        &self,
        texts: Vec<String>,
        ticket: Ticket,
        done: impl FnOnce(Result<Rows, Error>) + Send + 'static,
    ) {
        let (prompt, score) = (PromptChoice::Default, Score::Logit);
        let (overflow, side, role) = (Overflow::Truncate, None, Role::Document);
        match self {
            Self::Embedder(embedder) => {
                embedder.embed(Request { texts, settings: EmbedSettings::default(), ticket }, done);
            }
            Self::Reranker(reranker) => {
                let (query, documents, instruction) = (String::from("a"), texts, None);
                let request = RerankRequest { query, documents, instruction, score, overflow, side, ticket };
                reranker.rerank(request, done);
            }
            Self::Classifier(classifier) => {
                classifier.classify(ClassifyRequest { texts, score, overflow, side, ticket }, done);
            }
            Self::Sparse(embedder) => {
                embedder.embed(SparseRequest { texts, prompt, role, overflow, side, ticket }, done);
            }
            Self::MultiVector(embedder) => {
                embedder.embed(TokensRequest { texts, role, overflow, side, ticket }, done);
            }
            Self::Hybrid(embedder) => {
                embedder.embed(SparseRequest { texts, prompt, role, overflow, side, ticket }, done);
            }
        }
    }
}

impl Fading {
    /// The model, if anybody still holds it.
    pub(crate) fn revive(&self) -> Option<Loaded> {
        match self {
            Self::Embedder(embedder) => embedder.upgrade().map(Loaded::Embedder),
            Self::Reranker(reranker) => reranker.upgrade().map(Loaded::Reranker),
            Self::Classifier(classifier) => classifier.upgrade().map(Loaded::Classifier),
            Self::Sparse(embedder) => embedder.upgrade().map(Loaded::Sparse),
            Self::MultiVector(embedder) => embedder.upgrade().map(Loaded::MultiVector),
            Self::Hybrid(embedder) => embedder.upgrade().map(Loaded::Hybrid),
        }
    }

    /// Whether anybody does.
    pub(crate) fn is_alive(&self) -> bool {
        let holders = match self {
            Self::Embedder(embedder) => embedder.strong_count(),
            Self::Reranker(reranker) => reranker.strong_count(),
            Self::Classifier(classifier) => classifier.strong_count(),
            Self::Sparse(embedder) => embedder.strong_count(),
            Self::MultiVector(embedder) => embedder.strong_count(),
            Self::Hybrid(embedder) => embedder.strong_count(),
        };
        holders > 0
    }
}
