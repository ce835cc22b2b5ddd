//! Many models in one process: names, uids, one budget, and what becomes of models that nobody wants.

#![expect(clippy::unwrap_used, reason = "a test")]

mod common;

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use common::{copy, data, vector};
use engine::{CallSettings, Error, LoadOptions, Model, Registry, Task, Ticket};
use serde_json::{Value, json};

/// Of the machine.
const MEMORY: u64 = 4 << 30;

fn registry(options: Value) -> Arc<Registry> {
    let registry = Arc::new(Registry::default());
    registry.join(&options.to_string(), MEMORY).unwrap();
    registry
}

fn folder(name: &str) -> String {
    data("tiny-models").join(name).to_string_lossy().into_owned()
}

/// With the models `bert` and `rerank` registered.
fn with_models(options: Value) -> Arc<Registry> {
    let registry = registry(options);
    register(&registry, "bert", json!({ "folder": folder("bert-mean") })).unwrap();
    register(&registry, "rerank", json!({ "folder": folder("rerank-bert"), "task": "rerank" })).unwrap();
    registry
}

fn register(registry: &Registry, name: &str, about: Value) -> Result<(), Error> {
    registry.register(name, &about.to_string()).map(drop)
}

type Outcome = Result<Arc<Model>, Error>;

fn waited<T>(ask: impl FnOnce(Box<dyn FnOnce(Outcome) + Send>) -> T) -> Outcome {
    let (send, receive) = mpsc::channel();
    ask(Box::new(move |outcome| send.send(outcome).unwrap()));
    receive.recv().unwrap()
}

fn launch(registry: &Arc<Registry>, launch: Value) -> Outcome {
    waited(|done| registry.launch(&launch.to_string(), Ticket::default(), done))
}

fn get(registry: &Arc<Registry>, uid: &str) -> Outcome {
    waited(|done| registry.get(uid, Ticket::default(), done))
}

fn embedder(outcome: Outcome) -> Arc<Model> {
    let model = outcome.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(model.task(), Task::Embed);
    model
}

fn code(outcome: Outcome) -> &'static str {
    outcome.map_or_else(|error| error.code(), |_| "no fault")
}

fn states(registry: &Registry) -> Vec<(String, &'static str)> {
    registry.list().into_iter().map(|running| (running.uid, running.state)).collect()
}

/// Waits for what another thread does soon.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_launched_model_gives_the_vectors_of_the_model_alone() {
    let registry = with_models(json!({}));
    embedder(launch(&registry, json!({ "name": "bert", "uid": "one" })));
    let alone = Model::load(&folder("bert-mean"), &LoadOptions::default(), Task::Embed).unwrap();
    let found = embedder(get(&registry, "one"));
    let settings = CallSettings::default;
    assert_eq!(vector(&found, "hello", settings()), vector(&alone, "hello", settings()));
    assert_eq!(launch(&registry, json!({ "name": "rerank" })).unwrap().task(), Task::Rerank);
    assert_eq!(states(&registry), [("one".into(), "ready"), ("rerank".into(), "ready")]);
    assert_eq!((registry.stats().ready, registry.stats().registered), (2, 2));
}

#[test]
fn names_and_uids_are_given_once() {
    let registry = with_models(json!({}));
    let same = json!({ "folder": folder("bert-mean") });
    register(&registry, "bert", same).unwrap();
    let other = register(&registry, "bert", json!({ "folder": folder("modernbert-mean") })).unwrap_err();
    assert_eq!(other.code(), "ERR_DUPLICATE");
    assert_eq!(code(launch(&registry, json!({ "name": "bert" }))), "no fault");
    assert_eq!(code(launch(&registry, json!({ "name": "bert" }))), "ERR_DUPLICATE");
    assert_eq!(code(launch(&registry, json!({ "name": "bert", "restart": true }))), "no fault");
    let unknown = launch(&registry, json!({ "name": "bret" })).map(drop).unwrap_err();
    assert!(
        unknown.code() == "ERR_UNKNOWN_MODEL" && unknown.to_string().contains("mean \"bert\""),
        "{unknown}"
    );
    assert_eq!(code(get(&registry, "gone")), "ERR_UNKNOWN_MODEL");
    assert_eq!(code(launch(&registry, json!({ "name": "bert", "uid": "a/b" }))), "ERR_DUPLICATE");
    assert_eq!(code(launch(&registry, json!({ "name": "bert", "udi": "a" }))), "ERR_INVALID_ARGUMENT");
}

