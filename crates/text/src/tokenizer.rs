//! The tokenizer of one model folder.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::OnceLock;

use tokenizers::normalizers::{Lowercase, NormalizerWrapper, Sequence};
use tokenizers::{AddedToken, Model};

use crate::chunks::windows;
use crate::frame::Frame;
use crate::guard::guarded;
use crate::pair::{PairFrame, longest_first};
use crate::reading::{Facts, Reading};
use crate::settings::Settings;
use crate::words::{Wanted, Words};
use crate::{Error, Limit, Overflow, Side};

/// A tokenizer's files as they were read: reading them safely is the caller's work.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// `tokenizer.json`.
    pub tokenizer: &'a [u8],
    /// `tokenizer_config.json`, if there is one.
    pub settings: Option<&'a [u8]>,
    /// `do_lower_case` of `sentence_bert_config.json`.
    pub lowercase: bool,
    /// Which tokens the model sees.
    pub reading: Reading,
    /// Tokens of the vocabulary that are kept whole wherever a text holds them, as special tokens are: the markers of
    /// queries and documents. Those the vocabulary lacks are read as the text they are.
    pub markers: &'a [String],
}

/// The ids of one text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids, special ones included.
    pub ids: Vec<u32>,
    /// Type ids, one for each id; empty when all are zero.
    pub types: Vec<u32>,
    /// Whether tokens were cut off.
    pub truncated: bool,
    /// How many leading ids are the prompt's, the opening special token
    /// included: what a pooling with `include_prompt: false` leaves out. 0
    /// without a prompt. As the reference does, it is the length of the prompt
    /// tokenised alone: it may differ where a token reaches over the seam, and
    /// it does not change when the left side is cut.
    pub prompt_tokens: usize,
    /// How many closing tokens look at the others and are seen by none: a query's expansion.
    pub unseen: usize,
}

/// Reads texts as one model wants them read. Shared by threads as it is.
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    frame: Frame,
    settings: Settings,
    /// Sorted ids of the special tokens.
    special: Vec<u32>,
    /// The token that is left out.
    unseen: Option<u32>,
    own_limit: Option<usize>,
    vocab_size: usize,
    highest_plain: Option<u32>,
    bytes: usize,
    /// Found at the first pair.
    pairs: OnceLock<Result<PairFrame, String>>,
    /// None where texts must be tokenised whole.
    words: Option<Words>,
}

impl Tokenizer {
    /// Makes a tokenizer of its files.
    ///
    /// Truncation and padding blocks of the file are ignored: the caller says
    /// the limit, and batches are ragged. Only [`Tokenizer::own_limit`] tells
    /// of them.
    ///
    /// # Errors
    /// [`Error::Broken`], [`Error::BrokenSettings`].
    pub fn parse(source: &Source<'_>) -> Result<Self, Error> {
        let settings = source.settings.map_or(Ok(Settings::default()), Settings::parse);
        let settings = settings.map_err(|error| Error::BrokenSettings { message: error.to_string() })?;
        Self::assemble(source, settings).map_err(|message| Error::Broken { message })
    }

    fn assemble(source: &Source<'_>, mut settings: Settings) -> Result<Self, String> {
        let inner = guarded(|| read_tokenizer(source))?;
        let (frame, facts) = match source.reading {
            Reading::Framed => (Frame::of(&inner)?, Facts::default()),
            Reading::Bare | Reading::Known => (Frame::default(), Facts::parse(source.tokenizer)?),
        };
        let own = facts.truncation.as_ref();
        settings.truncation_side = own.map_or(settings.truncation_side, |own| Some(own.side()));
        let unseen = (source.reading == Reading::Known).then(|| facts.unknown(&inner)).flatten();
        let highest_plain = inner.get_model().get_vocab().into_values().max().max(frame.highest());
        let added = inner.get_added_vocabulary().get_vocab().values().copied().max();
        Ok(Self {
            special: special_ids(&inner, &settings),
            unseen,
            own_limit: own.map(|own| own.max_length),
            vocab_size: highest_plain.max(added).map_or(0, |id| id as usize + 1),
            highest_plain,
            bytes: source.tokenizer.len().saturating_mul(BYTES_PER_FILE_BYTE),
            pairs: OnceLock::new(),
            // A tokenizer that fails on the probes has none: its failure shows on the text itself.
            words: guarded(|| Ok(Words::of(&inner))).ok().flatten(),
            inner,
            frame,
            settings,
        })
    }

    /// The ids of a text, special tokens around them.
    ///
    /// # Errors
    /// [`Error::Encode`], [`Error::TooLong`], [`Error::NoRoom`].
    pub fn encode(&self, text: &str, limit: &Limit) -> Result<Encoded, Error> {
        self.encode_prompted("", text, limit)
    }

