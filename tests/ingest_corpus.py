"""Documents of all kinds that ingestion tells apart, and all that a database holds of them: to compare runs by."""

import random
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import text

from rag.assemble import Rag
from rag.config import Settings
from rag.records import SearchMode, SearchOptions

WORDS = "the of a rota kept in office by team every week with paper and tea for two hours until late autumn"
NOTICE = "This common footer stands in many documents and says that " + "nothing may be copied " * 12 + "by anybody."
MODES: tuple[SearchMode, ...] = ("hybrid", "keyword", "vector")
QUERIES = ("topic7 word7", "Who keeps the rota?", "policy 2024", "row 12", "common footer")


def write_corpus(folder: Path) -> None:
    """Documents of several batches: plain ones, exact and near duplicates, many rows in one file, a broken file.

    They are many and short: it is between the transactions that a kill may do harm, and embedding is what takes long.
    """
    words, known = random.Random(0), WORDS.split()
    base = " ".join(words.choices(known, k=150))
    for number in range(24):
        body = " ".join([f"word{number}", *words.choices(known, k=30)])
        (folder / f"{number:02}.txt").write_text(f"Document {number} speaks of topic{number}. {body}")
    for number in range(12):
        own = " ".join([f"n{number}", *words.choices(known, k=30)])
        (folder / f"notice{number:02}.md").write_text(f"# Notice {number}\n\n## Own\n\n{own}\n\n## Legal\n\n{NOTICE}\n")
    (folder / "copy.txt").write_text((folder / "07.txt").read_text())
    (folder / "rota.md").write_text(f"# Rota\n\nThe rota is kept by Amara. Policy 2024. {base}")
    (folder / "rota2.md").write_text(f"# Rota\n\nThe rota is kept by Amara. Policy 2025. {base}")
    (folder / "rows.csv").write_text("name,value\n" + "".join(f"row {n},{n * n}\n" for n in range(20)))
    (folder / "lines.jsonl").write_text("".join(f'{{"text": "Line {n} says hello to n{n}."}}\n' for n in range(20)))
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\nnot really")


def stored_state(url: str, data: Path) -> dict[str, Any]:
    """All that people can see of a collection, without ids and times."""
    with Rag(Settings(database_url=url, data_dir=data)) as service:
        with service.database.read() as session:
            documents = session.execute(
                text(
                    "SELECT d.source, d.file, d.file_sha256, d.title, d.text_sha256, d.version, o.source, n.source, "
                    "(SELECT count(*) FROM document_versions v WHERE v.document_id = d.id) FROM documents d "
                    "LEFT JOIN documents o ON o.id = d.duplicate_of "
                    "LEFT JOIN documents n ON n.id = d.near_duplicate_of "
                    "WHERE d.deleted_at IS NULL ORDER BY d.source"
                )
            ).all()
            passages = session.execute(
                text(
                    "SELECT d.source, p.ordinal, p.start_char, p.end_char, p.text, p.is_repeated, e.vector "
                    "FROM passages p JOIN documents d ON d.id = p.document_id "
                    "JOIN passage_embeddings e ON e.passage_id = p.id "
                    "ORDER BY d.source, p.ordinal"
                )
            ).all()
            orphans = session.scalar(
                text("SELECT count(*) FROM passage_embeddings WHERE passage_id NOT IN (SELECT id FROM passages)")
            )
        index = service.indexes.get(service.collection("default"))
        found = {
            (query, mode): [
                (hit.source, hit.text) for hit in service.search(query, options=SearchOptions(mode=mode), top_k=8)
            ]
            for query in QUERIES
            for mode in MODES
        }
        return {
            "documents": [tuple(row) for row in documents],
            "passages": [tuple(row[:-1]) for row in passages],
            "vectors": np.array([np.frombuffer(row.vector, dtype="<f2") for row in passages], dtype=np.float32),
            "orphans": orphans,
            "num_indexed": len(index),
            "found": found,
        }
