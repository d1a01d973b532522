"""How search, start-up, memory and ingestion change from ten thousand passages to a million.

    python benchmarks/scale.py build --work FOLDER --sizes 10000 100000 1000000
    python benchmarks/scale.py measure --work FOLDER --sizes 10000 100000 1000000 --plot docs/latency.svg

*build* makes a database of each size through the ingestion pipeline: documents of about ten passages, words drawn by
Zipf's law from 20,000. A stand-in takes the embedding model's place: a passage's vector lies beside that of its
document's subject. One batch goes through the real model first, so that the peak of memory includes it.

*measure* opens each in a fresh process and searches through the whole retriever, SQL included, one query at a time. The
query's vector is the stand-in's, so its embedding takes nothing.
"""

import argparse
import hashlib
import json
import math
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rag.assemble import Rag
from rag.config import Settings
from rag.index.embedder import CARRIED_MODEL
from rag.index.embedders import Embedders
from rag.ingest.labels import Labels
from rag.records import Document, SearchOptions, Section
from rag.store import migrate
from rag.store.database import Database
from rag.training.curve_plot import plot_svg

DIMENSION = 384
PASSAGES_PER_DOCUMENT = 10
WORDS_PER_PASSAGE = 32
SUBJECTS = 2_000
SUBJECT_COSINE = 0.7
VOCABULARY = 20_000
NOT_ASKED = 5
"""The most frequent words, which no question has: as stop words of real texts, they are not searched for.

The shares of the passages that a question's words stand in then add up to .37, as they do (.39) for questions of SQuAD
1.1 dev among paragraphs of its training set; with every word it would be 1.19.
"""
SHARES = {"50%": 500, "10%": 100, "1%": 10, "0.1%": 1}
"""Filters by how many of a thousand documents they leave."""
NUM_QUERIES = 200
TOP_K = 10
SLICES = 10
"""Parts of an ingestion whose rates are compared."""


class MadeEmbedder:
    """A stand-in for an embedding model: texts of one subject, named in their second word, lie beside each other."""

    name = "made"
    dimension = DIMENSION
    query_weights = "float32"

    def __init__(self) -> None:
        self._subjects = _unit(np.random.default_rng(0).standard_normal((SUBJECTS, DIMENSION), dtype=np.float32))

    def embed(self, texts: Sequence[str]) -> NDArray[np.float16]:
        """Unit vectors (N, dimension)."""
        seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") for text in texts]
        own = np.stack([np.random.default_rng(seed).standard_normal(DIMENSION, dtype=np.float32) for seed in seeds])
        subjects = self._subjects[[int(text.split(maxsplit=2)[1]) for text in texts]]
        return _unit(SUBJECT_COSINE * subjects + np.sqrt(1 - SUBJECT_COSINE**2) * _unit(own)).astype(np.float16)

    def embed_query(self, text: str) -> NDArray[np.float16]:
        """The unit vector (dimension,) of a query."""
        return self.embed([text])[0]


class MadeEmbedders(Embedders):
    """Hands out the stand-in."""

    def __init__(self) -> None:
        super().__init__("made", dtype=None, batch_size=1)  # type: ignore[arg-type]
        self._made = MadeEmbedder()

    def get(self, name: str) -> MadeEmbedder:  # type: ignore[override]  # noqa: ARG002
        """The stand-in, whatever it is called."""
        return self._made


