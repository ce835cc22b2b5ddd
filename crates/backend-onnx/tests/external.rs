//! Weights in other files: what is read, and what is refused. Runs where `EMBED_NATIVE_TEST_ORT` names a library.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod common;

use std::path::{Path, PathBuf};

use common::*;
use prost::Message;

fn with(name: &str, model: &Model) -> PathBuf {
    folder(name, &model.encode_to_vec())
}

fn runs(library: &Path, folder: &Path) {
    let model = load(library, folder).unwrap();
    assert_eq!(embed(&model, &[&[3]]).unwrap(), [30.0, 31.0, 32.0, 33.0]);
}

#[test]
fn files_below_the_model() {
    let Some(library) = library() else { return };
    let place = with("beside", &external("model.onnx_data", &[("length", "128")]));
    std::fs::write(place.join("onnx/model.onnx_data"), table(4)).unwrap();
    runs(&library, &place);
    let place = with("below", &external("weights/table.bin", &[("offset", "4")]));
    std::fs::create_dir(place.join("onnx/weights")).unwrap();
    std::fs::write(place.join("onnx/weights/table.bin"), [&[9, 9, 9, 9], &table(4)[..]].concat()).unwrap();
    runs(&library, &place);
}

#[cfg(unix)]
#[test]
fn a_cache_of_links() {
    let Some(library) = library() else { return };
    let place = with("linked", &external("model.onnx_data", &[]));
    let blobs = place.join("blobs");
    std::fs::create_dir(&blobs).unwrap();
    std::fs::rename(place.join("onnx/model.onnx"), blobs.join("aaa")).unwrap();
    std::fs::write(blobs.join("bbb"), table(4)).unwrap();
    std::os::unix::fs::symlink("../blobs/aaa", place.join("onnx/model.onnx")).unwrap();
    std::os::unix::fs::symlink("../blobs/bbb", place.join("onnx/model.onnx_data")).unwrap();
    runs(&library, &place);
}

#[test]
fn places_that_are_not_the_models_own() {
    let Some(library) = library() else { return };
    let absolute = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("onnx/outside.bin");
    std::fs::create_dir_all(absolute.parent().unwrap()).unwrap();
    std::fs::write(&absolute, table(4)).unwrap();
    let absolute = absolute.to_string_lossy();
    for (name, location, more, reason) in [
        ("up", "../../outside.bin", &[][..], "plain path"),
        ("down-and-up", "a/../../../outside.bin", &[], "plain path"),
        ("absolute", &absolute, &[], "plain path"),
        ("backslash", "..\\outside.bin", &[], "plain path"),
        ("drive", "C:outside.bin", &[], "plain path"),
        ("memory", "*/_ORT_MEM_ADDR_/*", &[("offset", "4096")], "plain path"),
        ("nul", "table.bin\0", &[], "plain path"),
        ("nothing", "", &[], "no location"),
        ("missing", "missing.bin", &[], "not found"),
        ("folder", "folder", &[], "regular file"),
        ("late", "table.bin", &[("offset", "1")], "cut short"),
        ("later", "table.bin", &[("offset", "18446744073709551615")], "cut short"),
        ("negative", "table.bin", &[("offset", "-4")], "not a number"),
        ("long", "table.bin", &[("length", "132")], "takes 128"),
        ("twice", "table.bin", &[("location", "table.bin")], "given twice"),
    ] {
        let place = with(name, &external(location, more));
        std::fs::create_dir(place.join("onnx/folder")).unwrap();
        std::fs::write(place.join("onnx/table.bin"), table(4)).unwrap();
        if cfg!(unix) {
            std::fs::create_dir_all(place.join("onnx/*/_ORT_MEM_ADDR_")).unwrap();
            std::fs::write(place.join("onnx/*/_ORT_MEM_ADDR_/*"), table(4)).unwrap();
        }
        let said = refusal(&library, &place);
        assert!(said.contains(reason), "{name}: {said}");
    }
}

#[cfg(unix)]
#[test]
fn links_that_lead_out() {
    let Some(library) = library() else { return };
    let outside = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("onnx/secret.bin");
    std::fs::create_dir_all(outside.parent().unwrap()).unwrap();
    std::fs::write(&outside, table(4)).unwrap();
    let place = with("symlink", &external("table.bin", &[]));
    std::os::unix::fs::symlink(&outside, place.join("onnx/table.bin")).unwrap();
    assert!(refusal(&library, &place).contains("outside"));
    let place = with("hard-link", &external("table.bin", &[]));
    std::fs::hard_link(&outside, place.join("onnx/table.bin")).unwrap();
    assert!(refusal(&library, &place).contains("hard link"));
    let place = with("pipe", &external("table.bin", &[]));
    let pipe = std::process::Command::new("mkfifo").arg(place.join("onnx/table.bin")).status().unwrap();
    assert!(pipe.success());
    assert!(refusal(&library, &place).contains("regular file"));
}

/// ONNX Runtime looks for these by itself, from the folder that the process is in.
#[test]
fn tensors_inside_of_nodes() {
    let Some(library) = library() else { return };
    let mut inner = encoder(4).graph.unwrap().initializers.remove(0);
    make_external(&mut inner, "Cargo.toml", &[]);
    let attribute =
        Attribute { name: "value".into(), tensor: Some(inner.clone()), kind: 4, ..Default::default() };
    let constant = node("Constant", &[], "table", vec![attribute]);
    let graph = Graph { initializers: vec![inner], name: "inner".into(), ..Default::default() };
    let branch = Attribute { name: "then_branch".into(), graph: Some(graph), kind: 5, ..Default::default() };
    let branching = node("If", &["input_ids"], "table", vec![branch]);
    for (name, hidden) in [("constant", constant), ("branch", branching)] {
        let mut model = encoder(4);
        let graph = model.graph.as_mut().unwrap();
        graph.initializers.clear();
        graph.nodes.insert(0, hidden);
        let said = refusal(&library, &with(name, &model));
        assert!(said.contains("only initializers of the main graph"), "{name}: {said}");
    }
}

/// A reader of proto2 drops the second location, which it does not know, and keeps the first.
#[test]
fn a_location_that_is_hidden_behind_another() {
    let Some(library) = library() else { return };
    let mut tensor = encoder(4).graph.unwrap().initializers.remove(0);
    make_external(&mut tensor, "../../outside.bin", &[]);
    let mut bytes = tensor.encode_to_vec();
    bytes.extend([14 << 3, 99]);
    let mut model = encoder(4);
    model.graph.as_mut().unwrap().initializers.clear();
    let mut field = vec![5 << 3 | 2];
    prost::encoding::encode_varint(bytes.len() as u64, &mut field);
    field.extend(bytes);
    let mut whole = model.encode_to_vec();
    whole.push(7 << 3 | 2);
    prost::encoding::encode_varint(field.len() as u64, &mut whole);
    whole.extend(field);
    assert!(refusal(&library, &folder("hidden", &whole)).contains("plain path"));
}
