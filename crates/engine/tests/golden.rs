//! Models of known answers, made by sentence-transformers one text at a time in f32.
//!
//! Every folder of `__test__/data/tiny-models` with a `golden.json` is checked, on every executor that reads
//! safetensors; with `EMBED_NATIVE_DATA` those of a larger collection too.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use backend::{Backend, Batch, Text};
use engine::{
    CallSettings, Error, LoadOptions, Model, PromptChoice, Request, Role, Rows, Score, Task, Ticket, max_sim,
};
use serde_json::Value;

/// All of this build.
const EXECUTORS: &[&str] = if cfg!(feature = "candle") { &["native", "candle"] } else { &["native"] };

/// The reference's own noise is below 2.4e-7; ours adds other orders of summation.
const MAX_ABS: f32 = 2e-5;
const MIN_COSINE: f64 = 0.999_999;
const NEAR: (f64, f32) = (MIN_COSINE, MAX_ABS);
/// Of logits, relative to those above 1; the reference's own noise is below 4.3e-6.
const LOGITS: f32 = 1e-4;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../__test__/data/tiny-models").join(name)
}

fn on(backend: &str) -> LoadOptions {
    on_in(backend, "f32")
}

fn on_in(backend: &str, dtype: &str) -> LoadOptions {
    LoadOptions { backend: Some(backend.into()), dtype: Some(dtype.into()), ..Default::default() }
}

