//! One group of texts on its way: tokenized in slices, computed in batches, finished as one.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use backend::{Batch, Text};
use text::Encoded;

use crate::contain::contained;
use crate::embedder::Plan;
use crate::scheduler::{Place, Scheduler};
use crate::{Embedder, Error};

/// Bytes of text that one task tokenizes: about a millisecond of work.
const SLICE_BYTES: usize = 4096;

/// Batches are not cut smaller than this share of what the backend likes, to give idle threads some.
const SMALLEST_SHARE: usize = 8;

/// What a call may decide about its vectors.
#[derive(Debug, Default, Clone)]
pub struct EmbedSettings {
    /// What stands before each text.
    pub prompt: PromptChoice,
    /// Leading values to keep; `None`: all, or as the model's files say.
    pub dimensions: Option<usize>,
    /// Whether vectors have length 1; `None`: as the model's pipeline says.
    pub normalize: Option<bool>,
    /// What happens to a text that is too long.
    pub overflow: Overflow,
    /// The end at which it is cut; `None`: as the tokenizer's files say.
    pub side: Option<Side>,
}

/// Which prompt stands before each text.
#[derive(Debug, Default, Clone)]
pub enum PromptChoice {
    /// The model's default prompt, if it has one.
    #[default]
    Default,
    /// The model's prompt for queries.
    Query,
    /// The model's prompt for documents.
    Document,
    /// A prompt of the model by name.
    Named(String),
    /// This text.
    Literal(String),
}

/// What happens to a text longer than the model takes.
#[derive(Debug, Default, Clone, Copy)]
pub enum Overflow {
    /// It is cut.
    #[default]
    Truncate,
    /// It fails.
    Error,
}

/// The end at which a text is cut.
#[derive(Debug, Clone, Copy)]
pub enum Side {
    /// Its end.
    Right,
    /// Its beginning.
    Left,
}

/// The vectors of a job.
#[derive(Debug, Default)]
pub struct Rows {
    /// `[texts, dims]`, row-major; rows with a fault are zero.
    pub matrix: Vec<f32>,
    /// Width of a row.
    pub dims: usize,
    /// Tokens computed for each text, after cutting.
    pub tokens: Vec<u32>,
    /// Texts that were cut, ascending.
    pub truncated: Vec<u32>,
    /// Texts that failed by themselves.
    pub faults: Vec<RowFault>,
}

/// A text that failed, while its neighbours did not.
#[derive(Debug)]
pub struct RowFault {
    /// Which text.
    pub row: usize,
    /// Why.
    pub error: Error,
}

/// A hold on a job, given to it when it starts.
#[derive(Debug, Default, Clone)]
pub struct Ticket(Arc<AtomicBool>);

impl Ticket {
    /// Drops what has not begun; the job then ends with [`Error::Cancelled`].
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Texts to embed.
pub struct Request {
    /// The texts.
    pub texts: Vec<String>,
    /// What they have in common.
    pub settings: EmbedSettings,
    /// A copy of what can cancel them.
    pub ticket: Ticket,
}

type Done = Box<dyn FnOnce(Result<Rows, Error>) + Send>;

/// The group. Tasks share it; the last one that ends finishes it.
pub(crate) struct Job {
    embedder: Arc<Embedder>,
    texts: Vec<String>,
    plan: Plan,
    ticket: Ticket,
    tasks: AtomicUsize,
    outcome: Mutex<Outcome>,
}

struct Outcome {
    rows: Rows,
    fault: Option<Error>,
    done: Option<Done>,
}

/// A text with its place in the job.
struct Tokenized {
    row: usize,
    encoded: Encoded,
}

impl Job {
    /// Queues the job's first tasks. A fault in the settings ends it at once, also through `done`.
    pub(crate) fn start(embedder: Arc<Embedder>, request: Request, done: Done) {
        let Request { texts, settings, ticket } = request;
        let prepared = embedder.plan(&settings).and_then(|plan| Ok((Rows::zeros(texts.len(), &plan)?, plan)));
        let (rows, plan) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return done(Err(error)),
        };
        let outcome = Mutex::new(Outcome { rows, fault: None, done: Some(done) });
        let job = Arc::new(Self { embedder, texts, plan, ticket, tasks: AtomicUsize::new(1), outcome });
        job.clone().queue(Place::Last, slices(&job.texts), Job::tokenize);
        job.task_ended();
    }

