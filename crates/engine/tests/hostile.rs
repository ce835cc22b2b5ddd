//! Model folders that mean harm: each gives an error with a code, soon, and no thread is lost.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use engine::{CallSettings, LoadOptions, Model, Request, Task, Ticket};
use serde_json::{Value, json};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../__test__/data/tiny-models").join(name)
}

/// A copy of a tiny model in a place of its own.
fn copy(model: &str, name: &str) -> PathBuf {
    let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("hostile").join(name);
    drop(std::fs::remove_dir_all(&place));
    copy_folder(&data(model), &place);
    place
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in from.read_dir().unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target)
        } else {
            std::fs::copy(entry.path(), target).map(drop).unwrap()
        }
    }
}

/// The code of the fault, if it comes within ten seconds.
fn code(folder: PathBuf) -> &'static str {
    let (send, receive) = mpsc::channel();
    let load = move || Model::load(&folder.to_string_lossy(), &LoadOptions::default(), Task::Embed).map(drop);
    engine::spawn(load, move |outcome| {
        send.send(outcome.map_or_else(|error| error.code(), |()| "loaded")).unwrap();
    });
    receive.recv_timeout(Duration::from_secs(10)).expect("an answer within ten seconds")
}

fn with_field(model: &str, field: &str, value: Value) -> PathBuf {
    let folder = copy(model, &format!("{model}-{field}-{}", value.to_string().replace(['"', '/', ' '], "_")));
    let path = folder.join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    config[field] = value;
    std::fs::write(path, config.to_string()).unwrap();
    folder
}

#[test]
fn absurd_config_fields() {
    let sizes =
        ["hidden_size", "num_attention_heads", "intermediate_size", "num_hidden_layers", "vocab_size"];
    let values =
        [json!(-1), json!(1.5), json!("8"), json!(null), json!(1_000_000_000_000_u64), json!(1_u64 << 63)];
    for model in
        ["bert-mean", "modernbert-mean", "qwen3-last", "albert-labels", "jina-v2-mean", "mpnet-labels"]
    {
        for field in sizes {
            for value in &values {
                let code = code(with_field(model, field, value.clone()));
                assert!(code.starts_with("ERR_MODEL_"), "{model} {field} {value}: {code}");
            }
        }
    }
    for (field, value) in [
        ("head_dim", json!(100_000_000_000_u64)),
        ("head_dim", json!(15)),
        ("num_key_value_heads", json!(0)),
        ("num_key_value_heads", json!(3)),
        ("rope_theta", json!(0)),
        ("rope_theta", json!(-1.0)),
        ("rope_scaling", json!({ "rope_type": "yarn" })),
        ("hidden_act", json!("swishy")),
    ] {
        let code = code(with_field("qwen3-last", field, value.clone()));
        assert!(code.starts_with("ERR_MODEL_"), "{field} {value}: {code}");
    }
    assert_eq!(code(with_field("modernbert-mean", "num_attention_heads", json!(32))), "ERR_MODEL_FILE");
}

/// Fields that would change the result, or cost without end, and that no weight contradicts.
#[test]
fn fields_of_encoders() {
    let (file, unsupported) = ("ERR_MODEL_FILE", "ERR_MODEL_UNSUPPORTED");
    for (model, field, value, want) in [
        ("albert-labels", "num_hidden_layers", json!(1_000_000), file),
        ("albert-labels", "num_hidden_groups", json!(0), file),
        ("albert-labels", "embedding_size", json!(0), file),
        ("albert-labels", "position_embedding_type", json!("relative_key"), unsupported),
        ("bert-mean", "position_embedding_type", json!("relative_key_query"), unsupported),
        ("bert-mean", "is_decoder", json!(true), unsupported),
        ("distilbert-labels", "n_heads", json!(5), file),
        ("distilbert-labels", "activation", json!("laplace"), unsupported),
        ("distilbert-labels", "sinusoidal_pos_embds", json!(true), "loaded"),
        ("electra-labels", "embedding_size", json!(24), file),
        ("electra-labels", "is_decoder", json!(true), unsupported),
        ("jina-v2-mean", "feed_forward_type", json!("swiglu"), unsupported),
        ("jina-v2-mean", "feed_forward_type", json!("original"), file),
        ("jina-v2-mean", "is_decoder", json!(true), unsupported),
        ("jina-v2-mean", "max_position_embeddings", json!(0), file),
        ("jina-v2-mean", "max_position_embeddings", json!(1_u64 << 40), file),
        ("mpnet-labels", "relative_attention_num_buckets", json!(16), file),
        ("roberta-labels", "pad_token_id", json!(97), file),
        ("roberta-labels", "pad_token_id", json!(u32::MAX), file),
        ("roberta-labels", "is_decoder", json!(true), unsupported),
    ] {
        assert_eq!(code(with_field(model, field, value.clone())), want, "{model} {field} {value}");
    }
}

