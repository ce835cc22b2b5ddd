//! The handle of a loaded model.

use std::sync::{Arc, Mutex, PoisonError};

use engine::{Embedder, Info, Reranker};
use napi_derive::napi;

/// A loaded model. Its memory is shared and freed with the last handle.
#[napi]
pub struct Model {
    info: String,
    kind: Mutex<Option<Kind>>,
}

/// What a model was loaded for.
#[derive(Clone)]
pub(crate) enum Kind {
    Embedder(Arc<Embedder>),
    Reranker(Arc<Reranker>),
}

impl Kind {
    fn info(&self) -> &Info {
        match self {
            Self::Embedder(embedder) => embedder.info(),
            Self::Reranker(reranker) => reranker.info(),
        }
    }
}

impl Model {
    pub(crate) fn new(kind: Kind) -> Self {
        let info = serde_json::to_string(kind.info()).unwrap_or_default();
        Self { info, kind: Mutex::new(Some(kind)) }
    }

    /// The embedder, unless disposed.
    pub(crate) fn embedder(&self) -> Option<Arc<Embedder>> {
        match self.kind() {
            Some(Kind::Embedder(embedder)) => Some(embedder),
            _ => None,
        }
    }

    /// The reranker, unless disposed.
    pub(crate) fn reranker(&self) -> Option<Arc<Reranker>> {
        match self.kind() {
            Some(Kind::Reranker(reranker)) => Some(reranker),
            _ => None,
        }
    }

    fn kind(&self) -> Option<Kind> {
        self.kind.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[napi]
impl Model {
    /// What it is and how it runs, as JSON.
    #[napi(catch_unwind)]
    pub fn info(&self) -> String {
        self.info.clone()
    }

    /// Gives back this handle's share; calls in flight finish. May be called twice.
    #[napi(catch_unwind)]
    pub fn dispose(&self) {
        self.kind.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