#[test]
fn a_failed_launch_leaves_nothing() {
    let registry = with_models(json!({}));
    register(&registry, "gone", json!({ "folder": "nowhere" })).unwrap();
    assert_eq!(code(launch(&registry, json!({ "name": "gone" }))), "ERR_MODEL_NOT_FOUND");
    assert_eq!(code(launch(&registry, json!({ "name": "bert", "device": "cuda" }))), "ERR_DEVICE");
    let ticket = Ticket::default();
    ticket.cancel();
    let cancelled = waited(|done| registry.launch(r#"{ "name": "bert" }"#, ticket, done));
    assert!(matches!(cancelled, Err(Error::Cancelled)));
    assert_eq!((states(&registry).len(), registry.stats().held), (0, 0));
}

#[test]
fn every_broken_folder_is_a_typed_fault_and_leaves_nothing() {
    let registry = registry(json!({ "memoryBudget": 1_000_000_000 }));
    let folders = data("broken-models").read_dir().unwrap().map(|entry| entry.unwrap().path());
    let mut broken = 0;
    for (number, path) in folders.filter(|path| path.is_dir()).enumerate() {
        let name = format!("m{number}");
        register(&registry, &name, json!({ "folder": path.to_string_lossy() })).unwrap();
        let outcome = launch(&registry, json!({ "name": name }));
        let alone = Model::load(&path.to_string_lossy(), &LoadOptions::default(), Task::Embed);
        assert_eq!(
            code(outcome),
            alone.map_or_else(|error| error.code(), |_| "no fault"),
            "{}",
            path.display()
        );
        match registry.terminate(&name) {
            Ok(()) => {}
            Err(error) => {
                assert_eq!(error.code(), "ERR_UNKNOWN_MODEL");
                broken += 1;
            }
        }
        assert_eq!(registry.stats().held, 0, "{}", path.display());
    }
    assert!(broken > 10, "{broken}");
}

#[test]
fn the_budget_is_shared_and_checked_before_a_load() {
    let bytes = {
        let registry = with_models(json!({}));
        launch(&registry, json!({ "name": "bert" })).map(drop).unwrap();
        registry.list()[0].bytes
    };
    assert!(bytes > 100_000, "{bytes}");
    // Room for one at 70 %: the second would find nothing left, and a share of half.
    let registry = with_models(json!({ "memoryBudget": bytes * 10 / 7 + 2 }));
    let first = launch(&registry, json!({ "name": "bert", "uid": "a" })).unwrap();
    let error = launch(&registry, json!({ "name": "bert", "uid": "b" })).map(drop).unwrap_err();
    assert!(matches!(error, Error::Budget { models: 2, held, .. } if held == bytes), "{error}");
    registry.terminate("a").unwrap();
    assert_eq!(registry.stats().held, bytes, "a handle still has it");
    assert_eq!(code(launch(&registry, json!({ "name": "bert", "uid": "b" }))), "ERR_BUDGET");
    drop(first);
    assert_eq!(registry.stats().held, 0);
    assert_eq!(code(launch(&registry, json!({ "name": "bert", "uid": "b" }))), "no fault");
    assert_eq!(registry.stats().held, bytes, "running models keep theirs");
    let small = with_models(json!({ "memoryBudget": bytes }));
    assert_eq!(code(launch(&small, json!({ "name": "bert" }))), "ERR_BUDGET");
}

#[test]
fn an_idle_model_is_let_go_and_loaded_again() {
    let registry = with_models(json!({ "idleTimeout": 40 }));
    drop(launch(&registry, json!({ "name": "bert" })).unwrap());
    until("idle", || states(&registry) == [("bert".into(), "idle")]);
    assert_eq!(registry.stats().held, 0);
    let handle = embedder(get(&registry, "bert"));
    let before = vector(&handle, "hello", CallSettings::default());
    until("idle again, though a handle has it", || states(&registry) == [("bert".into(), "idle")]);
    assert!(registry.stats().held > 0);
    let again = embedder(get(&registry, "bert"));
    assert!(Arc::ptr_eq(&handle, &again), "what lives is not loaded again");
    assert_eq!(vector(&again, "hello", CallSettings::default()), before);
}

#[test]
fn those_who_ask_during_a_load_get_the_same_model() {
    let registry =
        with_models(json!({ "warmUp": true, "lengthBuckets": [8, 16], "batchBuckets": [1, 2, 3] }));
    let (send, receive) = mpsc::channel();
    let sender = send.clone();
    registry.launch(r#"{ "name": "bert" }"#, Ticket::default(), move |outcome| sender.send(outcome).unwrap());
    for _ in 0..8 {
        let send = send.clone();
        registry.get("bert", Ticket::default(), move |outcome| send.send(outcome).unwrap());
    }
    let all: Vec<_> = receive.iter().take(9).map(embedder).collect();
    assert!(all.iter().all(|one| Arc::ptr_eq(one, &all[0])));
}

#[test]
fn terminating_during_a_load_ends_it() {
    let registry = with_models(json!({ "warmUp": true, "lengthBuckets": [512], "batchBuckets": [64] }));
    let (send, receive) = mpsc::channel();
    registry.launch(r#"{ "name": "bert" }"#, Ticket::default(), move |outcome| send.send(outcome).unwrap());
    registry.terminate("bert").unwrap();
    assert!(matches!(receive.recv().unwrap(), Err(Error::Terminated { .. })));
    assert_eq!((states(&registry).len(), registry.stats().held), (0, 0));
    assert_eq!(code(launch(&registry, json!({ "name": "bert" }))), "no fault");
    assert_eq!(registry.stop_all(), 1);
    assert_eq!(registry.stop_all(), 0);
}

#[test]
fn running_models_keep_what_they_loaded_when_files_change() {
    let place = copy(&data("tiny-models/bert-mean"), "registry-changed");
    let registry = registry(json!({}));
    register(&registry, "mine", json!({ "folder": place.to_string_lossy() })).unwrap();
    let old = embedder(launch(&registry, json!({ "name": "mine", "uid": "old" })));
    let before = vector(&old, "hello", CallSettings::default());
    let weights = place.join("model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    let middle = bytes.len() / 2..bytes.len() / 2 + 4096;
    bytes[middle].fill(0);
    std::fs::remove_file(&weights).unwrap();
    std::fs::write(&weights, bytes).unwrap();
    let new = embedder(launch(&registry, json!({ "name": "mine", "uid": "new" })));
    assert_ne!(vector(&new, "hello", CallSettings::default()), before, "the new files");
    assert_eq!(vector(&old, "hello", CallSettings::default()), before, "the old model");
    assert_eq!(vector(&embedder(get(&registry, "old")), "hello", CallSettings::default()), before);
}

#[test]
fn settings_are_the_processs() {
    let registry = registry(json!({ "preset": "default", "memoryBudget": 1000 }));
    let settings = registry.join("{}", MEMORY).unwrap();
    assert_eq!((settings.memory_budget, settings.max_length), (Some(1000), 512));
    registry.join(r#"{ "memoryBudget": 1000 }"#, MEMORY).unwrap();
    let error = registry.join(r#"{ "memoryBudget": 2000 }"#, MEMORY).unwrap_err();
    assert!(error.code() == "ERR_SETTINGS" && error.to_string().contains("memoryBudget is 1000"), "{error}");
}

#[test]
fn the_length_setting_is_a_cap_and_a_registration_wins() {
    let registry = with_models(json!({ "maxLength": 16 }));
    register(&registry, "long", json!({ "folder": folder("bert-mean"), "maxLength": 32 })).unwrap();
    let length = |name: &str| embedder(launch(&registry, json!({ "name": name }))).info().max_length;
    assert_eq!((length("bert"), length("long")), (16, 32));
    let roomy = with_models(json!({ "maxLength": 100_000 }));
    let own =
        Model::load(&folder("bert-mean"), &LoadOptions::default(), Task::Embed).unwrap().info().max_length;
    assert_eq!(embedder(launch(&roomy, json!({ "name": "bert" }))).info().max_length, own);
}
