//! Texts word by word: no more is tokenised than is needed, and what a word becomes is remembered.
//!
//! A text is cut at its barriers (`barrier.rs`). What stands behind one is tokenised behind [`LEAD`], as a
//! tokenizer may read the beginning of a text otherwise, and so has the ids that it has in the whole text. Of
//! ten megabytes with a limit of 256 tokens the first words suffice; and as few words make up most of a text, most
//! are looked up.

use std::fmt;
use std::ops::Range;

use quick_cache::sync::Cache;

use crate::Side;
use crate::barrier::{Barriers, may_follow};

/// What words are tokenised behind: a letter, before which no barrier stands.
const LEAD: &str = "x";

/// Words that are remembered, some 100 bytes each.
const REMEMBERED: usize = 16_384;

/// The most bytes of a remembered word, and the most ids.
const LONGEST: usize = 48;
const MOST_IDS: usize = 7;

/// Which tokens of a text are asked for.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    /// All, or at least one more than this many.
    pub(crate) room: usize,
    /// The end that is cut.
    pub(crate) side: Side,
}

impl Wanted {
    /// The whole text.
    pub(crate) const ALL: Self = Self { room: usize::MAX, side: Side::Right };
}

/// The words of one tokenizer.
pub(crate) struct Words {
    barriers: Barriers,
    /// The ids of [`LEAD`].
    lead: Vec<u32>,
    known: Cache<Box<str>, Ids>,
}

/// The ids of a remembered word; those behind the last are zero.
#[derive(Clone, Copy)]
struct Ids {
    length: usize,
    ids: [u32; MOST_IDS],
}

impl Words {
    /// None where no place of a text is a certain barrier. Panics of the `tokenizers` crate pass through.
    pub(crate) fn of(tokenizer: &tokenizers::Tokenizer) -> Option<Self> {
        // Behind an added token a text begins anew.
        let barriers = Barriers::of(tokenizer).filter(|barriers| !barriers.ends_a_token(LEAD))?;
        let lead = tokenizer.encode_fast(LEAD, false).ok()?.get_ids().to_vec();
        Some(Self { barriers, lead, known: Cache::new(REMEMBERED) })
    }

    /// The ids that are wanted of a text. None where a word cannot be told from what it is tokenised behind:
    /// then the text must be tokenised whole.
    pub(crate) fn ids(
        &self,
        tokenizer: &tokenizers::Tokenizer,
        text: &str,
        wanted: Wanted,
    ) -> tokenizers::Result<Option<Vec<u32>>> {
        let mut ids = Vec::new();
        let mut cut = match wanted.side {
            Side::Right => 0,
            Side::Left => text.len(),
        };
        let mut places = self.barriers.places(text);
        while ids.len() <= wanted.room {
            let place = match wanted.side {
                Side::Right => places.next().unwrap_or(text.len()),
                Side::Left => places.next_back().unwrap_or(0),
            };
            let before = ids.len();
            if !self.append(tokenizer, text, place.min(cut)..place.max(cut), &mut ids)? {
                return Ok(None);
            }
            // From the end words are found last to first.
            if wanted.side == Side::Left {
                ids[before..].reverse();
            }
            cut = place;
            if [0, text.len()].contains(&place) {
                break;
            }
        }
        if wanted.side == Side::Left {
            ids.reverse();
        }
        Ok(Some(ids))
    }

