//! 4. Any text, any limit, any number of threads.
#![allow(clippy::unwrap_used, reason = "helpers of tests may")]

mod common;

use std::sync::Arc;

use common::{MODELS, folder, tokenizer};
use text::{Error, Limit, Overflow, Side, Tokenizer};

fn bert() -> Tokenizer {
    tokenizer(&folder("bert-cls-prompts"))
}

#[test]
fn odd_texts_have_ids() {
    let texts = [
        "",
        " ",
        "\n\t",
        "\0",
        "\0\0a",
        "\u{fffd}",
        "👩‍👩‍👧‍👦",
        "🇩🇪",
        "مرحبا",
        "\u{202e}abc",
        "[CLS][SEP]",
        "\u{301}",
    ];
    for model in MODELS {
        let tokenizer = tokenizer(&folder(model));
        for text in texts {
            let encoded = tokenizer.encode(text, &Limit::new(64)).unwrap();
            assert_eq!(encoded.ids.len(), tokenizer.count(text).unwrap(), "{model} {text:?}");
            assert!(encoded.ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()), "{model} {text:?}");
        }
    }
}

#[test]
fn truncation_keeps_the_special_tokens() {
    let (tokenizer, text) = (bert(), "one two three four five six seven");
    let whole = tokenizer.encode(text, &Limit::new(128)).unwrap();
    let (length, content) = (whole.ids.len(), whole.ids.len() - 2);
    assert!(!whole.truncated && !tokenizer.encode(text, &Limit::new(length)).unwrap().truncated);
    for room in 1..content {
        let kept = [(Side::Right, 1..1 + room), (Side::Left, 1 + content - room..1 + content)];
        for (side, kept) in kept {
            let got = tokenizer.encode(text, &Limit { side, ..Limit::new(room + 2) }).unwrap();
            assert_eq!(got.ids, [&[2], &whole.ids[kept], &[3]].concat(), "{side:?} {room}");
            assert!(got.truncated);
        }
    }
}

#[test]
fn a_limit_without_room_is_refused() {
    for max_length in 0..=2 {
        let refused = bert().encode("a dog", &Limit::new(max_length));
        assert!(matches!(refused, Err(Error::NoRoom { limit, specials: 2 }) if limit == max_length));
    }
    assert_eq!(bert().encode("a dog", &Limit::new(3)).unwrap().ids.len(), 3);
    assert!(bert().encode("a dog", &Limit::new(usize::MAX)).is_ok());
}

#[test]
fn overflow_can_be_refused() {
    let limit = |max_length| Limit { overflow: Overflow::Error, ..Limit::new(max_length) };
    let tokens = bert().count("one two three").unwrap();
    assert!(bert().encode("one two three", &limit(tokens)).is_ok());
    let refused = bert().encode("one two three", &limit(tokens - 1));
    assert!(
        matches!(refused, Err(Error::TooLong { tokens: got, limit }) if got == tokens && limit == tokens - 1)
    );
}

/// `[CLS]` and the prompt's tokens; the closing `[SEP]` of the prompt alone does not count.
#[test]
fn prompt_tokens_are_counted_with_the_opening_token() {
    let (tokenizer, prompt) = (bert(), "Represent the question: ");
    let encoded = tokenizer.encode_prompted(prompt, "What is it?", &Limit::new(128)).unwrap();
    assert_eq!(encoded.prompt_tokens, tokenizer.count(prompt).unwrap() - 1);
    assert_eq!(
        encoded.ids[..encoded.prompt_tokens],
        tokenizer.encode(prompt, &Limit::new(128)).unwrap().ids[..encoded.prompt_tokens]
    );
    assert_eq!(tokenizer.encode_prompted("", "What is it?", &Limit::new(128)).unwrap().prompt_tokens, 0);
}

#[test]
fn a_prompt_longer_than_the_limit_is_counted_as_cut() {
    let limit = Limit { overflow: Overflow::Error, ..Limit::new(64) };
    let encoded = bert().encode_prompted("one two ", "three", &limit).unwrap();
    assert!(encoded.prompt_tokens < encoded.ids.len());
    let cut = bert().encode_prompted("one two three four five", "six", &Limit::new(4)).unwrap();
    assert_eq!((cut.ids.len(), cut.prompt_tokens), (4, 3));
}

/// A cased model with `do_lower_case`; its special tokens are still recognised.
#[test]
fn lowercase_is_put_before_the_normalizer() {
    let ids = |tokenizer: &Tokenizer, text| tokenizer.encode(text, &Limit::new(64)).unwrap().ids;
    for model in ["xlmr-cls", "mistral-last", "modernbert-mean"] {
        let cased = tokenizer(&folder(model));
        let lower = common::load(&folder(model), true).unwrap();
        assert_eq!(ids(&lower, "A DOG"), ids(&cased, "a dog"), "{model}");
        assert_ne!(ids(&cased, "A DOG"), ids(&cased, "a dog"), "{model}");
    }
    let lower = common::load(&folder("modernbert-mean"), true).unwrap();
    assert_eq!(lower.count("[MASK]").unwrap(), 3);
}

#[test]
fn settings_are_read() {
    assert_eq!(bert().model_max_length(), Some(128));
    assert_eq!(bert().truncation_side(), Side::Right);
    assert_eq!(bert().vocab_size(), 600);
    assert!(bert().bytes() > 1000);
}

#[test]
fn threads_share_one_tokenizer() {
    for model in MODELS {
        let tokenizer = Arc::new(tokenizer(&folder(model)));
        let texts: Vec<String> =
            (0..50).map(|number| format!("dog {number} barks at {number}{number}")).collect();
        let encode = |tokenizer: &Tokenizer, texts: &[String]| -> Vec<_> {
            texts.iter().map(|text| tokenizer.encode(text, &Limit::new(64)).unwrap()).collect()
        };
        let want = encode(&tokenizer, &texts);
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (tokenizer, texts) = (Arc::clone(&tokenizer), texts.clone());
                std::thread::spawn(move || encode(&tokenizer, &texts))
            })
            .collect();
        threads.into_iter().for_each(|thread| assert_eq!(thread.join().unwrap(), want, "{model}"));
    }
}
