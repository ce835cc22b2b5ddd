//! Texts of a batch as padded groups on a device.

use std::ops::Range;

use backend::{Batch, Group, Padding};
use candle_core::{Device, Result, Tensor};

/// Lengths of a step, so that few shapes occur and rows of scores stay aligned.
const PADDING: Padding = Padding { step: 8, most: 1 << 15, small: 512, full: (100, 85) };

/// `[rows · length]`: which token of the batch stands at each place; padding repeats the first of its text.
fn tokens(group: &Group) -> impl Iterator<Item = u32> {
    let place = |text: &Range<usize>, at| if at < text.len() { text.start + at } else { text.start };
    let length = group.length;
    group.texts.iter().flat_map(move |(_, text)| (0..length).map(move |at| place(text, at) as u32))
}

/// What is added to the scores of keys that no query sees: `[rows, 1, 1, length]`, or nothing.
fn unseen(group: &Group, batch: &Batch, device: &Device) -> Result<Option<Tensor>> {
    let (rows, length) = (group.rows(), group.length);
    let seen = || group.texts.iter().map(|(place, _)| batch.seen()[*place]);
    if seen().all(|seen| seen == length) {
        return Ok(None);
    }
    let score = |seen, key| if key < seen { 0.0_f32 } else { f32::NEG_INFINITY };
    let scores = seen().flat_map(|seen| (0..length).map(move |key| score(seen, key)));
    Tensor::from_vec(scores.collect(), (rows, 1, 1, length), device).map(Some)
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
        let cut = PADDING.groups(batch);
        let mut back = vec![0_u32; batch.tokens()];
        let mut row = 0;
        for group in &cut {
            for (_, text) in &group.texts {
                text.clone().enumerate().for_each(|(at, token)| back[token] = (row + at) as u32);
                row += group.length;
            }
        }
        let mut texts_back = vec![0_u32; batch.len()];
        let texts = cut.iter().flat_map(|group| &group.texts);
        texts.enumerate().for_each(|(at, (place, _))| texts_back[*place] = at as u32);
        let padded = |group: Group| {
            let tokens: Vec<u32> = tokens(&group).collect();
            let (rows, length) = (group.rows(), group.length);
            let tokens = Tensor::from_vec(tokens, rows * length, device)?;
            Ok(Padded { rows, length, tokens, unseen: unseen(&group, batch, device)?, group })
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

    #[test]
    fn every_token_comes_back_to_its_place() {
        let mut batch = Batch::default();
        for length in (1..300).map(|number| 1 + (number * 7919) % 601) {
            batch.push(Text { ids: &vec![7; length], types: &[], prompt_tokens: 0 });
        }
        let layout = Layout::of(&batch, &Device::Cpu).unwrap();
        let tokens: Vec<Tensor> = layout.groups.iter().map(|group| group.tokens.clone()).collect();
        let all = Tensor::cat(&tokens, 0).unwrap();
        let back = all.index_select(&layout.back, 0).unwrap().to_vec1::<u32>().unwrap();
        assert_eq!(back, (0..batch.tokens() as u32).collect::<Vec<_>>());
    }
}
