//! The broken folders of `__test__/data/broken-models`, each in a process of its own: refused in time and in little
//! memory, with an error that names the file; and the odd ones that must load, with their numbers.

#![expect(clippy::unwrap_used, reason = "a test")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use common::{check_close, data, embed, floats, json};
use engine::{CallSettings, Model, Task};
use serde_json::{Value, json};

/// Names the folder that a child is to try.
const FOLDER: &str = "EMBED_NATIVE_TEST_FOLDER";
/// Begins the line in which it reports.
const REPORT: &str = "report: ";
const LONGEST: Duration = Duration::from_secs(2);
const MOST_MEGABYTES: u64 = 100;

/// Texts with known and unknown words, to find faults that show only there.
const PROBES: [&str; 4] =
    ["Hello world.", "", "zebra xyz 123 cab 漢字 qqq", "the cat sat on the mat, the dog sat on the mat!"];

fn folders(expected: &str) -> Vec<PathBuf> {
    let entries = data("broken-models").read_dir().unwrap().map(|entry| entry.unwrap().path());
    let of_kind = |folder: &PathBuf| {
        let expectation = folder.join("expect.json");
        expectation.exists() && json(&expectation)["expect"] == expected
    };
    entries.filter(of_kind).collect()
}

/// Tries the folder that the environment names and reports; for the other tests, which start it as a child.
#[test]
fn a_child_tries_one_folder() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        assert_eq!(folders("error").len() + folders("load-ok").len(), 48);
        return;
    };
    let (start, before) = (Instant::now(), memory("VmRSS"));
    let fault = fault_of(Path::new(&folder));
    let megabytes = memory("VmHWM").saturating_sub(before) / 1024;
    let seconds = start.elapsed().as_secs_f64();
    println!("\n{REPORT}{}", json!({ "fault": fault, "seconds": seconds, "megabytes": megabytes }));
}

/// The first fault of loading and embedding, as `[code, message, stage]`.
fn fault_of(folder: &Path) -> Option<[String; 3]> {
    let told = |error: &engine::Error, stage: &str| [error.code().into(), error.to_string(), stage.into()];
    let embedder = match Model::load(&folder.to_string_lossy(), &common::f32(), Task::Embed) {
        Ok(embedder) => embedder,
        Err(error) => return Some(told(&error, "load")),
    };
    let rows = embed(&embedder, &PROBES, CallSettings::default()).unwrap();
    assert!(rows.matrix.iter().all(|value| value.is_finite()));
    rows.faults.first().map(|fault| told(&fault.error, "embed"))
}

/// Kilobytes by that name; 0 where the system does not tell.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn report_of_child(folder: &Path) -> Value {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_child_tries_one_folder", "--nocapture"])
        .env(FOLDER, folder)
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}: {printed}", folder.display());
    let report = printed.lines().find_map(|line| line.strip_prefix(REPORT)).unwrap();
    serde_json::from_str(report).unwrap()
}

#[test]
fn broken_folders_are_refused() {
    for folder in folders("error") {
        let report = report_of_child(&folder);
        let name = folder.display();
        assert!(report["seconds"].as_f64().unwrap() < LONGEST.as_secs_f64(), "{name}: {report}");
        assert!(report["megabytes"].as_u64().unwrap() < MOST_MEGABYTES, "{name}: {report}");
        let [code, message, stage] =
            [0, 1, 2].map(|place| report["fault"][place].as_str().unwrap_or_default());
        let typed =
            ["ERR_MODEL_", "ERR_TOKENIZER", "ERR_NOT_FINITE"].iter().any(|kind| code.starts_with(kind));
        assert!(typed, "{name}: {report}");
        match stage {
            "load" => assert!(message.contains(&*folder.to_string_lossy()), "{name}: {report}"),
            _ => assert!(json(&folder.join("expect.json"))["stage"] != "load", "{name}: {report}"),
        }
    }
}

#[test]
fn a_vocabulary_beyond_the_table_is_found_at_load() {
    let report = report_of_child(&data("broken-models/vocab-bigger-than-embedding"));
    assert_eq!(report["fault"][2], "load", "{report}");
    let message = report["fault"][1].as_str().unwrap();
    assert!(message.contains("tokenizer.json") && message.contains("table of 20 rows"), "{report}");
}

#[test]
fn odd_folders_load() {
    for folder in folders("load-ok") {
        let expected = json(&folder.join("expect.json"));
        let embedder = Model::load(&folder.to_string_lossy(), &common::f32(), Task::Embed).unwrap();
        let texts = expected["texts"].as_array().unwrap().iter();
        for (text, want) in texts.zip(expected["embeddings"].as_array().unwrap()) {
            let text = text.as_str().unwrap();
            let settings = CallSettings { normalize: Some(true), ..Default::default() };
            let rows = embed(&embedder, &[text], settings).unwrap();
            assert!(rows.faults.is_empty(), "{}: {:?}", folder.display(), rows.faults);
            check_close(&format!("{}: {text}", folder.display()), &rows.matrix, &floats(want));
        }
        let report = report_of_child(&folder);
        assert!(report["fault"].is_null(), "{}: {report}", folder.display());
    }
}