    /// Appends the ids of one word of a text. False where they cannot be told.
    fn append(
        &self,
        tokenizer: &tokenizers::Tokenizer,
        text: &str,
        place: Range<usize>,
        ids: &mut Vec<u32>,
    ) -> tokenizers::Result<bool> {
        let (word, begins) = (&text[place.clone()], place.start == 0);
        // At the beginning of a text these may be read otherwise than behind a barrier.
        let ambiguous = begins && word.starts_with(may_follow);
        let remembered = !ambiguous && word.len() <= LONGEST;
        if remembered && let Some(known) = self.known.get(word) {
            ids.extend_from_slice(&known.ids[..known.length]);
            return Ok(true);
        }
        let behind = if begins { String::new() } else { [LEAD, word].concat() };
        let encoding = tokenizer.encode_fast(if begins { word } else { &behind }, false)?;
        let lead = if begins { &[][..] } else { &self.lead };
        let Some(found) = encoding.get_ids().strip_prefix(lead) else { return Ok(false) };
        ids.extend_from_slice(found);
        if remembered && found.len() <= MOST_IDS {
            let mut known = Ids { length: found.len(), ids: [0; MOST_IDS] };
            known.ids[..found.len()].copy_from_slice(found);
            self.known.insert(word.into(), known);
        }
        Ok(true)
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Words").field("barriers", &self.barriers).field("known", &self.known.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::nasty::Random;

    fn committed() -> Vec<PathBuf> {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        let folders = data.read_dir().unwrap().map(|entry| entry.unwrap().path());
        folders.filter(|folder| folder.is_dir()).collect()
    }

    fn shared() -> Vec<PathBuf> {
        let Some(data) = std::env::var_os("EMBED_NATIVE_DATA").map(PathBuf::from) else { return Vec::new() };
        let folders = data.join("tiny-models").read_dir().unwrap().map(|entry| entry.unwrap().path());
        folders
            .chain([data.join("tokenizer")])
            .filter(|folder| folder.join("tokenizer.json").exists())
            .collect()
    }

    fn tokenizer(folder: &Path) -> tokenizers::Tokenizer {
        let mut tokenizer = tokenizers::Tokenizer::from_file(folder.join("tokenizer.json")).unwrap();
        tokenizer.with_padding(None).with_truncation(None).unwrap();
        tokenizer
    }

    /// Word by word the ids are those of the whole text, and no more of them than are wanted.
    fn check(folder: &Path) {
        let (tokenizer, mut random) = (tokenizer(folder), Random(11));
        let words = Words::of(&tokenizer).unwrap();
        for round in 0..400 {
            let length = random.below([20, 200, 4_000][round % 3]);
            let text = random.text(length);
            let whole = tokenizer.encode_fast(text.as_str(), false).unwrap();
            let whole = whole.get_ids();
            let room = random.below(300);
            let found = |wanted| words.ids(&tokenizer, &text, wanted).unwrap().unwrap();
            assert_eq!(found(Wanted::ALL), whole, "{} {text:?}", folder.display());
            let (right, left) = ([Side::Right, Side::Left]).map(|side| found(Wanted { room, side })).into();
            assert!(whole.starts_with(&right) && whole.ends_with(&left), "{} {text:?}", folder.display());
            let enough = whole.len().min(room + 1);
            assert!(right.len() >= enough && left.len() >= enough, "{} {text:?}", folder.display());
        }
    }

    #[test]
    fn ids_are_those_of_the_whole_text() {
        committed().iter().chain(&shared()).for_each(|folder| check(folder));
    }

    #[test]
    fn a_word_is_remembered_once_and_not_where_a_text_begins_with_a_space() {
        let folder = committed().into_iter().find(|folder| folder.ends_with("mistral-last")).unwrap();
        let tokenizer = tokenizer(&folder);
        let words = Words::of(&tokenizer).unwrap();
        for (text, known) in [(" dog", 0), ("a dog dog dog", 2), (" dog dog", 2), ("a dog", 2)] {
            words.ids(&tokenizer, text, Wanted::ALL).unwrap();
            assert_eq!(words.known.len(), known, "{text:?}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let tokenizer = tokenizer(&committed()[0]);
        let words = Words::of(&tokenizer).unwrap();
        let text: String = (0..3 * REMEMBERED).map(|number| format!("{number} ")).collect();
        words.ids(&tokenizer, &text, Wanted::ALL).unwrap();
        assert!(words.known.len() <= REMEMBERED, "{}", words.known.len());
    }
}
