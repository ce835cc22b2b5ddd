//! Model files: what runs, and what is refused with a reason. Runs where `EMBED_NATIVE_TEST_ORT` names a library.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod common;

use std::path::Path;

use backend::Backend;
use backend_onnx::{LoadError, Onnx};
use common::*;
use nn::HeadSource;
use prost::Message;

#[test]
fn padding_changes_nothing() {
    let Some(library) = library() else { return };
    let model = load(&library, &folder("plain", &encoder(4).encode_to_vec())).unwrap();
    assert_eq!(model.dims(), 4);
    let texts: [&[u32]; 4] = [&[7], &[1, 2, 3, 4, 5, 6, 7], &[2, 4], &[1, 2, 3, 4, 5, 6]];
    let together = embed(&model, &texts).unwrap();
    for (text, row) in texts.iter().zip(together.chunks_exact(4)) {
        let mean = |column| text.iter().map(|&id| entry(id, column)).sum::<f32>() / text.len() as f32;
        assert_eq!(row, [0, 1, 2, 3].map(mean), "{text:?}");
        assert_eq!(row, embed(&model, &[text]).unwrap());
    }
}

#[test]
fn every_input_is_given() {
    let Some(library) = library() else { return };
    let mut model = encoder(4);
    let graph = model.graph.as_mut().unwrap();
    graph.inputs = ["input_ids", "attention_mask", "token_type_ids", "position_ids"]
        .map(|name| value(name, I32, &[None, None]))
        .to_vec();
    graph.nodes = vec![
        node("Add", &["input_ids", "position_ids"], "sum", vec![]),
        node("Add", &["sum", "token_type_ids"], "rows", vec![]),
        node("Gather", &["table", "rows"], "last_hidden_state", vec![]),
    ];
    let model = load(&library, &folder("inputs", &model.encode_to_vec())).unwrap();
    // Positions 0, 1, 2 are added: rows 1, 3, 5.
    assert_eq!(embed(&model, &[&[1, 2, 3]]).unwrap()[0], entry(3, 0));
}

/// An output that is a list of lists of tensors.
fn into_sequences(graph: &mut Graph) {
    let inner = graph.outputs[0].kind.take().map(Box::new);
    let list = Kind { tensor: None, sequence: Some(Box::new(Sequence { element: inner })) };
    let lists = Sequence { element: Some(Box::new(list)) };
    graph.outputs[0].kind = Some(Kind { tensor: None, sequence: Some(Box::new(lists)) });
}

fn graphs_that_are_no_encoders() -> Vec<(&'static str, Model, &'static str)> {
    let changed = |change: fn(&mut Graph)| {
        let mut model = encoder(4);
        change(model.graph.as_mut().unwrap());
        model
    };
    let extra = changed(|graph| graph.inputs.push(value("past_key_values.0.key", F32, &[None])));
    let pixels = changed(|graph| {
        graph.inputs[0].name = "pixel_values".into();
        graph.nodes[0].inputs[1] = "pixel_values".into();
    });
    let floats = changed(|graph| graph.inputs[1] = value("attention_mask", F32, &[None, None]));
    let maskless = changed(|graph| {
        graph.inputs.remove(0);
        graph.nodes[0].inputs[1] = "attention_mask".into();
    });
    let flat = changed(|graph| {
        graph.nodes.push(node("Shape", &["last_hidden_state"], "shape", vec![]));
        graph.outputs = vec![value("shape", I64, &[Some(3)])];
    });
    let double = changed(|graph| {
        graph.nodes[0].outputs[0] = "full".into();
        graph.nodes.push(node("Cast", &["full"], "last_hidden_state", vec![integer("to", F64.into())]));
        graph.outputs = vec![value("last_hidden_state", F64, &[None, None, Some(4)])];
    });
    let sequence = changed(into_sequences);
    let unknown = changed(|graph| graph.nodes[0].op = "Conjure".into());
    let foreign = changed(|graph| graph.nodes[0].domain = "ai.onnx.ml".into());
    let chance = changed(|graph| graph.nodes[0].op = "RandomNormalLike".into());
    let two = changed(|graph| {
        graph.nodes[0].outputs[0] = "one".into();
        graph.nodes.push(node("Identity", &["one"], "other", vec![]));
        graph.outputs = ["one", "other"].map(|name| value(name, F32, &[None, None, Some(4)])).to_vec();
    });
    let vocabulary = changed(|graph| {
        graph.nodes[0].outputs[0] = "logits".into();
        graph.outputs[0].name = "logits".into();
    });
    let mut function = encoder(4);
    function.functions = vec![Function { name: "Gather".into() }];
    vec![
        ("extra", extra, "past_key_values.0.key"),
        ("pixels", pixels, "pixel_values"),
        ("floats", floats, "attention_mask"),
        ("maskless", maskless, "takes input_ids"),
        ("flat", flat, "\"shape\""),
        ("double", double, "only f32 and f16"),
        ("sequence", sequence, "no tensor"),
        ("unknown", unknown, "operator Conjure "),
        ("foreign", foreign, "operator ai.onnx.ml.Gather "),
        ("chance", chance, "operator RandomNormalLike "),
        ("two", two, "gives \"one\", \"other\""),
        ("vocabulary", vocabulary, "gives \"logits\""),
        ("function", function, "a function of its own, \"Gather\""),
    ]
}

