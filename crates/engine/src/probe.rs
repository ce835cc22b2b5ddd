//! Tests of what reaches a backend: a tiny model whose backend notes what it is given, and does what a test wants.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use backend::{Backend, Batch, Description, Form};

use crate::model::Model;
use crate::{CallSettings, Error, LoadOptions, Request, Rows, Task, Ticket};

/// What a test has the backend do with a batch, told its number, before it computes.
type Act = Box<dyn Fn(usize, &Batch) + Send + Sync>;

/// Texts and tokens of each batch.
type Seen = Arc<Mutex<Vec<(usize, usize)>>>;

struct Probe {
    inner: Box<dyn Backend>,
    seen: Seen,
    count: AtomicUsize,
    act: Act,
}

impl Backend for Probe {
    fn description(&self) -> Description {
        self.inner.description()
    }

    fn forms(&self) -> &[Form] {
        self.inner.forms()
    }

    fn positions(&self) -> Option<usize> {
        self.inner.positions()
    }

    fn batch_tokens(&self) -> usize {
        self.inner.batch_tokens()
    }

    fn weights_hash(&self) -> u64 {
        self.inner.weights_hash()
    }

    fn embed(&self, batch: &Batch, out: &mut [f32]) -> Result<(), backend::Error> {
        (self.act)(self.count.fetch_add(1, Ordering::SeqCst), batch);
        self.seen.lock().unwrap().push((batch.len(), batch.tokens()));
        self.inner.embed(batch, out)
    }
}

/// A tiny model on one thread, and the batches that reach it.
fn probed(options: LoadOptions, act: impl Fn(usize, &Batch) + Send + Sync + 'static) -> (Arc<Model>, Seen) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../__test__/data/tiny-models/bert-mean");
    let options = LoadOptions { dtype: Some("f32".into()), threads: Some(1), ..options };
    let mut model = Arc::into_inner(Model::load(folder, &options, Task::Embed).unwrap()).unwrap();
    let seen = Seen::default();
    let (count, act) = (AtomicUsize::new(0), Box::new(act) as Act);
    model.backend = Box::new(Probe { inner: model.backend, seen: seen.clone(), count, act });
    (Arc::new(model), seen)
}

fn start(embedder: &Arc<Model>, count: usize, ticket: Ticket) -> mpsc::Receiver<Result<Rows, Error>> {
    let (send, receive) = mpsc::channel();
    let texts = (0..count).map(|number| format!("text number {number} of several")).collect();
    embedder.run(Request { texts, settings: CallSettings::default(), ticket }, move |rows| {
        send.send(rows).unwrap();
    });
    receive
}

fn embed(embedder: &Arc<Model>, count: usize) -> Result<Rows, Error> {
    start(embedder, count, Ticket::default()).recv().unwrap()
}

#[test]
fn a_batch_has_no_more_texts_than_the_user_allows_and_the_same_bits() {
    let (whole, seen) = probed(LoadOptions::default(), |_, _| ());
    let (cut, few) = probed(LoadOptions { max_batch: Some(3), ..LoadOptions::default() }, |_, _| ());
    let (whole, cut) = (embed(&whole, 100).unwrap(), embed(&cut, 100).unwrap());
    let most = |seen: &Seen| seen.lock().unwrap().iter().map(|(texts, _)| *texts).max().unwrap();
    assert!(most(&seen) > 3, "without the option batches are larger");
    assert_eq!(most(&few), 3);
    assert_eq!(whole.matrix, cut.matrix);
}

#[test]
fn texts_that_were_dropped_are_not_computed_and_the_others_are() {
    let ticket = Ticket::default();
    let (entered, inside) = mpsc::channel();
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let hold = move |number: usize, _: &Batch| {
        if number == 0 {
            entered.send(()).unwrap();
            wait.lock().unwrap().recv().unwrap();
        }
    };
    let (embedder, seen) = probed(LoadOptions { max_batch: Some(10), ..LoadOptions::default() }, hold);
    let rows = start(&embedder, 1000, ticket.clone());
    inside.recv().unwrap();
    // Nine of ten, in the middle of the first batch.
    (0..100).for_each(|tenth| ticket.drop_rows(tenth * 10..tenth * 10 + 9));
    go.send(()).unwrap();
    let rows = rows.recv().unwrap().unwrap();
    let computed: usize = seen.lock().unwrap().iter().map(|(texts, _)| texts).sum();
    assert!(computed <= 100 + 10, "{computed} texts: those that were kept, and one batch");
    let alone = embed(&embedder, 1000).unwrap();
    for row in (0..100).map(|tenth| tenth * 10 + 9) {
        let at = row * rows.dims..(row + 1) * rows.dims;
        assert_eq!(rows.matrix[at.clone()], alone.matrix[at], "row {row}");
    }
}

#[test]
fn a_job_of_which_all_texts_were_dropped_ends() {
    let ticket = Ticket::default();
    ticket.drop_rows(0..50);
    let (embedder, seen) = probed(LoadOptions::default(), |_, _| ());
    assert!(start(&embedder, 50, ticket).recv().unwrap().is_ok());
    assert!(seen.lock().unwrap().is_empty());
}

#[test]
fn batches_of_a_slow_model_are_short() {
    let slow = |_: usize, batch: &Batch| std::thread::sleep(Duration::from_millis(2) * batch.tokens() as u32);
    let (embedder, seen) = probed(LoadOptions::default(), slow);
    embed(&embedder, 4).unwrap();
    embed(&embedder, 20).unwrap();
    let seen = seen.lock().unwrap();
    // 25 ms are 12 tokens; a text has more than half of them, so it may share with none.
    let later: Vec<_> = seen.iter().rev().take(20).collect();
    assert!(later.iter().all(|(texts, _)| *texts <= 2), "{seen:?}");
    assert!(seen[0].0 > 2, "nothing is known before the first batch: {seen:?}");
}

#[test]
fn a_panic_in_the_backend_ends_its_call_and_leaves_the_model_usable() {
    let (embedder, _) = probed(LoadOptions::default(), |number, _| assert_ne!(number, 0, "on purpose"));
    match embed(&embedder, 3) {
        Err(Error::Internal { message }) => assert!(message.contains("on purpose"), "{message}"),
        other => panic!("{:?}", other.map(|rows| rows.tokens)),
    }
    let (sound, _) = probed(LoadOptions::default(), |_, _| ());
    assert_eq!(embed(&embedder, 3).unwrap().matrix, embed(&sound, 3).unwrap().matrix);
}

#[test]
fn a_panic_in_the_listener_leaves_the_threads_alive() {
    // Slow enough that a job never ends on the thread that starts it.
    let (embedder, _) = probed(LoadOptions::default(), |_, _| std::thread::sleep(Duration::from_millis(20)));
    let request = |text: &str| Request {
        texts: vec![text.into()],
        settings: CallSettings::default(),
        ticket: Ticket::default(),
    };
    for _ in 0..8 {
        embedder.run(request("a"), |_| panic!("on purpose"));
    }
    assert!(embed(&embedder, 3).is_ok());
}
