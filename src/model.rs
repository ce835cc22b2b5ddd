//! The handle of a loaded model.

use std::sync::{Arc, Mutex, PoisonError};

use napi_derive::napi;

/// A loaded model. Its memory is shared and freed with the last handle.
#[napi]
pub struct Model {
    info: String,
    task: &'static str,
    loaded: Mutex<Option<Arc<engine::Model>>>,
}

impl Model {
    pub(crate) fn new(loaded: Arc<engine::Model>) -> Self {
        let info = serde_json::to_string(loaded.info()).unwrap_or_default();
        Self { info, task: loaded.task().name(), loaded: Mutex::new(Some(loaded)) }
    }

    /// What was loaded, unless disposed.
    pub(crate) fn loaded(&self) -> Option<Arc<engine::Model>> {
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
        self.task.into()
    }

    /// Gives back this handle's share; calls in flight finish. May be called twice.
    #[napi(catch_unwind)]
    pub fn dispose(&self) {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
