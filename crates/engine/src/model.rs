//! A loaded model, whatever it was loaded for.

use std::sync::Arc;

use backend::Backend;
use nn::HeadSource;
use text::Tokenizer;

use crate::fetch::Fetched;
use crate::job::{Job, RowFault, Rows};
use crate::load::{Parts, SharedTokenizer, Task, load};
use crate::request::{PromptChoice, Request};
use crate::scheduler::Lane;
use crate::spec::Purpose;
use crate::timing::{LastUse, Pace};
use crate::work::{Call, Work, work};
use crate::{Error, Info, LoadOptions, Spec, Ticket, threads};

/// A model that is ready to run. Shared by all who hold it; dropped by the last.
pub struct Model {
    pub(crate) spec: Spec,
    pub(crate) backend: Box<dyn Backend>,
    pub(crate) work: Box<dyn Work>,
    pub(crate) lane: Arc<Lane>,
    /// Texts of a batch.
    pub(crate) max_batch: usize,
    pub(crate) pace: Pace,
    pub(crate) used: LastUse,
    task: Task,
    info: Info,
    tokenizer: Arc<SharedTokenizer>,
}

impl Model {
    /// Loads the model of a folder for a task, on the calling thread.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn load(folder: &str, options: &LoadOptions, task: Task) -> Result<Arc<Self>, Error> {
        Self::open(&folder.into(), options, task)
    }

    /// Loads a model that was fetched for a task, on the calling thread.
    ///
    /// # Errors
    /// Files that are missing, broken, for another task or ask for what is not supported; options that cannot be had.
    pub fn open(model: &Fetched, options: &LoadOptions, task: Task) -> Result<Arc<Self>, Error> {
        let parts = load(&model.folder, options, task)?;
        let threads = Lane::new(threads::asked(options)?).threads();
        let at_once = parts.backend.concurrency().saturating_add(parts.backend.readers());
        let lane = Lane::new(Some(threads.min(at_once)));
        let info = describe(model, &parts, threads)?;
        let work = work(&parts)?;
        let Parts { spec, tokenizer, backend, .. } = parts;
        let max_batch = options.max_batch.unwrap_or(usize::MAX);
        let (pace, used) = (Pace::default(), LastUse::default());
        Ok(Arc::new(Self { spec, backend, work, lane, max_batch, pace, used, task, info, tokenizer }))
    }

    /// What it was loaded for.
    pub fn task(&self) -> Task {
        self.task
    }

    /// What it is and how it runs.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// Runs texts on the engine's threads and calls `done` on one of them when all rows are there; a fault in the settings
    /// calls it at once.
    pub fn run(self: &Arc<Self>, request: Request, done: impl FnOnce(Result<Rows, Error>) + Send + 'static) {
        let Request { texts, settings, ticket } = request;
        match Call::new(self.clone(), texts, settings) {
            Ok(call) => Job::start(call, ticket, Box::new(done)),
            Err(error) => done(Err(error)),
        }
    }

    /// Counts the tokens of each text, special ones included and nothing cut: the `tokens` of rows without columns.
    pub fn count(
        self: Arc<Self>,
        texts: Vec<String>,
        ticket: Ticket,
        done: impl FnOnce(Result<Rows, Error>) + Send + 'static,
    ) {
        self.used.note();
        crate::spawn(move || self.counted(&texts, &ticket), done);
    }

    pub(crate) fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer.tokenizer
    }

    fn counted(&self, texts: &[String], ticket: &Ticket) -> Result<Rows, Error> {
        let mut rows = Rows { tokens: vec![0; texts.len()], ..Rows::default() };
        for (row, text) in texts.iter().enumerate() {
            if ticket.is_cancelled() {
                return Err(Error::Cancelled);
            }
            match self.tokenizer().count(text) {
                Ok(tokens) => rows.tokens[row] = tokens as u32,
                Err(error) => rows.faults.push(RowFault { row, error: error.into() }),
            }
        }
        Ok(rows)
    }

    /// The text to put in front. Queries and documents take the model's prompt of that name where it has one, and
    /// not its default prompt, as `encode_query` and `encode_document` of sentence-transformers do since 5.0. Their
    /// 6.2 never looks for `passage` and `corpus`, as their documentation says they do; this does.
    pub(crate) fn prompt(&self, choice: &PromptChoice) -> Result<String, Error> {
        let own = |names: &[&str]| names.iter().find_map(|name| self.spec.prompts.get(*name)).cloned();
        Ok(match choice {
            PromptChoice::Literal(text) => text.clone(),
            PromptChoice::Named(name) => own(&[name]).ok_or_else(|| self.unknown_prompt(name))?,
            PromptChoice::Query => own(&["query"]).unwrap_or_default(),
            PromptChoice::Document => own(&["document", "passage", "corpus"]).unwrap_or_default(),
            PromptChoice::Default => self.default_prompt(),
        })
    }

    fn default_prompt(&self) -> String {
        let named = self.spec.default_prompt.as_ref().and_then(|name| self.spec.prompts.get(name));
        named.cloned().unwrap_or_default()
    }

    fn unknown_prompt(&self, name: &str) -> Error {
        let names: Vec<_> = self.spec.prompts.keys().map(|name| format!("{name:?}")).collect();
        let known = match names.is_empty() {
            true => "it has none: pass { text: \"…\" } for one of your own".into(),
            false => format!("it has {}", names.join(", ")),
        };
        Error::UnknownPrompt { name: name.into(), known }
    }
}

fn describe(model: &Fetched, parts: &Parts, threads: usize) -> Result<Info, Error> {
    let description = parts.backend.description();
    let spec = &parts.spec;
    Ok(Info {
        model: model.name.clone(),
        revision: model.revision.clone(),
        architecture: spec.source.config.model_type()?.into(),
        dims: dims(parts),
        max_length: parts.max_length,
        pooling: pooling(&spec.source.head, parts.backend.pools()),
        labels: match &spec.purpose {
            Purpose::Classify(labels) => Some(labels.names.clone()),
            _ => None,
        },
        prompts: spec.prompts.clone(),
        normalizes: spec.normalizes,
        backend: description.backend,
        device: description.device,
        device_reason: parts.reason.clone(),
        device_warning: parts.warning.clone(),
        dtype: description.dtype,
        dtype_reason: description.dtype_reason,
        kernel: description.kernel,
        threads,
        batch_invariant: description.batch_invariant,
        fingerprint: parts.fingerprint(),
    })
}

/// By name; `"graph"` where the model's file is asked for it.
fn pooling(head: &HeadSource, own: bool) -> String {
    match head {
        HeadSource::Embedding { .. } if own => "graph".into(),
        HeadSource::Embedding { pooling, .. } => pooling.name(),
        HeadSource::Classifier { .. } | HeadSource::Answers { .. } => "classifier".into(),
        HeadSource::Vocabulary { largest } => if *largest { "max" } else { "sum" }.into(),
        HeadSource::Tokens { .. } => "none".into(),
        HeadSource::Several(heads) => heads.first().map(|head| pooling(head, own)).unwrap_or_default(),
    }
}

/// Width of a vector; of a sparse one, tokens of the vocabulary.
fn dims(parts: &Parts) -> usize {
    let made = parts.backend.dims();
    match &parts.spec.purpose {
        Purpose::Sparse(..) => parts.tokenizer.tokenizer.vocab_size().max(made),
        _ => parts.spec.truncate_dim.map_or(made, |kept| kept.max(1).min(made)),
    }
}
