"""bfloat16 against float32: how fast, and how near are the vectors?

    python benchmarks/embedding.py

Texts of 10 to 200 words are embedded in turn with both, several times; medians and their ratio are printed.
"""

import random
import statistics
import time

import numpy as np
import torch

from rag.index.embedder import CARRIED_MODEL, Embedder

NUM_TEXTS = 256
NUM_RUNS = 5


def main() -> None:
    """Measure and print."""
    rng = random.Random(0)
    words = ["the", "retention", "records", "support", "rota", "is", "kept", "by", "team", "every", "answer", "source"]
    texts = [" ".join(rng.choices(words, k=rng.randint(10, 200))) for _ in range(NUM_TEXTS)]
    types = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    embedders = {name: Embedder(CARRIED_MODEL, dtype=dtype, batch_size=32) for name, dtype in types.items()}
    seconds: dict[str, list[float]] = {name: [] for name in embedders}
    vectors = {}
    for run in range(NUM_RUNS + 1):
        for name, embedder in embedders.items():
            started = time.perf_counter()
            vectors[name] = embedder.embed(texts).astype(np.float64)
            if run:  # the first run warms up
                seconds[name].append(time.perf_counter() - started)
    for name, values in seconds.items():
        median = statistics.median(values)
        spread = f"{NUM_TEXTS / max(values):.0f} to {NUM_TEXTS / min(values):.0f}"
        print(f"{name:9} {NUM_TEXTS / median:7.1f} texts/s (median of {NUM_RUNS}; {spread})")
    ratios = [slow / fast for slow, fast in zip(seconds["float32"], seconds["bfloat16"], strict=True)]
    print(f"bfloat16 is {statistics.median(ratios):.2f} times as fast")
    cosines = (vectors["float32"] * vectors["bfloat16"]).sum(axis=1)
    print(f"cosine between the two: lowest {cosines.min():.4f}, median {np.median(cosines):.4f}")


if __name__ == "__main__":
    main()
