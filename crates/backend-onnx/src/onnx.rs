//! A loaded model in ONNX Runtime.

use std::path::PathBuf;
use std::sync::Arc;

use backend::{Backend, Batch, Description, Error, Form, Group, Padding};
use backend_native::NativeDevice;
use half::f16;
use half::slice::HalfFloatSliceExt;
use kernels::Kernels;
use nn::{Config, Device, Head, HeadSource, Key, Source, Store};
use ort::session::{OutputSelector, RunOptions};
use twox_hash::XxHash3_64;

use crate::external::{self, Files};
use crate::graph::{Graph, Rows};
use crate::inputs::Filling;
use crate::library::Library;
use crate::model_file::ModelFile;
use crate::provider::{self, Provider};
use crate::session::{Running, failed};
use crate::{LoadError, operators};

/// Tokens that make a batch worth while: runs large enough for all threads of the session.
const BATCH_TOKENS: usize = 2048;

/// At most 15 % of a run.
const PADDING: Padding = Padding { step: 1, most: 4096, small: 0, full: (115, 100) };

/// What a load may decide.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The library's file; none is the one that `ORT_DYLIB_PATH` names.
    pub library: Option<PathBuf>,
    /// Threads that compute one run.
    pub threads: usize,
    /// Which export: files below the model's folder, the first that is there.
    pub files: Vec<String>,
    /// The number format that it must have; `None`: any.
    pub dtype: Option<String>,
    /// Whether the pooling was asked for, and is not the graph's to decide.
    pub pools: bool,
    /// Who computes: the first of these that works here. None is the CPU.
    pub providers: Vec<Provider>,
}

/// The session of these bytes and threads, which all handles of the process share.
fn shared(
    model: &ModelFile,
    hash: u64,
    (threads, provider): (usize, Provider),
    open: impl FnOnce() -> Result<Running, LoadError>,
) -> Result<Arc<Running>, LoadError> {
    let form = format!("onnx {} {hash:016x} {threads} {}", model.path.display(), provider.name());
    Store::process().get_or_make(Key { files: Vec::new(), form }, open)
}

/// What follows the graph.
enum Tail {
    /// Pooling and the layers behind it, on our own kernels.
    Head(Head<NativeDevice>),
    /// Nothing: the graph gives a row for each text.
    Nothing,
}

/// A model's graph with its head.
pub struct Onnx {
    session: Arc<Running>,
    graph: Graph,
    tail: Tail,
    form: Form,
    device: NativeDevice,
    filling: Filling,
    positions: Option<usize>,
    hash: u64,
    dtype: &'static str,
    dtype_reason: &'static str,
    provider: Provider,
    provider_reason: String,
    kernel: String,
}

impl Onnx {
    /// Loads a model's export. The first load of the process opens the library, and later ones use the same,
    /// whichever they name.
    ///
    /// # Errors
    /// No library, or one that does not load; files that are missing, broken or ask for what is not supported; a
    /// graph that ONNX Runtime refuses.
    pub fn load(source: &Source, settings: &Settings) -> Result<Self, LoadError> {
        if source.adapter.is_some() {
            let remedy = "a graph cannot take it; use backend \"native\", or export the merged model";
            return Err(LoadError::Unavailable { what: "adapter with backend \"onnx\"", remedy });
        }
        if !matches!(source.head, HeadSource::Embedding { .. } | HeadSource::Classifier { .. }) {
            return Err(no_such_head());
        }
        let library = Library::open(settings.library.as_deref())?;
        let model = ModelFile::open(&source.folder, &settings.files)?;
        let dtype = checked_dtype(&model, settings.dtype.as_deref())?;
        let files = external::read(&model)?;
        let hash = hash(&model, &files);
        let open = |provider| {
            let how = (settings.threads, provider);
            shared(&model, hash, how, || Running::open(&model, &files, &library, how))
        };
        let (session, provider, against) = provider::choose(&settings.providers, &library.name(), open)?;
        let graph = session.graph(&model.path, source)?;
        let device = NativeDevice::new(Kernels::best()?, kernels::Dtype::F32);
        let (tail, tail_hash) = match (&source.head, graph.rows) {
            (HeadSource::Embedding { pooling, layers }, Rows::Tokens) => {
                let (head, taken) = Head::load(pooling.clone(), layers, graph.width, &device)?;
                (Tail::Head(head), taken.hash)
            }
            (_, Rows::Texts) if settings.pools => return Err(pooled_already(&model, &graph).into()),
            _ => (Tail::Nothing, 0),
        };
        let form = match &tail {
            Tail::Head(head) => head.form(graph.width),
            Tail::Nothing => Form { dims: graph.width, per_token: false },
        };
        let (filling, positions) = placing(&source.config);
        Ok(Self {
            session,
            graph,
            tail,
            form,
            device,
            filling,
            positions,
            hash: hash ^ tail_hash,
            dtype,
            dtype_reason: match settings.dtype {
                Some(_) => "as asked for",
                None => "the number format of the graph that was found",
            },
            provider,
            provider_reason: reason(&settings.providers, &against),
            kernel: library.name(),
        })
    }

