//! From one vector a token to one vector a text.

use std::ops::Range;

/// One way of pooling, as sentence-transformers names them
/// (`sentence_transformers/models/Pooling.py`, 5.x).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PoolingMode {
    /// The first token.
    Cls,
    /// The last token.
    LastToken,
    /// The mean over tokens.
    Mean,
    /// The largest value of each column.
    Max,
    /// The sum over tokens divided by the square root of their number.
    MeanSqrtLen,
    /// The mean weighted by position: the first token counts 1, the second 2, … also where the first ones, a
    /// prompt's, are left out.
    WeightedMean,
}

impl PoolingMode {
    /// Every mode with the name that users and files write.
    pub const ALL: [(&'static str, PoolingMode); 6] = [
        ("cls", PoolingMode::Cls),
        ("lasttoken", PoolingMode::LastToken),
        ("mean", PoolingMode::Mean),
        ("max", PoolingMode::Max),
        ("mean_sqrt_len_tokens", PoolingMode::MeanSqrtLen),
        ("weightedmean", PoolingMode::WeightedMean),
    ];

    /// The mode of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|&(_, mode)| mode)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, mode)| *mode == self).map_or("", |&(name, _)| name)
    }
}

/// How the tokens of a text become one vector: several modes are laid side by side.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pooling {
    /// At least one; their vectors are concatenated in this order.
    pub modes: Vec<PoolingMode>,
    /// False: tokens of the prompt do not count.
    pub include_prompt: bool,
    /// Tokens of this id at the end of a text do not count.
    pub padding: Option<u32>,
}

impl Pooling {
    /// One mode over all tokens.
    pub fn of(mode: PoolingMode) -> Self {
        Self { modes: vec![mode], include_prompt: true, padding: None }
    }

    /// Which of a text's tokens count, at least one: a text that is nothing but its prompt keeps its last token, one that is
    /// nothing but padding its first.
    pub fn counted(&self, ids: &[u32], prompt_tokens: usize) -> Range<usize> {
        let last = ids.iter().rposition(|id| Some(*id) != self.padding).unwrap_or(0);
        let first = if self.include_prompt { 0 } else { prompt_tokens.min(last) };
        first..last + 1
    }

    /// Names joined by `+`, e.g. `"mean"` or `"cls+max"`.
    pub fn name(&self) -> String {
        self.modes.iter().map(|mode| mode.name()).collect::<Vec<_>>().join("+")
    }
}
