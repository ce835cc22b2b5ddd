"""Writes pipelines.json: what sentence-transformers makes of `tiny-models/bert-mean` behind other module files.

Each case holds the files that replace the folder's own (JSON as it is, weights in base64; null removes it), and for
each call the vector of the reference, in f32, one text at a time. `crates/engine/tests/pipelines.rs` reads them.

    python __test__/data/make_pipelines.py
"""

import base64
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import sentence_transformers
import torch
import transformers
from safetensors.numpy import save
from sentence_transformers import SentenceTransformer

HOME = Path(__file__).parent
BASE = HOME / "tiny-models" / "bert-mean"
SHORT = "A man is playing a guitar."
TEXTS = [SHORT, "", "One two three four five six seven eight nine ten, and " * 6]
OLD, BASE_NEW = "sentence_transformers.models.", "sentence_transformers.base.modules."
NEW = {
    "Transformer": BASE_NEW + "transformer.",
    "Dense": BASE_NEW + "dense.",
    "LayerNorm": "sentence_transformers.sentence_transformer.modules.layer_norm.",
    "Normalize": BASE_NEW + "normalize.",
    "Pooling": "sentence_transformers.sentence_transformer.modules.pooling.",
}
OLD_FIELDS = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}
random = np.random.default_rng(11)


def modules(*names, spelling=OLD):
    def entry(place, name):
        package = OLD if spelling == OLD else NEW[name]
        return {"idx": place, "name": str(place), "path": f"{place}_{name}" if place else "", "type": package + name}

    return [entry(place, name) for place, name in enumerate(["Transformer", *names])]


def old(*modes, **more):
    """The spelling up to 5.3: one field a mode, all of them written."""
    return {"word_embedding_dimension": 48} | {field: mode in modes for mode, field in OLD_FIELDS.items()} | more


def new(mode, **more):
    """The spelling since 5.4."""
    return {"embedding_dimension": 48, "pooling_mode": mode, "include_prompt": True} | more


def dense(inputs, outputs, activation, bias=True):
    """The two files of a Dense module."""
    tensors = {"linear.weight": random.standard_normal((outputs, inputs)).astype(np.float32) * 0.2}
    if bias:
        tensors["linear.bias"] = random.standard_normal(outputs).astype(np.float32) * 0.1
    config = {"in_features": inputs, "out_features": outputs, "bias": bias, "activation_function": activation}
    return config, base64.b64encode(save(tensors)).decode()


def layer_norm(columns):
    """The two files of a LayerNorm module."""
    weight, bias = (random.standard_normal(columns).astype(np.float32) * 0.2 for _ in range(2))
    return {"dimension": columns}, base64.b64encode(save({"norm.weight": 1 + weight, "norm.bias": bias})).decode()


def case(name, files, calls=({},)):
    return {"name": name, "files": files, "calls": list(calls)}


def pooled(name, config, calls=({},), **files):
    """A pipeline of Transformer and Pooling."""
    return case(name, {"modules.json": modules("Pooling"), "1_Pooling/config.json": config} | files, calls)


PROMPTS = {"prompts": {"query": "query: ", "passage": "passage: the "}, "default_prompt_name": "passage"}
PROMPTED = [{}, {"prompt_name": "query"}, {"prompt": "Find "}, {"prompt": ""}, {"task": "query"}]
WIDE, WIDE_WEIGHTS = dense(96, 40, "torch.nn.modules.activation.Tanh")
MIDDLE, MIDDLE_WEIGHTS = dense(48, 40, "torch.nn.modules.activation.GELU", bias=False)
NARROW, NARROW_WEIGHTS = dense(40, 12, "torch.nn.modules.linear.Identity")
NORM, NORM_WEIGHTS = layer_norm(48)
CUTS = [{}, {"dimensions": 16}, {"dimensions": 16, "normalize": True}, {"dimensions": 48, "normalize": True}]


