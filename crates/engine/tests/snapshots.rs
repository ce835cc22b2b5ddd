//! The real all-MiniLM-L6-v2 against what others published of it, where both are: text-embeddings-inference's
//! snapshots of vectors, and transformers.js's list of token ids.

#![expect(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{cosine, floats, json, load, shared_data, vector};
use engine::{CallSettings, LoadOptions};
use serde_json::Value;
use text::{Limit, Reading, Source, Tokenizer};

/// What text-embeddings-inference itself asks of its vectors, some of which it computes in batches of f16.
const MIN_COSINE: f64 = 0.999;

fn model() -> Option<String> {
    std::env::var("EMBED_NATIVE_TEST_MODEL").ok()
}

/// `Embedding(Pool::Cls)` → `cls`.
fn pooling(case: &Value) -> String {
    let name = case["pool"].as_str().unwrap().rsplit("::").next().unwrap();
    name.trim_end_matches(')').to_lowercase()
}

#[test]
fn vectors_of_text_embeddings_inference() {
    let (Some(shared), Some(model)) = (shared_data(), model()) else { return };
    let snapshots = json(&shared.join("golden/tei-candle-snapshots.json"));
    let mut checked = 0;
    for (name, case) in snapshots["cases"].as_object().unwrap() {
        if case["model"] != "sentence-transformers/all-MiniLM-L6-v2" {
            continue;
        }
        let options = LoadOptions { pooling: Some(pooling(case)), ..common::f32() };
        let embedder = load(model.as_ref(), &options);
        // One case lists inputs of the tests before it too; its own are the last.
        let (inputs, values) = (case["inputs"].as_array().unwrap(), case["values"].as_array().unwrap());
        for (text, want) in inputs[inputs.len() - values.len()..].iter().zip(values) {
            let text = text.as_str().unwrap().trim_matches('"');
            let settings = CallSettings { normalize: Some(false), ..Default::default() };
            let (got, want) = (vector(&embedder, text, settings), floats(want));
            let found = cosine(&got, &want);
            assert!(found > MIN_COSINE, "{name}: {text:?}: {found}");
        }
        checked += 1;
    }
    assert_eq!(checked, 4);
}

/// bert-base-uncased is the vocabulary of all-MiniLM-L6-v2.
#[test]
fn token_ids_of_transformers_js() {
    let Some(shared) = shared_data() else { return };
    let file = std::fs::read(shared.join("tokenizer/tokenizer.json")).unwrap();
    let settings = std::fs::read(shared.join("tokenizer/tokenizer_config.json")).unwrap();
    let source = Source {
        tokenizer: &file,
        settings: Some(&settings),
        lowercase: false,
        reading: Reading::Framed,
        markers: &[],
    };
    let tokenizer = Tokenizer::parse(&source).unwrap();
    let list = json(&shared.join("golden/transformersjs-tokenization.json"));
    let cases = list["cases"]["Xenova/bert-base-uncased"].as_object().unwrap();
    for (name, case) in cases {
        let (text, limit) = (case["text"].as_str().unwrap(), Limit::new(512));
        let encoded = match case["text_pair"].as_str() {
            Some(second) => tokenizer.encode_pair(text, second, &limit),
            None => tokenizer.encode(text, &limit),
        };
        let want: Vec<u32> = floats(&case["ids"]).into_iter().map(|id| id as u32).collect();
        assert_eq!(encoded.unwrap().ids, want, "{name}: {text:?}");
    }
    assert!(cases.len() >= 25, "{}", cases.len());
}
