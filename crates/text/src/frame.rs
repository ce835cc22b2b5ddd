//! The special tokens around a text: `[CLS] … [SEP]`.
//!
//! What it is not: the pair template of cross-encoders.

use tokenizers::{Encoding, Token};

use crate::guard::guarded;

/// No vocabulary reaches it: ids index rows of an embedding table.
const PROBE: u32 = u32::MAX;

/// What the post-processor puts before and after a single text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    opening: Vec<u32>,
    closing: Vec<u32>,
    /// Type ids of opening, one text token, closing; empty when all are zero.
    types: Vec<u32>,
}

impl Frame {
    /// Sends one made-up token through the post-processor and looks what came around it.
    pub(crate) fn of(tokenizer: &tokenizers::Tokenizer) -> Result<Self, String> {
        let text = Encoding::from_tokens(vec![Token::new(PROBE, "x".into(), (0, 1))], 0);
        let framed = guarded(|| tokenizer.post_process(text, None, true))?;
        Self::around_probe(framed.get_ids(), framed.get_type_ids())
            .ok_or_else(|| "its post_processor must hold a single text exactly once".into())
    }

    fn around_probe(ids: &[u32], types: &[u32]) -> Option<Self> {
        let at = ids.iter().position(|&id| id == PROBE)?;
        let (opening, closing) = (ids[..at].to_vec(), ids[at + 1..].to_vec());
        let used = types.iter().any(|&kind| kind != 0);
        let types = if used { types.to_vec() } else { Vec::new() };
        (!closing.contains(&PROBE)).then_some(Self { opening, closing, types })
    }

    /// How many tokens are added to each text.
    pub(crate) fn len(&self) -> usize {
        self.opening.len() + self.closing.len()
    }

    /// The highest id it adds.
    pub(crate) fn highest(&self) -> Option<u32> {
        self.opening.iter().chain(&self.closing).copied().max()
    }

    /// Opening, text, closing; type ids are empty when all are zero.
    pub(crate) fn around(&self, text: &[u32]) -> (Vec<u32>, Vec<u32>) {
        let ids = [&self.opening, text, &self.closing].concat();
        (ids, self.types_around(text.len()))
    }

    fn types_around(&self, length: usize) -> Vec<u32> {
        let at = self.opening.len();
        let Some(&of_text) = self.types.get(at) else { return Vec::new() };
        [&self.types[..at], &vec![of_text; length], &self.types[at + 1..]].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_splits_opening_from_closing() {
        let frame = Frame::around_probe(&[101, PROBE, 102], &[0, 0, 0]).unwrap();
        assert_eq!(frame.around(&[7, 8]), (vec![101, 7, 8, 102], vec![]));
        assert_eq!((frame.len(), frame.highest()), (2, Some(102)));
    }

    #[test]
    fn types_stretch_over_the_text() {
        let frame = Frame::around_probe(&[1, PROBE, 2], &[0, 3, 4]).unwrap();
        assert_eq!(frame.around(&[7, 8]).1, [0, 3, 3, 4]);
        assert_eq!(frame.around(&[]).1, [0, 4]);
    }

    #[test]
    fn a_text_must_appear_once() {
        assert_eq!(Frame::around_probe(&[1, 2], &[0, 0]), None);
        assert_eq!(Frame::around_probe(&[PROBE, PROBE], &[0, 0]), None);
    }
}
