//! What a graph takes and gives, by its own declaration.

use std::path::Path;

use nn::{Config, Error, HeadSource};
use ort::session::Session;
use ort::value::{Outlet, TensorElementType, ValueType};

use crate::inputs::{Input, Role};

/// Names of the last hidden state, as transformers and sentence-transformers export it.
const HIDDEN: [&str; 2] = ["last_hidden_state", "token_embeddings"];

/// Of a whole pipeline, as sentence-transformers exports it.
const SENTENCE: &str = "sentence_embedding";

/// Of a head.
const LOGITS: &str = "logits";

/// The inputs and the one output that are used.
#[derive(Debug)]
pub(crate) struct Graph {
    pub(crate) inputs: Vec<Input>,
    pub(crate) output: String,
    /// What its rows are of.
    pub(crate) rows: Rows,
    /// Columns of the output's rows.
    pub(crate) width: usize,
}

/// What an output has a row for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rows {
    /// Each token: `[texts, tokens, width]`.
    Tokens,
    /// Each text: `[texts, width]`.
    Texts,
}

impl Graph {
    /// Of a session, for a head.
    pub(crate) fn of(
        session: &Session,
        path: &Path,
        config: &Config,
        head: &HeadSource,
    ) -> Result<Self, Error> {
        let inputs =
            session.inputs().iter().map(|outlet| input(path, outlet)).collect::<Result<Vec<_>, _>>()?;
        if !inputs.iter().any(|input| input.role == Role::Ids) {
            let message =
                format!("the graph takes {}; a text encoder takes input_ids", names(session.inputs()));
            return Err(unsupported(path, message));
        }
        let outputs = session.outputs();
        let (output, rows, width) = match head {
            HeadSource::Classifier { labels } => logits(outputs, path, *labels)?,
            _ => embedding(outputs, path, config)?,
        };
        Ok(Self { inputs, output, rows, width })
    }
}

fn unsupported(path: &Path, message: String) -> Error {
    Error::Unsupported { path: path.into(), message }
}

fn names(outlets: &[Outlet]) -> String {
    let names: Vec<_> = outlets.iter().map(|outlet| format!("{:?}", outlet.name())).collect();
    if names.is_empty() { "nothing".into() } else { names.join(", ") }
}

fn input(path: &Path, outlet: &Outlet) -> Result<Input, Error> {
    let name = outlet.name();
    let role = Role::named(name).ok_or_else(|| {
        let known = "input_ids, attention_mask, token_type_ids and position_ids";
        unsupported(path, format!("the graph needs an input {name:?}; known are {known}"))
    })?;
    let wide = match outlet.dtype() {
        ValueType::Tensor { ty: TensorElementType::Int64, .. } => true,
        ValueType::Tensor { ty: TensorElementType::Int32, .. } => false,
        other => {
            return Err(unsupported(path, format!("input {name:?} is {other}; known are int64 and int32")));
        }
    };
    Ok(Input { name: name.into(), role, wide })
}

/// Dimensions of an output of f32 or f16; empty where the graph does not declare them.
fn dimensions<'a>(path: &Path, outlet: &'a Outlet) -> Result<&'a [i64], Error> {
    match outlet.dtype() {
        ValueType::Tensor { ty: TensorElementType::Float32 | TensorElementType::Float16, shape, .. } => {
            Ok(shape)
        }
        other => {
            let message = format!("output {:?} is {other}; only f32 and f16 are read", outlet.name());
            Err(unsupported(path, message))
        }
    }
}

type Output = (String, Rows, usize);

/// Rows of tokens by name, else a ready vector by name, else the one output that looks like rows of tokens.
fn embedding(outputs: &[Outlet], path: &Path, config: &Config) -> Result<Output, Error> {
    let named = |name: &&str| outputs.iter().find(|outlet| outlet.name() == *name);
    if let Some(outlet) = HIDDEN.iter().find_map(&named) {
        return of_tokens(outlet, path, config);
    }
    if let Some(outlet) = named(&SENTENCE) {
        return ready(outlet, path, config);
    }
    let like = |outlet: &&Outlet| {
        outlet.name() != LOGITS && dimensions(path, outlet).is_ok_and(|shape| shape.len() == 3)
    };
    let mut alike = outputs.iter().filter(like);
    match (alike.next(), alike.next()) {
        (Some(only), None) => of_tokens(only, path, config),
        _ => {
            let message = format!(
                "the graph gives {}; an encoder's export gives last_hidden_state, a row for each token, or \
                 sentence_embedding, a row for each text",
                names(outputs)
            );
            Err(unsupported(path, message))
        }
    }
}

fn of_tokens(outlet: &Outlet, path: &Path, config: &Config) -> Result<Output, Error> {
    let width = match dimensions(path, outlet)? {
        [_, _, width] if *width > 0 => *width as usize,
        [] | [_, _, _] => hidden_size(config)?,
        other => return Err(ranked(path, outlet, other, "[texts, tokens, columns]")),
    };
    config.check_size("the width of the graph's output", width)?;
    Ok((outlet.name().into(), Rows::Tokens, width))
}

fn ready(outlet: &Outlet, path: &Path, config: &Config) -> Result<Output, Error> {
    let width = match dimensions(path, outlet)? {
        [_, width] if *width > 0 => *width as usize,
        [] | [_, _] => hidden_size(config)?,
        other => return Err(ranked(path, outlet, other, "[texts, columns]")),
    };
    config.check_size("the width of the graph's output", width)?;
    Ok((outlet.name().into(), Rows::Texts, width))
}

fn hidden_size(config: &Config) -> Result<usize, Error> {
    let size = config.value()["hidden_size"].as_u64();
    size.map(|size| size as usize).ok_or_else(|| {
        config.broken("no hidden_size, and the graph does not declare the width of its output either")
    })
}

/// `[texts, labels]`.
fn logits(outputs: &[Outlet], path: &Path, labels: usize) -> Result<Output, Error> {
    let Some(outlet) = outputs.iter().find(|outlet| outlet.name() == LOGITS) else {
        let message = format!(
            "the graph gives {}; the export of a reranker or a classifier gives logits: load this with Embedder.load",
            names(outputs)
        );
        return Err(unsupported(path, message));
    };
    match dimensions(path, outlet)? {
        [] => Ok((outlet.name().into(), Rows::Texts, labels)),
        [_, count] if *count <= 0 || *count == labels as i64 => {
            Ok((outlet.name().into(), Rows::Texts, labels))
        }
        other => Err(ranked(path, outlet, other, &format!("[texts, {labels}]"))),
    }
}

fn ranked(path: &Path, outlet: &Outlet, found: &[i64], wanted: &str) -> Error {
    unsupported(path, format!("output {:?} has dimensions {found:?}, and {wanted} is needed", outlet.name()))
}
