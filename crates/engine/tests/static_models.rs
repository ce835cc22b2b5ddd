//! Static models: words looked up and averaged, as sentence-transformers and as model2vec count them.

#![expect(clippy::unwrap_used, reason = "a test")]

mod common;

use std::path::{Path, PathBuf};

use common::{check_close, copy, data, floats, json, load, replace, shared_data, vector};
use engine::{CallSettings, LoadOptions, Model, Task};
use serde_json::{Value, json};

fn fixture(name: &str) -> PathBuf {
    data("model2vec").join(name)
}

/// The same folder without modules.json: model2vec's.
fn plain(name: &str, place: &str) -> PathBuf {
    let folder = copy(&fixture(name), &format!("static/{place}"));
    std::fs::remove_file(folder.join("modules.json")).unwrap();
    folder
}

fn check(folder: &Path, golden: &Value, want: &Value) {
    let embedder = load(folder, &common::f32());
    for (text, want) in golden["texts"].as_array().unwrap().iter().zip(want.as_array().unwrap()) {
        let text = text.as_str().unwrap();
        let got = vector(&embedder, text, CallSettings::default());
        check_close(&format!("{}: {text:.40}", folder.display()), &got, &floats(want));
    }
}

#[test]
fn both_libraries_are_met() {
    let golden = json(&data("model2vec/golden.json"));
    for (name, want) in golden["folders"].as_object().unwrap() {
        if !want["bare"].is_null() {
            check(&fixture(name), &golden, &want["bare"]);
        }
        check(&plain(name, name), &golden, &want["known"]);
    }
}

#[test]
fn lengths_are_those_of_the_files() {
    let limit = |folder: &Path| load(folder, &LoadOptions::default()).info().max_length;
    let folder = plain("int8", "length");
    assert_eq!(limit(&folder), 512);
    let mut config = json(&folder.join("config.json"));
    for (value, want) in [(json!(7), 7), (json!(null), 65_536)] {
        config["max_length"] = value;
        replace(&folder.join("config.json"), &config.to_string());
        assert_eq!(limit(&folder), want);
    }
    let folder = copy(&fixture("int8"), "static/own-length");
    assert_eq!(limit(&folder), 65_536);
    let mut tokenizer = json(&folder.join("tokenizer.json"));
    tokenizer["truncation"] =
        json!({ "direction": "Left", "max_length": 2, "strategy": "LongestFirst", "stride": 0 });
    replace(&folder.join("tokenizer.json"), &tokenizer.to_string());
    let embedder = load(&folder, &LoadOptions::default());
    let of = |text| vector(&embedder, text, CallSettings::default());
    assert_eq!((embedder.info().max_length, of("one hello world")), (2, of("hello world")));
}

#[test]
fn faults_are_named() {
    for (name, file, field, value, want) in [
        ("flag", "config.json", "normalize", json!("yes"), "normalize is \"yes\""),
        ("length", "config.json", "max_length", json!(0), "max_length is 0"),
    ] {
        let folder = plain("int8", &format!("fault-{name}"));
        let mut config = json(&folder.join(file));
        config[field] = value;
        replace(&folder.join(file), &config.to_string());
        let error = Model::load(&folder.to_string_lossy(), &LoadOptions::default(), Task::Embed)
            .map(drop)
            .unwrap_err();
        assert_eq!(error.code(), "ERR_MODEL_FILE");
        assert!(error.to_string().contains(want) && error.to_string().contains(file), "{error}");
    }
    let folder = copy(&fixture("int8"), "static/pooled");
    let modules = json!([
        { "type": "sentence_transformers.models.StaticEmbedding", "path": "." },
        { "type": "sentence_transformers.models.Pooling", "path": "1_Pooling" },
    ]);
    replace(&folder.join("modules.json"), &modules.to_string());
    let error =
        Model::load(&folder.to_string_lossy(), &LoadOptions::default(), Task::Embed).map(drop).unwrap_err();
    assert_eq!(error.code(), "ERR_MODEL_UNSUPPORTED", "{error}");
}

/// A safetensors file of tensors given as name, type, shape and bytes.
fn write_weights(path: &Path, tensors: &[(&str, &str, Value, Vec<u8>)]) {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, kind, shape, bytes) in tensors {
        let offsets = json!([data.len(), data.len() + bytes.len()]);
        header.insert((*name).into(), json!({ "dtype": kind, "shape": shape, "data_offsets": offsets }));
        data.extend(bytes);
    }
    let header = Value::from(header).to_string();
    drop(std::fs::remove_file(path));
    let length = (header.len() as u64).to_le_bytes();
    std::fs::write(path, [&length, header.as_bytes(), &data].concat()).unwrap();
}

#[test]
fn tensors_that_mean_harm_are_refused() {
    let mapping = |rows: &[i32]| rows.iter().flat_map(|row| row.to_le_bytes()).collect::<Vec<u8>>();
    let table = |values: usize| vec![0_u8; values * 4];
    for (name, tensors, want) in [
        ("empty", vec![], "embeddings"),
        ("flat", vec![("embeddings", "F32", json!([4]), table(4))], "rows by columns"),
        (
            "stray",
            vec![
                ("embeddings", "F32", json!([2, 2]), table(4)),
                ("mapping", "I32", json!([3]), mapping(&[0, 1, 9])),
            ],
            "row 9 of 2",
        ),
        (
            "negative",
            vec![
                ("embeddings", "F32", json!([2, 2]), table(4)),
                ("mapping", "I32", json!([1]), mapping(&[-1])),
            ],
            "row -1 of 2",
        ),
        (
            "wide",
            vec![
                ("embeddings", "F32", json!([1, 1 << 20]), table(1 << 20)),
                ("mapping", "I32", json!([1025]), mapping(&[0; 1025])),
            ],
            "at most",
        ),
        (
            "factors",
            vec![("embeddings", "F32", json!([2, 2]), table(4)), ("weights", "F64", json!([3]), table(6))],
            "weights",
        ),
    ] {
        let folder = copy(&fixture("int8"), &format!("static/harm-{name}"));
        write_weights(&folder.join("model.safetensors"), &tensors);
        let error = Model::load(&folder.to_string_lossy(), &LoadOptions::default(), Task::Embed)
            .map(drop)
            .unwrap_err();
        assert_eq!(error.code(), "ERR_MODEL_FILE", "{name}: {error}");
        assert!(error.to_string().contains(want), "{name}: {error}");
    }
}

/// The five models that model2vec-rs tests itself with, and the vectors it expects.
#[test]
fn the_fixtures_of_model2vec() {
    let Some(shared) = shared_data() else { return };
    let home = shared.join("fixtures/model2vec/tests/fixtures");
    let long = vec!["hello"; 1000].join(" ");
    for (model, file, text) in [
        ("float32", "short", "hello world"),
        ("float32", "long", &long),
        ("sentence-transformers", "short", "hello world"),
        ("sentence-transformers", "long", &long),
        ("vocab-quantized", "vocab_quantized", &long),
    ] {
        let embedder = load(&home.join(format!("test-model-{model}")), &common::f32());
        let want = json(&home.join(format!("embeddings_{file}.json")));
        check_close(model, &vector(&embedder, text, CallSettings::default()), &floats(&want[0]));
    }
    let exact = load(&home.join("test-model-float32"), &common::f32());
    for (model, cosine) in [("float16", 0.999_999), ("int8", 0.999)] {
        let embedder = load(&home.join(format!("test-model-{model}")), &common::f32());
        let of = |embedder| vector(embedder, "hello world", CallSettings::default());
        assert!(common::cosine(&of(&embedder), &of(&exact)) > cosine, "{model}");
    }
}
