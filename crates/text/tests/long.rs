//! 2. Long texts: only as much is tokenised as is needed, and the ids are the same.
#![allow(clippy::unwrap_used, reason = "helpers of tests may")]

mod common;
#[path = "common/nasty.rs"]
mod nasty;

use std::path::Path;
use std::time::{Duration, Instant};

use common::{MODELS, folder, shared_data, tokenizer};
use nasty::Random;
use text::{Error, Limit, Overflow, Side, Tokenizer};
use tokenizers::{TruncationDirection, TruncationParams};

/// The library as the reference uses it: the whole text, truncated by the tokenizer itself.
fn oracle(folder: &Path) -> tokenizers::Tokenizer {
    let mut tokenizer = tokenizers::Tokenizer::from_file(folder.join("tokenizer.json")).unwrap();
    tokenizer.with_padding(None);
    tokenizer
}

fn truncated(oracle: &mut tokenizers::Tokenizer, text: &str, limit: &Limit) -> Vec<u32> {
    let direction = match limit.side {
        Side::Right => TruncationDirection::Right,
        Side::Left => TruncationDirection::Left,
    };
    let truncation = TruncationParams { max_length: limit.max_length, direction, ..Default::default() };
    oracle.with_truncation(Some(truncation)).unwrap();
    oracle.encode_fast(text, true).unwrap().get_ids().to_vec()
}

/// Both texts are read whole: asked for a pair and a truncation at once, the library reads each no further than the limit, and
/// does not know which is longer.
fn truncated_pair(oracle: &mut tokenizers::Tokenizer, texts: [&str; 2], max_length: usize) -> Vec<u32> {
    oracle.with_truncation(None).unwrap();
    let [first, second] = texts.map(|text| oracle.encode_fast(text, false).unwrap());
    oracle.with_truncation(Some(TruncationParams { max_length, ..Default::default() })).unwrap();
    oracle.post_process(first, Some(second), true).unwrap().get_ids().to_vec()
}

fn check_like_the_whole_text(folder: &Path, rounds: usize) {
    let (tokenizer, mut oracle, mut random) = (tokenizer(folder), oracle(folder), Random(7));
    for round in 0..rounds {
        let length = 12_000 + random.below(30_000);
        let text = random.text(length);
        for side in [Side::Right, Side::Left] {
            let limit = Limit { side, ..Limit::new(4 + random.below(300)) };
            let got = tokenizer.encode(&text, &limit).unwrap();
            let want = truncated(&mut oracle, &text, &limit);
            assert!(got.ids == want, "{} round {round} {limit:?}\n{:?}\n{want:?}", folder.display(), got.ids);
        }
    }
}

#[test]
fn ids_are_those_of_the_whole_text() {
    for model in MODELS {
        check_like_the_whole_text(&folder(model), 60);
    }
}

#[test]
fn ids_are_those_of_the_whole_text_for_every_shared_model() {
    let Some(data) = shared_data() else { return };
    for entry in data.join("tiny-models").read_dir().unwrap() {
        let folder = entry.unwrap().path();
        if folder.join("tokenizer.json").exists() {
            check_like_the_whole_text(&folder, 20);
        }
    }
    check_like_the_whole_text(&data.join("tokenizer"), 200);
}

/// The longer text gives first, also where each of them would fill the room.
#[test]
fn pairs_are_cut_as_the_library_cuts_them() {
    let mut pairs = 0;
    for model in ["bert-cls-prompts", "modernbert-mean"] {
        let (tokenizer, mut oracle, mut random) =
            (tokenizer(&folder(model)), oracle(&folder(model)), Random(3));
        for _ in 0..50 {
            let (one, other) = (random.below(1_500), random.below(1_500));
            let (first, second) = (random.text(one), random.text(other));
            let max_length = 8 + random.below(60);
            let got = tokenizer.encode_pair(&first, &second, &Limit::new(max_length)).unwrap();
            let want = truncated_pair(&mut oracle, [&first, &second], max_length);
            assert_eq!(got.ids, want, "{model} {max_length} {first:?} {second:?}");
            pairs += 1;
        }
    }
    assert_eq!(pairs, 100);
}

fn timed(tokenizer: &Tokenizer, text: &str, limit: &Limit) -> Duration {
    let start = Instant::now();
    let encoded = tokenizer.encode(text, limit).unwrap();
    assert!(encoded.truncated && encoded.ids.len() == limit.max_length);
    start.elapsed()
}

/// Whole, ten megabytes take seconds in this profile; a window takes milliseconds.
#[test]
fn ten_megabytes_are_not_read_to_the_end() {
    let text = "The two most prominent families, and 3 more, arrived in 1071. ".repeat(160_000);
    for model in MODELS {
        let tokenizer = tokenizer(&folder(model));
        for side in [Side::Right, Side::Left] {
            let took = timed(&tokenizer, &text, &Limit { side, ..Limit::new(256) });
            assert!(took < Duration::from_secs(1), "{model} {side:?}: {took:?}");
        }
    }
}

#[test]
fn a_long_text_can_be_refused_without_reading_it() {
    let text = "The two most prominent families. ".repeat(300_000);
    let limit = Limit { overflow: Overflow::Error, ..Limit::new(256) };
    let tokenizer = tokenizer(&folder("bert-cls-prompts"));
    let start = Instant::now();
    let refused = tokenizer.encode(&text, &limit);
    assert!(matches!(refused, Err(Error::TooLong { tokens: 257.., limit: 256 })), "{refused:?}");
    assert!(start.elapsed() < Duration::from_secs(1));
}

/// No place to cut: read whole. WordPiece makes one unknown word of it.
#[test]
fn a_million_letters_without_a_space_come_back() {
    let text = "a".repeat(1_000_000);
    for model in MODELS {
        let tokenizer = tokenizer(&folder(model));
        let start = Instant::now();
        let encoded = tokenizer.encode(&text, &Limit::new(256)).unwrap();
        println!("{model}: {} ids, {:?}", encoded.ids.len(), start.elapsed());
        assert!(start.elapsed() < Duration::from_secs(20), "{model}");
    }
}
