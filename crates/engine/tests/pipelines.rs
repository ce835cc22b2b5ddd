//! What module files decide, against sentence-transformers: `__test__/data/pipelines.json`, made by
//! `make_pipelines.py` beside it.

#![expect(clippy::unwrap_used, reason = "a test")]

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{check_close, copy, data, floats, json, load, replace, vector};
use engine::{CallSettings, LoadOptions, Model, PromptChoice, Side, Task};
use serde_json::{Value, json};

/// The base model with the files of a case.
fn folder(base: &str, files: &Value, name: &str) -> PathBuf {
    let place = copy(&data(base), &format!("pipelines/{}", name.replace([' ', '+', ','], "-")));
    for (file, content) in files.as_object().unwrap() {
        let path = place.join(file);
        if content.is_null() {
            std::fs::remove_file(path).unwrap();
        } else if let (Some(text), true) = (content.as_str(), file.ends_with(".safetensors")) {
            drop(std::fs::remove_file(&path));
            std::fs::write(path, decoded(text)).unwrap();
        } else {
            replace(&path, &content.to_string());
        }
    }
    place
}

/// The bytes of a base64 text.
fn decoded(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits: Vec<u32> = text
        .bytes()
        .filter(|&byte| byte != b'=')
        .map(|byte| DIGITS.iter().position(|&digit| digit == byte).unwrap() as u32)
        .collect();
    let group = |four: &[u32]| {
        let bits = four.iter().enumerate().map(|(place, digit)| digit << (18 - 6 * place)).sum::<u32>();
        bits.to_be_bytes()[1..four.len()].to_vec()
    };
    digits.chunks(4).flat_map(group).collect()
}

fn settings(call: &Value) -> CallSettings {
    let named = call["prompt_name"].as_str().map(|name| PromptChoice::Named(name.into()));
    let literal = call["prompt"].as_str().map(|text| PromptChoice::Literal(text.into()));
    let query = (call["task"] == "query").then_some(PromptChoice::Query);
    CallSettings {
        prompt: named.or(literal).or(query).unwrap_or_default(),
        dimensions: call["dimensions"].as_u64().map(|value| value as usize),
        normalize: call["normalize"].as_bool(),
        side: (call["side"] == "left").then_some(Side::Left),
        ..Default::default()
    }
}

fn loaded(folder: &Path, call: &Value, backend: &str) -> Arc<Model> {
    let max_length = call["max_length"].as_u64().map(|value| value as usize);
    load(folder, &LoadOptions { max_length, backend: Some(backend.into()), ..common::f32() })
}

/// Those that read safetensors.
fn executors() -> impl Iterator<Item = &'static str> {
    ["native"].into_iter().chain(cfg!(feature = "candle").then_some("candle"))
}

#[test]
fn every_pipeline_is_the_reference() {
    let golden = json(&data("pipelines.json"));
    let base = golden["base"].as_str().unwrap();
    let mut checked = 0;
    for case in golden["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let folder = folder(base, &case["files"], name);
        let calls = case["calls"].as_array().unwrap().iter();
        for (call, backend) in calls.flat_map(|call| executors().map(move |backend| (call, backend))) {
            let embedder = loaded(&folder, call, backend);
            let texts = golden["texts"].as_array().unwrap().iter().zip(call["vectors"].as_array().unwrap());
            for (text, want) in texts {
                let text = text.as_str().unwrap();
                let mut asked = call.clone();
                asked.as_object_mut().unwrap().remove("vectors");
                let got = vector(&embedder, text, settings(call));
                check_close(&format!("{backend}, {name}, {asked}: {text:.40}"), &got, &floats(want));
                checked += 1;
            }
        }
    }
    assert!(checked > 150, "{checked}");
}

/// Real things that this version does not do, and files that contradict themselves.
#[test]
fn what_is_not_done_is_refused_by_name() {
    let pooling = |more: Value| json!({ "1_Pooling/config.json": more });
    let prompts = |more: Value| json!({ "config_sentence_transformers.json": more });
    let dense = |field: &str, value: Value| {
        let transformer = json!({ "type": "sentence_transformers.models.Transformer", "path": "" });
        let pooling = json!({ "type": "sentence_transformers.models.Pooling", "path": "1_Pooling" });
        let dense = json!({ "type": "sentence_transformers.models.Dense", "path": "2_Dense" });
        let mut config = json!({ "in_features": 48, "out_features": 8 });
        config[field] = value;
        json!({ "modules.json": [transformer, pooling, dense], "2_Dense/config.json": config })
    };
    for (name, files, code, words) in [
        ("residual", dense("use_residual", json!(true)), "ERR_MODEL_UNSUPPORTED", "use_residual"),
        (
            "tokens",
            dense("module_input_name", json!("token_embeddings")),
            "ERR_MODEL_UNSUPPORTED",
            "token_embeddings",
        ),
        ("output", dense("module_output_name", json!("other")), "ERR_MODEL_UNSUPPORTED", "other"),
        ("function", dense("activation_function", json!("evil.Run")), "ERR_MODEL_UNSUPPORTED", "evil.Run"),
        ("width", dense("in_features", json!(47)), "ERR_MODEL_FILE", "in_features is 47"),
        ("default", prompts(json!({ "default_prompt_name": "gone" })), "ERR_MODEL_FILE", "gone"),
        (
            "mode",
            pooling(json!({ "embedding_dimension": 48, "pooling_mode": "sum" })),
            "ERR_MODEL_UNSUPPORTED",
            "sum",
        ),
        (
            "twice",
            pooling(json!({ "embedding_dimension": 48, "pooling_mode": ["cls", "cls"] })),
            "ERR_MODEL_FILE",
            "twice",
        ),
        (
            "processing",
            json!({ "sentence_bert_config.json": { "processing_kwargs": { "text": { "max_length": 3 } } } }),
            "ERR_MODEL_UNSUPPORTED",
            "processing_kwargs",
        ),
    ] {
        let folder = folder("tiny-models/bert-mean", &files, &format!("refused-{name}"));
        let error = Model::load(&folder.to_string_lossy(), &LoadOptions::default(), Task::Embed)
            .map(drop)
            .unwrap_err();
        assert_eq!(error.code(), code, "{name}: {error}");
        assert!(error.to_string().contains(words), "{name}: {error}");
    }
}