    /// The ids of `prompt` and `text` joined as they are, as the reference joins them.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_prompted(&self, prompt: &str, text: &str, limit: &Limit) -> Result<Encoded, Error> {
        let room = limit.room(self.frame.len())?;
        let text = if prompt.is_empty() { Cow::Borrowed(text) } else { Cow::Owned([prompt, text].concat()) };
        let mut content = self.content(&text, Wanted { room, side: limit.side })?;
        let truncated = content.len() > room;
        if truncated && limit.overflow == Overflow::Error {
            let tokens = content.len() + self.frame.len();
            return Err(Error::TooLong { tokens, limit: limit.max_length });
        }
        limit.side.keep(&mut content, room);
        self.leave_out_unseen(&mut content);
        let (ids, types) = self.frame.around(&content);
        let prompt_tokens = self.prompt_tokens(prompt, limit)?;
        Ok(Encoded { ids, types, truncated, prompt_tokens, unseen: 0 })
    }

    /// The ids of two texts as one input, the longer one cut first.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_pair(&self, first: &str, second: &str, limit: &Limit) -> Result<Encoded, Error> {
        let frame = self.pair_frame()?;
        let room = limit.room(frame.len())?;
        let wanted = Wanted { room, side: limit.side };
        let (mut first, mut second) = match (self.content(first, wanted)?, self.content(second, wanted)?) {
            // Not read to their ends, perhaps, and the longer one is to give first.
            (one, other) if one.len() > room && other.len() > room => {
                (self.whole(first)?, self.whole(second)?)
            }
            read => read,
        };
        let (kept_first, kept_second) = longest_first(first.len(), second.len(), room);
        let truncated = kept_first < first.len() || kept_second < second.len();
        if truncated && limit.overflow == Overflow::Error {
            let tokens = first.len() + second.len() + frame.len();
            return Err(Error::TooLong { tokens, limit: limit.max_length });
        }
        limit.side.keep(&mut first, kept_first);
        limit.side.keep(&mut second, kept_second);
        let (ids, types) = frame.around(&first, &second);
        Ok(Encoded { ids, types, truncated, ..Encoded::default() })
    }

    /// As [`Tokenizer::encode_prompted`]; of a text that is too long, all its windows, each behind the prompt.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_windows(&self, prompt: &str, text: &str, limit: &Limit) -> Result<Vec<Encoded>, Error> {
        let first = self.encode_prompted(prompt, text, limit)?;
        if !first.truncated {
            return Ok(vec![first]);
        }
        let (before, content) = (self.whole(prompt)?, self.whole(text)?);
        let room = limit.room(self.frame.len() + before.len())?;
        let window = |range: Range<usize>| {
            let mut content = [&before[..], &content[range]].concat();
            self.leave_out_unseen(&mut content);
            let (ids, types) = self.frame.around(&content);
            Encoded { ids, types, prompt_tokens: first.prompt_tokens, ..Encoded::default() }
        };
        let all = windows(content.len(), room).into_iter().map(window);
        let filled: Vec<_> = all.filter(|window| !window.ids.is_empty()).collect();
        Ok(if filled.is_empty() { vec![first] } else { filled })
    }

    /// As [`Tokenizer::encode_pair`]; of a second text that is too long, all its windows, each beside the first text,
    /// which is cut where it takes more than half of the room.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_pair_windows(
        &self,
        first: &str,
        second: &str,
        limit: &Limit,
    ) -> Result<Vec<Encoded>, Error> {
        let whole = self.encode_pair(first, second, limit)?;
        if !whole.truncated {
            return Ok(vec![whole]);
        }
        let frame = self.pair_frame()?;
        let room = limit.room(frame.len())?;
        let (mut first, second) = (self.whole(first)?, self.whole(second)?);
        let truncated = first.len() > room / 2;
        limit.side.keep(&mut first, room / 2);
        let window = |range: Range<usize>| {
            let (ids, types) = frame.around(&first, &second[range]);
            Encoded { ids, types, truncated, ..Encoded::default() }
        };
        Ok(windows(second.len(), room - first.len()).into_iter().map(window).collect())
    }

    /// The ids of a text as it stands between two others, without special tokens around them. Only `body` is cut.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_between(&self, [before, body, after]: [&str; 3], limit: &Limit) -> Result<Encoded, Error> {
        let (before, after) = (self.whole(before)?, self.whole(after)?);
        let around = before.len() + after.len();
        let room = limit.room(around)?;
        let mut body = self.content(body, Wanted { room, side: limit.side })?;
        let truncated = body.len() > room;
        if truncated && limit.overflow == Overflow::Error {
            return Err(Error::TooLong { tokens: body.len() + around, limit: limit.max_length });
        }
        limit.side.keep(&mut body, room);
        Ok(Encoded { ids: [before, body, after].concat(), truncated, ..Encoded::default() })
    }

    /// The id of a token, if the vocabulary has it.
    #[must_use]
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The id of a special token that `tokenizer_config.json` names, e.g. `mask_token`.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<u32> {
        self.settings.named.get(name).and_then(|token| self.id(token))
    }

    fn pair_frame(&self) -> Result<&PairFrame, Error> {
        let frame = self.pairs.get_or_init(|| PairFrame::of(&self.inner));
        frame.as_ref().map_err(|message| Error::Encode { message: message.clone() })
    }

    /// How many tokens a text has, special ones included. Tokenises all of it.
    ///
    /// # Errors
    /// [`Error::Encode`].
    pub fn count(&self, text: &str) -> Result<usize, Error> {
        let mut content = self.whole(text)?;
        self.leave_out_unseen(&mut content);
        Ok(content.len() + self.frame.len())
    }

    /// `max_length` of the file's own truncation block, for a model that reads bare words; None for others,
    /// whose reference overrides it.
    #[must_use]
    pub fn own_limit(&self) -> Option<usize> {
        self.own_limit
    }

    /// `model_max_length` of `tokenizer_config.json`; None when absent or absurd (1e30).
    #[must_use]
    pub fn model_max_length(&self) -> Option<usize> {
        self.settings.model_max_length
    }

    /// `truncation_side` of `tokenizer_config.json`: which end the model wants cut.
    #[must_use]
    pub fn truncation_side(&self) -> Side {
        self.settings.truncation_side.unwrap_or_default()
    }

    /// The highest id that can come out, plus one.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// The highest id of the vocabulary and of the special tokens around texts. Not that of added tokens: some
    /// models have some beyond their table that never occur (EmbeddingGemma's `<image_soft_token>`).
    #[must_use]
    pub fn highest_plain(&self) -> Option<u32> {
        self.highest_plain
    }

    /// Roughly the memory held, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Length of the prompt alone, less a closing special token.
    ///
    /// Source: sentence-transformers 6.2, `base/modules/transformer.py`,
    /// `_get_prompt_length`: the prompt goes the way of a text, truncation included.
    fn prompt_tokens(&self, prompt: &str, limit: &Limit) -> Result<usize, Error> {
        if prompt.is_empty() {
            return Ok(0);
        }
        let alone = self.encode(prompt, &Limit { overflow: Overflow::Truncate, ..*limit })?;
        let closed = alone.ids.last().is_some_and(|id| self.special.binary_search(id).is_ok());
        Ok(alone.ids.len() - usize::from(closed))
    }

    fn leave_out_unseen(&self, content: &mut Vec<u32>) {
        if let Some(unseen) = self.unseen {
            content.retain(|&id| id != unseen);
        }
    }

    /// The ids of a text without special tokens: all of them, or more than `wanted.room` at the kept end.
    fn content(&self, text: &str, wanted: Wanted) -> Result<Vec<u32>, Error> {
        let ids = guarded(|| {
            if let Some(words) = &self.words
                && let Some(ids) = words.ids(&self.inner, text, wanted)?
            {
                return Ok(ids);
            }
            Ok(self.inner.encode_fast(text, false)?.get_ids().to_vec())
        });
        ids.map_err(|message| Error::Encode { message })
    }

    fn whole(&self, text: &str) -> Result<Vec<u32>, Error> {
        self.content(text, Wanted::ALL)
    }
}

