//! Which files of a model are wanted, of all that its repository has: the same model in other formats is left there.

use std::path::Path;

use crate::{LoadOptions, graphs};

/// What a repository is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Weights in safetensors.
    Model,
    /// A graph in ONNX, by its path and what lies beside it under its name; the first that is there.
    Graph(Vec<String>),
    /// Weights of a PEFT adapter.
    Adapter,
}

/// Small files that describe a model, in its folder and in those of its modules.
const DESCRIPTIONS: [&str; 9] = [
    "config.json",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "adapter_config.json",
    "router_config.json",
    // Of Stanford's ColBERT.
    "artifact.metadata",
];

/// Beginnings of the folders of routes.
const ROUTES: [&str; 2] = ["query_", "document_"];

/// Layers of bge-m3 on tokens, small ones, and as which pickles a hub may hold them.
const LAYERS: [(&str, &str); 2] =
    [("sparse_linear.safetensors", "sparse_linear.pt"), ("colbert_linear.safetensors", "colbert_linear.pt")];

/// The files that say what else is wanted. Folders of modules begin with a number, as `Module.save` of
/// sentence-transformers names them, or with the name of a router's route.
pub(crate) fn descriptions(files: &[&str]) -> Vec<String> {
    let is_wanted = |path: &&&str| match path.split_once('/') {
        None => DESCRIPTIONS.contains(path),
        Some((folder, name)) => {
            let routed = ROUTES.iter().any(|route| folder.starts_with(route));
            let numbered = folder.starts_with(|c: char| c.is_ascii_digit());
            (numbered || routed) && DESCRIPTIONS.contains(&name)
        }
    };
    files.iter().filter(is_wanted).map(|path| path.to_string()).collect()
}

/// The folders that modules.json names, the transformer's first: one, the model's own, where there is no such list. What is
/// broken in it, the loader says.
pub(crate) fn modules(folder: &Path) -> Vec<String> {
    let bytes = nn::files::read(&folder.join("modules.json")).ok().flatten().unwrap_or_default();
    let list: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let paths = list.as_array().into_iter().flatten().filter_map(|module| module["path"].as_str());
    let mut folders: Vec<String> =
        paths.map(|path| path.trim_matches('/').trim_start_matches("./").into()).collect();
    if list[0]["type"].as_str().is_some_and(|class| class.ends_with(".Router")) {
        folders.extend(routes(folder));
    }
    if folders.is_empty() { vec![String::new()] } else { folders }
}

/// The folders that a router's file names.
fn routes(folder: &Path) -> Vec<String> {
    let bytes = nn::files::read(&folder.join("router_config.json")).ok().flatten().unwrap_or_default();
    let routes: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
    routes["types"].as_object().into_iter().flat_map(|types| types.keys().cloned()).collect()
}

impl Wanted {
    /// What these options load of a model.
    pub(crate) fn model(options: &LoadOptions) -> Self {
        match options.backend.as_deref() {
            Some("onnx") => Self::Graph(graphs::candidates(options)),
            _ => Self::Model,
        }
    }

    /// The large files, and the small ones of modules whose folders have other names.
    pub(crate) fn weights(&self, files: &[&str], modules: &[String]) -> Vec<String> {
        let mut wanted = Vec::new();
        for (number, folder) in modules.iter().enumerate() {
            let inside = inside(files, folder);
            wanted.extend(
                inside
                    .iter()
                    .filter(|(name, _)| DESCRIPTIONS.contains(name))
                    .map(|(_, path)| path.to_string()),
            );
            wanted.extend(match self {
                Self::Graph(names) if number == 0 => graph(&inside, names),
                Self::Adapter => first(&inside, &["adapter_model.safetensors", "adapter_model.bin"]),
                _ => weights(&inside),
            });
        }
        wanted
    }
}

/// Names in a folder, and their paths. `""` is the model's own.
fn inside<'a>(files: &[&'a str], folder: &str) -> Vec<(&'a str, &'a str)> {
    let below = |path: &'a str| match folder {
        "" => Some(path),
        _ => path.strip_prefix(folder)?.strip_prefix('/'),
    };
    files.iter().filter_map(|path| Some((below(path)?, *path))).collect()
}

/// The path of the safetensors that a pickle becomes.
pub(crate) fn becomes(path: &str) -> Option<String> {
    let (folder, name) = path.rsplit_once('/').map_or(("", path), |(folder, name)| (folder, name));
    let target = convert::becomes(name)?;
    Some(if folder.is_empty() { target.into() } else { format!("{folder}/{target}") })
}

/// One file, else its index and shards, else a pickle; and what stands beside it.
fn weights(inside: &[(&str, &str)]) -> Vec<String> {
    let mut found = named(inside, |name| name == "model.safetensors");
    if found.is_empty() {
        found = named(inside, |name| {
            name == "model.safetensors.index.json"
                || (name.starts_with("model-") && name.ends_with(".safetensors"))
        });
    }
    if found.is_empty() {
        found = named(inside, |name| name == "pytorch_model.bin");
    }
    found.extend(LAYERS.iter().flat_map(|(file, pickle)| first(inside, &[file, pickle])));
    found
}

