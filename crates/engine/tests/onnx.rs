//! The `onnx` executor through the engine: known answers, and folders and libraries that are wrong.
//!
//! `EMBED_NATIVE_TEST_ORT` names libraries of ONNX Runtime, separated as in `PATH`; without it nothing is tested.
//! A process keeps its first library, so each but the first is tried in a child.

#![cfg(feature = "onnx")]
#![expect(clippy::unwrap_used, reason = "a test")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, mpsc};

use engine::{CallSettings, LoadOptions, Model, Request, Rows, Task, Ticket};
use serde_json::Value;

fn libraries() -> Vec<PathBuf> {
    let named = std::env::var_os("EMBED_NATIVE_TEST_ORT").unwrap_or_default();
    std::env::split_paths(&named).filter(|path| !path.as_os_str().is_empty()).collect()
}

/// With that library, or the one that a child of these tests is to take.
fn options(library: &Path) -> LoadOptions {
    let named = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from);
    let library = named.as_deref().unwrap_or(library);
    LoadOptions {
        backend: Some("onnx".into()),
        onnx_library: Some(library.to_string_lossy().into()),
        ..Default::default()
    }
}

fn tiny(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../__test__/data/tiny-models").join(name)
}

/// A model of the whole collection, where `EMBED_NATIVE_DATA` names it.
fn collected(name: &str) -> Option<PathBuf> {
    let folder = Path::new(&std::env::var_os("EMBED_NATIVE_DATA")?).join("tiny-models").join(name);
    assert!(folder.is_dir(), "{}", folder.display());
    Some(folder)
}

fn embed(embedder: &Arc<Model>, texts: &[&str], normalize: bool) -> Rows {
    let (send, receive) = mpsc::channel();
    let settings = CallSettings { normalize: Some(normalize), ..Default::default() };
    let texts = texts.iter().map(|text| (*text).to_string()).collect();
    embedder
        .run(Request { texts, settings, ticket: Ticket::default() }, move |rows| send.send(rows).unwrap());
    let rows = receive.recv().unwrap().unwrap();
    assert!(rows.faults.is_empty(), "{:?}", rows.faults);
    rows
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// One text at a time, then all at once, where texts are padded.
fn check(folder: &Path, options: &LoadOptions) {
    let golden = json(&folder.join("golden.json"));
    let embedder = Model::load(&folder.to_string_lossy(), options, Task::Embed).unwrap();
    let items: Vec<_> =
        golden["items"].as_array().unwrap().iter().filter(|item| item["prompt_name"].is_null()).collect();
    assert!(items.len() > 10);
    let texts: Vec<_> = items.iter().map(|item| item["text"].as_str().unwrap()).collect();
    let together = embed(&embedder, &texts, true);
    for (place, item) in items.iter().enumerate() {
        let alone = embed(&embedder, &texts[place..=place], true);
        assert_eq!(u64::from(alone.tokens[0]), item["n_tokens"].as_u64().unwrap(), "{}", texts[place]);
        let want = floats(&item["embedding"]);
        let row = &together.matrix[place * want.len()..][..want.len()];
        for got in [&alone.matrix[..], row] {
            let far = got.iter().zip(&want).map(|(got, want)| (got - want).abs()).fold(0.0, f32::max);
            let near = cosine(got, &want);
            assert!(
                near >= 0.99999 && far <= 2e-5,
                "{}: {:?}: {near} {far:e}",
                folder.display(),
                texts[place]
            );
        }
    }
}

#[test]
fn goldens() {
    let Some(library) = libraries().into_iter().next() else { return };
    for name in ["bert-mean", "modernbert-cls", "xlmr-cls", "qwen3-last"] {
        if let Some(folder) = collected(name) {
            check(&folder, &options(&library));
        }
    }
}

#[test]
fn eight_bits() {
    let Some(library) = libraries().into_iter().next() else { return };
    let folder = tiny("bert-mean");
    let options = LoadOptions { dtype: Some("int8".into()), ..options(&library) };
    let embedder = Model::load(&folder.to_string_lossy(), &options, Task::Embed).unwrap();
    let info = embedder.info();
    assert_eq!((info.backend, info.dtype, info.batch_invariant), ("onnx", "int8", false));
    assert!(info.kernel.starts_with("onnxruntime 1."), "{}", info.kernel);
    for item in json(&folder.join("golden.json"))["items"].as_array().unwrap() {
        let text = item["text"].as_str().unwrap();
        let rows = embed(&embedder, &[text], false);
        assert_eq!(u64::from(rows.tokens[0]), item["n_tokens"].as_u64().unwrap(), "{text:?}");
        let near = cosine(&rows.matrix, &floats(&item["int8_onnx_token_mean"]));
        assert!(near >= 0.999, "{text:?}: {near}");
    }
}

/// A file of the user's choice; its number format is what it holds.
#[test]
fn a_named_file() {
    let Some(library) = libraries().into_iter().next() else { return };
    let folder = tiny("bert-mean");
    let load = |file: &str, dtype: Option<&str>| {
        let (onnx_file, dtype) = (Some(file.into()), dtype.map(String::from));
        Model::load(
            &folder.to_string_lossy(),
            &LoadOptions { onnx_file, dtype, ..options(&library) },
            Task::Embed,
        )
    };
    let embedder = load("onnx/model_quantized.onnx", None).unwrap();
    assert_eq!((embedder.info().dtype, embedder.info().dims), ("int8", 48));
    let other = load("onnx/model_quantized.onnx", Some("f32")).err().unwrap();
    assert!(other.to_string().contains("the graph is of int8"), "{other}");
    let missing = load("onnx/model_O3.onnx", None).err().unwrap();
    assert_eq!(missing.code(), "ERR_MODEL_NOT_FOUND");
    assert!(missing.to_string().contains("there are onnx/model_quantized.onnx"), "{missing}");
    assert_eq!(load("../model.onnx", None).err().unwrap().code(), "ERR_INVALID_ARGUMENT");
}

#[test]
fn every_library() {
    for library in libraries() {
        let children = ["goldens", "eight_bits"].map(|test| {
            let mut child = Command::new(std::env::current_exe().unwrap());
            child.args(["--exact", test]).env("ORT_DYLIB_PATH", &library).output().unwrap()
        });
        for child in children {
            let said = String::from_utf8_lossy(&child.stdout);
            assert!(child.status.success() && said.contains("1 passed"), "{}: {said}", library.display());
        }
    }
}

#[test]
fn faults_have_codes() {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "child_without_a_library", "--ignored"]).env_remove("ORT_DYLIB_PATH");
    let output = child.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let Some(library) = libraries().into_iter().next() else { return };
    assert_eq!(code(&options(&library)), "ERR_MODEL_NOT_FOUND");
    let adapter = tiny("../adapters/bert-mean-lora").to_string_lossy().into();
    let adapted = LoadOptions { adapter: Some(adapter), ..options(&library) };
    let refused = Model::load(&tiny("bert-mean").to_string_lossy(), &adapted, Task::Rerank).err().unwrap();
    assert_eq!(refused.code(), "ERR_UNSUPPORTED", "{refused}");
    let half = LoadOptions { dtype: Some("f16".into()), ..options(&library) };
    assert_eq!(code(&half), "ERR_MODEL_NOT_FOUND");
    let brain = LoadOptions { dtype: Some("bf16".into()), ..options(&library) };
    assert_eq!(code(&brain), "ERR_UNSUPPORTED");
}

