//! Where a text may be cut without changing the tokens on the far side.
//!
//! A barrier is a place between two characters that no token, no pre-token and
//! no normalizer rule reaches over: between `g` and the space in `a dog barks`.
//! Tokens before it do not depend on the text after it, and the reverse, but for where a text begins: some
//! tokenizers put a space before it, or take one away. Where that is not certain for a tokenizer, it has no
//! barriers, and its texts are tokenised whole.
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

use crate::locality::{changes_letters, joins_punctuation, normalizer_is_local, pre_tokenizer_is_local};

/// Characters that may stand after a barrier; `中` stands for all ideographs. The last ASCII ones are what markup, addresses and
/// base64 have in place of spaces.
const AFTER: [char; 16] =
    [' ', '\n', '\t', '\u{3000}', ',', '.', '，', '。', '、', '中', '<', '"', '=', '-', '/', '+'];

/// One probe for each kind of character before a barrier: letters, ideographs, digits, all else.
const BEFORE: [char; 4] = ['x', '中', '1', '!'];

/// Index of letters in [`BEFORE`].
const LETTER: usize = 0;

/// What may follow: a barrier must hold before all of them.
const FOLLOWING: [&str; 5] = ["y", "1", "!", " y", ""];

/// One script, one category, no normalization: the oldest block of them.
const IDEOGRAPHS: RangeInclusive<char> = '一'..='鿋';

/// The places where texts of one tokenizer may be cut.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Barriers {
    /// `holds[kind of character before][character after]`
    holds: [[bool; AFTER.len()]; BEFORE.len()],
    /// The last characters of added tokens, behind which a text begins anew.
    ends: Vec<char>,
}

impl Barriers {
    /// None where no place is certain. Panics of the `tokenizers` crate pass through.
    pub(crate) fn of(tokenizer: &tokenizers::Tokenizer) -> Option<Self> {
        let normalizer = to_value(tokenizer.get_normalizer()).ok()?;
        let pre_tokenizer = to_value(tokenizer.get_pre_tokenizer()).ok()?;
        if !normalizer_is_local(&normalizer) || !pre_tokenizer_is_local(&pre_tokenizer) {
            return None;
        }
        let changes = changes_letters(&normalizer);
        // A letter that becomes one and a mark would stand in a run of punctuation.
        if changes && joins_punctuation(&pre_tokenizer) {
            return None;
        }
        let added = tokenizer.get_added_tokens_decoder();
        if added.values().any(|token| looks_further(token, changes)) {
            return None;
        }
        let ends = added.values().filter_map(|token| token.content.chars().next_back()).collect();
        let mut holds = table(tokenizer)?;
        for after in added.values().flat_map(reached_over) {
            holds.iter_mut().for_each(|row| column(after).into_iter().for_each(|column| row[column] = false));
        }
        Some(Self { holds, ends })
    }

    /// Whether an added token ends as this text does.
    pub(crate) fn ends_a_token(&self, text: &str) -> bool {
        text.ends_with(&self.ends[..])
    }

    /// The barriers of a text, as byte offsets. They would be barriers behind a letter, too.
    pub(crate) fn places(&self, text: &str) -> impl DoubleEndedIterator<Item = usize> {
        let places = text.char_indices().filter(|&(at, after)| {
            text[..at].chars().next_back().is_some_and(|before| self.between(before, after))
        });
        places.map(|(at, _)| at)
    }

    fn between(&self, before: char, after: char) -> bool {
        let Some(column) = column(after) else { return false };
        if self.ends.contains(&before) {
            return false;
        }
        match kind(before) {
            Kind::Never => false,
            Kind::Known(row) => self.holds[row][column] && self.holds[LETTER][column],
            Kind::Unknown => self.holds.iter().all(|row| row[column]),
        }
    }
}

/// Whether a barrier may stand before this character.
pub(crate) fn may_follow(after: char) -> bool {
    column(after).is_some()
}

/// Index in [`AFTER`].
fn column(after: char) -> Option<usize> {
    let known = if IDEOGRAPHS.contains(&after) { '中' } else { after };
    AFTER.iter().position(|&column| column == known)
}

enum Kind {
    /// A space, or what a normalizer may remove or make a space: controls, zero-width characters, U+FFFD, marks, and
    /// letters that stand for a space and a mark (U+037A, U+FC5E). All that is not known.
    Never,
    /// Index in [`BEFORE`].
    Known(usize),
    /// Anything: what holds for all kinds holds for it.
    Unknown,
}

