//! 3. A broken tokenizer is a typed error, at load or at the text that shows it.
#![allow(clippy::unwrap_used, reason = "helpers of tests may")]

mod common;

use std::fs;
use std::path::PathBuf;

use common::{folder, shared_data};
use serde_json::{Value, json};
use text::{Error, Limit, Tokenizer};

/// A folder of its own for each test.
fn place(name: &str) -> PathBuf {
    let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&place).unwrap();
    place
}

/// A copy of a tokenizer with a change.
fn changed(name: &str, model: &str, change: impl FnOnce(&mut Value)) -> Result<Tokenizer, Error> {
    let mut file: Value = common::json(&folder(model).join("tokenizer.json"));
    change(&mut file);
    let place = place(name);
    fs::write(place.join("tokenizer.json"), file.to_string()).unwrap();
    load(place)
}

fn load(folder: PathBuf) -> Result<Tokenizer, Error> {
    common::load(&folder, false)
}

fn broken(result: Result<Tokenizer, Error>) -> String {
    match result {
        Err(Error::Broken { message }) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn bytes_that_are_no_tokenizer_are_refused() {
    let nested = "[".repeat(100_000);
    for (number, bytes) in ["", "{", "[]", "null", "\u{0}", "{\"model\": {}}", &nested].iter().enumerate() {
        let place = place(&format!("bytes-{number}"));
        fs::write(place.join("tokenizer.json"), bytes).unwrap();
        broken(load(place));
    }
}

#[test]
fn every_cut_of_a_file_is_refused() {
    let file = fs::read(folder("bert-cls-prompts").join("tokenizer.json")).unwrap();
    let place = place("cut");
    for length in (0..file.len()).step_by(97) {
        fs::write(place.join("tokenizer.json"), &file[..length]).unwrap();
        broken(load(place.clone()));
    }
}

#[test]
fn a_broken_tokenizer_config_is_named() {
    let place = place("config");
    fs::copy(folder("bert-cls-prompts").join("tokenizer.json"), place.join("tokenizer.json")).unwrap();
    fs::write(place.join("tokenizer_config.json"), "{").unwrap();
    let error = load(place).unwrap_err();
    assert!(matches!(&error, Error::BrokenSettings { .. }));
}

/// The merged token is longer than the prefix is cut from: the library panics while loading.
#[test]
fn merges_that_panic_are_refused() {
    let result = changed("merges", "mistral-last", |file| {
        file["model"]["continuing_subword_prefix"] =
            json!("a prefix longer than any token of the vocabulary");
    });
    assert!(broken(result).contains("panicked"));
}

/// Truncation of the file would cut to two tokens, padding fill up to 64.
#[test]
fn truncation_and_padding_of_the_file_are_ignored() {
    let tokenizer = changed("blocks", "bert-cls-prompts", |file| {
        file["truncation"] =
            json!({"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0});
        file["padding"] = json!({"strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": null,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"});
    });
    let encoded = tokenizer.unwrap().encode("a dog", &Limit::new(128)).unwrap();
    assert_eq!((encoded.ids.first(), encoded.ids.last()), (Some(&2), Some(&3)));
    assert!((4..10).contains(&encoded.ids.len()));
}

#[test]
fn a_template_without_the_text_is_refused() {
    let result = changed("template", "bert-cls-prompts", |file| {
        file["post_processor"]["single"] = json!([{"SpecialToken": {"id": "[CLS]", "type_id": 0}}]);
    });
    assert!(broken(result).contains("post_processor"));
}

#[test]
fn an_unknown_word_without_a_token_for_it_fails_on_that_text() {
    let tokenizer = changed("unknown", "bert-cls-prompts", |file| {
        file["model"]["unk_token"] = json!("[NOT THERE]");
    })
    .unwrap();
    let limit = Limit::new(16);
    assert!(tokenizer.encode("a", &limit).is_ok());
    assert!(matches!(tokenizer.encode("京", &limit), Err(Error::Encode { .. })));
    assert!(matches!(tokenizer.count("京"), Err(Error::Encode { .. })));
    assert!(matches!(tokenizer.encode(&"京 ".repeat(100_000), &limit), Err(Error::Encode { .. })));
}

/// An expression that backtracks for ever is given up by the library; it may not hang.
#[test]
fn an_expression_that_backtracks_comes_back() {
    let tokenizer = changed("backtrack", "qwen3-last", |file| {
        file["pre_tokenizer"]["pretokenizers"][0]["pattern"] =
            json!({"Regex": "(?=(a+)+b)(a|a)+$|(?:a|a)+(?=c)"});
    });
    let start = std::time::Instant::now();
    let _ = tokenizer.unwrap().encode(&"a".repeat(5_000), &Limit::new(64));
    assert!(start.elapsed() < std::time::Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn every_shared_broken_tokenizer() {
    let Some(data) = shared_data() else { return };
    let mut checked = 0;
    for entry in data.join("broken-models").read_dir().unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("tokenizer-") && folder.join("tokenizer.json").exists() {
            let result = load(folder).and_then(|tokenizer| tokenizer.encode("zzz 京 qqq", &Limit::new(16)));
            println!("{name}: {}", result.as_ref().unwrap_err());
            checked += 1;
        }
    }
    assert!(checked >= 4, "{checked}");
}