/// Of a folder without model.onnx.
fn code(options: &LoadOptions) -> &'static str {
    Model::load(&tiny("modernbert-mean").to_string_lossy(), options, Task::Embed).err().unwrap().code()
}

#[test]
#[ignore = "needs a process without a library; faults_have_codes runs it"]
fn child_without_a_library() {
    assert_eq!(code(&options(Path::new("nowhere.so"))), "ERR_BACKEND");
    assert_eq!(code(&LoadOptions { onnx_library: None, ..options(Path::new("")) }), "ERR_BACKEND");
}

/// A run of the child below; it ends by `exit` in the middle of its work.
fn dies(test: &str, library: &Path) {
    let mut child = Command::new(std::env::current_exe().unwrap());
    let output = child.args(["--exact", test, "--ignored"]).env("ORT_DYLIB_PATH", library).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(ENDED),
        "{test}: {}: {:?} {said}",
        library.display(),
        output.status
    );
}

const ENDED: i32 = 42;

#[test]
fn the_process_may_end_at_any_moment() {
    for library in libraries() {
        for _ in 0..5 {
            dies("child_that_ends_while_it_embeds", &library);
            dies("child_that_ends_while_it_loads", &library);
        }
    }
}

/// Ends the process while another thread works.
fn end_after(milliseconds: u64, mut work: impl FnMut() + Send + 'static) {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        loop {
            work();
            send.send(()).unwrap();
        }
    });
    receive.recv().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(milliseconds));
    std::process::exit(ENDED);
}

#[test]
#[ignore = "ends its process; the_process_may_end_at_any_moment runs it"]
fn child_that_ends_while_it_embeds() {
    let options = LoadOptions { dtype: Some("int8".into()), ..options(Path::new("")) };
    let embedder = Model::load(&tiny("bert-mean").to_string_lossy(), &options, Task::Embed).unwrap();
    let text = "All work and no play makes a long text. ".repeat(20);
    end_after(30, move || drop(embed(&embedder, &[text.as_str(); 64], true)));
}

#[test]
#[ignore = "ends its process; the_process_may_end_at_any_moment runs it"]
fn child_that_ends_while_it_loads() {
    let options = LoadOptions { dtype: Some("int8".into()), ..options(Path::new("")) };
    let load =
        move || Model::load(&tiny("bert-mean").to_string_lossy(), &options, Task::Embed).map(drop).unwrap();
    end_after(7, load);
}
