//! Texts of one pass, laid end to end: no padding anywhere.

use std::ops::Range;

use crate::Error;

/// One tokenized text, borrowed while it is pushed into a [`Batch`].
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    /// Token ids, special tokens included.
    pub ids: &'a [u32],
    /// Segment of each token; empty means all zero.
    pub types: &'a [u32],
    /// How many leading tokens belong to the prompt, for poolings that leave it out.
    pub prompt_tokens: usize,
}

/// A ragged batch: the ids of all texts in one row, and where each text ends.
#[derive(Debug, Default, Clone)]
pub struct Batch {
    ids: Vec<u32>,
    types: Vec<u32>,
    ends: Vec<usize>,
    prompt_tokens: Vec<usize>,
    seen: Vec<usize>,
}

impl Batch {
    /// Adds a text after the others.
    pub fn push(&mut self, text: Text<'_>) {
        self.ids.extend_from_slice(text.ids);
        self.types.extend(text.types.iter().copied().chain(std::iter::repeat(0)).take(text.ids.len()));
        self.ends.push(self.ids.len());
        self.prompt_tokens.push(text.prompt_tokens);
        self.seen.push(text.ids.len());
    }

    /// The last `tokens` of the text that was pushed last look at the others, and are seen by none: a query's
    /// expansion (ColBERT). One token at least stays seen.
    pub fn hide_last(&mut self, tokens: usize) {
        if let Some(seen) = self.seen.last_mut() {
            *seen = seen.saturating_sub(tokens).max(1);
        }
    }

    /// Some of the texts.
    pub fn part(&self, texts: Range<usize>) -> Self {
        let mut part = Self::default();
        for (place, text) in self.texts().enumerate().skip(texts.start).take(texts.len()) {
            let (ids, types) = (&self.ids[text.clone()], &self.types[text.clone()]);
            part.push(Text { ids, types, prompt_tokens: self.prompt_tokens[place] });
            part.hide_last(text.len() - self.seen[place]);
        }
        part
    }

    /// Number of texts.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True without texts.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Number of tokens of all texts.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// Ids of all tokens, text after text.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Segments of all tokens, text after text; as long as [`ids`](Self::ids).
    pub fn types(&self) -> &[u32] {
        &self.types
    }

    /// Where each text lies among the tokens.
    pub fn texts(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.ends.iter().scan(0, |start, &end| Some(std::mem::replace(start, end)..end))
    }

    /// Every text must have tokens, and at most `positions` of them.
    ///
    /// # Errors
    /// The first text that is empty or too long.
    pub fn check(&self, positions: Option<usize>) -> Result<(), Error> {
        let limit = positions.unwrap_or(usize::MAX);
        self.texts().map(|text| text.len()).try_for_each(|tokens| match tokens {
            0 => Err(Error::Empty),
            _ if tokens > limit => Err(Error::TooLong { tokens, limit }),
            _ => Ok(()),
        })
    }

    /// Tokens of each text that attention sees: the first ones.
    pub fn seen(&self) -> &[usize] {
        &self.seen
    }

    /// Leading tokens of each text that are its prompt's.
    pub fn prompt_tokens(&self) -> &[usize] {
        &self.prompt_tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_what_its_texts_are() {
        let mut batch = Batch::default();
        batch.push(Text { ids: &[1, 2], types: &[], prompt_tokens: 1 });
        batch.push(Text { ids: &[3, 4, 5], types: &[0, 1, 1], prompt_tokens: 2 });
        batch.hide_last(2);
        batch.push(Text { ids: &[6], types: &[], prompt_tokens: 0 });
        let part = batch.part(1..3);
        assert_eq!((part.ids(), part.types()), (&[3, 4, 5, 6][..], &[0, 1, 1, 0][..]));
        assert_eq!((part.prompt_tokens(), part.seen()), (&[2, 0][..], &[1, 1][..]));
        assert!(batch.part(1..1).is_empty());
    }

    #[test]
    fn texts_lie_end_to_end() {
        let mut batch = Batch::default();
        batch.push(Text { ids: &[1, 2], types: &[], prompt_tokens: 1 });
        batch.push(Text { ids: &[], types: &[], prompt_tokens: 0 });
        batch.push(Text { ids: &[3, 4, 5], types: &[0, 1, 1], prompt_tokens: 0 });
        assert_eq!(batch.texts().collect::<Vec<_>>(), [0..2, 2..2, 2..5]);
        assert_eq!(batch.types(), [0, 0, 0, 1, 1]);
        assert_eq!((batch.len(), batch.tokens()), (3, 5));
    }
}
