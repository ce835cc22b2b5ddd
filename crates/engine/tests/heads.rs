//! Files of heads that ask for what is not there, or for too much: each is a typed fault that names it.

#![expect(clippy::unwrap_used, reason = "a test")]

mod common;

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use common::{copy, data, json, replace};
use engine::{CallSettings, Error, LoadOptions, Model, Request, Role, Rows, Score, Task, Ticket};
use serde_json::{Value, json};

/// A class that loads a folder.
type Load = fn(&str) -> Result<(), Error>;

const EMBEDDER: Load = |folder| Model::load(folder, &LoadOptions::default(), Task::Embed).map(drop);
const CLASSIFIER: Load = |folder| Model::load(folder, &LoadOptions::default(), Task::Classify).map(drop);
const RERANKER: Load = |folder| Model::load(folder, &LoadOptions::default(), Task::Rerank).map(drop);
const SPARSE: Load = |folder| Model::load(folder, &LoadOptions::default(), Task::Sparse).map(drop);
const HYBRID: Load = |folder| Model::load(folder, &LoadOptions::default(), Task::Hybrid).map(drop);
const LATE: Load = |folder| Model::load(folder, &LoadOptions::default(), Task::Late).map(drop);

/// A copy of a tiny model where `field` of a JSON file is another, or the whole file where there is no field.
fn changed(model: &str, file: &str, field: &str, value: &Value) -> PathBuf {
    let folder =
        copy(&data("tiny-models").join(model), &format!("heads-{model}-{field}-{}", value.to_string().len()));
    let path = folder.join(file);
    let mut content = if path.is_file() { json(&path) } else { json!({}) };
    if field.is_empty() {
        content = value.clone()
    } else {
        content[field] = value.clone()
    }
    replace(&path, &content.to_string());
    folder
}

fn fault(load: Load, folder: &Path) -> Error {
    load(&folder.to_string_lossy()).unwrap_err()
}