def cases():
    for mode in OLD_FIELDS:
        yield pooled(f"old {mode}", old(mode))
        yield pooled(f"new {mode}", new(mode))
    yield pooled("old cls+max+mean", old("cls", "max", "mean"))
    yield pooled("old all six", old(*OLD_FIELDS))
    yield pooled("new mean+cls, in its own order", new(["mean", "cls"]))
    yield pooled("new list of one", new(["max"]))
    for mode in OLD_FIELDS:
        config = {"config_sentence_transformers.json": PROMPTS}
        yield pooled(f"{mode} without its prompt", old(mode, include_prompt=False), PROMPTED, **config)
    yield pooled("a default prompt", new("mean"), PROMPTED, **{"config_sentence_transformers.json": PROMPTS})
    only = {"prompts": {"passage": "passage: the "}, "default_prompt_name": "passage"}
    calls = [{}, {"task": "query"}]
    yield pooled("a default prompt is not for queries", new("mean"), calls, **{"config_sentence_transformers.json": only})
    nothing = {"prompts": {"query": None, "document": ""}, "default_prompt_name": None}
    yield pooled("prompts of nothing", new("mean"), **{"config_sentence_transformers.json": nothing})
    yield pooled("shorter texts", new("mean"), [{}, {"side": "left"}], **{"sentence_bert_config.json": {"max_seq_length": 9}})
    sides = [{"side": "left"}, {"side": "left", "prompt_name": "query"}, {"side": "left", "max_length": 20}]
    config = {"config_sentence_transformers.json": PROMPTS, "sentence_bert_config.json": {"max_seq_length": 24}}
    yield pooled("the left end cut", new("mean", include_prompt=False), sides, **config)
    yield pooled("cut", new("mean"), CUTS)
    yield pooled("cut by its file", new("mean"), [{}, {"normalize": True}], **{"config_sentence_transformers.json": {"truncate_dim": 20}})
    yield pooled("no length in its file", new("mean"), **{"sentence_bert_config.json": {"do_lower_case": True}})
    for spelling, pooling in [(OLD, old("mean")), (NEW, new("mean"))]:
        files = {"modules.json": modules("Pooling", "Normalize", spelling=spelling), "1_Pooling/config.json": pooling}
        yield case(f"normalised, {'old' if spelling == OLD else 'new'}", files, [{}, {"dimensions": 16, "normalize": True}])
    yield case(
        "two Dense, new",
        {
            "modules.json": modules("Pooling", "Dense", "Dense", "Normalize", spelling=NEW),
            "1_Pooling/config.json": new("mean"),
            "2_Dense/config.json": MIDDLE,
            "2_Dense/model.safetensors": MIDDLE_WEIGHTS,
            "3_Dense/config.json": NARROW,
            "3_Dense/model.safetensors": NARROW_WEIGHTS,
        },
        [{}, {"dimensions": 5, "normalize": True}],
    )
    yield case(
        "Dense behind two modes",
        {
            "modules.json": modules("Pooling", "Dense"),
            "1_Pooling/config.json": old("cls", "mean"),
            "2_Dense/config.json": WIDE,
            "2_Dense/model.safetensors": WIDE_WEIGHTS,
        },
    )
    for spelling, pooling in [(OLD, old("mean")), (NEW, new("mean"))]:
        yield case(
            f"LayerNorm before the cut, {'old' if spelling == OLD else 'new'}",
            {
                "modules.json": modules("Pooling", "LayerNorm", "Normalize", spelling=spelling),
                "1_Pooling/config.json": pooling,
                "2_LayerNorm/config.json": NORM,
                "2_LayerNorm/model.safetensors": NORM_WEIGHTS,
            },
            [{}, {"dimensions": 16, "normalize": True}],
        )
    gone = {"modules.json": None, "1_Pooling/config.json": None}
    yield case("no modules.json", gone | {"sentence_bert_config.json": None})


def write(folder, files):
    for name, content in files.items():
        path = folder / name
        if content is None:
            path.unlink()
            continue
        path.parent.mkdir(exist_ok=True)
        if name.endswith(".json"):
            path.write_text(json.dumps(content))
        else:
            path.write_bytes(base64.b64decode(content))


def vector(model, text, call):
    """One text through `encode`, or `encode_query` where the call says so."""
    length = model.max_seq_length
    model.tokenizer.truncation_side = call.get("side", "right")
    model.max_seq_length = call.get("max_length", length)
    encode = model.encode_query if call.get("task") == "query" else model.encode
    options = {"normalize_embeddings": call.get("normalize", False)}
    options |= {name: call[name] for name in ("prompt", "prompt_name") if name in call}
    if "dimensions" in call:
        options["truncate_dim"] = call["dimensions"]
    found = encode([text], **options)[0]
    model.max_seq_length = length
    return [float(f"{value:.9g}") for value in found]


def answered(one):
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "model"
        shutil.copytree(BASE, folder)
        write(folder, one["files"])
        model = SentenceTransformer(str(folder), device="cpu", model_kwargs={"attn_implementation": "eager"})
        calls = [call | {"vectors": [vector(model, text, call) for text in TEXTS]} for call in one["calls"]]
    return one | {"calls": calls}


golden = {
    "versions": {
        "sentence_transformers": sentence_transformers.__version__,
        "transformers": transformers.__version__,
        "torch": torch.__version__,
    },
    "base": "tiny-models/bert-mean",
    "texts": TEXTS,
    "cases": [answered(one) for one in cases()],
}
text = json.dumps(golden, ensure_ascii=False)
(HOME / "pipelines.json").write_text(text.replace('{"name"', '\n{"name"') + "\n")
