"""How fast is the reader, against the same weights run naively, and how long does it take to load?

    python benchmarks/reader.py [--repeats N] [--passages 8] [--tokens 256]

A question over passages of equal length, all in one run, each way of running it in turn:

- as shipped: the processor's number type, all passages in one batch, fused attention;
- float32: the same in float32;
- naive: float32, one passage after the other, attention written out, and the vocabulary scored at every token.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

import rag.transformer.attention
from rag.index.embedder import CARRIED_MODEL, model_folder
from rag.reader.checkpoint import SHIPPED_WEIGHTS, load_reader
from rag.reader.decode import propose_spans
from rag.reader.input_format import ReaderTokenizer
from rag.reader.model import Encoded, ReaderModel
from rag.reader.reader import Reader, ReaderPassage
from rag.transformer.attention import attention_by_hand
from rag.transformer.processor import choose_dtype, processor_path

QUESTION = "How many people worked at the mill of Lund in 1874?"
SENTENCES = [
    "The mill of Lund was opened in 1874 by the Holm family and gave work to sixty people.",
    "In winter the river froze, and for some weeks nothing could be ground at all.",
    "A second wheel was added when the railway came, and with it a store for barley.",
    "After the fire of 1902 the owners moved to the coast and sold the land to the town.",
]
LOAD = (
    "import time; from rag.index.embedder import CARRIED_MODEL, model_folder;"
    "from rag.reader.checkpoint import SHIPPED_WEIGHTS; from rag.reader.reader import Reader;"
    "from rag.transformer.processor import choose_dtype;"
    "started = time.perf_counter();"
    "Reader.load(SHIPPED_WEIGHTS, model_folder(CARRIED_MODEL), dtype=choose_dtype('auto'));"
    "print(time.perf_counter() - started)"
)


def make_passages(num: int, num_tokens: int, tokenizer: ReaderTokenizer) -> list[ReaderPassage]:
    """Passages that fill pairs of about ``num_tokens`` tokens, question and title counted."""
    room = num_tokens - len(tokenizer.pairs(QUESTION, [("Mills", "")])[0].ids)
    passages = []
    for number in range(num):
        words: list[str] = []
        while tokenizer.count_tokens([" ".join(words)])[0] <= room:
            words += SENTENCES[(number + len(words)) % len(SENTENCES)].split()
        while tokenizer.count_tokens([" ".join(words)])[0] > room:
            words.pop()
        passages.append(ReaderPassage(context="Mills", text=" ".join(words)))
    return passages


class NaiveReader:
    """The same network without any of the care: float32, pair by pair, attention by hand, full vocabulary."""

    def __init__(self, model: ReaderModel, tokenizer: ReaderTokenizer) -> None:
        self._model, self._tokenizer = model, tokenizer

    @torch.inference_mode()
    def read(self, question: str, passages: list[ReaderPassage]) -> None:
        """Propose spans and let the decoder judge each of them."""
        pairs = self._tokenizer.pairs(question, [(p.context, p.text) for p in passages])
        batch = self._tokenizer.batch(pairs)
        parts = [self._model.encode(self._tokenizer.batch([pair])) for pair in pairs]
        encoded = Encoded(*(torch.cat(tensors) for tensors in zip(*(_fields(part) for part in parts), strict=True)))
        memory = self._model.remember(encoded, batch, torch.arange(len(pairs))[None])
        L = batch.ids_PL.shape[1]
        for span, _ in propose_spans(encoded, batch):
            places = torch.arange(span.first, span.last + 1) + span.pair * L
            ids = torch.cat([torch.tensor([self._tokenizer.begin_id]), memory.ids_QS[0, places]])
            self._model.step(ids[None], torch.cat([torch.tensor([-1]), places])[None], memory)


def _fields(encoded: Encoded) -> list[Tensor]:
    return [getattr(encoded, name) for name in Encoded.__slots__]


def median_ms(run: Callable[[], object], repeats: int, *, warmups: int = 3) -> tuple[float, float]:
    """The median and the 95th percentile of ``repeats`` (two at least) runs, after ``warmups`` that are not counted."""
    for _ in range(warmups):
        run()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times), statistics.quantiles(times, n=20)[-1]


def main() -> None:
    """Time each way in turn, and loading in fresh processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--passages", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=256)
    arguments = parser.parse_args()
    folder = model_folder(CARRIED_MODEL)
    tokenizer = ReaderTokenizer.load(folder)
    passages = make_passages(arguments.passages, arguments.tokens, tokenizer)
    shipped = Reader.load(SHIPPED_WEIGHTS, folder, dtype=choose_dtype("auto"))
    float32 = Reader.load(SHIPPED_WEIGHTS, folder, dtype=torch.float32)
    naive = NaiveReader(load_reader(SHIPPED_WEIGHTS, folder)[0], tokenizer)
    print(
        f"{processor_path()}, {torch.get_num_threads()} threads; {len(passages)} passages of {arguments.tokens} tokens"
    )

    results = {
        f"as shipped ({shipped.dtype})": median_ms(lambda: shipped.read(QUESTION, passages), arguments.repeats),
        "float32": median_ms(lambda: float32.read(QUESTION, passages), arguments.repeats),
    }
    fused = rag.transformer.attention.dot_product_attention
    rag.transformer.attention.dot_product_attention = attention_by_hand
    results["naive"] = median_ms(lambda: naive.read(QUESTION, passages), max(5, arguments.repeats // 5))
    rag.transformer.attention.dot_product_attention = fused
    fastest = next(iter(results.values()))[0]
    for name, (p50, p95) in results.items():
        print(f"{name:24} p50 {p50:8.1f} ms  p95 {p95:8.1f} ms  {p50 / fastest:5.2f} times as shipped")

    loads = [
        float(subprocess.run([sys.executable, "-c", LOAD], capture_output=True, text=True, check=True).stdout)
        for _ in range(5)
    ]
    print(f"loading, median of {len(loads)} fresh processes: {statistics.median(loads):.2f} s")


if __name__ == "__main__":
    main()
