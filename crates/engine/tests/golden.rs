//! Models of known answers, made by sentence-transformers one text at a time in f32.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use engine::{EmbedSettings, Embedder, Error, LoadOptions, PromptChoice, Request, Rows, Ticket};
use serde_json::Value;

/// The reference's own noise is below 2.4e-7; ours adds other orders of summation.
const MAX_ABS: f32 = 2e-5;
const MIN_COSINE: f64 = 0.999_999;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../__test__/data/tiny-models").join(name)
}

fn load(folder: &Path) -> Arc<Embedder> {
    Embedder::load(&folder.to_string_lossy(), &LoadOptions::default()).unwrap()
}

fn embed(embedder: &Arc<Embedder>, texts: &[&str], settings: EmbedSettings) -> Result<Rows, Error> {
    let (send, receive) = mpsc::channel();
    let texts = texts.iter().map(|text| (*text).to_string()).collect();
    let request = Request { texts, settings, ticket: Ticket::default() };
    embedder.embed(request, move |rows| send.send(rows).unwrap());
    receive.recv().unwrap()
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

fn settings(item: &Value) -> EmbedSettings {
    let prompt = item["prompt_name"].as_str().map(|name| PromptChoice::Named(name.into()));
    EmbedSettings { prompt: prompt.unwrap_or_default(), normalize: Some(true), ..Default::default() }
}

fn check(folder: &Path) {
    let golden: Value = serde_json::from_slice(&std::fs::read(folder.join("golden.json")).unwrap()).unwrap();
    let embedder = load(folder);
    assert_eq!(golden["pipeline_normalizes"].as_bool(), Some(embedder.info().normalizes));
    for item in golden["items"].as_array().unwrap() {
        let text = item["text"].as_str().unwrap();
        let rows = embed(&embedder, &[text], settings(item)).unwrap();
        assert!(rows.faults.is_empty(), "{text:?}: {:?}", rows.faults);
        assert_eq!(u64::from(rows.tokens[0]), item["n_tokens"].as_u64().unwrap(), "{text:?}");
        let want = floats(&item["embedding"]);
        let far = rows.matrix.iter().zip(&want).map(|(got, want)| (got - want).abs()).fold(0.0, f32::max);
        let cosine: f64 = rows.matrix.iter().zip(&want).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        assert!(far <= MAX_ABS && cosine >= MIN_COSINE, "{}: {text:?}: {far:e}, {cosine}", folder.display());
    }
}

#[test]
fn bert() {
    check(&folder("bert-mean"));
}

#[test]
fn modernbert() {
    check(&folder("modernbert-mean"));
}

#[test]
fn qwen3() {
    check(&folder("qwen3-last"));
}

/// All golden folders of an architecture that is supported, where `EMBED_NATIVE_DATA` names the data.
#[test]
fn whole_collection() {
    let Some(data) = std::env::var_os("EMBED_NATIVE_DATA") else { return };
    for entry in std::fs::read_dir(Path::new(&data).join("tiny-models")).unwrap() {
        let folder = entry.unwrap().path();
        let golden: Value =
            serde_json::from_slice(&std::fs::read(folder.join("golden.json")).unwrap()).unwrap();
        let known = models::MODEL_TYPES.iter().any(|known| golden["arch"] == *known);
        if known && golden["task"] == "embed" {
            println!("{}", folder.display());
            check(&folder);
        }
    }
}