/// Class, folder, file, field, value, code and what the message holds.
type Case = (Load, &'static str, &'static str, &'static str, Value, &'static str, &'static str);

const FILE: &str = "ERR_MODEL_FILE";
const UNSUPPORTED: &str = "ERR_MODEL_UNSUPPORTED";

fn check(cases: impl IntoIterator<Item = Case>) {
    for (load, model, file, field, value, code, said) in cases {
        let error = fault(load, &changed(model, file, field, &value));
        let case = format!("{model} {file} {field} {value}: {error}");
        assert_eq!(error.code(), code, "{case}");
        assert!(error.to_string().contains(said), "{case}");
    }
}

#[test]
fn labels_and_answers_that_cannot_be() {
    let (labels, judge, config) = ("distilbert-labels", "judge-qwen3", "config.json");
    check([
        (CLASSIFIER, labels, config, "id2label", json!({ "0": "a" }), FILE, "shape"),
        (CLASSIFIER, labels, config, "id2label", json!(["a", "b", "c"]), FILE, "an object"),
        (CLASSIFIER, labels, config, "num_labels", json!(9), FILE, "num_labels is 9"),
        (CLASSIFIER, labels, config, "", json!({ "model_type": "bert" }), UNSUPPORTED, "no sequence"),
        (RERANKER, judge, config, "model_type", json!("mistral"), UNSUPPORTED, "template"),
        (RERANKER, judge, config, "vocab_size", json!(1u64 << 40), FILE, "vocab_size"),
        (RERANKER, judge, config, "vocab_size", json!(0), FILE, "vocab_size"),
    ]);
}

#[test]
fn weights_of_tokens_that_cannot_be() {
    let (bert, pooling) = ("splade-bert-own", "1_SpladePooling/config.json");
    check([
        (SPARSE, bert, pooling, "pooling_strategy", json!("mean"), UNSUPPORTED, "\"mean\""),
        (SPARSE, bert, pooling, "activation_function", json!("tanh"), UNSUPPORTED, "\"tanh\""),
        (SPARSE, bert, "config.json", "hidden_act", json!("poem"), UNSUPPORTED, "poem"),
        (SPARSE, "late-pylate", "config.json", "x", json!(0), UNSUPPORTED, "weighs no tokens"),
    ]);
}

#[test]
fn vectors_of_tokens_that_cannot_be() {
    let (late, knobs) = ("late-pylate", "config_sentence_transformers.json");
    check([
        (LATE, late, knobs, "query_length", json!(1u64 << 40), FILE, "from 1"),
        (LATE, late, knobs, "query_length", json!(0), FILE, "from 1"),
        (LATE, late, "1_Dense/config.json", "in_features", json!(7), FILE, "in_features is 7"),
        (LATE, late, "1_Dense/config.json", "out_features", json!(0), FILE, "out_features is 0"),
        (LATE, "splade-bert-own", "config.json", "x", json!(0), UNSUPPORTED, "SparseEmbedder.load"),
    ]);
}

#[test]
fn a_refusal_names_the_right_class() {
    let stanford = changed("bert-mean", "config.json", "architectures", &json!(["HF_ColBERT"]));
    std::fs::remove_file(stanford.join("modules.json")).unwrap();
    let folder = |model: &str| data("tiny-models").join(model);
    for (load, folder, right) in [
        (EMBEDDER, folder("splade-bert-own"), "SparseEmbedder.load"),
        (EMBEDDER, folder("late-pylate"), "MultiVectorEmbedder.load"),
        (EMBEDDER, stanford.clone(), "MultiVectorEmbedder.load"),
        (EMBEDDER, folder("rerank-bert"), "Reranker.load"),
        (CLASSIFIER, folder("splade-bert-own"), "SparseEmbedder.load"),
        (CLASSIFIER, folder("late-pylate"), "MultiVectorEmbedder.load"),
        (CLASSIFIER, folder("bert-mean"), "Embedder.load"),
        (RERANKER, folder("splade-bert-own"), "SparseEmbedder.load"),
        (RERANKER, folder("distilbert-labels"), "Classifier.load"),
        (RERANKER, folder("qwen3-last"), "Embedder.load"),
        (SPARSE, folder("late-pylate"), "MultiVectorEmbedder.load"),
        (SPARSE, folder("bert-mean"), "Embedder.load"),
        (HYBRID, folder("bert-mean"), "Embedder.load"),
        (HYBRID, folder("splade-bert-own"), "SparseEmbedder.load"),
        (LATE, folder("bert-mean"), "Embedder.load"),
        (LATE, folder("rerank-bert"), "Reranker.load"),
    ] {
        let error = fault(load, &folder);
        assert_eq!(error.code(), UNSUPPORTED, "{error}");
        assert!(error.to_string().ends_with(&format!("load it with {right}")), "{right}: {error}");
    }
    // Its encoder alone, for who asks for that.
    let pooling = Some("mean".into());
    let options = LoadOptions { pooling, ..LoadOptions::default() };
    Model::load(&stanford.to_string_lossy(), &options, Task::Embed).unwrap();
}

#[test]
fn a_pooling_is_for_embedders() {
    let pooling = Some("cls".to_string());
    let options = LoadOptions { pooling, ..LoadOptions::default() };
    for (task, model) in [
        (Task::Sparse, "splade-bert-own"),
        (Task::Late, "late-pylate"),
        (Task::Classify, "distilbert-labels"),
        (Task::Rerank, "rerank-bert"),
    ] {
        let folder = data("tiny-models").join(model);
        let error = Model::load(&folder.to_string_lossy(), &options, task).err().unwrap();
        assert_eq!(error.code(), "ERR_INVALID_ARGUMENT", "{model}: {error}");
    }
}

/// A pickle can run code as it is read.
#[test]
fn a_pickle_is_refused_with_what_to_do() {
    for (load, file) in [(SPARSE, "sparse_linear"), (LATE, "colbert_linear")] {
        let folder = copy(&data("tiny-models/bert-mean"), "heads-pickle");
        replace(&folder.join(format!("{file}.pt")), "PK");
        let error = fault(load, &folder);
        assert_eq!(error.code(), "ERR_MODEL_UNSUPPORTED", "{error}");
        assert!(error.to_string().contains(&format!("{file}.safetensors")), "{error}");
    }
}

/// A head is a matter of the class; the same folder embeds.
#[test]
fn one_folder_serves_two_classes() {
    let folder = data("tiny-models/distilbert-labels");
    let folder = folder.to_string_lossy();
    let embedder = Model::load(&folder, &LoadOptions::default(), Task::Embed).unwrap();
    let classifier = Model::load(&folder, &LoadOptions::default(), Task::Classify).unwrap();
    assert_ne!(embedder.info().fingerprint, classifier.info().fingerprint);
    assert_eq!((embedder.info().labels.is_none(), classifier.info().dims), (true, 3));
}

const TEXTS: [&str; 4] = ["a red fox", "a blue whale met the red fox", "fox", "the fox and the whale."];

/// A folder loaded for a task, in a number format, on texts, one call a group of them.
fn rows(task: Task, model: &str, dtype: &str, groups: &[&[&str]]) -> Vec<Rows> {
    let options = LoadOptions { dtype: Some(dtype.into()), ..LoadOptions::default() };
    let folder = data("tiny-models").join(model);
    let loaded = Model::load(&folder.to_string_lossy(), &options, task).unwrap();
    assert_eq!((loaded.task(), loaded.info().dtype), (task, dtype));
    groups.iter().map(|texts| run(&loaded, texts)).collect()
}

fn run(model: &Arc<Model>, texts: &[&str]) -> Rows {
    let (send, receive) = mpsc::channel();
    let done = move |rows| send.send(rows).unwrap();
    let texts = texts.iter().map(|text| (*text).to_string()).collect();
    let query = (model.task() == Task::Rerank).then(|| "fox".into());
    let settings = CallSettings { query, score: Score::Logit, role: Role::Query, ..Default::default() };
    model.run(Request { texts, settings, ticket: Ticket::default() }, done);
    let rows = receive.recv().unwrap().unwrap();
    assert!(rows.faults.is_empty(), "{:?}", rows.faults);
    rows
}

/// Rows end to end; sparse ones as wide as the vocabulary.
fn whole(rows: &[Rows]) -> Vec<f32> {
    let row = |rows: &Rows| match rows.indices.len() {
        0 => rows.matrix.clone(),
        _ => {
            let mut all = vec![0.0; rows.ends.len() * WIDEST];
            let mut start = 0;
            for (text, &end) in rows.ends.iter().enumerate() {
                for at in start..end as usize {
                    all[text * WIDEST + rows.indices[at] as usize] = rows.matrix[at];
                }
                start = end as usize;
            }
            all
        }
    };
    rows.iter().flat_map(row).collect()
}

/// More tokens than any tiny model has.
const WIDEST: usize = 4096;

/// Projections to a vocabulary and to tokens' vectors are multiplied in the format, too.
#[test]
fn smaller_number_formats_are_near_and_give_the_same_bits_in_a_batch() {
    let alone: Vec<&[&str]> = TEXTS.chunks(1).collect();
    for (task, model) in [
        (Task::Sparse, "splade-bert-own"),
        (Task::Sparse, "splade-modernbert"),
        (Task::Late, "late-pylate"),
        (Task::Classify, "distilbert-labels"),
        (Task::Rerank, "judge-qwen3"),
    ] {
        let exact = whole(&rows(task, model, "f32", &alone));
        for dtype in ["f32", "bf16", "int8"] {
            let single = whole(&rows(task, model, dtype, &alone));
            let together = whole(&rows(task, model, dtype, &[&TEXTS]));
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&together), bits(&single), "{model} in {dtype}: other bits in a batch");
            let far = distance(&single, &exact);
            println!("{model} in {dtype}: {far:.1e}");
            assert!(far <= 0.05, "{model} in {dtype}: {far}");
            assert_eq!(far == 0.0, dtype == "f32", "{model} in {dtype}: {far}");
        }
    }
}

/// Of two vectors, as a share of the length of the second.
fn distance(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let squares: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    (squares / b.iter().map(|b| f64::from(*b).powi(2)).sum::<f64>()).sqrt()
}

/// A graph has no head over the vocabulary, and no layers on tokens; it says so before anything large is read.
#[test]
#[cfg(feature = "onnx")]
fn a_graph_refuses_what_it_cannot_give() {
    for (task, model) in
        [(Task::Sparse, "splade-bert-own"), (Task::Late, "late-pylate"), (Task::Rerank, "judge-qwen3")]
    {
        let options = LoadOptions { backend: Some("onnx".into()), ..LoadOptions::default() };
        let folder = data("tiny-models").join(model);
        let error = Model::load(&folder.to_string_lossy(), &options, task).err().unwrap();
        assert_eq!(error.code(), "ERR_UNSUPPORTED", "{error}");
        assert!(error.to_string().contains("backend \"native\""), "{error}");
    }
}
