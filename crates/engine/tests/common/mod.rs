//! What the chapters share: folders of their own, vectors, and how close two of them are.
#![allow(dead_code, unreachable_pub, reason = "each chapter uses its part")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use engine::{CallSettings, Error, LoadOptions, Model, Request, Rows, Task, Ticket};
use serde_json::Value;

/// The reference's own noise is below 2.4e-7; ours adds other orders of summation.
pub const MAX_ABS: f32 = 2e-5;
/// Of vectors of any length.
pub const MIN_COSINE: f64 = 0.999_999;

/// A path in `__test__/data`.
pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../__test__/data").join(name)
}

/// The shared data, or None with a line that says so.
pub fn shared_data() -> Option<PathBuf> {
    let data = std::env::var_os("EMBED_NATIVE_DATA").map(PathBuf::from);
    if data.is_none() {
        eprintln!("skipped: EMBED_NATIVE_DATA does not name the folder of shared test data");
    }
    data
}

/// A copy of a folder in a place of its own; files are links where the system can.
pub fn copy(from: &Path, name: &str) -> PathBuf {
    let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    drop(std::fs::remove_dir_all(&place));
    copy_folder(from, &place);
    place
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in from.read_dir().unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target)
        } else if std::fs::hard_link(entry.path(), &target).is_err() {
            std::fs::copy(entry.path(), target).map(drop).unwrap()
        }
    }
}

/// Writes a file in place of whatever is there, which may be a link to a committed one.
pub fn replace(path: &Path, content: &str) {
    drop(std::fs::remove_file(path));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

/// A file of JSON.
pub fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Numbers of a JSON list.
pub fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

/// The number format of all that models are compared with, on any processor.
pub fn f32() -> LoadOptions {
    LoadOptions { dtype: Some("f32".into()), ..Default::default() }
}

/// A model that must load.
pub fn load(folder: &Path, options: &LoadOptions) -> Arc<Model> {
    Model::load(&folder.to_string_lossy(), options, Task::Embed).unwrap()
}

/// The rows of some texts.
pub fn embed(embedder: &Arc<Model>, texts: &[&str], settings: CallSettings) -> Result<Rows, Error> {
    let (send, receive) = mpsc::channel();
    let texts = texts.iter().map(|text| (*text).to_string()).collect();
    let request = Request { texts, settings, ticket: Ticket::default() };
    embedder.run(request, move |rows| send.send(rows).unwrap());
    receive.recv().unwrap()
}

/// The one vector of a text without faults.
pub fn vector(embedder: &Arc<Model>, text: &str, settings: CallSettings) -> Vec<f32> {
    let rows = embed(embedder, &[text], settings).unwrap();
    assert!(rows.faults.is_empty(), "{text:?}: {:?}", rows.faults);
    rows.matrix
}

/// Checks a vector of any length against the reference; the case prints itself.
pub fn check_close(case: &str, got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len(), "{case}: numbers");
    let largest = want.iter().fold(1.0_f32, |most, value| most.max(value.abs()));
    let far = got.iter().zip(want).map(|(got, want)| (got - want).abs()).fold(0.0, f32::max);
    assert!(far <= MAX_ABS * largest, "{case}: {far:e} away");
    let cosine = cosine(got, want);
    assert!(cosine >= MIN_COSINE || largest_of(want) == 0.0, "{case}: cosine {cosine}");
}

fn largest_of(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |most, value| most.max(value.abs()))
}

/// The cosine of two vectors, in f64.
pub fn cosine(one: &[f32], other: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(one, other) / (dot(one, one) * dot(other, other)).sqrt()
}