    /// Adds one task for each item.
    fn queue<T: Send + 'static>(self: Arc<Self>, place: Place, items: Vec<T>, step: fn(&Arc<Self>, T)) {
        self.tasks.fetch_add(items.len(), Ordering::Relaxed);
        let work = |item| -> Box<dyn FnOnce() + Send> {
            let job = self.clone();
            Box::new(move || job.run(|job| step(job, item)))
        };
        let works = items.into_iter().map(work).collect();
        Scheduler::process().push(self.embedder.lane(), place, works);
    }

    /// One task: skipped when the job is over, contained when it panics.
    fn run(self: Arc<Self>, step: impl FnOnce(&Arc<Self>)) {
        if !self.is_over() {
            let ended = contained(|| {
                step(&self);
                Ok(())
            });
            ended.unwrap_or_else(|error| self.fail(error));
        }
        self.task_ended();
    }

    /// Tokenizes a slice; computes its first batch here and queues the others.
    fn tokenize(self: &Arc<Self>, slice: Range<usize>) {
        let mut tokenized = Vec::with_capacity(slice.len());
        for row in slice {
            match self.embedder.encode(&self.texts[row], &self.plan) {
                Ok(encoded) => tokenized.push(Tokenized { row, encoded }),
                Err(error) => self.lock().rows.faults.push(RowFault { row, error }),
            }
        }
        let mut batches = self.batches(tokenized).into_iter();
        let first = batches.next();
        self.clone().queue(Place::First, batches.collect(), Job::compute);
        if let Some(first) = first {
            self.compute(first);
        }
    }

    /// Cuts texts into batches of about equal size, no larger than the backend likes.
    fn batches(&self, texts: Vec<Tokenized>) -> Vec<Vec<Tokenized>> {
        let most = self.embedder.backend().batch_tokens();
        let total: usize = texts.iter().map(|text| text.encoded.ids.len()).sum();
        let threads = self.embedder.lane().threads();
        let share = total.div_ceil(total.div_ceil(most).max(threads).max(1));
        let target = share.max(most / SMALLEST_SHARE);
        let mut batches: Vec<Vec<Tokenized>> = Vec::new();
        let mut tokens = usize::MAX;
        for text in texts {
            let length = text.encoded.ids.len();
            if tokens.saturating_add(length / 2) > target {
                batches.push(Vec::new());
                tokens = 0;
            }
            tokens += length;
            if let Some(batch) = batches.last_mut() {
                batch.push(text);
            }
        }
        batches
    }

    /// Runs one batch through the model. A fault that one text may have caused is looked for text by text.
    fn compute(self: &Arc<Self>, texts: Vec<Tokenized>) {
        if self.is_over() {
            return;
        }
        match self.vectors(&texts) {
            Ok(vectors) => self.keep(&texts, &vectors),
            Err(error) if texts.len() == 1 => {
                self.lock().rows.faults.push(RowFault { row: texts[0].row, error: error.into() });
            }
            Err(_) => texts.into_iter().for_each(|text| self.compute(vec![text])),
        }
    }

    /// `[texts, dims]` before the last step.
    fn vectors(&self, texts: &[Tokenized]) -> Result<Vec<f32>, backend::Error> {
        let mut batch = Batch::default();
        for Tokenized { encoded, .. } in texts {
            let Encoded { ids, types, prompt_tokens, .. } = encoded;
            batch.push(Text { ids, types, prompt_tokens: *prompt_tokens });
        }
        let mut vectors = vec![0.0; texts.len() * self.embedder.backend().dims()];
        self.embedder.backend().embed(&batch, &mut vectors)?;
        Ok(vectors)
    }

    fn keep(&self, texts: &[Tokenized], vectors: &[f32]) {
        let dims = self.embedder.backend().dims();
        let mut outcome = self.lock();
        let rows = &mut outcome.rows;
        for (Tokenized { row, encoded }, vector) in texts.iter().zip(vectors.chunks_exact(dims)) {
            rows.tokens[*row] = encoded.ids.len() as u32;
            if encoded.truncated {
                rows.truncated.push(*row as u32);
            }
            let out = &mut rows.matrix[row * rows.dims..][..rows.dims];
            if let Err(error) = self.plan.finish.apply(vector, out) {
                rows.faults.push(RowFault { row: *row, error });
            }
        }
    }

    fn is_over(&self) -> bool {
        self.ticket.is_cancelled() || self.lock().fault.is_some()
    }

    fn fail(&self, error: Error) {
        self.lock().fault.get_or_insert(error);
    }

    /// The last task to end reports.
    fn task_ended(&self) {
        if self.tasks.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        let mut outcome = self.lock();
        let mut rows = std::mem::take(&mut outcome.rows);
        let (fault, done) = (outcome.fault.take(), outcome.done.take());
        drop(outcome);
        rows.truncated.sort_unstable();
        rows.faults.sort_by_key(|fault| fault.row);
        let cancelled = self.ticket.is_cancelled().then_some(Error::Cancelled);
        if let Some(done) = done {
            done(cancelled.or(fault).map_or(Ok(rows), Err));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Outcome> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows {
    fn zeros(count: usize, plan: &Plan) -> Result<Self, Error> {
        let dims = plan.finish.dimensions;
        let mut matrix = Vec::new();
        let length = count.saturating_mul(dims);
        let bytes = length.saturating_mul(size_of::<f32>());
        matrix.try_reserve_exact(length).map_err(|_| Error::Memory { bytes })?;
        matrix.resize(length, 0.0);
        Ok(Self { matrix, dims, tokens: vec![0; count], truncated: Vec::new(), faults: Vec::new() })
    }
}

/// Neighbouring texts of about [`SLICE_BYTES`] each; a longer one is alone.
fn slices(texts: &[String]) -> Vec<Range<usize>> {
    let mut slices: Vec<Range<usize>> = Vec::new();
    let mut bytes = SLICE_BYTES;
    for (row, text) in texts.iter().enumerate() {
        match slices.last_mut() {
            Some(slice) if bytes + text.len() <= SLICE_BYTES => slice.end = row + 1,
            _ => {
                slices.push(row..row + 1);
                bytes = 0;
            }
        }
        bytes += text.len().max(1);
    }
    slices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_cover_every_text_once() {
        let texts: Vec<String> = (0..1000).map(|i| "x".repeat(i * 37 % 6000)).collect();
        let slices = slices(&texts);
        let rows: Vec<usize> = slices.iter().cloned().flatten().collect();
        assert_eq!(rows, (0..1000).collect::<Vec<_>>());
        for slice in slices.iter().filter(|slice| slice.len() > 1) {
            assert!(texts[slice.clone()].iter().map(String::len).sum::<usize>() <= SLICE_BYTES);
        }
        assert!(super::slices(&[]).is_empty());
    }
}