/// The first of some names that is there.
fn first(inside: &[(&str, &str)], names: &[&str]) -> Vec<String> {
    let mut found = names.iter().map(|wanted| named(inside, |name| name == *wanted));
    found.find(|files| !files.is_empty()).unwrap_or_default()
}

/// A graph and the files beside it that hold its weights (`model.onnx_data`, …).
fn graph(inside: &[(&str, &str)], graphs: &[String]) -> Vec<String> {
    let mut found = graphs.iter().map(|graph| named(inside, |name| name.starts_with(graph.as_str())));
    found.find(|files| !files.is_empty()).unwrap_or_default()
}

fn named(inside: &[(&str, &str)], is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
    inside.iter().filter(|(name, _)| is_wanted(name)).map(|(_, path)| path.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: [&str; 17] = [
        ".gitattributes",
        "1_Pooling/config.json",
        "2_Dense/config.json",
        "2_Dense/model.safetensors",
        "2_Dense/pytorch_model.bin",
        "README.md",
        "config.json",
        "model.safetensors",
        "modules.json",
        "onnx/model.onnx",
        "onnx/model.onnx_data",
        "onnx/model_O3.onnx",
        "onnx/model_quantized.onnx",
        "openvino/openvino_model.bin",
        "pytorch_model.bin",
        "tokenizer.json",
        "vocab.txt",
    ];

    #[test]
    fn only_what_a_backend_reads_is_wanted() {
        let small =
            ["1_Pooling/config.json", "2_Dense/config.json", "config.json", "modules.json", "tokenizer.json"];
        assert_eq!(descriptions(&FILES), small);
        let modules = ["", "1_Pooling", "2_Dense"].map(String::from);
        let large = |wanted: Wanted| -> Vec<String> {
            let files = wanted.weights(&FILES, &modules).into_iter();
            files.filter(|path| !path.ends_with(".json")).collect()
        };
        assert_eq!(large(Wanted::Model), ["model.safetensors", "2_Dense/model.safetensors"]);
        let graph = Wanted::model(&LoadOptions { backend: Some("onnx".into()), ..LoadOptions::default() });
        assert_eq!(large(graph), ["onnx/model.onnx", "onnx/model.onnx_data", "2_Dense/model.safetensors"]);
        let named = Wanted::Graph(vec!["onnx/model_O3.onnx".into()]);
        assert_eq!(large(named)[0], "onnx/model_O3.onnx");
    }

    #[test]
    fn shards_come_with_their_index() {
        let files = ["model-00001-of-00002.safetensors", "model.safetensors.index.json", "pytorch_model.bin"];
        assert_eq!(Wanted::Model.weights(&files, &[String::new()]), &files[..2]);
    }

    #[test]
    fn the_folders_of_routes_are_wanted() {
        let files = [
            "document_0_MLMTransformer/config.json",
            "document_0_MLMTransformer/model.safetensors",
            "query_0_SparseStaticEmbedding/config.json",
            "query_0_SparseStaticEmbedding/model.safetensors",
            "query_0_SparseStaticEmbedding/vocab.txt",
            "router_config.json",
        ];
        assert_eq!(descriptions(&files), [files[0], files[2], files[5]]);
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../__test__/data/tiny-models/splade-router");
        let wanted = Wanted::Model.weights(&files, &modules(Path::new(folder)));
        assert!([files[1], files[3]].iter().all(|file| wanted.iter().any(|path| path == file)), "{wanted:?}");
        assert!(!wanted.iter().any(|path| path == files[4]), "{wanted:?}");
    }

    #[test]
    fn what_other_kinds_of_models_read_is_wanted() {
        let files =
            ["artifact.metadata", "colbert_linear.pt", "model.safetensors", "sparse_linear.safetensors"];
        assert_eq!(descriptions(&files), &files[..1]);
        let weights = Wanted::Model.weights(&files, &[String::new()]);
        assert_eq!(weights[1..], ["model.safetensors", files[3], "colbert_linear.pt"]);
    }

    #[test]
    fn pickles_are_wanted_where_there_is_nothing_else() {
        let files = ["2_Dense/pytorch_model.bin", "config.json", "pytorch_model.bin"];
        let wanted = Wanted::Model.weights(&files, &["".into(), "2_Dense".into()]);
        assert_eq!(wanted[1..], ["pytorch_model.bin", "2_Dense/pytorch_model.bin"]);
        assert_eq!(becomes(&wanted[2]).as_deref(), Some("2_Dense/model.safetensors"));
        assert_eq!(becomes("config.json"), None);
        let adapter = Wanted::Adapter.weights(&["adapter_model.bin"], &[String::new()]);
        assert_eq!(becomes(&adapter[0]).as_deref(), Some("adapter_model.safetensors"));
    }
}
