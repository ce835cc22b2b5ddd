//! Two texts as one input: `[CLS] query [SEP] document [SEP]`.

use tokenizers::{Encoding, Token};

use crate::guard::guarded;

/// No vocabulary reaches them: ids index rows of an embedding table.
const FIRST: u32 = u32::MAX;
const SECOND: u32 = u32::MAX - 1;

/// What the post-processor puts around and between two texts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct PairFrame {
    opening: Vec<u32>,
    between: Vec<u32>,
    closing: Vec<u32>,
    /// Type ids of opening, one token of the first, between, one of the second, closing.
    types: Vec<u32>,
}

impl PairFrame {
    /// Sends two made-up tokens through the post-processor and looks what came around them.
    pub(crate) fn of(tokenizer: &tokenizers::Tokenizer) -> Result<Self, String> {
        let probe = |id, kind| Encoding::from_tokens(vec![Token::new(id, "x".into(), (0, 1))], kind);
        let framed = guarded(|| tokenizer.post_process(probe(FIRST, 0), Some(probe(SECOND, 1)), true))?;
        Self::around_probes(framed.get_ids(), framed.get_type_ids())
            .ok_or_else(|| "its post_processor must hold each text of a pair once, in order".into())
    }

    fn around_probes(ids: &[u32], types: &[u32]) -> Option<Self> {
        let first = ids.iter().position(|&id| id == FIRST)?;
        let second = ids.iter().position(|&id| id == SECOND)?;
        let part = |range| ids.get(range).map(<[u32]>::to_vec);
        let (opening, closing) = (part(0..first)?, part(second + 1..ids.len())?);
        let once = !closing.contains(&FIRST) && !closing.contains(&SECOND);
        once.then_some(Self { opening, between: part(first + 1..second)?, closing, types: types.to_vec() })
    }

    /// How many tokens are added to each pair.
    pub(crate) fn len(&self) -> usize {
        self.opening.len() + self.between.len() + self.closing.len()
    }

    /// Both texts with what is around and between them, and their type ids; these are empty when all are zero.
    pub(crate) fn around(&self, first: &[u32], second: &[u32]) -> (Vec<u32>, Vec<u32>) {
        let ids = [&self.opening, first, &self.between, second, &self.closing].concat();
        (ids, self.types_around(first.len(), second.len()))
    }

    fn types_around(&self, first: usize, second: usize) -> Vec<u32> {
        if self.types.iter().all(|&kind| kind == 0) {
            return Vec::new();
        }
        let (a, b) = (self.opening.len(), self.opening.len() + 1 + self.between.len());
        let (before, middle, after) = (&self.types[..a], &self.types[a + 1..b], &self.types[b + 1..]);
        [before, &vec![self.types[a]; first], middle, &vec![self.types[b]; second], after].concat()
    }
}

/// Lengths to which two texts are cut so that together they fit into `room`: the longer one gives first.
///
/// Source: tokenizers 0.23, `utils/truncation.rs`, `LongestFirst`, which transformers' fast tokenizers use.
pub(crate) fn longest_first(first: usize, second: usize, room: usize) -> (usize, usize) {
    let (shorter, swapped) = (first.min(second), first > second);
    let longer = if shorter > room { shorter } else { shorter.max(room - shorter) };
    let (shorter, longer) =
        if shorter + longer > room { (room / 2, room / 2 + room % 2) } else { (shorter, longer) };
    let (one, other) = if swapped { (longer, shorter) } else { (shorter, longer) };
    (one.min(first), other.min(second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probes_split_the_template() {
        let ids = [101, FIRST, 102, SECOND, 102];
        let frame = PairFrame::around_probes(&ids, &[0, 0, 0, 1, 1]).unwrap();
        assert_eq!(frame.around(&[7], &[8, 9]), (vec![101, 7, 102, 8, 9, 102], vec![0, 0, 0, 1, 1, 1]));
        assert_eq!(frame.around(&[], &[]).1, [0, 0, 1]);
        assert_eq!(frame.len(), 3);
        assert_eq!(PairFrame::around_probes(&[SECOND, FIRST], &[0, 0]), None);
    }

    #[test]
    fn the_longer_one_gives_first() {
        assert_eq!(longest_first(3, 4, 10), (3, 4));
        assert_eq!(longest_first(3, 400, 10), (3, 7));
        assert_eq!(longest_first(400, 3, 10), (7, 3));
        assert_eq!(longest_first(400, 300, 125), (63, 62));
        assert_eq!(longest_first(300, 400, 125), (62, 63));
        assert_eq!(longest_first(0, 400, 10), (0, 10));
        assert_eq!(longest_first(5, 5, 10), (5, 5));
    }
}