/// One of each way to compute.
const ROTARY: [&str; 7] = [
    "eurobert-longrope",
    "gemma3-window",
    "gte-ntk",
    "llama-yarn",
    "nomic-bert-biased",
    "nomic-bert-dynamic",
    "t5-gated",
];

/// No number in any field may do more than fail, at load or with the text.
#[test]
fn absurd_numbers_anywhere() {
    let values = [json!(0), json!(1_u64 << 63)];
    for model in ROTARY {
        let config: Value =
            serde_json::from_slice(&std::fs::read(data(model).join("config.json")).unwrap()).unwrap();
        for (field, given) in config.as_object().unwrap() {
            for value in values.iter().filter(|_| given.is_number()) {
                harmless(model, field, value.clone());
            }
            for (inner, value) in given
                .as_object()
                .into_iter()
                .flatten()
                .flat_map(|(inner, _)| values.iter().map(move |value| (inner, value)))
            {
                let mut changed = given.clone();
                changed[inner] = value.clone();
                harmless(model, field, changed);
            }
        }
    }
}

fn harmless(model: &str, field: &str, value: Value) {
    let case = format!("{model} {field} {value}");
    let folder = with_field(model, field, value);
    let code = code(folder.clone());
    assert!(code == "loaded" || code.starts_with("ERR_MODEL_"), "{case}: {code}");
    if code == "loaded" {
        let embedder = Model::load(&folder.to_string_lossy(), &LoadOptions::default(), Task::Embed).unwrap();
        let (send, receive) = mpsc::channel();
        let texts = vec!["a text of more than twenty tokens that makes long rotations turn ".repeat(2)];
        let request = Request { texts, settings: CallSettings::default(), ticket: Ticket::default() };
        embedder.run(request, move |rows| send.send(rows).unwrap());
        let outcome = receive.recv_timeout(Duration::from_secs(10)).expect("an answer within ten seconds");
        let faults: Vec<_> = match outcome {
            Ok(rows) => rows.faults.iter().map(|fault| fault.error.code()).collect(),
            Err(error) => vec![error.code()],
        };
        assert!(!faults.contains(&"ERR_INTERNAL"), "{case}: {faults:?}");
    }
}

/// What the reference would compute otherwise is refused, not passed over.
#[test]
fn unsupported_fields_of_rotary_models() {
    for (model, field, value) in [
        ("gemma3-window", "attn_logit_softcapping", json!(50.0)),
        ("gemma3-window", "rope_parameters", json!({ "rope_type": "default", "rope_theta": 5.0 })),
        ("gemma3-window", "layer_types", json!(["full_attention", "chunked_attention", "full_attention"])),
        ("gte-ntk", "logn_attention_scale", json!(true)),
        ("gte-ntk", "position_embedding_type", json!("absolute")),
        ("gte-ntk", "layer_norm_type", json!("batch_norm")),
        ("jina-v3-hub", "position_embedding_type", json!("absolute")),
        ("llama-yarn", "rope_scaling", json!({ "rope_type": "mrope" })),
        ("llama-yarn", "partial_rotary_factor", json!(0.5)),
        ("nomic-bert-biased", "num_experts", json!(8)),
        ("nomic-bert-biased", "prenorm", json!(true)),
        ("nomic-bert-biased", "use_rms_norm", json!(true)),
        ("nomic-bert-biased", "causal", json!(true)),
        ("nomic-bert-biased", "rotary_emb_scale_base", json!(512)),
        ("nomic-bert-biased", "rotary_emb_fraction", json!(0)),
        ("nomic-bert-biased", "activation_function", json!("gelu_fast")),
        ("t5-gated", "feed_forward_proj", json!("gated-swishy")),
    ] {
        let code = code(with_field(model, field, value.clone()));
        assert_eq!(code, "ERR_MODEL_UNSUPPORTED", "{model} {field} {value}");
    }
    let own = with_field("jina-v3-hub", "auto_map", json!({ "AutoModel": "else--modeling.Model" }));
    assert_eq!(code(own), "ERR_MODEL_UNSUPPORTED");
}

