//! Sparse embedding models: weights of tokens, most of them zero.

use std::sync::Arc;

use text::{Encoded, Tokenizer};

use crate::lexicon::{self, Lexicon};
use crate::model::Model;
use crate::request::CallSettings;
use crate::router::QueryTable;
use crate::work::{Call, Made, Piece, Plan, Width, Work, finite};
use crate::{Error, Role};

/// What turns texts into weights above 0, with the tokens that they are of, ascending.
pub(crate) struct SparseEmbedder {
    lexicon: Lexicon,
    /// Weighs queries, where they need no transformer.
    queries: Option<Arc<QueryTable>>,
    /// Tokens whose own weights do not count.
    specials: Vec<u32>,
}

impl SparseEmbedder {
    pub(crate) fn new(lexicon: Lexicon, queries: Option<Arc<QueryTable>>, tokenizer: &Tokenizer) -> Self {
        Self { lexicon, queries, specials: lexicon.specials(tokenizer) }
    }

    /// What weighs a call's texts without the model.
    fn table(&self, settings: &CallSettings) -> Option<&QueryTable> {
        self.queries.as_deref().filter(|_| settings.role == Role::Query)
    }
}

impl Work for SparseEmbedder {
    fn plan(&self, model: &Model, settings: &CallSettings) -> Result<Plan, Error> {
        let plan = Plan::prompted(model, settings)?;
        Ok(match self.table(settings) {
            Some(table) => Plan { limit: table.limit(settings), chunks: false, ..plan },
            None => plan,
        })
    }

    fn encode(&self, call: &Call, text: &str) -> Result<Vec<Encoded>, Error> {
        match self.table(&call.settings) {
            Some(table) => {
                Ok(vec![table.tokenizer().encode_prompted(&call.plan.prompt, text, &call.plan.limit)?])
            }
            None => call.windows(text),
        }
    }

    fn computes(&self, call: &Call) -> bool {
        self.table(&call.settings).is_none()
    }

    fn width(&self, _: &Call) -> Width {
        Width::Ragged(1)
    }

    fn finish(&self, call: &Call, windows: &[Made]) -> Result<Piece, Error> {
        let weigh = |Made { text, values }: &Made| match self.table(&call.settings) {
            Some(table) => table.weigh(&text.ids),
            None => self.lexicon.weigh(text, values, &self.specials),
        };
        Ok(lexicon::largest(finite(windows)?.iter().map(weigh)))
    }
}
