//! Which files of a model may hold its graph in ONNX, by the options.

use std::path::{Component, Path};

use crate::{Error, LoadOptions};

/// Where exporters put them.
const PLACES: [&str; 2] = ["onnx/", ""];

/// Names by number format, the usual ones first: of optimum and transformers.js, and of sentence-transformers, which names
/// a quantised graph after the processors that it is for.
fn names(dtype: Option<&str>) -> &'static [&'static str] {
    match dtype {
        Some("f16") => &["model_fp16.onnx"],
        Some("int8") if std::env::consts::ARCH == "aarch64" => {
            &["model_quantized.onnx", "model_int8.onnx", "model_qint8_arm64.onnx", "model_uint8.onnx"]
        }
        Some("int8") => &[
            "model_quantized.onnx",
            "model_int8.onnx",
            "model_quint8_avx2.onnx",
            "model_qint8_avx512_vnni.onnx",
            "model_qint8_avx512.onnx",
            "model_uint8.onnx",
        ],
        _ => &["model.onnx"],
    }
}

/// Paths below the model's folder; the first that is there is meant.
pub(crate) fn candidates(options: &LoadOptions) -> Vec<String> {
    match &options.onnx_file {
        Some(file) => vec![file.clone()],
        None => {
            let names = names(options.dtype.as_deref());
            PLACES.iter().flat_map(|place| names.iter().map(move |name| format!("{place}{name}"))).collect()
        }
    }
}

/// A file of the user's choice is one of a graph's backend, below the model's folder.
pub(crate) fn check(options: &LoadOptions) -> Result<(), Error> {
    let Some(file) = &options.onnx_file else { return Ok(()) };
    if options.backend.as_deref() != Some("onnx") {
        let remedy = "it goes with backend \"onnx\"; leave one of the two out".into();
        return Err(Error::Unavailable { what: "onnxFile without backend \"onnx\"".into(), remedy });
    }
    let plain = Path::new(file).components().all(|part| matches!(part, Component::Normal(_)));
    if plain && !file.is_empty() && !file.contains('\0') {
        return Ok(());
    }
    let message =
        format!("onnxFile must be a path below the model's folder, as \"onnx/model.onnx\", got {file:?}");
    Err(Error::Options { message })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(dtype: Option<&str>, file: Option<&str>) -> LoadOptions {
        let (dtype, onnx_file) = (dtype.map(String::from), file.map(String::from));
        LoadOptions { backend: Some("onnx".into()), dtype, onnx_file, ..LoadOptions::default() }
    }

    #[test]
    fn a_named_file_is_the_only_one() {
        assert_eq!(candidates(&options(None, None)), ["onnx/model.onnx", "model.onnx"]);
        assert_eq!(candidates(&options(Some("int8"), None))[0], "onnx/model_quantized.onnx");
        assert_eq!(candidates(&options(Some("int8"), Some("a.onnx"))), ["a.onnx"]);
    }

    #[test]
    fn a_named_file_stays_below_the_folder() {
        check(&options(None, Some("onnx/model_O3.onnx"))).unwrap();
        for file in ["../model.onnx", "/model.onnx", "", "a/../../b.onnx", "a\0b"] {
            let error = check(&options(None, Some(file))).unwrap_err();
            assert_eq!(error.code(), "ERR_INVALID_ARGUMENT", "{file:?}: {error}");
        }
        let elsewhere = LoadOptions { backend: None, ..options(None, Some("model.onnx")) };
        assert_eq!(check(&elsewhere).unwrap_err().code(), "ERR_UNSUPPORTED");
    }
}