class MadeWords:
    """Words for documents and questions, the same ones each time."""

    def __init__(self) -> None:
        letters = np.random.default_rng(1).integers(0, 26, size=(VOCABULARY, 6))
        self._words = ["".join(chr(97 + letter) for letter in row) for row in letters]
        weights = 1 / np.arange(1, VOCABULARY + 1)
        self._cumulative = np.cumsum(weights / weights.sum())

    def draw(self, rng: np.random.Generator, num: int, *, leave_out: int = 0) -> list[str]:
        """``num`` words by Zipf's law, without the ``leave_out`` most frequent ones."""
        least = self._cumulative[leave_out - 1] if leave_out else 0.0
        return [self._words[rank] for rank in np.searchsorted(self._cumulative, rng.uniform(least, 1, num))]

    def documents(self, num: int) -> Iterator[Document]:
        """Documents of about ten passages, each a sentence."""
        for number in range(num):
            rng = np.random.default_rng((2, number))
            sentences = [" ".join(self.draw(rng, WORDS_PER_PASSAGE)) + "." for _ in range(PASSAGES_PER_DOCUMENT)]
            text = "\n\n".join(sentences)
            yield Document(
                source=f"made:{number}",
                file="made:all",
                title=f"Subject {number % SUBJECTS} number{number}",
                media_type="text/plain",
                text=text,
                sections=(Section(start=0, end=len(text)),),
                metadata={"part": number % 1000},
            )

    def queries(self, num: int) -> list[str]:
        """Questions about a subject."""
        rng = np.random.default_rng(3)
        return [f"the {rng.integers(SUBJECTS)} " + " ".join(self.draw(rng, 6, leave_out=NOT_ASKED)) for _ in range(num)]


