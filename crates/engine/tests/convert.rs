//! A folder's weights as others: pickles as safetensors, and fewer bits that give the same bits once loaded.

#![expect(clippy::unwrap_used, reason = "a test")]

mod common;

use std::path::{Path, PathBuf};
use std::sync::mpsc;

use common::{copy, data, load, replace, vector};
use engine::{
    CallSettings, Conversion, Converted, Error, Fetched, LoadOptions, Model, Task, Ticket, convert,
};

fn run(folder: &Path, wanted: Conversion) -> Result<Converted, Error> {
    let (send, receive) = mpsc::channel();
    let wanted = serde_json::to_string(&wanted).unwrap();
    convert(folder.to_string_lossy().into_owned(), &wanted, Ticket::default(), move |done| {
        send.send(done).unwrap()
    });
    receive.recv().unwrap()
}

/// A place that is not there.
fn fresh(name: &str) -> PathBuf {
    let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    drop(std::fs::remove_dir_all(&place));
    place
}

fn to(output: &Path, dtype: Option<&str>) -> Conversion {
    let output = Some(output.to_string_lossy().into_owned());
    Conversion { output, dtype: dtype.map(String::from), small_tables: false }
}

fn bits(folder: &Path, dtype: Option<&str>) -> Vec<u32> {
    let options = LoadOptions { dtype: dtype.map(String::from), ..Default::default() };
    let embedder = load(folder, &options);
    let vector = vector(&embedder, "red fox and blue whale", CallSettings::default());
    vector.iter().map(|value| value.to_bits()).collect()
}

/// All that embeds, of every architecture that is here.
fn embedders() -> Vec<PathBuf> {
    let folders = data("tiny-models").read_dir().unwrap().map(|entry| entry.unwrap().path());
    let real = std::env::var("EMBED_NATIVE_TEST_MODEL").ok().map(PathBuf::from);
    let mut folders: Vec<_> = folders.chain(real).collect();
    folders.retain(|folder| {
        Model::load(&folder.to_string_lossy(), &LoadOptions::default(), Task::Embed).is_ok()
    });
    folders.sort();
    folders
}

#[test]
fn converted_weights_load_to_the_bits_of_converting_at_load() {
    let folders = embedders();
    assert!(folders.len() > 12, "{folders:?}");
    for folder in folders {
        for dtype in ["int8", "bf16", "f32"] {
            let output = fresh(&format!("converted-{dtype}"));
            run(&folder, to(&output, Some(dtype))).unwrap();
            assert_eq!(
                bits(&output, Some(dtype)),
                bits(&folder, Some(dtype)),
                "{} {dtype}",
                folder.display()
            );
        }
    }
}

#[test]
fn a_converted_folder_can_be_loaded_for_the_same_tasks() {
    for folder in data("tiny-models").read_dir().unwrap().map(|entry| entry.unwrap().path()) {
        let output = fresh("tasks");
        run(&folder, to(&output, Some("int8"))).unwrap();
        for (name, task) in Task::ALL {
            let [before, after] = [&folder, &output].map(|place| {
                let place = place.to_string_lossy();
                Model::open(&Fetched::from(&*place), &LoadOptions::default(), task).is_ok()
            });
            assert_eq!(before, after, "{} for {name}", folder.display());
        }
    }
}

#[test]
fn whole_numbers_are_taken_as_such_unasked() {
    let (folder, output) = (data("tiny-models/bert-mean"), fresh("unasked"));
    let converted = run(&folder, to(&output, Some("int8"))).unwrap();
    assert_eq!(converted.written, ["model.safetensors"]);
    let embedder = load(&output, &LoadOptions::default());
    let info = serde_json::to_value(embedder.info()).unwrap();
    assert_eq!(
        (info["dtype"].as_str(), info["dtypeReason"].as_str()),
        (Some("int8"), Some("as its weights are stored"))
    );
    assert_eq!(bits(&output, None), bits(&folder, Some("int8")));
}

