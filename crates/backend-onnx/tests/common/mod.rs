//! Small ONNX models written by hand, and folders to put them in.

#![allow(dead_code, unreachable_pub, reason = "each test takes what it needs")]

use std::path::{Path, PathBuf};

use backend::{Backend, Batch, Pooling, PoolingMode, Text};
use backend_onnx::{LoadError, Onnx, Settings};
use nn::{Config, HeadSource, Source};
use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub struct Model {
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    #[prost(message, optional, tag = "7")]
    pub graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    pub opsets: Vec<Opset>,
    #[prost(message, repeated, tag = "25")]
    pub functions: Vec<Function>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Opset {
    #[prost(string, tag = "1")]
    pub domain: String,
    #[prost(int64, tag = "2")]
    pub version: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub nodes: Vec<Node>,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(message, repeated, tag = "5")]
    pub initializers: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    pub inputs: Vec<Value>,
    #[prost(message, repeated, tag = "12")]
    pub outputs: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Function {
    #[prost(string, tag = "1")]
    pub name: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Node {
    #[prost(string, repeated, tag = "1")]
    pub inputs: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub outputs: Vec<String>,
    #[prost(string, tag = "4")]
    pub op: String,
    #[prost(string, tag = "7")]
    pub domain: String,
    #[prost(message, repeated, tag = "5")]
    pub attributes: Vec<Attribute>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(int64, optional, tag = "3")]
    pub integer: Option<i64>,
    #[prost(message, optional, tag = "5")]
    pub tensor: Option<Tensor>,
    #[prost(message, optional, tag = "6")]
    pub graph: Option<Graph>,
    #[prost(int64, repeated, tag = "8")]
    pub integers: Vec<i64>,
    #[prost(int32, tag = "20")]
    pub kind: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct Tensor {
    #[prost(int64, repeated, tag = "1")]
    pub dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    #[prost(string, tag = "8")]
    pub name: String,
    #[prost(bytes, optional, tag = "9")]
    pub raw: Option<Vec<u8>>,
    #[prost(message, repeated, tag = "13")]
    pub external: Vec<Entry>,
    #[prost(int32, tag = "14")]
    pub location: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct Entry {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Value {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub kind: Option<Kind>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Kind {
    #[prost(message, optional, tag = "1")]
    pub tensor: Option<TensorKind>,
    #[prost(message, optional, boxed, tag = "4")]
    pub sequence: Option<Box<Sequence>>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Sequence {
    #[prost(message, optional, boxed, tag = "1")]
    pub element: Option<Box<Kind>>,
}

#[derive(Clone, PartialEq, Message)]
pub struct TensorKind {
    #[prost(int32, tag = "1")]
    pub element: i32,
    #[prost(message, optional, tag = "2")]
    pub shape: Option<Shape>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Shape {
    #[prost(message, repeated, tag = "1")]
    pub dims: Vec<Dim>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Dim {
    #[prost(int64, optional, tag = "1")]
    pub value: Option<i64>,
    #[prost(string, optional, tag = "2")]
    pub name: Option<String>,
}

pub const F32: i32 = 1;
pub const BOOL: i32 = 9;
pub const I32: i32 = 6;
pub const I64: i32 = 7;
pub const F16: i32 = 10;
pub const F64: i32 = 11;

/// Rows of the table below.
pub const ROWS: usize = 8;

/// Value `column` of row `id`.
pub fn entry(id: u32, column: usize) -> f32 {
    id as f32 * 10.0 + column as f32
}

pub fn value(name: &str, element: i32, dims: &[Option<i64>]) -> Value {
    let dim = |(place, value): (usize, &Option<i64>)| Dim {
        value: *value,
        name: value.is_none().then(|| format!("d{place}")),
    };
    let shape = Shape { dims: dims.iter().enumerate().map(dim).collect() };
    let tensor = TensorKind { element, shape: Some(shape) };
    Value { name: name.into(), kind: Some(Kind { tensor: Some(tensor), sequence: None }) }
}

pub fn node(op: &str, inputs: &[&str], output: &str, attributes: Vec<Attribute>) -> Node {
    let inputs = inputs.iter().map(|name| (*name).into()).collect();
    Node { inputs, outputs: vec![output.into()], op: op.into(), domain: String::new(), attributes }
}

pub fn integer(name: &str, integer: i64) -> Attribute {
    Attribute { name: name.into(), integer: Some(integer), kind: 2, ..Default::default() }
}

/// The table's bytes.
pub fn table(columns: usize) -> Vec<u8> {
    let values = (0..ROWS as u32).flat_map(|id| (0..columns).map(move |column| entry(id, column)));
    values.flat_map(f32::to_le_bytes).collect()
}

/// An encoder that looks a row up for each token and does nothing else.
pub fn encoder(columns: usize) -> Model {
    let dims = vec![ROWS as i64, columns as i64];
    let tensor = Tensor {
        dims,
        data_type: F32,
        name: "table".into(),
        raw: Some(table(columns)),
        ..Default::default()
    };
    let graph = Graph {
        nodes: vec![node("Gather", &["table", "input_ids"], "last_hidden_state", vec![])],
        name: "encoder".into(),
        initializers: vec![tensor],
        inputs: vec![value("input_ids", I64, &[None, None]), value("attention_mask", I64, &[None, None])],
        outputs: vec![value("last_hidden_state", F32, &[None, None, Some(columns as i64)])],
    };
    let opset = Opset { domain: String::new(), version: 13 };
    Model { ir_version: 8, graph: Some(graph), opsets: vec![opset], functions: vec![] }
}

/// The encoder with its table in a file of that name.
pub fn external(location: &str, more: &[(&str, &str)]) -> Model {
    let mut model = encoder(4);
    let tensor = &mut model.graph.as_mut().unwrap().initializers[0];
    make_external(tensor, location, more);
    model
}

pub fn make_external(tensor: &mut Tensor, location: &str, more: &[(&str, &str)]) {
    tensor.raw = None;
    tensor.location = 1;
    let all = std::iter::once(("location", location)).chain(more.iter().copied());
    tensor.external = all.map(|(key, value)| Entry { key: key.into(), value: value.into() }).collect();
}

/// A folder of its own, with a model in it.
pub fn folder(name: &str, model: &[u8]) -> PathBuf {
    let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("onnx").join(name);
    drop(std::fs::remove_dir_all(&place));
    std::fs::create_dir_all(place.join("onnx")).unwrap();
    std::fs::write(place.join("config.json"), r#"{"model_type":"bert","hidden_size":4}"#).unwrap();
    std::fs::write(place.join("onnx/model.onnx"), model).unwrap();
    place
}

pub fn source(folder: &Path, head: HeadSource) -> Source {
    let config = Config::open(&folder.join("config.json")).unwrap();
    Source { folder: folder.into(), config, adapter: None, head }
}

pub fn mean() -> HeadSource {
    HeadSource::Embedding { pooling: Pooling::of(PoolingMode::Mean), layers: vec![] }
}

/// The first of `EMBED_NATIVE_TEST_ORT`, where it is set.
pub fn library() -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("EMBED_NATIVE_TEST_ORT")?).next()
}

pub fn settings(library: &Path) -> Settings {
    let files = ["onnx/model.onnx", "model.onnx"].map(String::from).to_vec();
    Settings { library: Some(library.into()), threads: 2, files, ..Default::default() }
}

pub fn load(library: &Path, folder: &Path) -> Result<Onnx, LoadError> {
    Onnx::load(&source(folder, mean()), &settings(library))
}

/// The sentence of a model that must be refused for its files.
pub fn refusal(library: &Path, folder: &Path) -> String {
    match load(library, folder) {
        Ok(_) => panic!("{} loads", folder.display()),
        Err(LoadError::Model(error)) => error.to_string(),
        Err(other) => panic!("{}: {other}", folder.display()),
    }
}

pub fn batch(texts: &[&[u32]]) -> Batch {
    let mut batch = Batch::default();
    for ids in texts {
        batch.push(Text { ids, types: &[], prompt_tokens: 0 });
    }
    batch
}

pub fn embed(model: &Onnx, texts: &[&[u32]]) -> Result<Vec<f32>, backend::Error> {
    let mut out = vec![0.0; texts.len() * model.dims()];
    model.embed(&batch(texts), &mut out).map(|()| out)
}
