//! A loaded hybrid embedder: a vector, weights of tokens and vectors of tokens of a text, by one run of its encoder (bge-m3).

use std::path::Path;
use std::sync::Arc;

use nn::{Config, HeadSource};
use text::{Encoded, Limit};

use crate::embedder::mean;
use crate::finish::normalize;
use crate::job::{Job, Made, Piece, Rows, Width, Work, finite};
use crate::kind::Kind;
use crate::late::{self, Late};
use crate::lexicon::{self, Lexicon};
use crate::load::Task;
use crate::model::Model;
use crate::spec::{FoundModule, Purpose, embedding_head};
use crate::{Error, Fetched, Info, LoadOptions, Overflow, SparseRequest};

/// The three heads of bge-m3.
pub(crate) fn head(
    transformer: &Path,
    config: &Config,
    modules: &[FoundModule],
) -> Result<(HeadSource, Purpose), Error> {
    let weights = lexicon::own_layer(transformer, config)?;
    let vectors = late::own_layer(transformer, config)?;
    let (Some(weights), Some((vectors, late))) = (weights, vectors) else {
        let why = "it lacks sparse_linear.safetensors or colbert_linear.safetensors beside its weights, which make weights \
                   and vectors of tokens";
        return Err(Kind::of(config, modules).refusal(Task::Hybrid, config, why).into());
    };
    let tokens = |layer| HeadSource::Tokens { layers: vec![layer] };
    let heads = vec![embedding_head(modules)?, tokens(weights), tokens(vectors)];
    Ok((HeadSource::Several(heads), Purpose::Hybrid(late)))
}

/// A model that makes three things of a text at once. Shared by all who hold it; dropped by the last.
pub struct HybridEmbedder {
    model: Model,
    late: Late,
    /// Tokens whose own weights do not count.
    specials: Vec<u32>,
}

impl HybridEmbedder {
    /// Loads the model of a folder, on the calling thread.
    ///
    /// # Errors
    /// As [`HybridEmbedder::open`].
    pub fn load(folder: &str, options: &LoadOptions) -> Result<Arc<Self>, Error> {
        Self::open(&folder.into(), options)
    }

    /// Loads a model that was fetched, on the calling thread.
    ///
    /// # Errors
    /// As [`Embedder::open`](crate::Embedder::open); a model that has not all three heads.
    pub fn open(model: &Fetched, options: &LoadOptions) -> Result<Arc<Self>, Error> {
        let model = Model::load(model, options, Task::Hybrid)?;
        let late = match &model.spec.purpose {
            Purpose::Hybrid(late) => late.clone(),
            _ => Late::default(),
        };
        let specials = Lexicon::OwnTokens.specials(model.tokenizer());
        Ok(Arc::new(Self { model, late, specials }))
    }

    /// What it is and how it runs; its `dims` are those of the one vector.
    pub fn info(&self) -> &Info {
        &self.model.info
    }

    /// What it shares with other kinds.
    pub(crate) fn model(&self) -> &Model {
        &self.model
    }

    /// Embeds texts on the engine's threads and calls `done` on one of them. Values of a row: its one vector, a weight for each
    /// of its indices, and its tokens' vectors of `dims` numbers each.
    pub fn embed(
        self: &Arc<Self>,
        request: SparseRequest,
        done: impl FnOnce(Result<Rows, Error>) + Send + 'static,
    ) {
        let SparseRequest { texts, prompt, overflow, side, ticket, .. } = request;
        let (limit, chunks) = (self.model.limit(overflow, side), overflow == Overflow::Chunk);
        match self.model.prompt(&prompt) {
            Ok(prompt) => {
                let work = HybridWork { embedder: self.clone(), texts, prompt, limit, chunks };
                Job::start(work, ticket, Box::new(done));
            }
            Err(error) => done(Err(error)),
        }
    }
}

/// Texts on their way.
struct HybridWork {
    embedder: Arc<HybridEmbedder>,
    texts: Vec<String>,
    prompt: String,
    limit: Limit,
    /// Whether a text that is too long is read in windows.
    chunks: bool,
}

impl Work for HybridWork {
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
        self.model().windows(&self.prompt, &self.texts[row], &self.limit, self.chunks)
    }

    fn width(&self) -> Width {
        Width::Ragged(self.model().backend.forms().last().map_or(0, |form| form.dims))
    }

    fn finish(&self, windows: &[Made]) -> Result<Piece, Error> {
        let HybridEmbedder { model, late, specials } = &*self.embedder;
        let dims = model.backend.dims();
        let mut whole = mean(finite(windows)?, dims, model.spec.normalizes).into_owned();
        if model.spec.normalizes {
            normalize(&mut whole);
        }
        let weigh = |Made { text, values }: &Made| {
            Lexicon::OwnTokens.weigh(text, &values[dims..][..text.ids.len()], specials)
        };
        let mut piece = lexicon::largest(windows.iter().map(weigh));
        whole.append(&mut piece.values);
        for Made { text, values } in windows {
            whole.extend(late.keep(&text.ids, &values[dims + text.ids.len()..], &[]));
        }
        Ok(Piece { values: whole, ..piece })
    }
}