fn embed(embedder: &Arc<Model>, texts: &[&str], settings: CallSettings) -> Result<Rows, Error> {
    let (send, receive) = mpsc::channel();
    let texts = texts.iter().map(|text| (*text).to_string()).collect();
    let request = Request { texts, settings, ticket: Ticket::default() };
    embedder.run(request, move |rows| send.send(rows).unwrap());
    receive.recv().unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

fn integers(value: &Value) -> Vec<u32> {
    value.as_array().into_iter().flatten().map(|number| number.as_u64().unwrap() as u32).collect()
}

fn model_type(folder: &Path) -> String {
    json(&folder.join("config.json"))["model_type"].as_str().unwrap_or_default().into()
}

fn settings(item: &Value) -> CallSettings {
    let prompt = item["prompt_name"].as_str().map(|name| PromptChoice::Named(name.into()));
    CallSettings { prompt: prompt.unwrap_or_default(), normalize: Some(true), ..Default::default() }
}

/// Vectors of single texts within `near`, a cosine and a difference, of what sentence-transformers made in f32; where
/// the executor says so, a batch has the same bits.
fn check_vectors((backend, dtype): (&str, &str), folder: &Path, golden: &Value, near: (f64, f32)) {
    let embedder = Model::load(&folder.to_string_lossy(), &on_in(backend, dtype), Task::Embed).unwrap();
    assert_eq!((embedder.info().backend, embedder.info().dtype), (backend, dtype));
    assert_eq!(golden["pipeline_normalizes"].as_bool(), Some(embedder.info().normalizes));
    let (mut texts, mut alone) = (Vec::new(), Vec::new());
    for item in golden["items"].as_array().unwrap() {
        let text = item["text"].as_str().unwrap();
        let rows = embed(&embedder, &[text], settings(item)).unwrap();
        assert!(rows.faults.is_empty(), "{text:?}: {:?}", rows.faults);
        assert_eq!(u64::from(rows.tokens[0]), item["n_tokens"].as_u64().unwrap(), "{text:?}");
        let want = floats(&item["embedding"]);
        let far = rows.matrix.iter().zip(&want).map(|(got, want)| (got - want).abs()).fold(0.0, f32::max);
        let cosine: f64 = rows.matrix.iter().zip(&want).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        assert!(far <= near.1 && cosine >= near.0, "{text:?} in {dtype}: {far:e}, {cosine}");
        if item["prompt_name"].is_null() {
            texts.push(text);
            alone.extend(rows.matrix);
        }
    }
    if embedder.info().batch_invariant {
        let settings = CallSettings { normalize: Some(true), ..Default::default() };
        let together = embed(&embedder, &texts, settings).unwrap();
        assert_eq!(bits(&together.matrix), bits(&alone), "other bits in a batch");
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// `logits` of `pairs`, within `far`; `key` names a pair's logit, a number or a list of one.
fn check_reranker(reranker: &Arc<Model>, golden: &Value, key: &str, far: f32) {
    for pair in golden["pairs"].as_array().unwrap() {
        let text = |name: &str| pair[name].as_str().unwrap();
        let settings =
            CallSettings { query: Some(text("query").into()), score: Score::Logit, ..Default::default() };
        let rows = sound(reranker, &[text("document")], settings);
        let listed = || pair["input_ids"].as_array().unwrap().len() as u64;
        let tokens = pair["n_tokens"].as_u64().unwrap_or_else(listed);
        assert_eq!(u64::from(rows.tokens[0]), tokens, "{}", pair["query"]);
        let want = pair[key].as_f64().unwrap_or_else(|| pair[key][0].as_f64().unwrap()) as f32;
        let difference = (rows.matrix[0] - want).abs();
        assert!(difference <= far * want.abs().max(1.0), "{}: {} for {want}", pair["query"], rows.matrix[0]);
    }
}

/// The logits of a classification head for the token ids of `items` or `pairs`, past the tokenizer.
fn check_logits(backend: &str, folder: &Path, golden: &Value) {
    let labels = golden["num_labels"].as_u64().unwrap() as usize;
    let model = classifier(backend, folder, labels);
    let items = golden["items"].as_array().or(golden["pairs"].as_array()).unwrap();
    for item in items {
        let (ids, types) = (integers(&item["input_ids"]), integers(&item["token_type_ids"]));
        let mut batch = Batch::default();
        batch.push(Text { ids: &ids, types: &types, prompt_tokens: 0 });
        let mut logits = vec![0.0; labels];
        model.embed(&batch, &mut logits).unwrap();
        let want = floats(&item["logits"]);
        assert_eq!(want.len(), labels);
        let near = |(got, want): (&f32, &f32)| (got - want).abs() <= LOGITS * want.abs().max(1.0);
        assert!(logits.iter().zip(&want).all(near), "{logits:?} for {want:?}");
    }
}

fn classifier(backend: &str, folder: &Path, labels: usize) -> Box<dyn Backend> {
    let config = nn::Config::open(&folder.join("config.json")).unwrap();
    let head = nn::HeadSource::Classifier { labels };
    let source = nn::Source { folder: folder.into(), config, adapter: None, head };
    match backend {
        #[cfg(feature = "candle")]
        "candle" => Box::new(backend_candle::Candle::load(&source, Default::default()).unwrap()),
        _ => Box::new(backend_native::Native::load(&source, Some(kernels::Dtype::F32)).unwrap()),
    }
}

/// Scores of labels, as the config makes them of logits.
fn check_labels(backend: &str, folder: &Path, golden: &Value) {
    let classifier = Model::load(&folder.to_string_lossy(), &on(backend), Task::Classify).unwrap();
    let labels = classifier.info().labels.clone().unwrap();
    let named = golden["id2label"].as_object().unwrap();
    assert!(labels.iter().enumerate().all(|(id, label)| named[&id.to_string()] == label.as_str()));
    let config = json(&folder.join("config.json"));
    let own = if config["problem_type"] == "multi_label_classification" { "sigmoid" } else { "softmax" };
    for item in golden["items"].as_array().unwrap() {
        for (score, key) in [(Score::Model, own), (Score::Sigmoid, "sigmoid"), (Score::Logit, "logits")] {
            let settings = CallSettings { score, ..Default::default() };
            let rows = sound(&classifier, &[item["text"].as_str().unwrap()], settings);
            assert_eq!(u64::from(rows.tokens[0]), item["n_tokens"].as_u64().unwrap());
            check_numbers(&rows.matrix, &floats(&item[key]), key);
        }
    }
}

/// Weights of tokens; together as alone where the executor says so.
fn check_sparse(backend: &str, folder: &Path, golden: &Value, prefix: &str) {
    let embedder = Model::load(&folder.to_string_lossy(), &on(backend), Task::Sparse).unwrap();
    let embed = |texts: &[&str]| sound(&embedder, texts, CallSettings::default());
    let items = golden["items"].as_array().unwrap();
    let (mut texts, mut indices, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for item in items {
        let text = item["text"].as_str().unwrap();
        let rows = embed(&[text]);
        assert_eq!(u64::from(rows.tokens[0]), item["n_tokens"].as_u64().unwrap(), "{text:?}");
        let (want_ids, want) =
            (integers(&item[format!("{prefix}indices")]), floats(&item[format!("{prefix}values")]));
        check_weights((&rows.indices, &rows.matrix), (&want_ids, &want), text);
        texts.push(text);
        indices.extend(rows.indices);
        values.extend(rows.matrix);
    }
    if embedder.info().batch_invariant {
        let rows = embed(&texts);
        assert_eq!((rows.indices, bits(&rows.matrix)), (indices, bits(&values)), "other bits in a batch");
        assert_eq!(rows.ends.len(), texts.len());
    }
}

/// A token whose weight is within the tolerance of 0 may be missing on either side.
fn check_weights((ids, got): (&[u32], &[f32]), (want_ids, want): (&[u32], &[f32]), text: &str) {
    let map = |ids: &[u32], values: &[f32]| ids.iter().copied().zip(values.iter().copied()).collect();
    let (got, want): (BTreeMap<u32, f32>, BTreeMap<u32, f32>) = (map(ids, got), map(want_ids, want));
    assert!(!want.is_empty() || got.is_empty(), "{text:?}");
    for id in got.keys().chain(want.keys()) {
        let [got, want] = [&got, &want].map(|weights| weights.get(id).copied().unwrap_or(0.0));
        check_numbers(&[got], &[want], text);
    }
}

/// Vectors of tokens of queries and documents, and how well they meet.
fn check_late(backend: &str, folder: &Path, golden: &Value) {
    let embedder = Model::load(&folder.to_string_lossy(), &on(backend), Task::Late).unwrap();
    let mut all: [Vec<Vec<f32>>; 2] = Default::default();
    for item in golden["items"].as_array().unwrap() {
        let query = item["task"] == "query";
        let role = if query { Role::Query } else { Role::Document };
        let rows = vectors_of_tokens(&embedder, &[item["text"].as_str().unwrap()], role);
        let want: Vec<f32> = item["vectors"].as_array().unwrap().iter().flat_map(floats).collect();
        assert_eq!(rows.tokens[0] as usize, item["input_ids"].as_array().unwrap().len());
        check_unit(&rows.matrix, &want, rows.dims, item["text"].as_str().unwrap());
        all[usize::from(!query)].push(rows.matrix);
    }
    let dims = embedder.info().dims;
    for (query, scores) in all[0].iter().zip(golden["maxsim_query_by_document"].as_array().unwrap()) {
        for (document, want) in all[1].iter().zip(floats(scores)) {
            check_numbers(&[max_sim(query, document, dims).unwrap()], &[want], "maxSim");
        }
    }
    check_together(&embedder, golden);
}

/// The three outputs of one run: on an executor that gives a text the same bits in any batch, those of each by itself.
fn check_hybrid(backend: &str, folder: &Path, golden: &Value) {
    let path = folder.to_string_lossy();
    let hybrid = Model::load(&path, &on(backend), Task::Hybrid).unwrap();
    let dense = Model::load(&path, &on(backend), Task::Embed).unwrap();
    let sparse = Model::load(&path, &on(backend), Task::Sparse).unwrap();
    let late = Model::load(&path, &on(backend), Task::Late).unwrap();
    assert_eq!(hybrid.info().dims, dense.info().dims);
    let items = golden["items"].as_array().unwrap();
    let texts: Vec<&str> = items.iter().map(|item| item["text"].as_str().unwrap()).collect();
    let together = sound(&hybrid, &texts, CallSettings::default());
    let (mut value, mut index) = (0, 0);
    for (row, text) in texts.iter().enumerate() {
        let (value_end, index_end) = (together.ends[row] as usize, together.index_ends[row] as usize);
        let ids = &together.indices[index..index_end];
        let (vector, rest) = together.matrix[value..value_end].split_at(hybrid.info().dims);
        let (weights, vectors) = rest.split_at(ids.len());
        (value, index) = (value_end, index_end);
        let alone = sound(&sparse, &[text], CallSettings::default());
        let one = sound(&dense, &[text], CallSettings::default());
        let many = vectors_of_tokens(&late, &[text], Role::Document);
        assert_eq!(ids, alone.indices, "{text:?}");
        for (got, want) in [(vector, &one.matrix), (weights, &alone.matrix), (vectors, &many.matrix)] {
            match hybrid.info().batch_invariant {
                true => assert_eq!(bits(got), bits(want), "{text:?}"),
                false => check_numbers(got, want, text),
            }
        }
    }
}

/// bge-m3's vectors of tokens: whole for some texts, their sum for the others.
fn check_own_late(backend: &str, folder: &Path, golden: &Value) {
    let embedder = Model::load(&folder.to_string_lossy(), &on(backend), Task::Late).unwrap();
    for item in golden["items"].as_array().unwrap() {
        let text = item["text"].as_str().unwrap();
        let rows = vectors_of_tokens(&embedder, &[text], Role::Document);
        assert_eq!(
            rows.matrix.len() / rows.dims,
            item["colbert_shape"][0].as_u64().unwrap() as usize,
            "{text:?}"
        );
        if let Some(vectors) = item["colbert"].as_array() {
            let want: Vec<f32> = vectors.iter().flat_map(floats).collect();
            check_unit(&rows.matrix, &want, rows.dims, text);
        } else {
            let mut sum = vec![0.0; rows.dims];
            for row in rows.matrix.chunks_exact(rows.dims) {
                sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
            }
            check_numbers(&sum, &floats(&item["colbert_sum"]), text);
        }
    }
    check_together(&embedder, golden);
}

fn check_together(embedder: &Arc<Model>, golden: &Value) {
    if !embedder.info().batch_invariant {
        return;
    }
    let items = golden["items"].as_array().unwrap();
    let texts: Vec<&str> = items.iter().map(|item| item["text"].as_str().unwrap()).collect();
    for role in [Role::Query, Role::Document] {
        let alone: Vec<f32> =
            texts.iter().flat_map(|text| vectors_of_tokens(embedder, &[text], role).matrix).collect();
        let together = vectors_of_tokens(embedder, &texts, role);
        assert_eq!(bits(&together.matrix), bits(&alone), "other bits in a batch");
    }
}

fn vectors_of_tokens(embedder: &Arc<Model>, texts: &[&str], role: Role) -> Rows {
    sound(embedder, texts, CallSettings { role, ..Default::default() })
}

/// The rows of texts none of which fails.
fn sound(model: &Arc<Model>, texts: &[&str], settings: CallSettings) -> Rows {
    let rows = embed(model, texts, settings).unwrap();
    assert!(rows.faults.is_empty(), "{:?}", rows.faults);
    rows
}

fn check_unit(got: &[f32], want: &[f32], dims: usize, case: &str) {
    assert_eq!(got.len(), want.len(), "{case}: numbers");
    for (got, want) in got.chunks_exact(dims).zip(want.chunks_exact(dims)) {
        let far = got.iter().zip(want).map(|(got, want)| (got - want).abs()).fold(0.0, f32::max);
        let cosine: f64 = got.iter().zip(want).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        assert!(far <= MAX_ABS && cosine >= MIN_COSINE, "{case}: {far:e}, {cosine}");
    }
}

fn check_numbers(got: &[f32], want: &[f32], case: &str) {
    assert_eq!(got.len(), want.len(), "{case}: numbers");
    let near = |(got, want): (&f32, &f32)| (got - want).abs() <= LOGITS * want.abs().max(1.0);
    assert!(got.iter().zip(want).all(near), "{case}: {got:?} for {want:?}");
}

/// What the folder's task asks for.
fn check(backend: &str, folder: &Path) {
    let golden = json(&folder.join("golden.json"));
    println!("{backend}: {}", folder.display());
    match golden["task"].as_str().unwrap() {
        "embed" => check_vectors((backend, "f32"), folder, &golden, NEAR),
        "embed+sparse+late" => {
            check_vectors((backend, "f32"), folder, &golden, NEAR);
            check_sparse(backend, folder, &golden, "sparse_");
            check_own_late(backend, folder, &golden);
            check_hybrid(backend, folder, &golden);
        }
        "rerank" => {
            let reranker = Model::load(&folder.to_string_lossy(), &on(backend), Task::Rerank).unwrap();
            let key = if golden["suffix"].is_null() { "logits" } else { "logit_diff" };
            check_reranker(&reranker, &golden, key, LOGITS);
        }
        "classify" => check_labels(backend, folder, &golden),
        "sparse" => check_sparse(backend, folder, &golden, ""),
        "late" => check_late(backend, folder, &golden),
        other => panic!("no check of task {other:?}"),
    }
    if golden["num_labels"].is_u64() {
        check_logits(backend, folder, &golden);
    }
}

/// All folders with golden values of architectures that are supported; how many there were.
fn check_all(collection: &Path) -> usize {
    let entries = std::fs::read_dir(collection).unwrap().map(|entry| entry.unwrap().path());
    let known = |folder: &PathBuf| models::MODEL_TYPES.contains(&model_type(folder).as_str());
    let folders: Vec<_> =
        entries.filter(|folder| folder.join("golden.json").is_file()).filter(known).collect();
    for folder in &folders {
        EXECUTORS.iter().for_each(|backend| check(backend, folder));
    }
    folders.len()
}

#[test]
fn the_committed_models() {
    assert!(check_all(&folder("")) >= 10);
}

#[test]
fn a_larger_collection() {
    let Some(data) = std::env::var_os("EMBED_NATIVE_DATA") else { return };
    assert!(check_all(&Path::new(&data).join("tiny-models")) >= 40);
}

/// A tokenizer may end texts with the token that pads, which transformers looks behind for none.
#[test]
fn a_decoder_scores_the_last_token_that_is_no_padding() {
    const PAD: u32 = 600;
    for backend in EXECUTORS {
        let model = classifier(backend, &folder("rerank-qwen3-small"), 1);
        let logit = |ids: &[u32]| {
            let mut batch = Batch::default();
            batch.push(Text { ids, types: &[], prompt_tokens: 0 });
            let mut logits = [0.0];
            model.embed(&batch, &mut logits).unwrap();
            logits[0]
        };
        let plain = logit(&[71, 327, 367]);
        assert!((logit(&[71, 327, 367, PAD, PAD]) - plain).abs() < 1e-6);
        assert!((logit(&[71, PAD, 367]) - plain).abs() > 1e-3);
        assert!((logit(&[PAD, PAD]) - logit(&[PAD])).abs() < 1e-6);
    }
}

/// More rows than are taken at a time: chunks end in the middle of a text.
#[test]
fn rows_in_chunks_give_the_same_bits() {
    const LENGTH: usize = 41;
    for name in ["rerank-bert", "rerank-gte-small", "rerank-qwen3-small"] {
        let model = classifier("native", &folder(name), 1);
        let ids: Vec<u32> = (0..3 * kernels::CHUNK as u32).map(|i| 5 + i * 7 % 500).collect();
        let logits = |texts: &[&[u32]]| {
            let mut batch = Batch::default();
            texts.iter().for_each(|ids| batch.push(Text { ids, types: &[], prompt_tokens: 0 }));
            let mut logits = vec![0.0; texts.len()];
            model.embed(&batch, &mut logits).unwrap();
            logits
        };
        let texts: Vec<&[u32]> = ids.chunks(LENGTH).collect();
        let alone: Vec<f32> = texts.iter().flat_map(|&text| logits(&[text])).collect();
        assert_eq!(bits(&logits(&texts)), bits(&alone), "{name}");
    }
}

/// Queries are weighed by a table alone; a query beside a document of the same words differs.
#[test]
fn a_router() {
    let folder = folder("splade-router");
    for backend in EXECUTORS {
        let embedder = Model::load(&folder.to_string_lossy(), &on(backend), Task::Sparse).unwrap();
        for item in json(&folder.join("golden-router.json"))["items"].as_array().unwrap() {
            let (prompt, role) = match item["task"] == "query" {
                true => (PromptChoice::Query, Role::Query),
                false => (PromptChoice::Document, Role::Document),
            };
            let text = item["text"].as_str().unwrap();
            let rows = sound(&embedder, &[text], CallSettings { prompt, role, ..Default::default() });
            let want = (integers(&item["indices"]), floats(&item["values"]));
            check_weights((&rows.indices, &rows.matrix), (&want.0, &want.1), text);
        }
    }
}

/// bfloat16 has 8 bits: one rounding of 2^-9 an input, which random weights do not average out as trained ones do.
const BF16: (f64, f32) = (0.999, 0.02);
/// Rows and outputs of 32 numbers share a scale, and a norm of 32 numbers has large outliers: far coarser than the
/// same in a real model (cosine 0.99 and more).
const INT8: (f64, f32) = (0.99, 0.05);

#[test]
fn smaller_number_formats_are_near_and_give_the_same_bits_in_a_batch() {
    for name in ["bert-mean", "deberta-v2-mean", "modernbert-mean", "qwen3-last"] {
        let (folder, golden) = (folder(name), json(&folder(name).join("golden.json")));
        for (dtype, near) in [("bf16", BF16), ("int8", INT8)] {
            println!("{dtype}: {name}");
            check_vectors(("native", dtype), &folder, &golden, near);
        }
    }
}

/// The trained adapter on the real weights, where these are.
#[test]
fn the_trained_adapter() {
    let Ok(model) = std::env::var("EMBED_NATIVE_TEST_MODEL") else { return };
    let adapter = folder("../adapters/minilm-l6-scifact-reranker");
    for backend in EXECUTORS {
        let options = LoadOptions { adapter: Some(adapter.to_string_lossy().into()), ..on(backend) };
        let base = Model::load(&model, &on(backend), Task::Embed).unwrap();
        let reranker = Model::load(&model, &options, Task::Rerank).unwrap();
        check_reranker(&reranker, &json(&adapter.join("golden.json")), "logit", 2e-3);
        drop(base);
    }
}

#[test]
#[cfg(not(feature = "candle"))]
fn an_executor_that_was_left_out() {
    let fault =
        Model::load(&folder("bert-mean").to_string_lossy(), &on("candle"), Task::Embed).err().unwrap();
    assert!(matches!(fault, Error::Unavailable { .. }), "{fault}");
    assert!(fault.to_string().contains("cargo feature \"candle\""), "{fault}");
}