#[test]
fn a_folder_of_pickles_becomes_one_that_loads() {
    let (folder, base) = (copy(&data("broken-models/pickle-only"), "pickles"), data("broken-models/ok-base"));
    let error = Model::load(&folder.to_string_lossy(), &LoadOptions::default(), Task::Embed).err().unwrap();
    assert!(error.to_string().contains("npx @x/embed-native convert"), "{error}");
    let output = fresh("unpickled");
    let converted = run(&folder, to(&output, None)).unwrap();
    assert_eq!(converted.written, ["model.safetensors"]);
    assert_eq!(bits(&output, None), bits(&base, None));
    assert!(!output.join("pytorch_model.bin").exists());
    // In its place.
    assert_eq!(run(&folder, Conversion::default()).unwrap().written, ["model.safetensors"]);
    assert_eq!(bits(&folder, None), bits(&base, None));
    assert!(run(&folder, Conversion::default()).unwrap().written.is_empty());
    // And in fewer bits in one go.
    let small = fresh("unpickled-small");
    run(&copy(&data("broken-models/pickle-only"), "pickles-again"), to(&small, Some("int8"))).unwrap();
    assert_eq!(bits(&small, None), bits(&base, Some("int8")));
}

#[test]
fn layers_beside_a_model_come_along() {
    let folder = copy(&data("tiny-models/bert-mean"), "beside");
    std::fs::copy(data("pickles/linear.pt"), folder.join("colbert_linear.pt")).unwrap();
    std::fs::copy(data("pickles/code.pt"), folder.join("sparse_linear.pt")).unwrap();
    let output = fresh("beside-converted");
    let error = run(&folder, to(&output, None)).unwrap_err();
    assert!(error.to_string().contains("posix.system"), "{error}");
    assert!(!output.exists(), "nothing is left of it");
    std::fs::remove_file(folder.join("sparse_linear.pt")).unwrap();
    assert_eq!(run(&folder, to(&output, None)).unwrap().written, ["colbert_linear.safetensors"]);
    // Other tests write beside it.
    let beside = output.parent().unwrap().read_dir().unwrap();
    let left = beside.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left = left.filter(|name| name.contains("beside-converted") && name.ends_with(".part"));
    assert_eq!(left.count(), 0);
}

#[test]
fn a_folder_without_a_model_is_refused() {
    let (folder, output) = (fresh("no-model"), fresh("no-model-converted"));
    std::fs::create_dir_all(&folder).unwrap();
    for wanted in [Conversion::default(), to(&output, None), to(&output, Some("int8"))] {
        assert_eq!(run(&folder, wanted).unwrap_err().code(), "ERR_MODEL_NOT_FOUND");
    }
    assert!(!output.exists());
}

#[test]
fn faults_name_the_model_and_not_the_folder_that_is_being_made() {
    let output = fresh("faulty-converted");
    for (file, bytes) in [
        ("config.json", r#"{ "model_type": "sing" }"#),
        ("config.json", "{"),
        ("tokenizer.json", "{"),
        ("model.safetensors", "xx"),
    ] {
        let folder = copy(&data("tiny-models/bert-mean"), "faulty");
        replace(&folder.join(file), bytes);
        let error = run(&folder, to(&output, Some("int8"))).unwrap_err().to_string();
        assert!(error.starts_with(&*folder.to_string_lossy()) && !error.contains(".part"), "{error}");
    }
    assert!(!output.exists());
}

#[test]
fn an_adapter_keeps_its_weights_as_they_are() {
    let (folder, output) = (fresh("adapter"), fresh("adapter-converted"));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("adapter_config.json"), "{}").unwrap();
    let error = run(&folder, to(&output, Some("int8"))).unwrap_err();
    assert_eq!(error.code(), "ERR_MODEL_UNSUPPORTED", "{error}");
    assert!(error.to_string().contains("convert the model it is for"), "{error}");
    assert!(run(&folder, to(&output, None)).unwrap().written.is_empty());
}