/// Roughly: strings, two hash maps and a trie take this many times the file.
const BYTES_PER_FILE_BYTE: usize = 8;

/// The tokenizer without truncation and padding.
fn read_tokenizer(source: &Source<'_>) -> tokenizers::Result<tokenizers::Tokenizer> {
    let mut tokenizer = tokenizers::Tokenizer::from_bytes(source.tokenizer)?;
    tokenizer.with_padding(None).with_truncation(None)?;
    if source.lowercase {
        lowercase(&mut tokenizer)?;
    }
    let added = tokenizer.get_added_vocabulary().get_vocab();
    let plain = |marker: &&String| !added.contains_key(*marker) && tokenizer.token_to_id(marker).is_some();
    let markers: Vec<_> = source
        .markers
        .iter()
        .filter(plain)
        .map(|marker| AddedToken::from(marker.as_str(), true).normalized(false))
        .collect();
    tokenizer.add_special_tokens(markers)?;
    Ok(tokenizer)
}

/// Puts a `Lowercase` before the normalizer, unless one is in it already.
///
/// Source: sentence-transformers 5.4 to 6.2, `base/modules/transformer.py`
/// (`do_lower_case`, `_has_lowercase`). Earlier ones lowered the string itself,
/// special tokens in the text included.
fn lowercase(tokenizer: &mut tokenizers::Tokenizer) -> tokenizers::Result<()> {
    let mut parts = match tokenizer.get_normalizer().cloned() {
        None => Vec::new(),
        Some(NormalizerWrapper::Sequence(parts)) => parts.as_ref().to_vec(),
        Some(part) => vec![part],
    };
    if !parts.iter().any(|part| matches!(part, NormalizerWrapper::Lowercase(_))) {
        parts.insert(0, Lowercase.into());
        tokenizer.with_normalizer(Some(Sequence::new(parts)))?;
    }
    Ok(())
}

/// Ids of the tokens that either file calls special.
fn special_ids(tokenizer: &tokenizers::Tokenizer, settings: &Settings) -> Vec<u32> {
    let added = tokenizer.get_added_tokens_decoder();
    let flagged = added.iter().filter(|(_, token)| token.special).map(|(&id, _)| id);
    let named = settings.special_tokens.iter().filter_map(|token| tokenizer.token_to_id(token));
    let mut ids: Vec<u32> = flagged.chain(named).collect();
    ids.sort_unstable();
    ids
}