    /// Runs a group: `[rows · length, width]`, or `[rows, width]` where the graph gives a row for each text.
    fn run(&self, batch: &Batch, group: &Group, use_rows: impl FnOnce(&[f32])) -> Result<(), Error> {
        let mut inputs = Vec::new();
        for input in &self.graph.inputs {
            inputs.push((input.name.as_str(), input.value(batch, group, self.filling)?));
        }
        let output = self.graph.output.as_str();
        let wanted: &[usize] = match self.graph.rows {
            Rows::Tokens => &[group.rows(), group.length, self.graph.width],
            Rows::Texts => &[group.rows(), self.graph.width],
        };
        self.session.with(|session| {
            let said = |error: ort::Error| failed(error.message());
            let selector = OutputSelector::no_default().with(output);
            let options = RunOptions::new().map_err(said)?.with_outputs(selector);
            let outputs = session.run_with_options(inputs, &options).map_err(said)?;
            let value = outputs.get(output).ok_or_else(|| failed("it gave no output"))?;
            if let Ok((shape, rows)) = value.try_extract_tensor::<f32>() {
                check_shape(output, shape, rows.len(), wanted)?;
                use_rows(rows);
                return Ok(());
            }
            let (shape, rows) = value.try_extract_tensor::<f16>().map_err(said)?;
            check_shape(output, shape, rows.len(), wanted)?;
            let mut wide = zeros(rows.len())?;
            rows.convert_to_f32_slice(&mut wide);
            use_rows(&wide);
            Ok(())
        })
    }

    /// `[tokens, width]` of a batch, text after text.
    fn hidden(&self, batch: &Batch) -> Result<Vec<f32>, Error> {
        let width = self.graph.width;
        let mut hidden = zeros(batch.tokens().saturating_mul(width))?;
        for group in PADDING.groups(batch) {
            self.run(batch, &group, |rows| {
                for ((_, tokens), row) in group.texts.iter().zip(rows.chunks_exact(group.length * width)) {
                    let values = tokens.len() * width;
                    hidden[tokens.start * width..][..values].copy_from_slice(&row[..values]);
                }
            })?;
        }
        Ok(hidden)
    }

    /// `[texts, width]` of a batch.
    fn texts(&self, batch: &Batch, out: &mut [f32]) -> Result<(), Error> {
        let width = self.graph.width;
        for group in PADDING.groups(batch) {
            self.run(batch, &group, |rows| {
                for ((place, _), row) in group.texts.iter().zip(rows.chunks_exact(width)) {
                    out[place * width..][..width].copy_from_slice(row);
                }
            })?;
        }
        Ok(())
    }
}

/// Why this provider.
fn reason(asked: &[Provider], against: &str) -> String {
    match (asked, against) {
        ([], _) => "this backend computes on the CPU unless providers are named".into(),
        (_, "") => "the first of the providers that were named".into(),
        (_, against) => format!("the first of the providers that were named that works: {against}"),
    }
}

/// The refusal of heads over the vocabulary, whose outputs exports name in too many ways, and of vectors of tokens.
fn no_such_head() -> LoadError {
    let remedy = "a graph runs embedders, and cross-encoders and classifiers with their own head; use backend \"native\"";
    LoadError::Unavailable { what: "this kind of model with backend \"onnx\"", remedy }
}

