//! A loaded late-interaction model: one vector a token (ColBERT).

use std::sync::Arc;

use text::{Encoded, Limit};

use crate::job::{Job, Made, Piece, Rows, Ticket, Width, Work, finite};
use crate::late::Late;
use crate::load::Task;
use crate::model::Model;
use crate::spec::Purpose;
use crate::{Error, Fetched, Info, LoadOptions, Overflow, Side};

/// A model that keeps a vector of each token. Shared by all who hold it; dropped by the last.
pub struct MultiVectorEmbedder {
    model: Model,
    late: Late,
    /// What queries are filled up with.
    filler: u32,
    /// Tokens that do not count in documents, ascending.
    skipped: Vec<u32>,
}

/// What a text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// To search with.
    Query,
    /// To be found.
    Document,
}

/// Texts to embed token by token.
pub struct TokensRequest {
    /// The texts.
    pub texts: Vec<String>,
    /// What they are for.
    pub role: Role,
    /// What happens to a text that is too long.
    pub overflow: Overflow,
    /// The end at which it is cut; `None`: as the tokenizer's files say.
    pub side: Option<Side>,
    /// A copy of what can cancel them.
    pub ticket: Ticket,
}

impl MultiVectorEmbedder {
    /// Loads the model of a folder, on the calling thread.
    ///
    /// # Errors
    /// As [`MultiVectorEmbedder::open`].
    pub fn load(folder: &str, options: &LoadOptions) -> Result<Arc<Self>, Error> {
        Self::open(&folder.into(), options)
    }

    /// Loads a model that was fetched, on the calling thread.
    ///
    /// # Errors
    /// As [`Embedder::open`](crate::Embedder::open); a model that keeps no vectors of tokens.
    pub fn open(model: &Fetched, options: &LoadOptions) -> Result<Arc<Self>, Error> {
        let model = Model::load(model, options, Task::Late)?;
        let late = match &model.spec.purpose {
            Purpose::Tokens(late) => late.clone(),
            _ => Late::default(),
        };
        let filler = filler(&late, &model)?;
        let mut skipped: Vec<u32> =
            late.skipped.iter().filter_map(|word| model.tokenizer().id(word)).collect();
        skipped.sort_unstable();
        Ok(Arc::new(Self { model, late, filler, skipped }))
    }

    /// What it is and how it runs.
    pub fn info(&self) -> &Info {
        &self.model.info
    }

    /// What it shares with other kinds.
    pub(crate) fn model(&self) -> &Model {
        &self.model
    }

    /// Embeds texts on the engine's threads and calls `done` on one of them: rows of several vectors each.
    pub fn embed(
        self: &Arc<Self>,
        request: TokensRequest,
        done: impl FnOnce(Result<Rows, Error>) + Send + 'static,
    ) {
        let TokensRequest { texts, role, overflow, side, ticket } = request;
        let chunks = overflow == Overflow::Chunk;
        if chunks && role == Role::Query {
            let remedy =
                "a query has the length that the model was trained for: take \"truncate\" or \"error\""
                    .into();
            return done(Err(Error::Unavailable { what: "onOverflow \"chunk\" of queries".into(), remedy }));
        }
        let limit = self.model.limit(overflow, side);
        let own = self.late.longest_query().filter(|_| role == Role::Query);
        let most = self.model.backend.positions().unwrap_or(usize::MAX);
        let limit = Limit { max_length: own.map_or(limit.max_length, |own| own.min(most)), ..limit };
        let work = TokensWork { embedder: self.clone(), texts, role, limit, chunks };
        Job::start(work, ticket, Box::new(done));
    }

    /// Fills a query up to its length.
    fn expand(&self, mut text: Encoded) -> Encoded {
        let Some(expansion) = &self.late.expansion else { return text };
        let most = self.model.backend.positions().unwrap_or(usize::MAX);
        let added = expansion.length.min(most).saturating_sub(text.ids.len());
        let typed = !text.types.is_empty();
        text.ids.extend(std::iter::repeat_n(self.filler, added));
        text.types.extend(std::iter::repeat_n(0, if typed { added } else { 0 }));
        text.unseen = if expansion.attend { 0 } else { added };
        text
    }
}

/// The token that fills queries up; any where none are.
fn filler(late: &Late, model: &Model) -> Result<u32, Error> {
    let Some(expansion) = &late.expansion else { return Ok(0) };
    let tokenizer = model.tokenizer();
    let found = match &expansion.token {
        Some(token) => tokenizer.id(token),
        None => tokenizer.named("mask_token"),
    };
    let missing = || {
        let token = expansion.token.as_deref().unwrap_or("mask_token");
        let message = format!("queries are filled up with {token:?}, which the tokenizer does not have");
        model.spec.source.config.broken(message).into()
    };
    found.ok_or_else(missing)
}

/// Texts on their way to vectors.
struct TokensWork {
    embedder: Arc<MultiVectorEmbedder>,
    texts: Vec<String>,
    role: Role,
    limit: Limit,
    /// Whether a document that is too long is read in windows, whose vectors are all kept.
    chunks: bool,
}

impl Work for TokensWork {
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
        let prompt = &self.embedder.late.prompts[usize::from(self.role == Role::Document)];
        let windows = self.model().windows(prompt, &self.texts[row], &self.limit, self.chunks)?;
        match self.role {
            Role::Query => Ok(windows.into_iter().map(|text| self.embedder.expand(text)).collect()),
            Role::Document => Ok(windows),
        }
    }

    fn width(&self) -> Width {
        Width::Ragged(self.model().backend.dims())
    }

    fn finish(&self, windows: &[Made]) -> Result<Piece, Error> {
        let MultiVectorEmbedder { late, skipped, .. } = &*self.embedder;
        let skipped = if self.role == Role::Query { &[] } else { &skipped[..] };
        let kept =
            finite(windows)?.iter().flat_map(|Made { text, values }| late.keep(&text.ids, values, skipped));
        Ok(Piece { values: kept.collect(), ..Piece::default() })
    }
}