/// Only characters of which `\p{L}` and `\p{N}` are certain are called letters and digits.
fn kind(character: char) -> Kind {
    match character {
        'a'..='z' | 'A'..='Z' | 'À'..='Ö' | 'Ø'..='ö' | 'ø'..='ʯ' | 'А'..='я' => Kind::Known(LETTER),
        'ぁ'..='ゖ' | 'ァ'..='ヺ' | '가'..='힣' => Kind::Known(LETTER),
        _ if IDEOGRAPHS.contains(&character) => Kind::Known(1),
        '0'..='9' => Kind::Known(2),
        '!'..='~' => Kind::Known(3),
        '。' | '，' | '、' | '！' | '？' | '；' | '：' | '」' | '』' | '）' | '》' => {
            Kind::Unknown
        }
        '“' | '”' | '‘' | '’' | '…' | '—' | '\u{1f300}'..='\u{1faff}' => Kind::Unknown,
        'Α'..='Ρ' | 'Σ'..='Ϋ' | 'ά'..='ώ' | 'Ѐ'..='ҁ' | 'Ҋ'..='ԯ' | 'Ա'..='Ֆ' | 'ա'..='և' => {
            Kind::Unknown
        }
        'א'..='ת' | 'ء'..='غ' | 'ف'..='ي' | 'ٱ'..='ۓ' | 'ऄ'..='ह' | 'ก'..='ะ' => {
            Kind::Unknown
        }
        'ა'..='ჺ' | 'Ḁ'..='ỿ' => Kind::Unknown,
        _ => Kind::Never,
    }
}

/// Whether an added token depends on what lies beyond a barrier: it holds a space behind something else, must stand alone, or
/// has a space or ends in a letter that a normalizer may have made of something else.
fn looks_further(token: &AddedToken, changes: bool) -> bool {
    let over = reached_over(token).any(is_space);
    let spaced = changes && token.content.contains(char::is_whitespace);
    let renamed = spaced || token.content.chars().next_back().is_some_and(char::is_alphanumeric);
    over || token.single_word || token.normalized && renamed
}

/// The characters of an added token before which a barrier might stand.
fn reached_over(token: &AddedToken) -> impl Iterator<Item = char> {
    let places = token.content.chars().zip(token.content.chars().skip(1));
    places.filter(|&(before, _)| !is_space(before)).map(|(_, after)| after)
}

/// A space, or what some tokenizers make of one.
fn is_space(character: char) -> bool {
    character.is_whitespace() || character == '\u{2581}'
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
    fn markup_has_barriers_but_where_an_added_token_reaches() {
        assert_eq!(places("bert-cls-prompts", "<p>a<b/>c=\"d\"+e"), [4, 6, 9, 10, 12, 13]);
        assert_eq!(places("modernbert-mean", "a/b</s>"), [1, 3]);
        let mut tokenizer = tokenizer("modernbert-mean");
        tokenizer.add_tokens([AddedToken::from("</s>", true)]).unwrap();
        assert_eq!(Barriers::of(&tokenizer).unwrap().places("a/b</s>").collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn an_unknown_part_leaves_no_barriers() {
        let mut tokenizer = tokenizer("bert-cls-prompts");
        let by_length = tokenizers::pre_tokenizers::fixed_length::FixedLength { length: 5 };
        tokenizer.with_pre_tokenizer(Some(by_length));
        assert_eq!(Barriers::of(&tokenizer), None);
    }

    #[test]
    fn an_added_token_that_looks_further_leaves_no_barriers() {
        let alone = AddedToken::from("<x>", false).single_word(true);
        for token in [AddedToken::from("New York", false), alone, AddedToken::from("dog", false)] {
            let mut tokenizer = tokenizer("bert-cls-prompts");
            tokenizer.add_tokens([token]).unwrap();
            assert_eq!(Barriers::of(&tokenizer), None);
        }
    }

    #[test]
    fn letters_that_become_marks_among_punctuation_leave_no_barriers() {
        let mut tokenizer = tokenizer("qwen3-last");
        assert!(Barriers::of(&tokenizer).is_some());
        tokenizer.with_normalizer(Some(tokenizers::normalizers::Lowercase)).unwrap();
        assert_eq!(Barriers::of(&tokenizer), None);
    }

    #[test]
    fn a_piece_over_a_space_leaves_no_barriers() {
        assert!(starts_with_marks("▁▁▁dog", '▁'));
        assert!(!starts_with_marks("▁a▁dog", '▁'));
        assert!(!starts_with_marks("dog▁", '▁'));
    }

    #[test]
    fn a_text_begins_anew_behind_an_added_token() {
        assert_eq!(places("bert-cls-prompts", "a [SEP] dog [x] cat"), [1, 11]);
    }
}
