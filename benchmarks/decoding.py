"""What does choosing tokens cost on top of computing their logits?

    python benchmarks/decoding.py [--vocabulary N] [--width N] [--layers N] [--batch N] [--new-tokens N] [--repeats N]

A language model with random weights continues random prompts in every way there is. For each way the median over the
repeats is printed: milliseconds per step of the whole batch, and how many of these are not the model's own, which is
measured by a bare loop that takes the likeliest token and keeps nothing. The ways take turns, so that a machine that
slows down slows down all. Beam search reads more rows in each step, so its share is not only choosing; prompt lookup
depends on what the prompt gives away, so its tokens per pass of the model are printed. Random weights spread the
probability evenly, which is the slowest case of top p.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch

from rag.transformer.generation import GenerationOptions, generate
from rag.transformer.language_model import LanguageModel, LanguageModelConfig
from rag.transformer.tokenization import TextTokenizer


def write_bare(model: LanguageModel, prompts: list[list[int]], num_new: int) -> None:
    """The likeliest token each time, and nothing else."""
    cache = model.new_cache(len(prompts), len(prompts[0]) + num_new)
    ids_BT = torch.tensor(prompts)
    with torch.inference_mode():
        for _ in range(num_new):
            ids_BT = model(ids_BT, cache=cache, last=1).argmax(dim=-1)


def seconds(write: Callable[[], object]) -> float:
    """How long it takes."""
    started = time.perf_counter()
    write()
    return time.perf_counter() - started


def main() -> None:
    """Measure, and print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocabulary", type=int, default=128_256)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--prompt-tokens", type=int, default=64)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    torch.manual_seed(0)
    config = LanguageModelConfig(
        vocabulary=asked.vocabulary,
        width=asked.width,
        num_layers=asked.layers,
        num_heads=4,
        hidden=4 * asked.width,
        max_positions=asked.prompt_tokens + asked.new_tokens,
    )
    model = LanguageModel(config).eval()
    tokenizer = TextTokenizer.train_byte_level_bpe([], 300)
    tokenizer.end_ids = frozenset()  # so that every answer is equally long
    prompts = torch.randint(asked.vocabulary, (asked.batch, asked.prompt_tokens)).tolist()
    greedy = GenerationOptions(max_new_tokens=asked.new_tokens, log_probabilities=False)
    sample = replace(greedy, strategy="sample")
    ways = {
        "greedy": greedy,
        "greedy, log-probabilities": replace(greedy, log_probabilities=True),
        "greedy, stop text": replace(greedy, stop=("\n\n\n",)),
        "greedy, penalties": replace(greedy, repetition_penalty=1.2, no_repeat_ngram=3),
        "sample": sample,
        "sample, top 50": replace(sample, top_k=50),
        "sample, top p 0.9": replace(sample, top_p=0.9),
        "beam search, 4": replace(greedy, strategy="beam"),
        "prompt lookup, 8": replace(greedy, prompt_lookup=8),
    }
    bare, times = [], {name: list[float]() for name in ways}
    for _ in range(asked.repeats):
        bare.append(seconds(lambda: write_bare(model, prompts, asked.new_tokens)))
        for name, options in ways.items():
            times[name].append(seconds(lambda options=options: generate(model, tokenizer, prompts, options)))
    step_ms = 1000 / asked.new_tokens
    model_ms = statistics.median(bare) * step_ms
    print(f"batch {asked.batch}, vocabulary {asked.vocabulary}; milliseconds a step")
    print(f"{'the model alone':26} {model_ms:8.3f}")
    for name, its_times in times.items():
        print(f"{name:26} {(whole := statistics.median(its_times) * step_ms):8.3f}   on top {whole - model_ms:8.3f}")
    guessed = generate(model, tokenizer, prompts, ways["prompt lookup, 8"])
    accepted = sum(one.num_accepted for one in guessed)
    num_tokens = asked.new_tokens * asked.batch
    print(f"prompt lookup: {num_tokens / (num_tokens - accepted):.2f} tokens a pass")


if __name__ == "__main__":
    main()
