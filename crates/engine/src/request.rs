//! What a call asks of a model. A kind of model reads the settings that mean something to it.

use text::{Limit, Tokenizer};

use crate::{Overflow, Side, Ticket};

/// Texts for a model to run.
pub struct Request {
    /// The texts.
    pub texts: Vec<String>,
    /// What they have in common.
    pub settings: CallSettings,
    /// A copy of what can cancel them.
    pub ticket: Ticket,
}

/// What a call may decide about its texts.
#[derive(Debug, Default, Clone)]
pub struct CallSettings {
    /// What stands before each text.
    pub prompt: PromptChoice,
    /// What they are for, where models read queries and documents differently.
    pub role: Role,
    /// Leading values of a vector to keep; `None`: all, or as the model's files say.
    pub dimensions: Option<usize>,
    /// Whether vectors have length 1; `None`: as the model's pipeline says.
    pub normalize: Option<bool>,
    /// Which number a label or a pair gets.
    pub score: Score,
    /// What a reranker reads each text with.
    pub query: Option<String>,
    /// What makes a text fit the query, for models that take it; `None`: what they were trained with.
    pub instruction: Option<String>,
    /// What happens to a text that is too long.
    pub overflow: Overflow,
    /// The end at which it is cut; `None`: as the tokenizer's files say.
    pub side: Option<Side>,
}

/// Which prompt stands before each text.
#[derive(Debug, Default, Clone)]
pub enum PromptChoice {
    /// The model's default prompt, if it has one.
    #[default]
    Default,
    /// The model's prompt for queries.
    Query,
    /// The model's prompt for documents.
    Document,
    /// A prompt of the model by name.
    Named(String),
    /// This text.
    Literal(String),
}

/// What a text is for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// To search with.
    Query,
    /// To be found.
    #[default]
    Document,
}

/// Which number a label or a pair gets.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Score {
    /// The logit through the function that the model's config names.
    #[default]
    Model,
    /// The logit through the logistic function.
    Sigmoid,
    /// The logit.
    Logit,
}

impl CallSettings {
    /// The limit of a text, or of a pair, that a tokenizer reads.
    pub(crate) fn limit(&self, tokenizer: &Tokenizer, max_length: usize) -> Limit {
        Limit {
            max_length,
            side: match self.side {
                Some(Side::Right) => text::Side::Right,
                Some(Side::Left) => text::Side::Left,
                None => tokenizer.truncation_side(),
            },
            overflow: match self.overflow {
                Overflow::Truncate | Overflow::Chunk => text::Overflow::Truncate,
                Overflow::Error => text::Overflow::Error,
            },
        }
    }
}
