"""Files that torch.save writes, and one that would run code: what `crates/convert` reads, and what it must refuse.

    python make_pickles.py        (torch, safetensors)
"""

import os
from pathlib import Path

import torch
from safetensors.torch import save_file

HERE = Path(__file__).parent / "pickles"


class Code:
    def __reduce__(self):
        return os.system, ("echo this must never run",)


def state_dict() -> dict:
    """Every type, views of one storage, other orders than row-major, a scalar, nothing, and a parameter."""
    generator = torch.Generator().manual_seed(7)
    base = torch.randn(6, 4, generator=generator)
    return {
        "base": base,
        "transposed": base.t(),
        "rows": base[2:5],
        "columns": base[:, 1:3],
        "half": torch.randn(5, generator=generator).half(),
        "bfloat": torch.randn(2, 3, 2, generator=generator).bfloat16(),
        "double": torch.randn(3, generator=generator).double(),
        "ids": torch.arange(9).expand((1, -1)),
        "bytes": torch.arange(4, dtype=torch.uint8),
        "flags": torch.tensor([True, False, True]),
        "scalar": torch.tensor(-3, dtype=torch.int32),
        "empty": torch.empty(0, 4),
        "parameter": torch.nn.Parameter(torch.randn(3, generator=generator)),
    }


def main() -> None:
    HERE.mkdir(exist_ok=True)
    tensors = state_dict()
    torch.save(tensors, HERE / "tensors.pt")
    save_file({name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}, HERE / "tensors.safetensors")
    torch.manual_seed(7)
    layer = torch.nn.Linear(4, 3)
    torch.save(layer.state_dict(), HERE / "linear.pt")
    save_file(layer.state_dict(), HERE / "linear.safetensors")
    torch.save(layer.state_dict(), HERE / "before-1.6.pt", _use_new_zipfile_serialization=False)
    torch.save(layer, HERE / "module.pt")
    torch.save({"weight": layer.weight, "code": Code()}, HERE / "code.pt")
    torch.save({"state_dict": layer.state_dict(), "epoch": 3}, HERE / "training.pt")
    torch.save([layer.weight], HERE / "list.pt")
    torch.save({"sparse": torch.eye(3).to_sparse()}, HERE / "sparse.pt")
    torch.save({"quantized": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)}, HERE / "quantized.pt")


main()
