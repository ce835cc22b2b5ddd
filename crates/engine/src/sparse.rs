//! A loaded sparse embedding model: weights of tokens, most of them zero.

use std::sync::Arc;

use text::{Encoded, Limit};

use crate::job::{Job, Made, Piece, Rows, Ticket, Width, Work, finite};
use crate::lexicon::{self, Lexicon};
use crate::load::Task;
use crate::model::Model;
use crate::router::{QueryPlan, QueryTable};
use crate::spec::Purpose;
use crate::{Error, Fetched, Info, LoadOptions, Overflow, PromptChoice, Role, Side};

/// A model that turns texts into weights of tokens. Shared by all who hold it; dropped by the last.
pub struct SparseEmbedder {
    model: Model,
    lexicon: Lexicon,
    /// Weighs queries, where they need no transformer.
    queries: Option<Arc<QueryTable>>,
    /// Tokens whose own weights do not count.
    specials: Vec<u32>,
}

/// Texts to weigh.
pub struct SparseRequest {
    /// The texts.
    pub texts: Vec<String>,
    /// What stands before each.
    pub prompt: PromptChoice,
    /// What they are for, where models read queries and documents differently.
    pub role: Role,
    /// What happens to a text that is too long.
    pub overflow: Overflow,
    /// The end at which it is cut; `None`: as the tokenizer's files say.
    pub side: Option<Side>,
    /// A copy of what can cancel them.
    pub ticket: Ticket,
}

impl SparseEmbedder {
    /// Loads the model of a folder, on the calling thread.
    ///
    /// # Errors
    /// As [`SparseEmbedder::open`].
    pub fn load(folder: &str, options: &LoadOptions) -> Result<Arc<Self>, Error> {
        Self::open(&folder.into(), options)
    }

    /// Loads a model that was fetched, on the calling thread.
    ///
    /// # Errors
    /// As [`Embedder::open`](crate::Embedder::open); a model that weighs no tokens.
    pub fn open(model: &Fetched, options: &LoadOptions) -> Result<Arc<Self>, Error> {
        let model = Model::load(model, options, Task::Sparse)?;
        let (lexicon, queries) = match &model.spec.purpose {
            Purpose::Sparse(lexicon, queries) => (*lexicon, queries.clone()),
            _ => (Lexicon::OwnTokens, None),
        };
        let specials = lexicon.specials(model.tokenizer());
        Ok(Arc::new(Self { model, lexicon, queries, specials }))
    }

    /// What it is and how it runs.
    pub fn info(&self) -> &Info {
        &self.model.info
    }

    /// What it shares with other kinds.
    pub(crate) fn model(&self) -> &Model {
        &self.model
    }

    /// Weighs texts on the engine's threads and calls `done` on one of them: rows of weights above 0, with the
    /// tokens that they are of, ascending.
    pub fn embed(
        self: &Arc<Self>,
        request: SparseRequest,
        done: impl FnOnce(Result<Rows, Error>) + Send + 'static,
    ) {
        let SparseRequest { texts, prompt, role, overflow, side, ticket } = request;
        let (limit, chunks) = (self.model.limit(overflow, side), overflow == Overflow::Chunk);
        match (self.model.prompt(&prompt), &self.queries) {
            (Ok(prompt), Some(table)) if role == Role::Query => {
                self.model.used.note();
                let (table, plan) = (table.clone(), QueryPlan { prompt, overflow, side });
                crate::spawn(move || table.weigh_all(&texts, &plan, &ticket), done);
            }
            (Ok(prompt), _) => {
                let work = SparseWork { embedder: self.clone(), texts, prompt, limit, chunks };
                Job::start(work, ticket, Box::new(done));
            }
            (Err(error), _) => done(Err(error)),
        }
    }
}

/// Texts on their way to weights.
struct SparseWork {
    embedder: Arc<SparseEmbedder>,
    texts: Vec<String>,
    prompt: String,
    limit: Limit,
    /// Whether a text that is too long is read in windows.
    chunks: bool,
}

impl Work for SparseWork {
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
        Width::Ragged(1)
    }

    fn finish(&self, windows: &[Made]) -> Result<Piece, Error> {
        let SparseEmbedder { lexicon, specials, .. } = &*self.embedder;
        let made = finite(windows)?.iter().map(|Made { text, values }| lexicon.weigh(text, values, specials));
        Ok(lexicon::largest(made))
    }
}
