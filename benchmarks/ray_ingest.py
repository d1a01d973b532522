"""How ingestion grows with the workers of a Ray cluster of this machine, beside the run in one process.

    python benchmarks/ray_ingest.py --files FOLDER [--workers 1 2] [--engines here ray] [--repeats 3]

A worker computes in one thread, the run in one process in as many as are named. Clusters are started and models loaded
before the clock. Each repetition begins with an empty database. Printed are medians, and the processor time that the
process of the run takes itself; with Ray, this bounds how many workers it can keep busy.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from rag.assemble import Rag
from rag.config import load_settings
from rag.index.embedders import Embedders
from rag.ingest.file_options import FileOptions
from rag.ingest.preparation import Preparer, carried_tokenizer
from rag.ingest.ray_cluster import RayCluster
from rag.ingest.ray_engine import RayEngine
from rag.store import migrate
from rag.store.database import Database
from rag.transformer.processor import choose_dtype


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=Path, required=True)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--engines", nargs="+", choices=("here", "ray"), default=["here", "ray"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", nargs=2, metavar=("ENGINE", "WORKERS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        engine, workers = arguments.one
        print(json.dumps(_measure(arguments.files, engine, int(workers), arguments.repeats)))
        return
    for engine in arguments.engines:
        for workers in arguments.workers:
            # A process each: what one has loaded and how many threads it has must not reach the next.
            rate, passages, own_s = _in_process(arguments.files, engine, workers, arguments.repeats)
            print(
                f"{engine}, {workers}: {rate:.1f} passages/s, {passages} passages, "
                f"{1000 * own_s / passages:.2f} ms of the run's own processor time each",
                flush=True,
            )


def _in_process(files: Path, engine: str, workers: int, repeats: int) -> tuple[float, int, float]:
    done = subprocess.run(
        [sys.executable, __file__, "--files", files, "--repeats", str(repeats), "--one", engine, str(workers)],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    rate, passages, own_s = json.loads(done.stdout)
    return rate, passages, own_s


def _measure(files: Path, engine: str, workers: int, repeats: int) -> tuple[float, int, float]:
    """Medians: passages per second, how many there are, and seconds of this process's own processor time."""
    if engine == "here":
        return _median([_ingest(files, FileOptions(), num_threads=workers) for _ in range(repeats)])
    cluster = RayCluster(None, num_cpus=workers)  # the runs find it there
    try:
        _warm_up(workers)
        options = FileOptions(engine="ray", workers=workers)
        return _median([_ingest(files, options, num_threads=1) for _ in range(repeats)])
    finally:
        cluster.close()


def _warm_up(workers: int) -> None:
    """Have every worker load its models: there is more to do at the same time than one of them could."""
    settings = load_settings()
    embedders = Embedders(
        settings.embedding_model, dtype=choose_dtype(settings.embedding_dtype), batch_size=settings.embedding_batch_size
    )
    preparer = Preparer(embedders, carried_tokenizer(), passage_tokens=settings.passage_tokens)
    texts = ["These are some words to warm up with."] * 100
    with (
        RayEngine(None, workers=workers, passage_tokens=settings.passage_tokens) as engine,
        ThreadPoolExecutor(4 * workers) as threads,
    ):
        list(threads.map(partial(engine.embed, preparer), [texts] * 4 * workers))


def _ingest(files: Path, options: FileOptions, *, num_threads: int) -> tuple[float, int, float]:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/rag.db")
        migrate.upgrade(database)
        database.dispose()
        with Rag(load_settings(data_dir=folder, num_threads=num_threads)) as service:
            service.embedders.get(service.embedders.default).embed(["warm up"])
            began, own_s = time.perf_counter(), time.process_time()
            report = service.ingester.ingest([files], options, collection="default")
            seconds, own_s = time.perf_counter() - began, time.process_time() - own_s
    return report.num_passages / seconds, report.num_passages, own_s


def _median(runs: Sequence[tuple[float, int, float]]) -> tuple[float, int, float]:
    rates, passages, own_s = zip(*runs, strict=True)
    return statistics.median(rates), passages[0], statistics.median(own_s)


if __name__ == "__main__":
    main()
