"""Makes the `splade-*` folders of `tiny-models`, `judge-qwen3` and `late-pylate`: small random models with the heads that
give weights of the vocabulary, answers of a language model, and vectors of tokens, in f32, one text at a time, by
transformers and sentence-transformers. The tokenizer files are not made: they are copied from the folders named in `FROM`.
Deterministic. Needs torch, transformers and sentence-transformers 6."""

import json
import pathlib
import shutil
import string

import torch
import transformers
from make_models import SHAPE, TEXTS, encode, here, randomise, rounded
from safetensors.torch import save_file

MODERN = {"vocab_size": 609, "pad_token_id": 604, "norm_bias": True, "local_attention": 16, "classifier_bias": True}
# Folder, architecture, config, whether the output layer is its own
SPLADES = [
    ("splade-bert-own", "Bert", SHAPE | {"hidden_act": "gelu_new", "tie_word_embeddings": False}),
    ("splade-distilbert", "DistilBert", {"vocab_size": 600, "dim": 24, "n_layers": 1, "n_heads": 2, "hidden_dim": 36}),
    ("splade-roberta", "Roberta", SHAPE | {"vocab_size": 601, "hidden_act": "relu", "max_position_embeddings": 98}),
    ("splade-mpnet", "MPNet", SHAPE | {"max_position_embeddings": 98}),
    ("splade-modernbert", "ModernBert", SHAPE | MODERN | {"hidden_size": 36}),
    ("splade-bert-sum", "Bert", SHAPE),
]
# Those of others: the largest over tokens, of one logarithm
POOLINGS = {"splade-bert-sum": {"pooling_strategy": "sum", "activation_function": "log1p_relu"}}
FROM = {
    "splade-bert-own": "bert-gamma",
    "splade-bert-sum": "bert-gamma",
    "splade-distilbert": "distilbert-labels",
    "splade-roberta": "roberta-labels",
    "splade-mpnet": "mpnet-labels",
    "splade-modernbert": "modernbert-labels",
    "judge-qwen3": "qwen3-last",
    "late-pylate": "bert-gamma",
}
VERSIONS = {"torch": torch.__version__, "transformers": transformers.__version__}
LONGEST = 90


def folder_of(name):
    """A folder with the tokenizer it takes over."""
    folder = here / name
    folder.mkdir(exist_ok=True)
    for file in ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]:
        if (here / FROM[name] / file).exists():
            shutil.copyfile(here / FROM[name] / file, folder / file)
    return folder


