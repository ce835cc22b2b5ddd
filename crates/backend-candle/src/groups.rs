//! Which texts of a batch are padded to one length, on devices where few large operations beat many small ones.

use std::cmp::Reverse;
use std::ops::Range;

use backend::Batch;
use candle_core::{Device, Result, Tensor};

/// Lengths are rounded up to this, so that few shapes occur and rows of scores stay aligned.
const STEP: usize = 8;
/// Padded tokens of a group, unless one text alone is longer.
const MOST_TOKENS: usize = 1 << 15;
/// Of a hundred padded tokens, so many are tokens at least, once a group is past `SMALL` tokens.
const FULL: usize = 85;
/// Below this a group costs what its launches cost, not its tokens.
const SMALL: usize = 512;

/// Texts as rows of equal length, filled up at their ends.
pub(crate) struct Group {
    /// Tokens of a row.
    pub(crate) length: usize,
    /// The place of each text in the batch.
    pub(crate) places: Vec<usize>,
    /// Where its tokens lie there.
    pub(crate) texts: Vec<Range<usize>>,
    /// Tokens of each text that are seen.
    pub(crate) seen: Vec<usize>,
}

impl Group {
    /// Cuts a batch into groups of texts of like length.
    pub(crate) fn cut(batch: &Batch) -> Vec<Self> {
        let mut texts: Vec<_> = batch.texts().zip(batch.seen().iter().copied()).enumerate().collect();
        texts.sort_by_key(|(_, (text, _))| Reverse(text.len()));
        let mut groups: Vec<Self> = Vec::new();
        let mut tokens = 0;
        for (place, (text, seen)) in texts {
            if !groups.last().is_some_and(|group| group.takes(tokens + text.len())) {
                let length = text.len().next_multiple_of(STEP);
                let (places, texts, seen) = Default::default();
                groups.push(Self { length, places, texts, seen });
                tokens = 0;
            }
            tokens += text.len();
            if let Some(group) = groups.last_mut() {
                group.places.push(place);
                group.texts.push(text);
                group.seen.push(seen);
            }
        }
        groups
    }

    /// Whether one more row, after which `tokens` are no padding, is worth it.
    fn takes(&self, tokens: usize) -> bool {
        let padded = (self.texts.len() + 1) * self.length;
        padded <= SMALL || (padded <= MOST_TOKENS && padded * FULL <= tokens * 100)
    }

    /// `[rows · length]`: which token of the batch stands at each place; padding repeats the first of its text.
    fn tokens(&self) -> impl Iterator<Item = u32> {
        let place = |text: &Range<usize>, at| if at < text.len() { text.start + at } else { text.start };
        let length = self.length;
        self.texts.iter().flat_map(move |text| (0..length).map(move |at| place(text, at) as u32))
    }

    /// What is added to the scores of keys that no query sees: `[rows, 1, 1, length]`, or nothing.
    fn unseen(&self, device: &Device) -> Result<Option<Tensor>> {
        if self.seen.iter().all(|&seen| seen == self.length) {
            return Ok(None);
        }
        let score = |seen, key| if key < seen { 0.0_f32 } else { f32::NEG_INFINITY };
        let length = self.length;
        let scores = self.seen.iter().flat_map(|&seen| (0..length).map(move |key| score(seen, key)));
        Tensor::from_vec(scores.collect(), (self.seen.len(), 1, 1, length), device).map(Some)
    }
}

/// A group, ready on a device.
pub(crate) struct Padded {
    pub(crate) group: Group,
    pub(crate) rows: usize,
    pub(crate) length: usize,
    /// `[rows · length]` places in the batch.
    pub(crate) tokens: Tensor,
    /// `[rows, 1, 1, length]`, if any key is not seen.
    pub(crate) unseen: Option<Tensor>,
}

/// A batch as padded groups.
pub(crate) struct Layout {
    pub(crate) groups: Vec<Padded>,
    /// `[tokens]`: where each token of the batch stands among the rows of all groups, one below the other.
    pub(crate) back: Tensor,
    /// `[texts]`: where each text does.
    pub(crate) texts_back: Tensor,
}

impl Layout {
    pub(crate) fn of(batch: &Batch, device: &Device) -> Result<Self> {
        let cut = Group::cut(batch);
        let mut back = vec![0_u32; batch.tokens()];
        let mut row = 0;
        for group in &cut {
            for text in &group.texts {
                text.clone().enumerate().for_each(|(at, token)| back[token] = (row + at) as u32);
                row += group.length;
            }
        }
        let mut texts_back = vec![0_u32; batch.len()];
        let places = cut.iter().flat_map(|group| &group.places);
        places.enumerate().for_each(|(at, &place)| texts_back[place] = at as u32);
        let padded = |group: Group| {
            let tokens: Vec<u32> = group.tokens().collect();
            let (rows, length) = (group.texts.len(), group.length);
            let tokens = Tensor::from_vec(tokens, rows * length, device)?;
            Ok(Padded { rows, length, tokens, unseen: group.unseen(device)?, group })
        };
        let groups = cut.into_iter().map(padded).collect::<Result<_>>()?;
        let back = Tensor::from_vec(back, batch.tokens(), device)?;
        Ok(Self { groups, back, texts_back: Tensor::from_vec(texts_back, batch.len(), device)? })
    }
}

#[cfg(test)]
mod tests {
    use backend::Text;

    use super::*;

    fn batch(lengths: &[usize]) -> Batch {
        let mut batch = Batch::default();
        for &length in lengths {
            batch.push(Text { ids: &vec![7; length], types: &[], prompt_tokens: 0 });
        }
        batch
    }

    #[test]
    fn every_token_comes_back_to_its_place() {
        let lengths: Vec<usize> = (1..300).map(|number| 1 + (number * 7919) % 601).collect();
        let batch = batch(&lengths);
        let layout = Layout::of(&batch, &Device::Cpu).unwrap();
        let tokens: Vec<Tensor> = layout.groups.iter().map(|group| group.tokens.clone()).collect();
        let all = Tensor::cat(&tokens, 0).unwrap();
        let back = all.index_select(&layout.back, 0).unwrap().to_vec1::<u32>().unwrap();
        assert_eq!(back, (0..batch.tokens() as u32).collect::<Vec<_>>());
    }

    #[test]
    fn padding_and_size_are_bounded() {
        let lengths: Vec<usize> = (1..2000).map(|number| 1 + (number * 7919) % 601).collect();
        let groups = Group::cut(&batch(&lengths));
        for group in &groups {
            let (padded, tokens) =
                (group.texts.len() * group.length, group.texts.iter().map(Range::len).sum::<usize>());
            assert!(padded <= MOST_TOKENS && group.length % STEP == 0);
            assert!(
                group.texts.len() == 1 || padded <= SMALL || padded * FULL <= tokens * 100,
                "{padded} {tokens}"
            );
        }
        assert_eq!(groups.iter().map(|group| group.texts.len()).sum::<usize>(), lengths.len());
        let alone = Group::cut(&batch(&[MOST_TOKENS + 1, MOST_TOKENS]));
        assert_eq!(alone.iter().map(|group| group.texts.len()).collect::<Vec<_>>(), [1, 1]);
        assert_eq!(Group::cut(&batch(&[3, 8, 60, 2])).len(), 1, "few tokens are one launch");
    }
}