fn pooled_already(model: &ModelFile, graph: &Graph) -> nn::Error {
    let message = format!(
        "the graph gives {:?}, whose tokens are pooled already; leave the option pooling out",
        graph.output
    );
    nn::Error::Unsupported { path: model.path.clone(), message }
}

/// The graph's own number format, which must be the one that was asked for.
fn checked_dtype(model: &ModelFile, asked: Option<&str>) -> Result<&'static str, nn::Error> {
    let own = operators::dtype(&model.proto);
    match asked.filter(|asked| *asked != own) {
        Some(asked) => {
            let message =
                format!("the graph is of {own}, and dtype {asked:?} was asked for; leave dtype out");
            Err(nn::Error::Unsupported { path: model.path.clone(), message })
        }
        None => Ok(own),
    }
}

fn check_shape(output: &str, shape: &[i64], values: usize, wanted: &[usize]) -> Result<(), Error> {
    let same = shape.len() == wanted.len() && shape.iter().zip(wanted).all(|(a, b)| *a == *b as i64);
    if same && values == wanted.iter().product::<usize>() {
        return Ok(());
    }
    Err(failed(&format!("output {output:?} is {shape:?}, expected {wanted:?}")))
}

/// How rows are filled up and numbered, and most tokens of a text. The RoBERTa line counts positions from
/// behind the id that fills up
/// (<https://github.com/huggingface/transformers/blob/v4.57.0/src/transformers/models/roberta/modeling_roberta.py>,
/// `create_position_ids_from_input_ids`), whose default it sets to 1.
fn placing(config: &Config) -> (Filling, Option<usize>) {
    let fields = config.value();
    let kind = fields["model_type"].as_str().unwrap_or_default();
    let offset = ["roberta", "xlm-roberta", "camembert", "mpnet"].contains(&kind);
    let pad = fields["pad_token_id"].as_u64().and_then(|id| u32::try_from(id).ok());
    let pad = pad.unwrap_or(u32::from(offset));
    let first_position = if offset { pad.saturating_add(1) } else { 0 };
    let positions = fields["max_position_embeddings"].as_u64();
    let positions = positions.map(|count| (count as usize).saturating_sub(first_position as usize));
    (Filling { pad, first_position }, positions)
}

fn hash(model: &ModelFile, files: &Files) -> u64 {
    let own = XxHash3_64::oneshot(&model.bytes);
    files.values().fold(own, |hash, bytes| hash.rotate_left(7) ^ XxHash3_64::oneshot(bytes))
}

fn zeros(count: usize) -> Result<Vec<f32>, Error> {
    let mut values = Vec::new();
    let bytes = count.saturating_mul(size_of::<f32>());
    values.try_reserve_exact(count).map_err(|_| Error::Memory { bytes })?;
    values.resize(count, 0.0);
    Ok(values)
}

impl Backend for Onnx {
    fn description(&self) -> Description {
        Description {
            backend: "onnx",
            device: self.provider.name().into(),
            device_reason: self.provider_reason.clone(),
            dtype: self.dtype,
            dtype_reason: self.dtype_reason.into(),
            kernel: self.kernel.clone(),
            arithmetic: "onnxruntime",
            batch_invariant: false,
        }
    }

    fn forms(&self) -> &[Form] {
        std::slice::from_ref(&self.form)
    }

    fn pools(&self) -> bool {
        self.graph.rows == Rows::Texts
    }

    fn positions(&self) -> Option<usize> {
        self.positions
    }

    fn batch_tokens(&self) -> usize {
        BATCH_TOKENS
    }

    fn concurrency(&self) -> usize {
        1
    }

    fn weights_hash(&self) -> u64 {
        self.hash
    }

    fn embed(&self, batch: &Batch, out: &mut [f32]) -> Result<(), Error> {
        batch.check(self.positions)?;
        let Tail::Head(head) = &self.tail else { return self.texts(batch, out) };
        let hidden = self.hidden(batch)?;
        let mut pass = self.device.pass(batch);
        let hidden = pass.upload(self.graph.width, &hidden)?;
        head.write(&mut pass, &hidden, out)
    }
}