def write(folder, model, architecture, golden, extra=()):
    config = json.loads(model.config.to_json_string(use_diff=False))
    config["architectures"] = [architecture]
    tensors = {name: tensor.contiguous().clone() for name, tensor in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        tied = ["lm_head.weight", "lm_head.decoder.weight", "cls.predictions.decoder.weight", "vocab_projector.weight", "decoder.weight"]
        tensors = {name: tensor for name, tensor in tensors.items() if name not in tied}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    for path, content in [("config.json", config), *extra]:
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(json.dumps(content, indent=2) + "\n")
    items = golden.pop("items", None) or golden.pop("pairs")
    key = "pairs" if "query" in items[0] else "items"
    lines = ",\n".join(json.dumps(item, ensure_ascii=False) for item in items)
    head = json.dumps(golden | {"versions": VERSIONS})[:-1]
    (folder / "golden.json").write_text(f'{head}, "{key}": [\n{lines}\n]}}\n')


def splade(name, architecture, fields, seed):
    torch.manual_seed(seed)
    config = getattr(transformers, f"{architecture}Config")(**fields)
    model = getattr(transformers, f"{architecture}ForMaskedLM")._from_config(config, attn_implementation="eager").eval()
    randomise(model)
    model.tie_weights()
    folder, items = folder_of(name), []
    pooling = POOLINGS.get(name, {"pooling_strategy": "max", "activation_function": "relu"})
    for text, (ids, note) in zip(TEXTS, encode(folder, LONGEST)):
        with torch.no_grad():
            weights = torch.log1p(torch.relu(model(torch.tensor([ids])).logits[0]))
        if pooling["activation_function"] == "log1p_relu":
            weights = torch.log1p(weights)
        weights = weights.sum(0) if pooling["pooling_strategy"] == "sum" else weights.amax(0)
        indices = weights.nonzero().flatten()
        numbers = {"indices": indices.tolist(), "values": [float(f"{value:.7g}") for value in weights[indices]]}
        items.append({"text": text, "note": note, "n_tokens": len(ids), "input_ids": ids} | numbers)
    extra = [("modules.json", [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.sparse_encoder.models.MLMTransformer"},
        {"idx": 1, "name": "1", "path": "1_SpladePooling", "type": "sentence_transformers.sparse_encoder.models.SpladePooling"},
    ]), ("1_SpladePooling/config.json", pooling),
        ("sentence_bert_config.json", {"max_seq_length": LONGEST, "do_lower_case": False})]
    golden = {"task": "sparse", "arch": config.model_type, "items": items}
    write(folder, model, f"{architecture}ForMaskedLM", golden, extra)


def router(name, seed):
    """Queries by a table alone, documents by `splade-bert-own`, as sentence-transformers saves both."""
    import sentence_transformers
    from sentence_transformers.base.modules.router import Router
    from sentence_transformers.sparse_encoder.modules import MLMTransformer, SparseStaticEmbedding, SpladePooling

    torch.manual_seed(seed)
    source = str(here / "splade-bert-own")
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    weights = torch.rand(len(tokenizer.get_vocab())) * 3
    weights[::5], weights[3] = 0, -0.5
    table = SparseStaticEmbedding(tokenizer=tokenizer, weight=weights, frozen=True)
    documents = [MLMTransformer(source, max_seq_length=LONGEST), SpladePooling(embedding_dimension=600)]
    routed = Router.for_query_document(query_modules=[table], document_modules=documents)
    shutil.rmtree(here / name, ignore_errors=True)
    sentence_transformers.SparseEncoder(modules=[routed]).save_pretrained(str(here / name))
    (here / name / "README.md").unlink(missing_ok=True)
    model, items = sentence_transformers.SparseEncoder(str(here / name), device="cpu"), []
    for task, embed in [("query", model.encode_query), ("document", model.encode_document)]:
        for text in TEXTS:
            found = embed([text], convert_to_sparse_tensor=False, convert_to_tensor=True)[0]
            indices = found.nonzero().flatten()
            values = [float(f"{value:.7g}") for value in found[indices]]
            items.append({"task": task, "text": text, "indices": indices.tolist(), "values": values})
    lines = ",\n".join(json.dumps(item, ensure_ascii=False) for item in items)
    head = json.dumps({"versions": VERSIONS})[:-1]
    (here / name / "golden-router.json").write_text(f'{head}, "items": [\n{lines}\n]}}\n')


PREFIX = (
    '<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. '
    'Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
)
SUFFIX = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"


def judge(name, seed, longest):
    """Qwen3-Reranker's way: the two answers' logits behind the last token, of a body that is cut alone."""
    import tokenizers

    torch.manual_seed(seed)
    folder = folder_of(name)
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    ids_of = lambda text: tokenizer.encode(text, add_special_tokens=False).ids
    words = {"hidden_size": 24, "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 8, "num_hidden_layers": 2}
    words |= {"vocab_size": tokenizer.get_vocab_size(), "intermediate_size": 40, "tie_word_embeddings": False}
    config = transformers.Qwen3Config(**words, max_position_embeddings=longest)
    model = transformers.Qwen3ForCausalLM._from_config(config, attn_implementation="eager").eval()
    randomise(model)
    no, yes = tokenizer.token_to_id("no"), tokenizer.token_to_id("yes")
    before, after, pairs = ids_of(PREFIX), ids_of(SUFFIX), []
    for query, document in zip(TEXTS, TEXTS[1:] + TEXTS[:1]):
        body = ids_of(f"<Instruct>: {INSTRUCTION}\n<Query>: {query}\n<Document>: {document}")
        room = longest - len(before) - len(after)
        ids = before + body[:room] + after
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, -1]
        pair = {"query": query, "document": document, "n_tokens": len(ids), "body_truncated": len(body) > room}
        pairs.append(pair | {"logit_diff": float(logits[yes] - logits[no])})
    write(folder, model, "Qwen3ForCausalLM", {"task": "rerank", "arch": "qwen3", "suffix": SUFFIX, "pairs": pairs})


def late(name, seed):
    """PyLate's layout, whose expansion the other tokens see."""
    import sentence_transformers

    torch.manual_seed(seed)
    folder = folder_of(name)
    config = transformers.BertConfig(**SHAPE)
    model = transformers.BertModel._from_config(config, add_pooling_layer=False).eval()
    randomise(model)
    (folder / "1_Dense").mkdir(exist_ok=True)
    save_file({"linear.weight": torch.randn(16, 24)}, folder / "1_Dense" / "model.safetensors")
    knobs = {"query_prefix": "[Q] ", "document_prefix": "the ", "query_length": 20, "document_length": 40}
    knobs |= {"attend_to_expansion_tokens": True, "skiplist_words": list(string.punctuation), "prompts": {}}
    dense = {"in_features": 24, "out_features": 16, "bias": False}
    extra = [
        ("modules.json", [
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Dense", "type": "pylate.models.Dense.Dense"},
        ]),
        ("1_Dense/config.json", dense | {"activation_function": "torch.nn.modules.linear.Identity"}),
        ("sentence_bert_config.json", {"max_seq_length": 39, "do_lower_case": False}),
        ("config_sentence_transformers.json", knobs | {"model_type": "ColBERT"}),
    ]
    golden = {"task": "late", "arch": "bert", "items": [{"text": ""}]}
    write(folder, model, "BertModel", golden | {"items": [{"text": ""}]}, extra)
    encoder, items, vectors = sentence_transformers.MultiVectorEncoder(str(folder), device="cpu"), [], {}
    for task in ["query", "document"]:
        vectors[task] = []
        for text in TEXTS:
            embed = encoder.encode_query if task == "query" else encoder.encode_document
            found = torch.tensor(embed([text], convert_to_numpy=True)[0])
            kept = encoder.preprocess([text], task=task, prompt=encoder.prompts.get(task))["input_ids"][0].tolist()
            vectors[task].append(found)
            items.append({"task": task, "text": text, "input_ids": kept, "vectors": [rounded(row) for row in found]})
    scores = [[float((q @ d.T).amax(1).sum()) for d in vectors["document"]] for q in vectors["query"]]
    write(folder, model, "BertModel", golden | {"maxsim_query_by_document": scores, "items": items}, extra)


if __name__ == "__main__":
    for seed, (name, *model) in enumerate(SPLADES):
        splade(name, *model, seed=seed + 40)
    router("splade-router", 50)
    judge("judge-qwen3", 60, 128)
    late("late-pylate", 61)
