//! Where a text may be cut without changing the tokens on the far side.
//!
//! A barrier is a place between two characters that no token, no pre-token and
//! no normalizer rule reaches over: between `g` and the space in `a dog barks`.
//! Tokens before it do not depend on the text after it, and the reverse. Where
//! that is not certain for a tokenizer, it has no barriers, and its texts are
//! tokenised whole.
//!
//! Two things make a place a barrier:
//! 1. the pre-tokenizer splits there, which is tried out on short probes, and
//!    every part of the pipeline is local (`locality.rs`), so that what holds
//!    for the probes holds anywhere; or
//! 2. the model is a BPE without a splitting pre-tokenizer (Mistral, Gemma) and
//!    no piece of its vocabulary has anything before a space mark: merges never
//!    join what no piece joins.

use std::ops::{Range, RangeInclusive};

use serde_json::to_value;
use tokenizers::models::ModelWrapper;
use tokenizers::{AddedToken, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

use crate::Side;
use crate::locality::{normalizer_is_local, pre_tokenizer_is_local};

/// Characters that may stand after a barrier; `中` stands for all ideographs.
const AFTER: [char; 10] = [' ', '\n', '\t', '\u{3000}', ',', '.', '，', '。', '、', '中'];

/// One probe for each kind of character before a barrier: letters, ideographs, digits, all else.
const BEFORE: [char; 4] = ['x', '中', '1', '!'];

/// What may follow: a barrier must hold before all of them.
const FOLLOWING: [&str; 5] = ["y", "1", "!", " y", ""];

/// One script, one category, no normalization: the oldest block of them.
const IDEOGRAPHS: RangeInclusive<char> = '一'..='鿋';

/// Bytes beside the cut that are never trusted: half a grapheme, a run of combining marks.
const LEAST_MARGIN: usize = 64;

/// The places where texts of one tokenizer may be cut.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Barriers {
    /// `holds[kind of character before][character after]`
    holds: [[bool; AFTER.len()]; BEFORE.len()],
    /// Bytes beside a cut that are not trusted: an added token may be cut in half there.
    margin: usize,
}

impl Barriers {
    /// None where no place is certain. Panics of the `tokenizers` crate pass through.
    pub(crate) fn of(tokenizer: &tokenizers::Tokenizer) -> Option<Self> {
        let normalizer = to_value(tokenizer.get_normalizer()).ok()?;
        let pre_tokenizer = to_value(tokenizer.get_pre_tokenizer()).ok()?;
        if !normalizer_is_local(&normalizer) || !pre_tokenizer_is_local(&pre_tokenizer) {
            return None;
        }
        let added = tokenizer.get_added_tokens_decoder();
        if added.values().any(reaches_over_a_barrier) {
            return None;
        }
        let longest = added.values().map(|token| token.content.len()).max().unwrap_or(0);
        let holds = table(tokenizer)?;
        Some(Self { holds, margin: LEAST_MARGIN + longest })
    }

    /// The part of a window whose tokens are those of the whole text, when the
    /// text goes on at the end that `side` cuts.
    ///
    /// The second barrier from the cut is taken; the first would do.
    pub(crate) fn trusted(&self, window: &str, side: Side) -> Option<Range<usize>> {
        let margin = self.margin.min(window.len());
        match side {
            Side::Right => {
                let inner = &window[..boundary(window, window.len() - margin)];
                self.places(inner).nth_back(1).map(|place| 0..place)
            }
            Side::Left => {
                let start = boundary(window, margin);
                self.places(&window[start..]).nth(1).map(|place| start + place..window.len())
            }
        }
    }

    fn places(&self, text: &str) -> impl DoubleEndedIterator<Item = usize> {
        let places = text.char_indices().filter(|&(at, after)| {
            text[..at].chars().next_back().is_some_and(|before| self.between(before, after))
        });
        places.map(|(at, _)| at)
    }

    fn between(&self, before: char, after: char) -> bool {
        let Some(column) = column(after) else { return false };
        match kind(before) {
            Kind::Never => false,
            Kind::Known(row) => self.holds[row][column],
            Kind::Unknown => self.holds.iter().all(|row| row[column]),
        }
    }
}

