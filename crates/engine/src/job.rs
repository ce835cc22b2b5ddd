//! One group of texts on its way: tokenized in slices, computed in batches, finished as one.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backend::{Batch, Form, Text};
use text::Encoded;

use crate::contain::contained;
use crate::scheduler::{Place, Scheduler, Task};
use crate::timing::{Clock, Timing};
use crate::work::{Call, Made, Piece, Width};
use crate::{Error, Ticket, totals};

/// Bytes of text that one task tokenizes: about a millisecond of work.
const SLICE_BYTES: usize = 4096;
/// More where a backend likes batches of so many tokens that a slice would not fill half of one: bytes a token.
const SLICE_TOKEN_BYTES: usize = 2;

/// Batches are not cut smaller than this share of what the backend likes, to give idle threads some.
const SMALLEST_SHARE: usize = 8;

/// A batch takes no longer than this, unless one text does: what is more urgent waits for its end.
const BATCH_TIME: Duration = Duration::from_millis(25);

/// A batch that takes at least so long is worth waking another thread for: that takes a third of it.
const WORTH_HELP: Duration = Duration::from_micros(150);

/// The vectors of a job.
#[derive(Debug, Default)]
pub struct Rows {
    /// `[texts, dims]`, row-major; rows with a fault are zero. Of rows that differ in length: their values end to end.
    pub matrix: Vec<f32>,
    /// Width of a row, or of a vector where a row holds several.
    pub dims: usize,
    /// Where each row's values end, where rows differ in length; else empty.
    pub ends: Vec<u32>,
    /// The tokens of weights of sparse rows; else empty.
    pub indices: Vec<u32>,
    /// Where each row's indices end, where rows differ in length; else empty.
    pub index_ends: Vec<u32>,
    /// Tokens computed for each text, after cutting.
    pub tokens: Vec<u32>,
    /// Texts that were cut, ascending.
    pub truncated: Vec<u32>,
    /// Texts that failed by themselves.
    pub faults: Vec<RowFault>,
    /// Where the time went.
    pub timing: Timing,
}

/// A text that failed, while its neighbours did not.
#[derive(Debug)]
pub struct RowFault {
    /// Which text.
    pub row: usize,
    /// Why.
    pub error: Error,
}

/// Told once how a job ended, on one of the engine's threads.
pub(crate) type Done = Box<dyn FnOnce(Result<Rows, Error>) + Send>;

/// The group. Tasks share it; the last one that ends finishes it.
pub(crate) struct Job {
    place: Place,
    clock: Clock,
    call: Call,
    ticket: Ticket,
    tasks: AtomicUsize,
    outcome: Mutex<Outcome>,
}

struct Outcome {
    rows: Rows,
    /// Of rows that differ in length.
    pieces: Vec<Piece>,
    /// Texts of several windows, until all are there.
    windows: HashMap<usize, Vec<Option<Made>>>,
    fault: Option<Error>,
    done: Option<Done>,
}

/// A window of a text with its place in the job.
struct Tokenized {
    row: usize,
    window: usize,
    encoded: Encoded,
}

impl Job {
    /// Queues the job's first tasks.
    pub(crate) fn start(call: Call, ticket: Ticket, done: Done) {
        call.model.used.note();
        let started = Scheduler::process().start();
        let rows = match started.and_then(|()| Rows::zeros(call.texts.len(), call.width())) {
            Ok(rows) => rows,
            Err(error) => return done(Err(error)),
        };
        let (pieces, windows) = (Vec::new(), HashMap::new());
        let outcome = Mutex::new(Outcome { rows, pieces, windows, fault: None, done: Some(done) });
        let place = Place::new(call.model.lane.clone(), ticket.priority, ticket.line);
        let (clock, tasks) = (Clock::start(), AtomicUsize::new(1));
        let job = Arc::new(Self { place, clock, call, ticket, tasks, outcome });
        job.clone().queue(slices(&job.call), Self::tokenize);
        job.task_ended();
    }

