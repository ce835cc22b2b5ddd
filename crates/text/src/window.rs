//! Long texts: tokenise only as much as is needed.
//!
//! Of ten megabytes with a limit of 256 tokens the first kilobytes suffice. A
//! window at the kept end is tokenised; the tokens up to the second
//! barrier from its cut are those of the whole text (`barrier.rs`). When they
//! are too few, the window is doubled.

use crate::Side;
use crate::barrier::{Barriers, boundary};

/// A token is rarely longer; too small only costs a second round.
const BYTES_PER_TOKEN: usize = 8;

/// Room for the margin, and what makes a window worth it.
const LEAST_WINDOW: usize = 4096;

/// Which tokens of a text are asked for.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    /// More than this many must be found, or the text be seen whole.
    pub(crate) room: usize,
    /// The end that is cut.
    pub(crate) side: Side,
}

impl Wanted {
    /// Whether a text is so long that a window may save work.
    pub(crate) fn is_small_part_of(self, text: &str) -> bool {
        self.first_window() < text.len() / 2
    }

    /// More than `room` tokens at the kept end, or None: then the text must be tokenised whole.
    pub(crate) fn ids(
        self,
        tokenizer: &tokenizers::Tokenizer,
        barriers: &Barriers,
        text: &str,
    ) -> tokenizers::Result<Option<Vec<u32>>> {
        let mut size = self.first_window();
        while size < text.len() / 2 {
            let ids = self.ids_in_window(tokenizer, barriers, self.window(text, size))?;
            if ids.len() > self.room {
                return Ok(Some(ids));
            }
            size *= 2;
        }
        Ok(None)
    }

    fn first_window(self) -> usize {
        self.room.saturating_mul(BYTES_PER_TOKEN).saturating_add(LEAST_WINDOW)
    }

    fn window(self, text: &str, size: usize) -> &str {
        match self.side {
            Side::Right => &text[..boundary(text, size)],
            Side::Left => &text[boundary(text, text.len() - size)..],
        }
    }

    /// The ids of a window that are certain: those that come out with and without what lies beyond its barriers.
    ///
    /// Offsets would tell in one go, but the `Precompiled` normalizer shifts
    /// them when it removes characters at the beginning (tokenizers 0.23).
    fn ids_in_window(
        self,
        tokenizer: &tokenizers::Tokenizer,
        barriers: &Barriers,
        window: &str,
    ) -> tokenizers::Result<Vec<u32>> {
        let Some(trusted) = barriers.trusted(window, self.side) else { return Ok(Vec::new()) };
        let inner = tokenizer.encode_fast(&window[trusted], false)?;
        let outer = tokenizer.encode_fast(window, false)?;
        let (inner, outer) = (inner.get_ids(), outer.get_ids());
        Ok(match self.side {
            Side::Right => outer[..common(inner.iter(), outer.iter())].to_vec(),
            Side::Left => outer[outer.len() - common(inner.iter().rev(), outer.iter().rev())..].to_vec(),
        })
    }
}

/// How many items two lists begin with alike.
fn common<'ids>(one: impl Iterator<Item = &'ids u32>, other: impl Iterator<Item = &'ids u32>) -> usize {
    one.zip(other).take_while(|(one, other)| one == other).count()
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

    /// Wherever a text is cut, what is trusted of the window is what the whole text has there.
    fn check_windows(folder: &Path, seed: u64) -> usize {
        let mut tokenizer = tokenizers::Tokenizer::from_file(folder.join("tokenizer.json")).unwrap();
        tokenizer.with_padding(None).with_truncation(None).unwrap();
        let barriers = Barriers::of(&tokenizer).unwrap().without_margin();
        let (mut random, mut trusted) = (Random(seed), 0);
        for _ in 0..150 {
            let text = random.text(4000);
            let whole = tokenizer.encode_fast(text.as_str(), false).unwrap();
            for side in [Side::Right, Side::Left] {
                let wanted = Wanted { room: 0, side };
                let window = wanted.window(&text, 200 + random.below(3000));
                let ids = wanted.ids_in_window(&tokenizer, &barriers, window).unwrap();
                let same = match side {
                    Side::Right => whole.get_ids().starts_with(&ids),
                    Side::Left => whole.get_ids().ends_with(&ids),
                };
                assert!(same, "{} {side:?} {window:?}\nof {text:?}", folder.display());
                trusted += ids.len();
            }
        }
        trusted
    }

    #[test]
    fn what_is_trusted_is_what_the_whole_text_has() {
        for folder in committed().iter().chain(&shared()) {
            let trusted = check_windows(folder, 11);
            assert!(trusted > 50_000, "{}: {trusted} ids in 300 windows", folder.display());
        }
    }
}