/// The nearest character boundary at or before `at`.
pub(crate) fn boundary(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// Index in [`AFTER`].
fn column(after: char) -> Option<usize> {
    let known = if IDEOGRAPHS.contains(&after) { '中' } else { after };
    AFTER.iter().position(|&column| column == known)
}

enum Kind {
    /// A space, or what a normalizer may remove or make a space: controls, zero-width characters, U+FFFD.
    Never,
    /// Index in [`BEFORE`].
    Known(usize),
    /// Anything: what holds for all kinds holds for it.
    Unknown,
}

/// Only characters of which `\p{L}` and `\p{N}` are certain are called letters and digits.
fn kind(character: char) -> Kind {
    match character {
        'a'..='z' | 'A'..='Z' | 'À'..='Ö' | 'Ø'..='ö' | 'ø'..='ʯ' | 'А'..='я' => Kind::Known(0),
        'ぁ'..='ゖ' | 'ァ'..='ヺ' | '가'..='힣' => Kind::Known(0),
        _ if IDEOGRAPHS.contains(&character) => Kind::Known(1),
        '0'..='9' => Kind::Known(2),
        '!'..='~' => Kind::Known(3),
        '。' | '，' | '、' | '！' | '？' | '；' | '：' | '」' | '』' | '）' | '》' => {
            Kind::Unknown
        }
        '“' | '”' | '‘' | '’' | '…' | '—' | '\u{1f300}'..='\u{1faff}' => Kind::Unknown,
        _ if character.is_alphanumeric() => Kind::Unknown,
        _ => Kind::Never,
    }
}

/// Whether an added token holds what may be a barrier in a text.
fn reaches_over_a_barrier(token: &AddedToken) -> bool {
    let characters = token.content.chars();
    characters.clone().zip(characters.skip(1)).any(|(before, after)| {
        let spaced = after == '\u{2581}' || column(after).is_some();
        spaced && !before.is_whitespace() && before != '\u{2581}'
    })
}

fn table(tokenizer: &tokenizers::Tokenizer) -> Option<[[bool; AFTER.len()]; BEFORE.len()]> {
    let holds = BEFORE.map(|before| AFTER.map(|after| splits_between(tokenizer, before, after)));
    let blank = AFTER.map(|after| after == ' ');
    let any = holds.iter().flatten().any(|&holds| holds);
    if any { Some(holds) } else { vocabulary_splits_at_spaces(tokenizer).then_some([blank; BEFORE.len()]) }
}

fn splits_between(tokenizer: &tokenizers::Tokenizer, before: char, after: char) -> bool {
    FOLLOWING.iter().all(|following| {
        let text = format!("x{before}{after}{following}");
        let place = 1 + before.len_utf8();
        pre_tokens(tokenizer, &text).is_some_and(|pieces| {
            pieces.iter().any(|(_, at)| at.end <= place && at.end > 1)
                && pieces.iter().all(|(_, at)| at.end <= place || at.start >= place)
        })
    })
}

/// The pre-tokens of a text, normalised, and where in the text they come from.
fn pre_tokens(tokenizer: &tokenizers::Tokenizer, text: &str) -> Option<Vec<(String, Range<usize>)>> {
    let added = tokenizer.get_added_vocabulary();
    let mut pieces: PreTokenizedString = added.extract_and_normalize(tokenizer.get_normalizer(), text);
    if let Some(pre_tokenizer) = tokenizer.get_pre_tokenizer() {
        pre_tokenizer.pre_tokenize(&mut pieces).ok()?;
    }
    let splits = pieces.get_splits(OffsetReferential::Original, OffsetType::Byte);
    Some(splits.into_iter().map(|(piece, (start, end), _)| (piece.to_owned(), start..end)).collect())
}

/// Whether a BPE can join nothing over a space.
fn vocabulary_splits_at_spaces(tokenizer: &tokenizers::Tokenizer) -> bool {
    let ModelWrapper::BPE(model) = tokenizer.get_model() else { return false };
    let plain = model.dropout.is_none_or(|dropout| dropout == 0.0)
        && model.continuing_subword_prefix.is_none()
        && model.end_of_word_suffix.is_none();
    let Some(mark) = space_mark(tokenizer) else { return false };
    let vocabulary = model.get_vocab();
    plain
        && vocabulary.contains_key(mark.encode_utf8(&mut [0; 4]))
        && vocabulary.keys().all(|piece| starts_with_marks(piece, mark))
}

/// What a space becomes: `▁` mostly.
fn space_mark(tokenizer: &tokenizers::Tokenizer) -> Option<char> {
    let pieces = pre_tokens(tokenizer, "x y")?;
    let [(piece, _)] = pieces.as_slice() else { return None };
    let mark = piece.strip_suffix('y')?.chars().next_back()?;
    piece.ends_with(&format!("x{mark}y")).then_some(mark)
}

/// Whether marks stand only at a piece's beginning.
fn starts_with_marks(piece: &str, mark: char) -> bool {
    !piece.trim_start_matches(mark).contains(mark)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::nasty::Random;

    impl Barriers {
        /// The margin hides what is wrong with a barrier.
        pub(crate) fn without_margin(self) -> Self {
            Self { margin: 0, ..self }
        }
    }

    fn tokenizer(model: &str) -> tokenizers::Tokenizer {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        tokenizers::Tokenizer::from_file(data.join(model).join("tokenizer.json")).unwrap()
    }

    /// Where `between` finds barriers in a text.
    fn places(model: &str, text: &str) -> Vec<usize> {
        Barriers::of(&tokenizer(model)).unwrap().places(text).collect()
    }

    #[test]
    fn each_kind_of_tokenizer_has_its_barriers() {
        let cases: [(&str, &[usize]); 6] = [
            ("bert-cls-prompts", &[1, 5, 6, 10, 16, 21, 24]),
            ("modernbert-mean", &[1, 5, 6, 10, 16, 24]),
            // Its expression joins punctuation and the line break after it.
            ("qwen3-last", &[1, 5, 10, 16, 24]),
            // A line break is made a space by the normalizer; words are split at spaces only.
            ("xlmr-cls", &[1, 6, 10, 16]),
            ("mistral-last", &[1, 10, 16]),
            ("gemma3-embedding", &[1, 10, 16]),
        ];
        for (model, want) in cases {
            assert_eq!(places(model, "a dog,\nthe  cat! \n北京。x"), want, "{model}");
        }
    }

    /// The vocabularies here are too small to show every wrong barrier in the ids. Not for Unigram: the
    /// offsets of its normalizer are not exact.
    #[test]
    fn no_pre_token_reaches_over_a_barrier() {
        for model in ["bert-cls-prompts", "modernbert-mean", "qwen3-last"] {
            let (tokenizer, mut random) = (tokenizer(model), Random(5));
            let barriers = Barriers::of(&tokenizer).unwrap();
            for _ in 0..200 {
                let text = random.text(600);
                let pieces = pre_tokens(&tokenizer, &text).unwrap();
                for place in barriers.places(&text) {
                    let over = pieces.iter().find(|(_, at)| at.start < place && place < at.end);
                    assert_eq!(over, None, "{model}: {place} in {text:?}");
                }
            }
        }
    }

    #[test]
    fn an_unknown_part_leaves_no_barriers() {
        let mut tokenizer = tokenizer("bert-cls-prompts");
        let by_length = tokenizers::pre_tokenizers::fixed_length::FixedLength { length: 5 };
        tokenizer.with_pre_tokenizer(Some(by_length));
        assert_eq!(Barriers::of(&tokenizer), None);
    }

    #[test]
    fn an_added_token_over_a_space_leaves_no_barriers() {
        let mut tokenizer = tokenizer("bert-cls-prompts");
        tokenizer.add_tokens([AddedToken::from("New York", false)]).unwrap();
        assert_eq!(Barriers::of(&tokenizer), None);
    }

    #[test]
    fn a_piece_over_a_space_leaves_no_barriers() {
        assert!(starts_with_marks("▁▁▁dog", '▁'));
        assert!(!starts_with_marks("▁a▁dog", '▁'));
        assert!(!starts_with_marks("dog▁", '▁'));
    }

    #[test]
    fn the_cut_is_never_trusted() {
        let barriers = Barriers::of(&tokenizer("bert-cls-prompts")).unwrap();
        let window = "dog ".repeat(100);
        assert_eq!(barriers.trusted(&window, Side::Right), Some(0..323));
        assert_eq!(barriers.trusted(&window, Side::Left), Some(75..400));
        assert_eq!(barriers.trusted("dog dog dog", Side::Right), None);
    }
}