    /// Adds one task for each item.
    fn queue<T: Send + 'static>(self: Arc<Self>, items: Vec<T>, step: fn(&Arc<Self>, T)) {
        self.tasks.fetch_add(items.len(), Ordering::Relaxed);
        let task = |item| -> Task {
            let job = self.clone();
            Box::new(move || job.run(|job| step(job, item)))
        };
        let tasks = items.into_iter().map(task).collect();
        Scheduler::process().push(&self.place, tasks);
    }

    /// One task: skipped when the job is over, contained when it panics.
    fn run(self: Arc<Self>, step: impl FnOnce(&Arc<Self>)) {
        if !self.is_over() {
            self.call.model.used.note();
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
        self.clock.tokenization(|| {
            for row in slice.filter(|&row| self.ticket.wants(row)) {
                match self.call.encode(row) {
                    Ok(windows) => tokenized.extend(self.opened(row, windows)),
                    Err(error) => self.lock().rows.faults.push(RowFault { row, error }),
                }
            }
        });
        let mut batches = self.batches(tokenized).into_iter();
        let first = batches.next();
        self.clone().queue(batches.collect(), Self::compute);
        if let Some(first) = first {
            self.compute(first);
        }
    }

    /// The windows of a text that are to be computed: none of a text without tokens where its vector is zero, and none where
    /// tokens are all that is asked for.
    fn opened(&self, row: usize, mut windows: Vec<Encoded>) -> Vec<Tokenized> {
        let model = &self.call.model;
        let reads = !model.work.computes(&self.call);
        if let [text] = &mut windows[..]
            && (reads || (text.ids.is_empty() && model.spec.blank_is_zero()))
        {
            let values = vec![0.0; if reads { 0 } else { model.backend.dims() }];
            self.keep(row, 0, Made { text: std::mem::take(text), values });
            return Vec::new();
        }
        if windows.len() > 1 {
            let places = windows.iter().map(|_| None).collect();
            self.lock().windows.insert(row, places);
        }
        windows.into_iter().enumerate().map(|(window, encoded)| Tokenized { row, window, encoded }).collect()
    }

    /// Cuts texts into batches of about equal size, no larger than the backend likes and the user allows.
    fn batches(&self, texts: Vec<Tokenized>) -> Vec<Vec<Tokenized>> {
        let model = &self.call.model;
        let most = model.pace.tokens_of(BATCH_TIME).min(model.backend.batch_tokens());
        let total: usize = texts.iter().map(|text| text.encoded.ids.len()).sum();
        let threads = model.lane.threads().min(model.backend.concurrency());
        let share = total.div_ceil(total.div_ceil(most).max(threads).max(1));
        let target = share.max(most / SMALLEST_SHARE);
        let mut batches: Vec<Vec<Tokenized>> = Vec::new();
        let mut tokens = usize::MAX;
        for text in texts {
            let length = text.encoded.ids.len();
            let full = batches.last().is_some_and(|batch| batch.len() >= model.max_batch);
            if full || tokens.saturating_add(length / 2) > target {
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
    fn compute(self: &Arc<Self>, mut texts: Vec<Tokenized>) {
        texts.retain(|text| self.ticket.wants(text.row));
        if texts.is_empty() || self.is_over() {
            return;
        }
        match self.vectors(&texts) {
            Ok(vectors) => self.keep_all(texts, &vectors),
            Err(error) if texts.len() == 1 => {
                self.lock().rows.faults.push(RowFault { row: texts[0].row, error: error.into() });
            }
            Err(_) => texts.into_iter().for_each(|text| self.compute(vec![text])),
        }
    }

    /// The model's outputs one after the other, before the last step.
    fn vectors(&self, texts: &[Tokenized]) -> Result<Vec<f32>, backend::Error> {
        let mut batch = Batch::default();
        for Tokenized { encoded, .. } in texts {
            let Encoded { ids, types, prompt_tokens, unseen, .. } = encoded;
            batch.push(Text { ids, types, prompt_tokens: *prompt_tokens });
            batch.hide_last(*unseen);
        }
        let model = &self.call.model;
        let (backend, lane, pace) = (&model.backend, &model.lane, &model.pace);
        let tokens = batch.tokens();
        let lengths = backend.forms().iter().map(|form| form.length(texts.len(), tokens));
        let mut vectors = zeros(lengths.fold(0, usize::saturating_add))?;
        let helped = backend.takes_help() && pace.time_of(tokens).is_none_or(|time| time >= WORTH_HELP);
        let mut pass = || backend.embed(&batch, &mut vectors);
        let taken =
            self.clock.inference(|| if helped { Scheduler::process().led(lane, pass) } else { pass() })?;
        pace.note(tokens, taken);
        Ok(vectors)
    }

    fn keep_all(&self, texts: Vec<Tokenized>, vectors: &[f32]) {
        let tokens = texts.iter().map(|text| text.encoded.ids.len()).sum();
        let mut rest = vectors;
        let mut outputs: Vec<(Form, &[f32])> = Vec::new();
        for &form in self.call.model.backend.forms() {
            let (own, others) = rest.split_at(form.length(texts.len(), tokens));
            outputs.push((form, own));
            rest = others;
        }
        for Tokenized { row, window, encoded } in texts {
            let mut values = Vec::new();
            for (form, output) in &mut outputs {
                let (own, others) = output.split_at(form.length(1, encoded.ids.len()));
                values.extend_from_slice(own);
                *output = others;
            }
            self.keep(row, window, Made { text: encoded, values });
        }
    }

    /// Keeps what became of a window; the last one of a text makes its row.
    fn keep(&self, row: usize, window: usize, made: Made) {
        let windows = match self.lock().windows.get_mut(&row) {
            None => vec![made],
            Some(places) => {
                places[window] = Some(made);
                if places.iter().any(Option::is_none) {
                    return;
                }
                places.drain(..).flatten().collect()
            }
        };
        let piece = self.call.finish(&windows);
        let mut outcome = self.lock();
        outcome.rows.tokens[row] = windows.iter().map(|made| made.text.ids.len() as u32).sum();
        if windows.iter().any(|made| made.text.truncated) {
            outcome.rows.truncated.push(row as u32);
        }
        match piece {
            Ok(piece) => outcome.place(row, piece, self.call.width()),
            Err(error) => outcome.rows.faults.push(RowFault { row, error }),
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
        let pieces = std::mem::take(&mut outcome.pieces);
        let (mut fault, done) = (outcome.fault.take(), outcome.done.take());
        drop(outcome);
        if let Width::Ragged(_) = self.call.width()
            && let Err(error) = rows.join(pieces, self.call.texts.len())
        {
            fault.get_or_insert(error);
        }
        rows.timing = self.clock.timing();
        rows.truncated.sort_unstable();
        rows.faults.sort_by_key(|fault| fault.row);
        // Of several windows that failed, one tells.
        rows.faults.dedup_by_key(|fault| fault.row);
        totals::note(&rows);
        let cancelled = self.ticket.is_cancelled().then_some(Error::Cancelled);
        if let Some(done) = done {
            done(cancelled.or(fault).map_or(Ok(rows), Err));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Outcome> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outcome {
    fn place(&mut self, row: usize, piece: Piece, width: Width) {
        match width {
            Width::Fixed(dims) => self.rows.matrix[row * dims..][..dims].copy_from_slice(&piece.values),
            Width::Ragged(_) => {
                if self.pieces.len() <= row {
                    self.pieces.resize_with(row + 1, Piece::default);
                }
                self.pieces[row] = piece;
            }
        }
    }
}

impl Rows {
    fn zeros(count: usize, width: Width) -> Result<Self, Error> {
        let (dims, length) = match width {
            Width::Fixed(dims) => (dims, count.saturating_mul(dims)),
            Width::Ragged(dims) => (dims, 0),
        };
        let matrix =
            zeros(length).map_err(|_| Error::Memory { bytes: length.saturating_mul(size_of::<f32>()) })?;
        Ok(Self { matrix, dims, tokens: vec![0; count], ..Self::default() })
    }

    /// Lays rows that differ in length end to end; those that failed are empty.
    pub(crate) fn join(&mut self, mut pieces: Vec<Piece>, count: usize) -> Result<(), Error> {
        pieces.resize_with(count, Piece::default);
        let sum = |length: fn(&Piece) -> usize| pieces.iter().map(length).sum::<usize>();
        let (values, indices) = (sum(|piece| piece.values.len()), sum(|piece| piece.indices.len()));
        let memory = || Error::Memory { bytes: (values + indices).saturating_mul(size_of::<f32>()) };
        // Ends are numbers of 32 bits.
        u32::try_from(values).map_err(|_| memory())?;
        self.matrix.try_reserve_exact(values).map_err(|_| memory())?;
        self.indices.try_reserve_exact(indices).map_err(|_| memory())?;
        for piece in pieces {
            self.matrix.extend(piece.values);
            self.indices.extend(piece.indices);
            self.ends.push(self.matrix.len() as u32);
            self.index_ends.push(self.indices.len() as u32);
        }
        Ok(())
    }
}

fn zeros(length: usize) -> Result<Vec<f32>, backend::Error> {
    let mut values = Vec::new();
    let bytes = length.saturating_mul(size_of::<f32>());
    values.try_reserve_exact(length).map_err(|_| backend::Error::Memory { bytes })?;
    values.resize(length, 0.0);
    Ok(values)
}

/// Neighbouring texts of about [`SLICE_BYTES`] each, or as many as the backend likes; a longer one is alone.
fn slices(call: &Call) -> Vec<Range<usize>> {
    let liked = call.model.backend.batch_tokens().saturating_mul(SLICE_TOKEN_BYTES);
    cut((0..call.texts.len()).map(|row| call.bytes(row)), SLICE_BYTES.max(liked))
}

fn cut(sizes: impl Iterator<Item = usize>, most: usize) -> Vec<Range<usize>> {
    let mut slices: Vec<Range<usize>> = Vec::new();
    let mut bytes = most;
    for (row, size) in sizes.enumerate() {
        match slices.last_mut() {
            Some(slice) if bytes + size <= most => slice.end = row + 1,
            _ => {
                slices.push(row..row + 1);
                bytes = 0;
            }
        }
        bytes += size.max(1);
    }
    slices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_cover_every_text_once() {
        let sizes: Vec<usize> = (0..1000).map(|i| i * 37 % 6000).collect();
        let slices = cut(sizes.iter().copied(), SLICE_BYTES);
        let rows: Vec<usize> = slices.iter().cloned().flatten().collect();
        assert_eq!(rows, (0..1000).collect::<Vec<_>>());
        for slice in slices.iter().filter(|slice| slice.len() > 1) {
            assert!(sizes[slice.clone()].iter().sum::<usize>() <= SLICE_BYTES);
        }
        assert!(cut(std::iter::empty(), SLICE_BYTES).is_empty());
        assert_eq!(cut([3, 3, 3, 9].into_iter(), 7), [0..2, 2..3, 3..4]);
    }
}
