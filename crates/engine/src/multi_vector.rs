//! Late-interaction models: one vector a token (ColBERT).

use nn::Config;
use text::{Encoded, Limit, Tokenizer};

use crate::late::{Expansion, Late};
use crate::model::Model;
use crate::request::{CallSettings, Role};
use crate::work::{Call, Made, Piece, Plan, Width, Work, finite};
use crate::{Error, Overflow};

/// What keeps a vector of each token: rows of several vectors each.
pub(crate) struct MultiVectorEmbedder {
    late: Late,
    /// What queries are filled up with.
    filler: u32,
    /// Tokens that do not count in documents, ascending.
    skipped: Vec<u32>,
}

impl MultiVectorEmbedder {
    pub(crate) fn new(late: &Late, tokenizer: &Tokenizer, config: &Config) -> Result<Self, Error> {
        let filler = late.expansion.as_ref().map(|expansion| filler(expansion, tokenizer, config));
        let mut skipped: Vec<u32> = late.skipped.iter().filter_map(|word| tokenizer.id(word)).collect();
        skipped.sort_unstable();
        // Any fills up where nothing does.
        Ok(Self { late: late.clone(), filler: filler.transpose()?.unwrap_or_default(), skipped })
    }

    /// Fills a query up to its length.
    fn expand(&self, mut text: Encoded, most: usize) -> Encoded {
        let Some(expansion) = &self.late.expansion else { return text };
        let added = expansion.length.min(most).saturating_sub(text.ids.len());
        let typed = !text.types.is_empty();
        text.ids.extend(std::iter::repeat_n(self.filler, added));
        text.types.extend(std::iter::repeat_n(0, if typed { added } else { 0 }));
        text.unseen = if expansion.attend { 0 } else { added };
        text
    }
}

/// The token that fills queries up.
fn filler(expansion: &Expansion, tokenizer: &Tokenizer, config: &Config) -> Result<u32, Error> {
    let found = match &expansion.token {
        Some(token) => tokenizer.id(token),
        None => tokenizer.named("mask_token"),
    };
    found.ok_or_else(|| {
        let token = expansion.token.as_deref().unwrap_or("mask_token");
        let message = format!("queries are filled up with {token:?}, which the tokenizer does not have");
        config.broken(message).into()
    })
}

/// Tokens of the longest text that the weights take.
fn most(model: &Model) -> usize {
    model.backend.positions().unwrap_or(usize::MAX)
}

impl Work for MultiVectorEmbedder {
    fn plan(&self, model: &Model, settings: &CallSettings) -> Result<Plan, Error> {
        let is_query = settings.role == Role::Query;
        if is_query && settings.overflow == Overflow::Chunk {
            let what = "onOverflow \"chunk\" of queries".into();
            let remedy =
                "a query has the length that the model was trained for: take \"truncate\" or \"error\"";
            return Err(Error::Unavailable { what, remedy: remedy.into() });
        }
        let Plan { limit, chunks, .. } = Plan::plain(model, settings);
        let own = self.late.longest_query().filter(|_| is_query);
        let max_length = own.map_or(limit.max_length, |own| own.min(most(model)));
        let prompt = self.late.prompts[usize::from(!is_query)].clone();
        Ok(Plan { prompt, limit: Limit { max_length, ..limit }, chunks })
    }

    fn encode(&self, call: &Call, text: &str) -> Result<Vec<Encoded>, Error> {
        let windows = call.windows(text)?;
        let most = most(&call.model);
        Ok(match call.settings.role {
            Role::Query => windows.into_iter().map(|text| self.expand(text, most)).collect(),
            Role::Document => windows,
        })
    }

    fn width(&self, call: &Call) -> Width {
        Width::Ragged(call.model.backend.dims())
    }

    fn finish(&self, call: &Call, windows: &[Made]) -> Result<Piece, Error> {
        let skipped = if call.settings.role == Role::Query { &[] } else { &self.skipped[..] };
        let keep = |Made { text, values }: &Made| self.late.keep(&text.ids, values, skipped);
        Ok(finite(windows)?.iter().flat_map(keep).collect::<Vec<_>>().into())
    }
}