#[test]
fn modules_out_of_order_or_without_end() {
    let module = |class: &str, path: &str| json!({ "type": class, "path": path });
    let transformer = module("sentence_transformers.models.Transformer", "");
    let pooling = module("sentence_transformers.models.Pooling", "1_Pooling");
    let normalize = module("sentence_transformers.models.Normalize", "2_Normalize");
    let evil = module("evil.Pooling", "1_Pooling");
    let many: Vec<Value> =
        std::iter::once(transformer.clone()).chain(std::iter::repeat_n(pooling.clone(), 5000)).collect();
    for (name, modules, want) in [
        ("twice", json!([transformer, pooling, pooling]), "ERR_MODEL_UNSUPPORTED"),
        ("early", json!([transformer, normalize, pooling]), "ERR_MODEL_UNSUPPORTED"),
        ("none", json!([transformer]), "ERR_MODEL_UNSUPPORTED"),
        ("evil", json!([transformer, evil]), "ERR_MODEL_UNSUPPORTED"),
        ("many", json!(many), "ERR_MODEL_FILE"),
        (
            "dot",
            json!([transformer, module("sentence_transformers.models.Pooling", "./1_Pooling")]),
            "loaded",
        ),
    ] {
        let folder = copy("bert-mean", name);
        std::fs::write(folder.join("modules.json"), modules.to_string()).unwrap();
        assert_eq!(code(folder), want, "{name}");
    }
}

#[cfg(unix)]
#[test]
fn pipes_devices_and_links_that_lead_nowhere() {
    let files = [
        "config.json",
        "modules.json",
        "sentence_bert_config.json",
        "config_sentence_transformers.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "1_Pooling/config.json",
        "model.safetensors",
    ];
    for (number, file) in files.into_iter().enumerate() {
        let replaced = |kind: &str| {
            let folder = copy("bert-mean", &format!("{kind}-{number}"));
            std::fs::remove_file(folder.join(file)).unwrap();
            (folder.clone(), folder.join(file))
        };
        let (folder, path) = replaced("folder");
        std::fs::create_dir(path).unwrap();
        assert_eq!(code(folder), "ERR_MODEL_FILE", "{file} as a folder");
        let (folder, path) = replaced("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert_eq!(code(folder), "ERR_MODEL_FILE", "{file} as a pipe");
        for (kind, target) in
            [("zero", "/dev/zero"), ("nowhere", "nowhere"), ("loop", path.to_str().unwrap())]
        {
            let (folder, path) = replaced(kind);
            std::os::unix::fs::symlink(if kind == "loop" { path.to_str().unwrap() } else { target }, &path)
                .unwrap();
            let code = code(folder);
            assert!(code == "ERR_MODEL_FILE" || code == "ERR_MODEL_NOT_FOUND", "{file} as {kind}: {code}");
        }
    }
}

#[test]
fn a_missing_tokenizer_is_named() {
    let folder = copy("bert-mean", "no-tokenizer");
    std::fs::remove_file(folder.join("tokenizer.json")).unwrap();
    let Err(error) = Model::load(&folder.to_string_lossy(), &LoadOptions::default(), Task::Embed) else {
        panic!("loaded")
    };
    assert_eq!(error.code(), "ERR_MODEL_NOT_FOUND");
    assert!(error.to_string().contains("tokenizer.json: not found"), "{error}");
}

#[test]
fn headers_that_promise_too_much() {
    for (name, length, size) in
        [("sparse", (4_u64 << 40) - 8, 4_u64 << 40), ("lie", 1 << 40, 64), ("max", u64::MAX, 64)]
    {
        let folder = copy("bert-mean", name);
        let file = std::fs::File::create(folder.join("model.safetensors")).unwrap();
        if file.set_len(size).is_err() {
            continue; // a file system without sparse files
        }
        (&file).write_all(&length.to_le_bytes()).unwrap();
        drop(file);
        assert_eq!(code(folder.clone()), "ERR_MODEL_FILE", "{name}");
        std::fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn a_git_lfs_pointer_says_what_to_do() {
    let folder = copy("bert-mean", "lfs");
    let pointer = "version 1\noid sha256:0\nsize 90868376\n";
    std::fs::write(folder.join("model.safetensors"), pointer).unwrap();
    let Err(error) = Model::load(&folder.to_string_lossy(), &LoadOptions::default(), Task::Embed) else {
        panic!("loaded")
    };
    assert!(error.to_string().contains("git lfs pull"), "{error}");
}

#[test]
fn tokenizers_with_the_same_file_and_other_settings_are_two() {
    let limit = |folder: &Path, length: usize| {
        let settings = json!({ "model_max_length": length });
        std::fs::write(folder.join("tokenizer_config.json"), settings.to_string()).unwrap();
        std::fs::remove_file(folder.join("sentence_bert_config.json")).unwrap();
    };
    let (one, other) = (copy("bert-mean", "settings-one"), copy("bert-mean", "settings-other"));
    limit(&one, 16);
    limit(&other, 8);
    std::fs::remove_file(other.join("tokenizer.json")).unwrap();
    std::fs::hard_link(one.join("tokenizer.json"), other.join("tokenizer.json")).unwrap();
    let load =
        |folder: &Path| Model::load(&folder.to_string_lossy(), &LoadOptions::default(), Task::Embed).unwrap();
    let (one, other) = (load(&one), load(&other));
    assert_eq!((one.info().max_length, other.info().max_length), (16, 8));
    assert_ne!(one.info().fingerprint, other.info().fingerprint);
}
