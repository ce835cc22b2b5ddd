//! Which class a folder is for, as far as its files say so: a refusal by another class names it.

use nn::{Config, Error};

use crate::labels;
use crate::load::Task;
use crate::spec::{FoundModule, is_architecture};

/// What the files make of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    task: Task,
    what: &'static str,
}

const EMBEDDER: Kind = Kind { task: Task::Embed, what: "an encoder, which makes one vector of a text" };
const RERANKER: Kind = Kind { task: Task::Rerank, what: "a cross-encoder, which scores pairs" };
const CLASSIFIER: Kind = Kind { task: Task::Classify, what: "a classifier, which scores labels" };
const SPARSE: Kind = Kind { task: Task::Sparse, what: "a sparse encoder, which weighs tokens" };
const LATE: Kind =
    Kind { task: Task::Late, what: "a late-interaction model, which keeps a vector of each token" };

/// Modules that only sparse models have.
const SPARSE_MODULES: [&str; 3] = ["SpladePooling", "SparseStaticEmbedding", "SparseAutoEncoder"];

impl Kind {
    /// Of a folder's config.json and modules. What both leave open is an encoder, as it is for sentence-transformers.
    pub(crate) fn of(config: &Config, modules: &[FoundModule]) -> Self {
        let any = |is: fn(&FoundModule) -> bool| modules.iter().any(is);
        if any(|module| SPARSE_MODULES.contains(&module.class())) {
            return SPARSE;
        }
        let late = any(|module| module.is_pylate() || module.class() == "MultiVectorMask");
        if late || is_architecture(config, "HF_ColBERT") {
            return LATE;
        }
        match labels::count(config) {
            Some(1) if modules.is_empty() => RERANKER,
            Some(_) if modules.is_empty() => CLASSIFIER,
            _ => EMBEDDER,
        }
    }

    /// Whether it is what a class loads.
    pub(crate) fn is(self, task: Task) -> bool {
        self.task == task
    }

    /// The refusal by the class of a task, which `why` begins.
    pub(crate) fn refusal(self, task: Task, config: &Config, why: &str) -> Error {
        if self.is(task) {
            return config.unsupported(why);
        }
        config.unsupported(format!("{why}; this is {}: load it with {}", self.what, self.task.method()))
    }
}
