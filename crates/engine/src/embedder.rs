//! A loaded embedding model.

use std::path::Path;
use std::sync::Arc;

use backend::Backend;
use text::{Encoded, Limit};

use crate::contain::contained;
use crate::finish::Finish;
use crate::job::{EmbedSettings, Job, Overflow, PromptChoice, Request, Rows, Side};
use crate::load::{Parts, SharedTokenizer, load};
use crate::scheduler::Lane;
use crate::{Error, Info, LoadOptions, Spec};

/// A model that turns texts into vectors. Shared by all who hold it; dropped by the last.
pub struct Embedder {
    spec: Spec,
    tokenizer: Arc<SharedTokenizer>,
    backend: Box<dyn Backend>,
    lane: Arc<Lane>,
    info: Info,
}

impl Embedder {
    /// Loads the model of a folder, on the calling thread.
    ///
    /// # Errors
    /// Files that are missing, broken or ask for what is not supported; options that cannot be had.
    pub fn load(folder: &str, options: &LoadOptions) -> Result<Arc<Self>, Error> {
        let parts = load(Path::new(folder), options)?;
        let lane = Lane::new(options.threads);
        let info = describe(folder, &parts, lane.threads())?;
        let Parts { spec, tokenizer, backend, .. } = parts;
        Ok(Arc::new(Self { spec, tokenizer, backend, lane, info }))
    }

    /// What it is and how it runs.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// Embeds texts on the engine's threads and calls `done` on one of them when all rows are there; a fault
    /// in the settings calls it at once.
    pub fn embed(
        self: &Arc<Self>,
        request: Request,
        done: impl FnOnce(Result<Rows, Error>) + Send + 'static,
    ) {
        Job::start(self.clone(), request, Box::new(done));
    }

    /// Counts the tokens of each text, special ones included and nothing cut, on one of the engine's threads.
    pub fn count(
        self: &Arc<Self>,
        texts: Vec<String>,
        done: impl FnOnce(Result<Vec<u32>, Error>) + Send + 'static,
    ) {
        let embedder = self.clone();
        crate::spawn(move || {
            let tokenizer = &embedder.tokenizer.tokenizer;
            let count = |text: &String| Ok(tokenizer.count(text)? as u32);
            done(contained(|| texts.iter().map(count).collect()));
        });
    }

    pub(crate) fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    pub(crate) fn lane(&self) -> &Arc<Lane> {
        &self.lane
    }

    /// Settings brought into numbers; a fault here is the whole call's.
    pub(crate) fn plan(&self, settings: &EmbedSettings) -> Result<Plan, Error> {
        let most = self.info.dims;
        let dimensions = match settings.dimensions {
            Some(value) if value == 0 || value > most => {
                return Err(Error::OutOfRange { name: "dimensions", value, least: 1, most });
            }
            chosen => chosen.unwrap_or(most),
        };
        let normalize = settings.normalize.unwrap_or(self.spec.normalizes);
        Ok(Plan {
            prompt: self.prompt(&settings.prompt)?,
            finish: Finish { dimensions, normalize },
            limit: self.limit(settings),
        })
    }

    pub(crate) fn encode(&self, text: &str, plan: &Plan) -> Result<Encoded, Error> {
        Ok(self.tokenizer.tokenizer.encode_prompted(&plan.prompt, text, &plan.limit)?)
    }

    fn limit(&self, settings: &EmbedSettings) -> Limit {
        Limit {
            max_length: self.info.max_length,
            side: match settings.side {
                Some(Side::Right) => text::Side::Right,
                Some(Side::Left) => text::Side::Left,
                None => self.tokenizer.tokenizer.truncation_side(),
            },
            overflow: match settings.overflow {
                Overflow::Truncate => text::Overflow::Truncate,
                Overflow::Error => text::Overflow::Error,
            },
        }
    }

    /// The text to put in front. Queries and documents take the model's prompt of that name where it has
    /// one, else its default prompt, as `encode_query` and `encode_document` of sentence-transformers do.
    fn prompt(&self, choice: &PromptChoice) -> Result<String, Error> {
        let own = |names: &[&str]| names.iter().find_map(|name| self.spec.prompts.get(*name)).cloned();
        Ok(match choice {
            PromptChoice::Literal(text) => text.clone(),
            PromptChoice::Named(name) => own(&[name]).ok_or_else(|| self.unknown_prompt(name))?,
            PromptChoice::Query => own(&["query"]).unwrap_or_else(|| self.default_prompt()),
            PromptChoice::Document => {
                own(&["document", "passage", "corpus"]).unwrap_or_else(|| self.default_prompt())
            }
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

/// What all texts of a job have in common.
pub(crate) struct Plan {
    prompt: String,
    pub(crate) finish: Finish,
    limit: Limit,
}

fn describe(folder: &str, parts: &Parts, threads: usize) -> Result<Info, Error> {
    let description = parts.backend.description();
    let spec = &parts.spec;
    Ok(Info {
        model: folder.into(),
        architecture: spec.source.config.model_type()?.into(),
        dims: spec.truncate_dim.map_or(parts.backend.dims(), |kept| kept.clamp(1, parts.backend.dims())),
        max_length: parts.max_length,
        pooling: spec.source.pooling.name(),
        prompts: spec.prompts.clone(),
        normalizes: spec.normalizes,
        backend: description.backend,
        device: description.device,
        device_reason: description.device_reason,
        dtype: description.dtype,
        kernel: description.kernel,
        threads,
        batch_invariant: description.batch_invariant,
        fingerprint: parts.fingerprint(),
    })
}
