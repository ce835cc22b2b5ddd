"""Makes `adapters/bert-mean-lora`: a small random LoRA adapter for `tiny-models/bert-mean`, and `tiny-models/bert-mean-merged`,
the same weights merged by NumPy in f64. Deterministic. Needs numpy and safetensors."""

import json
import pathlib
import shutil

import numpy as np
from safetensors.numpy import load_file, save_file

here = pathlib.Path(__file__).parent
base_folder = here / "tiny-models" / "bert-mean"
base = load_file(base_folder / "model.safetensors")
rng = np.random.default_rng(7)
rank, alpha, hidden, wide = 4, 8, 48, 96
prefix = "base_model.model."


def small(*shape):
    return (rng.standard_normal(shape) * 0.1).astype(np.float32)


adapter, merged = {}, {name: tensor.copy() for name, tensor in base.items()}
for module, outputs, inputs in [
    ("encoder.layer.0.attention.self.query", hidden, hidden),
    ("encoder.layer.1.intermediate.dense", wide, hidden),
]:
    a, b = small(rank, inputs), small(outputs, rank)
    adapter[f"{prefix}bert.{module}.lora_A.weight"] = a
    adapter[f"{prefix}bert.{module}.lora_B.weight"] = b
    product = b.astype(np.float64) @ a.astype(np.float64)
    merged[f"{module}.weight"] = (base[f"{module}.weight"] + alpha / rank * product).astype(np.float32)
bias = small(hidden)
adapter[f"{prefix}bert.encoder.layer.0.attention.self.query.base_layer.bias"] = bias
merged["encoder.layer.0.attention.self.query.bias"] = bias
for name, tensor in {
    "pooler.dense.weight": small(hidden, hidden),
    "pooler.dense.bias": small(hidden),
}.items():
    adapter[f"{prefix}bert.{name}"] = merged[name] = tensor
for name, tensor in {"classifier.weight": small(1, hidden), "classifier.bias": small(1)}.items():
    adapter[prefix + name] = merged[name] = tensor

folder = here / "adapters" / "bert-mean-lora"
folder.mkdir(parents=True, exist_ok=True)
save_file(adapter, folder / "adapter_model.safetensors")
config = {"peft_type": "LORA", "task_type": "SEQ_CLS", "r": rank, "lora_alpha": alpha, "bias": "none", "use_rslora": False}
(folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
model = json.loads((base_folder / "config.json").read_text())
model |= {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "LABEL_0"}}
(folder / "config.json").write_text(json.dumps(model, indent=2) + "\n")

target = here / "tiny-models" / "bert-mean-merged"
target.mkdir(exist_ok=True)
save_file(merged, target / "model.safetensors")
(target / "config.json").write_text(json.dumps(model, indent=2) + "\n")
for name in ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]:
    shutil.copy(base_folder / name, target / name)
