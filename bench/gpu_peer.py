"""For `bench/gpu.mjs`: sentence-transformers in half precision on the same random model, or a process that takes a GPU's memory.

    python bench/gpu_peer.py <folder>
    python bench/gpu_peer.py --hog <megabytes to leave>
"""

import sys
import time

import torch


def hog(leave):
    free, _ = torch.cuda.mem_get_info()
    held = torch.empty(max(free - (leave << 20), 0), dtype=torch.uint8, device="cuda")
    print(held.numel(), flush=True)
    sys.stdin.read()


def speed(folder):
    from sentence_transformers import SentenceTransformer

    kind = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    model = SentenceTransformer(folder, device="cuda", model_kwargs={"torch_dtype": kind})
    for words in (16, 128, 512):
        for batch in (1, 8, 32, 128, 512):
            texts = [" ".join("abcdefgh"[(seed + place * 7) % 8] for place in range(words - 2)) for seed in range(batch)]
            tokens = batch * len(model.tokenizer(texts[0])["input_ids"])
            times = []
            for _ in range(6):
                torch.cuda.synchronize()
                start = time.perf_counter()
                model.encode(texts, batch_size=batch, show_progress_bar=False)
                torch.cuda.synchronize()
                times.append(time.perf_counter() - start)
            taken = sorted(times[1:])[2]
            name = str(kind).removeprefix("torch.")
            print(f"sentence-transformers {name}: {batch} texts of {tokens // batch} tokens: {taken * 1e3:.2f} ms, {tokens / taken:.0f} tokens/s")


if sys.argv[1] == "--hog":
    hog(int(sys.argv[2]))
else:
    speed(sys.argv[1])
