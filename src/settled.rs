//! Results and faults as JavaScript gets them.

use napi::bindgen_prelude::{Either4, Float32Array, Uint32Array};
use napi_derive::napi;

use crate::model::Model;

/// A fault of a whole job.
#[napi(object)]
pub struct Fault {
    /// Stable code.
    pub code: String,
    /// What was expected, what came, what to do.
    pub message: String,
}

/// A fault of one text.
#[napi(object)]
pub struct RowFault {
    /// Which text of the job.
    pub row: u32,
    /// Stable code.
    pub code: String,
    /// What was expected, what came, what to do.
    pub message: String,
}

/// The vectors of a job.
#[napi(object)]
pub struct Rows {
    /// `[texts, dims]`, row-major; rows with a fault are zero.
    pub matrix: Float32Array,
    /// Width of a row, or of each vector of a row.
    pub dims: u32,
    /// Where each row's values end, where rows differ in length.
    pub ends: Uint32Array,
    /// The token of each value of sparse rows.
    pub indices: Uint32Array,
    /// Where each row's indices end, where rows differ in length.
    pub index_ends: Uint32Array,
    /// Tokens computed for each text.
    pub tokens: Uint32Array,
    /// Texts that were cut.
    pub truncated: Uint32Array,
    /// Texts that failed by themselves.
    pub faults: Vec<RowFault>,
    /// Milliseconds: waiting, tokenizing, computing.
    pub times: Vec<f64>,
}

/// How far a download is; its job goes on.
#[napi(object)]
pub struct Progress {
    /// The file that moved last.
    pub file: String,
    /// Bytes of it.
    pub file_received: f64,
    /// Its size.
    pub file_total: f64,
    /// Bytes of all files.
    pub received: f64,
    /// Their size.
    pub total: f64,
    /// Bytes a second.
    pub rate: f64,
    /// Seconds.
    pub time_left: f64,
}

/// What a job may end with, besides a fault: a model, rows, or JSON. Progress comes before the end.
pub(crate) type Value = Either4<Model, Rows, Progress, String>;

impl From<engine::Progress> for Progress {
    fn from(progress: engine::Progress) -> Self {
        Self {
            file: progress.file,
            file_received: progress.file_received as f64,
            file_total: progress.file_total as f64,
            received: progress.received as f64,
            total: progress.total as f64,
            rate: progress.rate,
            time_left: progress.time_left,
        }
    }
}

impl From<engine::Error> for Fault {
    fn from(error: engine::Error) -> Self {
        Self { code: error.code().into(), message: error.to_string() }
    }
}

impl From<engine::RowFault> for RowFault {
    fn from(fault: engine::RowFault) -> Self {
        let Fault { code, message } = fault.error.into();
        Self { row: fault.row as u32, code, message }
    }
}

impl From<engine::Rows> for Rows {
    fn from(rows: engine::Rows) -> Self {
        Self {
            matrix: Float32Array::new(rows.matrix),
            dims: rows.dims as u32,
            ends: Uint32Array::new(rows.ends),
            indices: Uint32Array::new(rows.indices),
            index_ends: Uint32Array::new(rows.index_ends),
            tokens: Uint32Array::new(rows.tokens),
            truncated: Uint32Array::new(rows.truncated),
            faults: rows.faults.into_iter().map(RowFault::from).collect(),
            times: [rows.timing.queue, rows.timing.tokenization, rows.timing.inference]
                .map(|time| time.as_secs_f64() * 1e3)
                .to_vec(),
        }
    }
}