#[test]
fn a_graph_that_is_no_encoder_is_refused_by_name() {
    let Some(library) = library() else { return };
    for (name, model, reason) in graphs_that_are_no_encoders() {
        let said = refusal(&library, &folder(name, &model.encode_to_vec()));
        assert!(said.contains(reason), "{name}: {said}");
    }
}

#[test]
fn an_output_of_another_name_or_shape() {
    let Some(library) = library() else { return };
    let mut model = encoder(4);
    let graph = model.graph.as_mut().unwrap();
    graph.nodes[0].outputs[0] = "rows".into();
    // How many columns this keeps is known at the run only.
    graph.nodes.push(node("Compress", &["rows", "kept"], "features", vec![integer("axis", 2)]));
    graph.initializers.push(Tensor {
        dims: vec![4],
        data_type: BOOL,
        name: "kept".into(),
        raw: Some(vec![1; 4]),
        ..Default::default()
    });
    graph.outputs = vec![value("features", F32, &[None, None, None])];
    let place = folder("features", &model.encode_to_vec());
    let loaded = load(&library, &place).unwrap();
    assert_eq!(embed(&loaded, &[&[1]]).unwrap(), [10.0, 11.0, 12.0, 13.0]);
    std::fs::write(place.join("config.json"), r#"{"model_type":"bert","hidden_size":5}"#).unwrap();
    let said = embed(&load(&library, &place).unwrap(), &[&[1]]).unwrap_err().to_string();
    assert!(said.contains("features") && said.contains("[1, 1, 5]"), "{said}");
    std::fs::write(place.join("config.json"), r#"{"model_type":"bert"}"#).unwrap();
    assert!(refusal(&library, &place).contains("hidden_size"));
}

#[test]
fn a_token_beyond_the_table_is_a_fault_of_that_batch() {
    let Some(library) = library() else { return };
    let model = load(&library, &folder("beyond", &encoder(4).encode_to_vec())).unwrap();
    let fault = embed(&model, &[&[1, ROWS as u32]]).unwrap_err();
    assert!(matches!(fault, backend::Error::Library { .. }), "{fault}");
    assert!(matches!(embed(&model, &[&[]]), Err(backend::Error::Empty)));
    assert_eq!(embed(&model, &[&[1]]).unwrap()[0], 10.0);
}

#[test]
fn logits() {
    let Some(library) = library() else { return };
    let mut model = encoder(1);
    let graph = model.graph.as_mut().unwrap();
    let axes = Attribute { name: "axes".into(), integers: vec![1], kind: 7, ..Default::default() };
    let attributes = vec![axes, integer("keepdims", 0)];
    graph.nodes[0].outputs[0] = "rows".into();
    graph.nodes.push(node("ReduceMax", &["rows"], "logits", attributes));
    graph.outputs = vec![value("logits", F32, &[None, Some(1)])];
    let place = folder("logits", &model.encode_to_vec());
    let settings = settings(&library);
    let load = |labels| Onnx::load(&source(&place, HeadSource::Classifier { labels }), &settings);
    let reranker = load(1).unwrap();
    assert_eq!(embed(&reranker, &[&[3, 4], &[5, 0, 0, 0, 0, 0, 0], &[2, 1]]).unwrap(), [40.0, 50.0, 20.0]);
    assert!(load(2).is_err_and(|error| error.to_string().contains("[texts, 2]")));
    assert!(refusal(&library, &place).contains("last_hidden_state"));
    let encoder = folder("no-logits", &encoder(4).encode_to_vec());
    let refused = Onnx::load(&source(&encoder, HeadSource::Classifier { labels: 1 }), &settings);
    assert!(refused.is_err_and(|error| error.to_string().contains("Embedder.load")));
}

/// An operator that may run without end, inside of a branch.
#[test]
fn a_loop_is_refused_wherever_it_stands() {
    let Some(library) = library() else { return };
    for op in ["Loop", "Scan"] {
        let inner = Graph { nodes: vec![node(op, &[], "x", vec![])], ..Default::default() };
        let branch =
            Attribute { name: "then_branch".into(), graph: Some(inner), kind: 5, ..Default::default() };
        let mut model = encoder(4);
        model.graph.as_mut().unwrap().nodes.push(node("If", &["input_ids"], "y", vec![branch]));
        let said = refusal(&library, &folder(&format!("branch-{op}"), &model.encode_to_vec()));
        assert!(said.contains(&format!("operator {op} ")), "{said}");
    }
}

/// The mean of rows 3 and 4 made by the graph itself.
fn ready() -> Model {
    let mut model = encoder(4);
    let graph = model.graph.as_mut().unwrap();
    let axes = Attribute { name: "axes".into(), integers: vec![1], kind: 7, ..Default::default() };
    graph.nodes[0].outputs[0] = "rows".into();
    graph.nodes.push(node("ReduceMax", &["rows"], "sentence_embedding", vec![axes, integer("keepdims", 0)]));
    graph.outputs = vec![value("sentence_embedding", F32, &[None, Some(4)])];
    model
}

#[test]
fn a_vector_that_the_graph_makes_is_taken_as_it_is() {
    let Some(library) = library() else { return };
    let mut model = ready();
    let place = folder("ready", &model.encode_to_vec());
    let loaded = load(&library, &place).unwrap();
    assert_eq!(embed(&loaded, &[&[3, 4], &[5]]).unwrap()[..5], [40.0, 41.0, 42.0, 43.0, 50.0]);
    let asked = backend_onnx::Settings { pools: true, ..settings(&library) };
    let refused = Onnx::load(&source(&place, mean()), &asked);
    assert!(refused.is_err_and(|error| error.to_string().contains("pooled already")));
    // Rows of tokens are pooled here, where options apply.
    let graph = model.graph.as_mut().unwrap();
    graph.nodes.push(node("Identity", &["rows"], "token_embeddings", vec![]));
    graph.outputs.push(value("token_embeddings", F32, &[None, None, Some(4)]));
    let both = load(&library, &folder("both", &model.encode_to_vec())).unwrap();
    assert_eq!(embed(&both, &[&[3, 4]]).unwrap()[0], 35.0);
    assert!(loaded.pools() && !both.pools());
}

#[test]
fn half_precision() {
    let Some(library) = library() else { return };
    let mut model = encoder(4);
    let graph = model.graph.as_mut().unwrap();
    let table = table(4);
    let halves = table.chunks_exact(4).flat_map(|bytes| {
        let value = f32::from_le_bytes(bytes.try_into().unwrap());
        half::f16::from_f32(value).to_le_bytes()
    });
    (graph.initializers[0].data_type, graph.initializers[0].raw) = (F16, Some(halves.collect()));
    graph.outputs = vec![value("last_hidden_state", F16, &[None, None, Some(4)])];
    let place = folder("half", &model.encode_to_vec());
    let loaded = load(&library, &place).unwrap();
    assert_eq!(loaded.description().dtype, "f16");
    assert_eq!(embed(&loaded, &[&[3, 4]]).unwrap(), [35.0, 36.0, 37.0, 38.0]);
    let asked = backend_onnx::Settings { dtype: Some("f32".into()), ..settings(&library) };
    let refused = Onnx::load(&source(&place, mean()), &asked);
    assert!(refused.is_err_and(|error| error.to_string().contains("the graph is of f16")));
}

#[test]
fn an_adapter_is_refused_by_name() {
    let mut source = source(&folder("adapter", &encoder(4).encode_to_vec()), mean());
    source.adapter = Some(source.folder.clone());
    let refused = Onnx::load(&source, &settings(Path::new("nowhere.so")));
    assert!(matches!(refused, Err(LoadError::Unavailable { .. })));
}

#[test]
fn a_file_that_is_not_whole_is_refused() {
    let Some(library) = library() else { return };
    let whole = encoder(4).encode_to_vec();
    for length in (0..whole.len()).rev() {
        let place = folder("cut", &whole[..length]);
        assert!(!refusal(&library, &place).is_empty(), "{length} bytes");
    }
    let mut state = 7_u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    for _ in 0..200 {
        let bytes: Vec<u8> = (0..300).map(|_| noise()).collect();
        refusal(&library, &folder("noise", &bytes));
    }
    // One byte is another: whatever it becomes, it is an answer.
    for place in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[place] ^= noise() | 1;
        match load(&library, &folder("flipped", &bytes)) {
            Ok(model) => drop(embed(&model, &[&[1, 2]])),
            Err(error) => assert!(matches!(error, LoadError::Model(_)), "{place}: {error}"),
        }
    }
}

#[test]
fn nesting_without_end_is_refused() {
    let Some(library) = library() else { return };
    // From inside: a graph in an attribute, the attribute in a node, the node in a graph, and so on.
    let mut bytes = Vec::new();
    for tag in [6_u8, 5, 1].iter().cycle().take(30_000) {
        let mut around = vec![tag << 3 | 2];
        prost::encoding::encode_varint(bytes.len() as u64, &mut around);
        bytes.splice(0..0, around);
    }
    let mut model = vec![7 << 3 | 2];
    prost::encoding::encode_varint(bytes.len() as u64, &mut model);
    model.extend(bytes);
    let said = refusal(&library, &folder("nested", &model));
    assert!(said.contains("recursion"), "{said}");
}

#[test]
fn files_of_the_collection() {
    let (Some(library), Some(data)) = (library(), std::env::var_os("EMBED_NATIVE_DATA")) else { return };
    for (name, file, reason) in [
        ("magika", "fixtures/wrong-kind/magika-standard_v3_3.onnx", "GlobalMaxPool"),
        ("interrupted", "corrupt/all-MiniLM-L6-v2.model_quantized.TRUNCATED.onnx", "cut short"),
        ("weights", "fixtures/wrong-kind/silero_vad_16k.safetensors", "not an ONNX model"),
    ] {
        let bytes = std::fs::read(Path::new(&data).join(file)).unwrap();
        let said = refusal(&library, &folder(name, &bytes));
        assert!(said.contains(reason), "{name}: {said}");
    }
}

#[test]
fn an_export_that_is_absent() {
    let Some(library) = library() else { return };
    let place = folder("absent", &[]);
    std::fs::remove_file(place.join("onnx/model.onnx")).unwrap();
    assert!(matches!(load(&library, &place), Err(LoadError::Model(nn::Error::NotFound { .. }))));
    std::fs::write(place.join("onnx/model_O3.onnx"), encoder(4).encode_to_vec()).unwrap();
    assert!(refusal(&library, &place).contains("there are onnx/model_O3.onnx"));
    std::fs::write(place.join("model.onnx"), encoder(4).encode_to_vec()).unwrap();
    assert!(load(&library, &place).is_ok());
}
