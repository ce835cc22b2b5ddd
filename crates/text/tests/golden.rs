//! 1. The ids are those of sentence-transformers.
#![allow(clippy::unwrap_used, reason = "helpers of tests may")]

mod common;

use common::{MODELS, check_items, folder, json, shared_data, tokenizer};
use serde_json::Value;

#[test]
fn committed_models() {
    for model in MODELS {
        let folder = folder(model);
        let checked = check_items(&tokenizer(&folder), &json(&folder.join("golden.json")), model);
        assert!(checked >= 15, "{model}: {checked} texts");
    }
}

#[test]
fn every_shared_model() {
    let Some(data) = shared_data() else { return };
    let (mut models, mut texts) = (0, 0);
    for entry in data.join("tiny-models").read_dir().unwrap() {
        let folder = entry.unwrap().path();
        if folder.join("tokenizer.json").exists() {
            let golden = json(&folder.join("golden.json"));
            texts += check_items(&tokenizer(&folder), &golden, &folder.display().to_string());
            models += 1;
        }
    }
    println!("{models} tokenizers, {texts} texts");
    assert!(models >= 40 && texts >= 700);
}

#[test]
fn the_real_minilm() {
    let Some(data) = shared_data() else { return };
    let packed = data.join("golden/minilm-real.json.gz");
    let Ok(output) = std::process::Command::new("gzip").arg("-dc").arg(packed).output() else {
        eprintln!("skipped: no gzip");
        return;
    };
    let golden: Value = serde_json::from_slice(&output.stdout).unwrap();
    let tokenizer = tokenizer(&data.join("tokenizer"));
    assert_eq!(check_items(&tokenizer, &golden, "all-MiniLM-L6-v2"), 220);
    assert_eq!(tokenizer.vocab_size(), 30522);
}
