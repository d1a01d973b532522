"""How much of the embedder's own rate an ingestion reaches: files are ingested, then the same passages embedded alone.

    python benchmarks/ingestion.py --files FOLDER [--repeats 3] [--workers 0]

Both sides use the same model and batches; each repetition begins with an empty database. Prints medians.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from sqlalchemy import text

from rag.assemble import Rag
from rag.config import load_settings
from rag.ingest.file_options import FileOptions
from rag.store import migrate
from rag.store.database import Database
from rag.text.context import embedded_text

AT_ONCE = 100
"""Passages given to the embedder at a time, about as many as a batch of the pipeline holds."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=0)
    arguments = parser.parse_args()
    shares, rates = [], []
    for _ in range(arguments.repeats):
        with tempfile.TemporaryDirectory() as folder:
            num_passages, whole_s, alone_s = _measure(Path(folder), arguments.files, arguments.workers)
        shares.append(alone_s / whole_s)
        rates.append(num_passages / whole_s)
        print(f"{num_passages} passages: ingestion {whole_s:.1f} s, embedding alone {alone_s:.1f} s")
    print(f"median: {statistics.median(rates):.1f} passages/s, {statistics.median(shares):.1%} of the embedder alone")


def _measure(folder: Path, files: Path, workers: int) -> tuple[int, float, float]:
    """Passages written, seconds of the run without saving the index, seconds of embedding the same texts."""
    database = Database(f"sqlite:///{folder / 'rag.db'}")
    migrate.upgrade(database)
    database.dispose()
    with Rag(load_settings(data_dir=folder)) as service:
        embedder = service.embedders.get(service.embedders.default)
        embedder.embed(["warm up"])
        report = service.ingest(files, options=FileOptions(workers=workers))
        with service.database.read() as session:
            rows = session.execute(
                text(
                    "SELECT d.title, p.headings, p.text FROM passages p JOIN documents d ON d.id = p.document_id "
                    "ORDER BY p.id"
                )
            ).all()

        texts = [embedded_text(title, json.loads(headings), words) for title, headings, words in rows]
        began = time.perf_counter()
        for start in range(0, len(texts), AT_ONCE):
            embedder.embed(texts[start : start + AT_ONCE])
        return len(texts), report.seconds, time.perf_counter() - began


if __name__ == "__main__":
    main()
