//! Which texts of a batch share a run at one length, for executors on which few large operations beat many small ones.

use std::cmp::Reverse;
use std::ops::Range;

use crate::Batch;

/// How much padding an executor bears.
#[derive(Debug, Clone, Copy)]
pub struct Padding {
    /// Lengths are rounded up to a multiple of this.
    pub step: usize,
    /// Padded tokens of a group, unless one text alone is longer.
    pub most: usize,
    /// Up to so many a group costs what its run costs, not its tokens.
    pub small: usize,
    /// Of a larger group: of so many padded tokens, so many are tokens at least.
    pub full: (usize, usize),
}

/// Texts that make one run: rows of equal length, filled up at their ends.
#[derive(Debug, PartialEq, Eq)]
pub struct Group {
    /// Tokens of a row.
    pub length: usize,
    /// Each text's place in the batch, and where its tokens lie there.
    pub texts: Vec<(usize, Range<usize>)>,
}

impl Group {
    /// Rows of the run.
    pub fn rows(&self) -> usize {
        self.texts.len()
    }

    /// Tokens of the run, with those that fill it up.
    pub fn padded(&self) -> usize {
        self.rows() * self.length
    }
}

impl Padding {
    /// Cuts a batch into groups of texts of like length.
    pub fn groups(self, batch: &Batch) -> Vec<Group> {
        let mut texts: Vec<_> = batch.texts().enumerate().collect();
        texts.sort_by_key(|(_, tokens)| Reverse(tokens.len()));
        let mut groups: Vec<Group> = Vec::new();
        let mut real = 0;
        for (place, tokens) in texts {
            match groups.last_mut().filter(|group| self.allows(group, real + tokens.len())) {
                Some(group) => {
                    real += tokens.len();
                    group.texts.push((place, tokens));
                }
                None => {
                    real = tokens.len();
                    let length = real.next_multiple_of(self.step);
                    groups.push(Group { length, texts: vec![(place, tokens)] });
                }
            }
        }
        groups
    }

    /// Whether one more row, after which `real` tokens are no padding, is worth it.
    fn allows(self, group: &Group, real: usize) -> bool {
        let padded = group.padded() + group.length;
        padded <= self.small || (padded <= self.most && self.is_full(padded, real))
    }

    fn is_full(self, padded: usize, real: usize) -> bool {
        let (of, least) = self.full;
        padded * least <= real * of
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Text;

    const STRICT: Padding = Padding { step: 1, most: 4096, small: 0, full: (115, 100) };
    const LOOSE: Padding = Padding { step: 8, most: 1 << 15, small: 512, full: (100, 85) };

    fn batch(lengths: &[usize]) -> Batch {
        let mut batch = Batch::default();
        for &length in lengths {
            batch.push(Text { ids: &vec![7; length], types: &[], prompt_tokens: 0 });
        }
        batch
    }

    fn places(groups: &[Group]) -> Vec<Vec<usize>> {
        groups.iter().map(|group| group.texts.iter().map(|(place, _)| *place).collect()).collect()
    }

    #[test]
    fn like_lengths_share_a_group() {
        let groups = STRICT.groups(&batch(&[3, 10, 9, 3]));
        assert_eq!(places(&groups), [vec![1, 2], vec![0, 3]]);
        assert_eq!(groups[0].texts[1].1, 13..22);
        assert_eq!((groups[0].length, groups[1].length), (10, 3));
        assert_eq!(places(&LOOSE.groups(&batch(&[3, 8, 60, 2]))), [[2, 1, 0, 3]], "few tokens are one run");
    }

    #[test]
    fn padding_and_size_are_bounded() {
        let lengths: Vec<usize> = (1..2000).map(|number| 1 + (number * 7919) % 601).collect();
        for padding in [STRICT, LOOSE] {
            let groups = padding.groups(&batch(&lengths));
            for group in &groups {
                let (padded, real) = (group.padded(), group.texts.iter().map(|(_, text)| text.len()).sum());
                assert!(padded <= padding.most && group.length % padding.step == 0);
                let full = group.rows() == 1 || padded <= padding.small || padding.is_full(padded, real);
                assert!(full, "{padded} {real}");
            }
            assert_eq!(groups.iter().map(Group::rows).sum::<usize>(), lengths.len());
        }
    }

    #[test]
    fn a_text_without_end_stands_alone() {
        for padding in [STRICT, LOOSE] {
            let groups = padding.groups(&batch(&[padding.most + 1, padding.most + 1]));
            assert_eq!(places(&groups), [[0], [1]]);
        }
    }
}