#[test]
fn weights_in_several_pickles_are_refused_by_name() {
    let folder = copy(&data("broken-models/pickle-only"), "several");
    let pickle = folder.join("pytorch_model.bin");
    std::fs::rename(&pickle, folder.join("pytorch_model-00001-of-00002.bin")).unwrap();
    std::fs::write(folder.join("pytorch_model.bin.index.json"), "{}").unwrap();
    let error = run(&folder, Conversion::default()).unwrap_err();
    assert_eq!(error.code(), "ERR_MODEL_UNSUPPORTED", "{error}");
}

#[test]
fn conversions_that_make_no_sense_are_refused() {
    let (folder, output) = (data("tiny-models/bert-mean"), fresh("senseless"));
    for (wanted, says) in [
        (to(&output, Some("int4")), "f32, bf16 or int8"),
        (Conversion { output: None, ..to(&output, Some("int8")) }, "needs an output"),
        (Conversion { small_tables: true, ..to(&output, Some("bf16")) }, "goes with dtype"),
        (Conversion { small_tables: true, ..to(&output, None) }, "goes with dtype"),
        (to(&folder, None), "not empty"),
        (to(&folder.join("config.json"), None), "can be no folder"),
        (to(&folder.join("config.json/below"), None), "can be no folder"),
        (to(&output.join("a\0b"), None), "can be no folder"),
        (to(&output.join("model.safetensors"), None), "a whole model is written"),
    ] {
        let error = run(&folder, wanted).unwrap_err();
        assert_eq!(error.code(), "ERR_INVALID_ARGUMENT");
        assert!(error.to_string().contains(says), "{error}");
    }
    let error = run(Path::new("org/name"), Conversion::default()).unwrap_err();
    assert_eq!(error.code(), "ERR_MODEL_NOT_FOUND");
    assert!(error.to_string().contains("`await download(name)` brings it"), "{error}");
    assert!(!output.exists());
}

#[test]
fn scales_that_cannot_be_are_refused() {
    let (folder, output) = (data("tiny-models/bert-mean"), fresh("scales"));
    run(&folder, to(&output, Some("int8"))).unwrap();
    let file = output.join("model.safetensors");
    let bytes = std::fs::read(&file).unwrap();
    let head = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + head]).unwrap();
    let (name, about) =
        header.as_object().unwrap().iter().find(|(name, _)| name.ends_with(".scale")).unwrap();
    let first = 8 + head + about["data_offsets"][0].as_u64().unwrap() as usize;
    for scale in [-1.0, 0.0, f32::NAN, f32::INFINITY] {
        let mut changed = bytes.clone();
        changed[first..first + 4].copy_from_slice(&f32::to_le_bytes(scale));
        std::fs::write(&file, changed).unwrap();
        let error =
            Model::load(&output.to_string_lossy(), &LoadOptions::default(), Task::Embed).err().unwrap();
        assert_eq!(error.code(), "ERR_MODEL_FILE", "{error}");
        assert!(error.to_string().contains(&format!("\"{name}\": scale 0 is")), "{error}");
    }
}

#[test]
fn unmarked_whole_numbers_are_refused() {
    let (folder, output) = (data("tiny-models/bert-mean"), fresh("unmarked"));
    run(&folder, to(&output, Some("int8"))).unwrap();
    let file = output.join("model.safetensors");
    let bytes = std::fs::read(&file).unwrap();
    let mark = bytes.windows(12).position(|window| window == b"embed-native").unwrap();
    for (word, says) in [("other-native", "stored as I8"), ("embed-native", "update")] {
        let mut changed = bytes.clone();
        changed[mark..mark + 12].copy_from_slice(word.as_bytes());
        if word == "embed-native" {
            let version = changed.windows(6).position(|window| window == b"int8 1").unwrap();
            changed[version + 5] = b'9';
        }
        std::fs::write(&file, changed).unwrap();
        let error =
            Model::load(&output.to_string_lossy(), &LoadOptions::default(), Task::Embed).err().unwrap();
        assert!(error.to_string().contains(says), "{error}");
    }
}
