//! The handle of a loaded model.

use std::sync::{Arc, Mutex, PoisonError};

use engine::Embedder;
use napi_derive::napi;

/// A loaded model. Its memory is shared and freed with the last handle.
#[napi]
pub struct Model {
    info: String,
    embedder: Mutex<Option<Arc<Embedder>>>,
}

impl Model {
    pub(crate) fn new(embedder: Arc<Embedder>) -> Self {
        let info = serde_json::to_string(embedder.info()).unwrap_or_default();
        Self { info, embedder: Mutex::new(Some(embedder)) }
    }

    /// The model, unless disposed.
    pub(crate) fn embedder(&self) -> Option<Arc<Embedder>> {
        self.embedder.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
        self.embedder.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