def main() -> None:
    """Build or measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["build", "measure", "measure-one"])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--plot", type=Path, help="Where to draw latency against size.")
    arguments = parser.parse_args()
    if arguments.action == "build":
        for size in arguments.sizes:
            build(arguments.work / str(size), size)
    elif arguments.action == "measure-one":
        print(json.dumps(measure(arguments.work / str(arguments.sizes[0]))))
    else:
        measured = {size: _measure_apart(arguments.work, size) for size in arguments.sizes}
        _print_tables(arguments.work, measured)
        if arguments.plot:
            _plot(measured, arguments.plot)


def open_made(folder: Path, **settings: Any) -> Rag:
    """The service over a folder, with the stand-in for its embedding model."""
    service = Rag(Settings(data_dir=folder, embedding_model="made", passage_tokens=200, num_threads=2, **settings))
    service.__dict__["embedders"] = MadeEmbedders()
    return service


def build(folder: Path, size: int) -> None:
    """Ingest ``size`` passages into a new database and save the index; what it came to is kept in the folder."""
    if (folder / "built.json").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    database = Database(f"sqlite:///{folder / 'rag.db'}")
    migrate.upgrade(database)
    database.dispose()
    words, moments = MadeWords(), list[tuple[float, float]]()
    num_documents = size // PASSAGES_PER_DOCUMENT
    with open_made(folder) as service:
        real = Embedders(CARRIED_MODEL, dtype=torch.float32, batch_size=32)
        real.get(real.default).embed(["a passage " * 100] * 64)

        def timed() -> Iterator[Document]:
            moments.append((time.perf_counter(), time.process_time()))
            for number, document in enumerate(words.documents(num_documents), start=1):
                yield document
                if number * SLICES % num_documents == 0:
                    moments.append((time.perf_counter(), time.process_time()))

        report = service.ingester.ingest_documents(
            timed(),
            file="made:all",
            file_sha256="",
            collection="default",
            labels=Labels(tags={}),
            on_progress=lambda _: None,
        )
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        saved = time.perf_counter()
        service.save_index("default")
        saved_s = time.perf_counter() - saved
    rates, cpu_rates = (
        [num_documents / SLICES / (end - start) for start, end in zip(clock, clock[1:], strict=False)]
        for clock in zip(*moments, strict=True)
    )
    built = {
        "documents": num_documents,
        "seconds": report.seconds,
        "first_documents_per_s": rates[0],
        "last_documents_per_s": rates[-1],
        "first_documents_per_cpu_s": cpu_rates[0],
        "last_documents_per_cpu_s": cpu_rates[-1],
        "ingestion_peak_bytes": peak,
        "index_s": saved_s,
    }
    (folder / "built.json").write_text(json.dumps(built))
    print(size, built, flush=True)


def measure(folder: Path) -> dict[str, float]:
    """Start-up, searches without and with filters, memory and disk. Call it in a fresh process."""
    before = _resident_bytes()
    began = time.perf_counter()
    service = open_made(folder)
    queries = MadeWords().queries(NUM_QUERIES)
    service.search(queries[0], top_k=TOP_K)
    figures: dict[str, float] = {"start_s": time.perf_counter() - began}
    index = service.indexes.get(service.collection("default"))
    figures["passages"] = len(index)
    figures["memory_per_passage"] = (_resident_bytes() - before) / len(index)
    assert index.folder is not None
    snapshot = max(index.folder.iterdir())
    figures["snapshot_bytes"] = sum(path.stat().st_size for path in snapshot.rglob("*") if path.is_file())
    figures["database_bytes"] = (folder / "rag.db").stat().st_size
    figures["recall"] = index.vector_recall()
    for mode in ("hybrid", "keyword", "vector"):
        options = SearchOptions(mode=mode)  # type: ignore[arg-type]
        for name, below in {"all": 1000, **SHARES}.items():
            filters = {"part": {"$lt": below}} if below < 1000 else None
            search = partial(service.search, options=options, top_k=TOP_K, filters=filters)
            times = times_of(search, queries)
            figures[f"{mode} {name} p50"] = statistics.median(times)
            figures[f"{mode} {name} p95"] = statistics.quantiles(times, n=20)[-1]
    service.close()
    return figures


def times_of(search: Callable[[str], object], queries: Sequence[str]) -> list[float]:
    """Milliseconds of each search, after a few that do not count."""
    for query in queries[:10]:
        search(query)
    times = []
    for query in queries:
        began = time.perf_counter()
        search(query)
        times.append((time.perf_counter() - began) * 1000)
    return times


def _measure_apart(work: Path, size: int) -> dict[str, float]:
    command = [sys.executable, __file__, "measure-one", "--work", str(work), "--sizes", str(size)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _print_tables(work: Path, measured: dict[int, dict[str, float]]) -> None:
    print(
        "| passages | documents/s, first / last tenth | a second of CPU | ingestion's peak, MB | index, s | start, s "
        "| bytes a passage | snapshot / database, MB | recall@10 |\n|" + "---|" * 9
    )
    for size, found in measured.items():
        built = json.loads((work / str(size) / "built.json").read_text())
        print(
            f"| {found['passages']:,.0f} | {built['first_documents_per_s']:.0f} / {built['last_documents_per_s']:.0f} "
            f"| {built['first_documents_per_cpu_s']:.0f} / {built['last_documents_per_cpu_s']:.0f} "
            f"| {built['ingestion_peak_bytes'] / 1e6:,.0f} | {built['index_s']:.1f} | {found['start_s']:.1f} "
            f"| {found['memory_per_passage']:,.0f} | {found['snapshot_bytes'] / 1e6:,.0f} / "
            f"{found['database_bytes'] / 1e6:,.0f} | {found['recall']:.4f} |"
        )
    shares = ["all", *SHARES]
    print("\n| p50 / p95, ms | " + " | ".join(shares) + " |\n|" + "---|" * (len(shares) + 1))
    for size, found in measured.items():
        for mode in ("hybrid", "keyword", "vector"):
            cells = [f"{found[f'{mode} {name} p50']:.1f} / {found[f'{mode} {name} p95']:.1f}" for name in shares]
            print(f"| {size:,}, {mode} | " + " | ".join(cells) + " |")


def _plot(measured: dict[int, dict[str, float]], path: Path) -> None:
    curves = {
        f"{mode}, {quantile}": [(math.log10(size), found[f"{mode} all {quantile}"]) for size, found in measured.items()]
        for mode, quantile in (("hybrid", "p95"), ("hybrid", "p50"), ("keyword", "p50"), ("vector", "p50"))
    }
    drawn = plot_svg(curves, title="A search, one at a time", x_label="passages, powers of ten", y_label="milliseconds")
    path.write_text(drawn, encoding="utf-8")


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


if __name__ == "__main__":
    main()
