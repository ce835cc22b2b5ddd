//! Small encoders of the Vespa engine, with the values that its own tests expect of them, and what else lies beside them.
//! Runs where `EMBED_NATIVE_TEST_ORT` names a library.
//!
//! Values: `BertBaseEmbedderTest.java` of <https://github.com/vespa-engine/vespa/tree/1f79d33d/model-integration>, for the ids
//! 1 to 5 without a frame. They are the first numbers of the mean of all tokens.

#![expect(clippy::unwrap_used, reason = "a test")]

mod common;

use std::path::{Path, PathBuf};

use backend::Backend;
use common::{embed, folder, library, load, refusal};

const IDS: [u32; 5] = [1, 2, 3, 4, 5];
const WITH_TYPES: [f32; 7] =
    [-0.6178509, -0.8135831, 0.34416935, 0.3912577, -0.13068882, 0.00025897025, -0.18638384];
const WITHOUT_TYPES: [f32; 7] =
    [0.10873623, 0.56411576, 0.6044973, -0.4819714, 0.7519982, -0.83261716, 0.30430704];

fn committed(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../__test__/data/vespa-onnx").join(file)
}

fn placed(file: &Path) -> PathBuf {
    folder(&file.file_stem().unwrap().to_string_lossy(), &std::fs::read(file).unwrap())
}

#[test]
fn encoders_with_and_without_types() {
    let Some(library) = library() else { return };
    for (file, want) in
        [("dummy_transformer.onnx", WITH_TYPES), ("dummy_transformer_without_type_ids.onnx", WITHOUT_TYPES)]
    {
        let model = load(&library, &placed(&committed(file))).unwrap();
        assert_eq!(model.dims(), 16);
        // One text alone: these graphs take their first axis for the tokens, so that texts of a run see one another.
        let got = embed(&model, &[&IDS]).unwrap();
        let far = got.iter().zip(want).map(|(got, want)| (got - want).abs()).fold(0.0, f32::max);
        assert!(far <= 1e-6, "{file}: {got:?}");
    }
}

#[test]
fn what_is_no_encoder_is_refused_by_name() {
    let Some(library) = library() else { return };
    for (file, reason) in [
        ("mock_sentence_embedder.onnx", "operator Resize"),
        ("add_with_external_data.onnx", "needs an input \"input1\""),
    ] {
        let place = placed(&committed(file));
        std::fs::copy(committed("external_data.bin"), place.join("onnx/external_data.bin")).unwrap();
        let said = refusal(&library, &place);
        assert!(said.contains(reason), "{file}: {said}");
    }
}

/// The larger ones, where `EMBED_NATIVE_DATA` names the collection.
#[test]
fn the_larger_ones() {
    let (Some(library), Some(data)) = (library(), std::env::var_os("EMBED_NATIVE_DATA")) else { return };
    let file = |name: &str| Path::new(&data).join("fixtures/vespa-onnx").join(name);
    let said = refusal(&library, &placed(&file("dummy_transformer_mlm.onnx")));
    assert!(said.contains("the graph gives \"logits\""), "{said}");
    let model = load(&library, &placed(&file("random_encoder.onnx"))).unwrap();
    assert_eq!(model.dims(), 8);
    assert!(embed(&model, &[&IDS]).unwrap().iter().all(|value| value.is_finite()));
}
