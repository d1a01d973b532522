"""How many tokens a second does our language model write, next to the ``transformers`` library on the same weights?

    python benchmarks/language_model.py [--shape 135M 1B] [--batch 1 8] [--dtype float32 bfloat16 int8]
        [--prompt-tokens N] [--new-tokens N] [--repeats N]

A Llama-shaped model with random weights reads a random prompt and writes greedily; both sides take turns on the same
weights, so that a machine that slows down slows down both. Medians over the repeats are printed: seconds for the
prompt (up to the first new token), new tokens a second after it, and new tokens a second over all. In float32 both
must write the same tokens. With int8 our weights are rounded, and theirs are in float32. For one row, the share of
the memory bandwidth that writing reaches is what the weights' bytes, read once for each token, make of the rate at
which this machine copies memory.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from rag.transformer.language_model import LanguageModel
from rag.transformer.pretrained import load_language_model

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.float32}
"""What the weights are before they are rounded."""
SHAPES = {
    "tiny": {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 128,
        "vocab_size": 512,
    },
    "135M": {
        "hidden_size": 576,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "intermediate_size": 1536,
        "vocab_size": 49_152,
    },
    "1B": {
        "hidden_size": 2048,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "intermediate_size": 8192,
        "vocab_size": 128_256,
    },
}


@dataclass(frozen=True)
class Run:
    """One generation: the tokens (B, new), and when each step was done, in seconds from the start."""

    tokens: Tensor
    done_at: list[float]

    @property
    def prompt_s(self) -> float:
        """Until the first new token."""
        return self.done_at[0]

    @property
    def decoding(self) -> float:
        """Tokens a second after the first, over all rows."""
        return self.tokens.shape[0] * (len(self.done_at) - 1) / (self.done_at[-1] - self.done_at[0])

    @property
    def overall(self) -> float:
        """Tokens a second, the prompt's time included, over all rows."""
        return self.tokens.numel() / self.done_at[-1]


def write_ours(model: LanguageModel, prompt_BT: Tensor, num_new: int) -> Run:
    """Greedy writing with the cache."""
    started, done_at = time.perf_counter(), []
    cache = model.new_cache(prompt_BT.shape[0], prompt_BT.shape[1] + num_new)
    new_B1, written = prompt_BT, []
    for _ in range(num_new):
        new_B1 = model(new_B1, cache=cache, last=1).argmax(dim=-1)
        written.append(new_B1)
        done_at.append(time.perf_counter() - started)
    return Run(torch.cat(written, dim=1), done_at)


def write_theirs(model: LlamaForCausalLM, prompt_BT: Tensor, num_new: int) -> Run:
    """``generate`` as the library comes; what asks after each step whether to stop notes the time."""
    started, done_at = time.perf_counter(), []

    def note(ids: Tensor, _scores: object) -> Tensor:
        done_at.append(time.perf_counter() - started)
        return torch.zeros(ids.shape[0], dtype=torch.bool)

    ids = model.generate(
        prompt_BT,
        attention_mask=torch.ones_like(prompt_BT),
        do_sample=False,
        min_new_tokens=num_new,
        max_new_tokens=num_new,
        stopping_criteria=[note],
    )
    return Run(ids[:, prompt_BT.shape[1] :], done_at)


def measure(
    name: str,
    model: LlamaForCausalLM,
    ours: LanguageModel,
    batch: int,
    arguments: argparse.Namespace,
    *,
    dtype: str,
) -> None:
    """Let both sides take turns, and print medians side by side."""
    torch.manual_seed(1)
    prompt_BT = torch.randint(3, model.config.vocab_size, (batch, arguments.prompt_tokens))
    sides: dict[str, Callable[[], Run]] = {
        "ours": lambda: write_ours(ours, prompt_BT, arguments.new_tokens),
        "transformers": lambda: write_theirs(model, prompt_BT, arguments.new_tokens),
    }
    runs: dict[str, list[Run]] = {side: [] for side in sides}
    for _ in range(arguments.repeats):
        for side, write in sides.items():
            runs[side].append(write())
    print(f"\n{name}, {dtype}, batch {batch}: {arguments.prompt_tokens} + {arguments.new_tokens} tokens")
    figures = {
        side: [statistics.median(getattr(run, what) for run in mine) for what in ("prompt_s", "decoding", "overall")]
        for side, mine in runs.items()
    }
    for side, (prompt_s, decoding, overall) in figures.items():
        print(
            f"  {side:12} prompt {prompt_s:7.2f} s   writing {decoding:7.1f} tokens/s   overall {overall:7.1f} tokens/s"
        )
    (prompt, writing, whole), (their_prompt, their_writing, their_whole) = figures["ours"], figures["transformers"]
    ratios = f"{their_prompt / prompt:.2f}, {writing / their_writing:.2f}, {whole / their_whole:.2f}"
    same = torch.equal(runs["ours"][0].tokens, runs["transformers"][0].tokens)
    print(f"  times as fast: {ratios}; the same tokens: {'yes' if same else 'no'}")
    if batch == 1:
        bytes_each = 1 if dtype == "int8" else model.dtype.itemsize
        num_bytes = sum(weight.numel() for weight in model.parameters()) * bytes_each
        print(f"  memory bandwidth reached while writing: {num_bytes * writing / copy_rate():.0%}")


def random_llama(name: str, dtype: torch.dtype, folder: Path) -> LlamaForCausalLM:
    """A model of one of the ``SHAPES`` with random weights, also saved in ``folder``."""
    torch.manual_seed(0)
    config = LlamaConfig(
        **SHAPES[name],
        max_position_embeddings=8_192,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    LlamaForCausalLM(config).to(dtype).save_pretrained(folder)
    # Read back: turning the model into bfloat16 in place would round its rotary frequencies too.
    return LlamaForCausalLM.from_pretrained(folder, dtype=dtype).eval()


def copy_rate() -> float:
    """Bytes a second that this machine moves in copying far more than its caches hold, reads and writes counted."""
    source = torch.ones(2**27)
    target = torch.empty_like(source)
    rates = []
    for _ in range(10):
        started = time.perf_counter()
        target.copy_(source)
        rates.append(2 * source.numel() * source.element_size() / (time.perf_counter() - started))
    return statistics.median(rates)


def main() -> None:
    """Measure all that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=["135M", "1B"])
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--dtype", nargs="+", choices=DTYPES, default=["float32", "bfloat16"])
    parser.add_argument("--prompt-tokens", type=int, default=1_500)
    parser.add_argument("--new-tokens", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for name in arguments.shape:
        for dtype in arguments.dtype:
            with tempfile.TemporaryDirectory() as folder:
                theirs = random_llama(name, DTYPES[dtype], Path(folder))
                ours = load_language_model(Path(folder), DTYPES[dtype])
            ours = ours.quantize() if dtype == "int8" else ours.pack()
            with torch.inference_mode():
                for batch in arguments.batch:
                    measure(name, theirs, ours, batch, arguments, dtype=dtype)


if __name__ == "__main__":
    main()
