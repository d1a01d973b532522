"""A database with rows in every table, among them values that two databases could see differently."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from sqlalchemy import Text as PlainColumn
from sqlalchemy import delete, insert, select, type_coerce, update

from rag.store import tables
from rag.store.column_types import PlainText
from rag.store.database import Database
from rag.store.datasets import create_dataset, erase_from_datasets
from rag.store.tables import Base
from tests.store import privacy_log

MOMENT = datetime(2025, 3, 30, 1, 59, 59, 123_456, tzinfo=timezone(timedelta(hours=2)))
WHOLE_SECOND = datetime(1999, 12, 31, 23, 0, tzinfo=UTC)
ODD_TEXT = "Zoë's \U0001f9a9 «naïve» 50% \\ \t: %(x)s\n— e\u0301 ǅ"
ODD_JSON = {"b": [1, 1.0, -0.0, 1e-300, None, True], "a": {"ü": ODD_TEXT, "": "\u0000"}, "n": 2**60}
BYTES = bytes(range(256))


def fill(database: Database, *, num_changes: int = 40) -> None:
    """Put rows into every table. ``num_changes`` index changes, for copies that are to take a while."""
    privacy_log.fill(database)
    rows = Base.metadata.tables
    with database.write() as session:
        run = _insert(session, "ingestion_runs", _run())
        for document_id in (1, 2, 3):
            _insert(session, "documents", _document(document_id))
        # One that names a later one: it cannot be there when this one is written.
        documents = rows["documents"]
        session.execute(update(documents).where(documents.c.id == 1).values(near_duplicate_of=3))
        session.execute(update(documents).where(documents.c.id == 3).values(duplicate_of=2))
        attribute = {"document_id": 1, "is_tag": True, "name": "größe", "text": ODD_TEXT, "moment": MOMENT}
        _insert(session, "document_attributes", attribute | {"number": 0.1 + 0.2})
        _insert(session, "document_attributes", attribute | {"is_tag": False, "number": -0.0, "moment": None})
        for label in ("Ä", "a", "B", "_"):  # whose order differs with the database
            _insert(session, "document_access_labels", {"document_id": 1, "label": label})
        version = {"document_id": 1, "title": "t", "text": ODD_TEXT, "sections": [ODD_JSON], "text_sha256": "h"}
        _insert(session, "document_versions", version | {"version": 1, "created_at": MOMENT})
        for band in (-(2**63), 0, 2**63 - 1):
            _insert(session, "near_duplicate_bands", {"collection_id": 1, "band_hash": band, "document_id": 1})
        passage = {"document_id": 1, "document_version": 1, "start_char": 0, "end_char": 3, "text": ODD_TEXT}
        passage |= {"headings": [ODD_TEXT], "num_tokens": 2, "is_repeated": True}
        number = _insert(session, "passages", passage | {"ordinal": 0, "page": 1, "row": 7})
        for model in ("a", "B"):
            vector = {"passage_id": number, "embedding_model": model, "vector": BYTES}
            _insert(session, "passage_embeddings", vector)
        shared = {"collection_id": 1, "embedding_model": "e", "embedded_sha256": "h", "vector": b""}
        _insert(session, "shared_vectors", shared)
        generation = {"collection_id": 1, "embedding_model": "f", "status": "kept", "created_at": MOMENT}
        _insert(session, "embedding_generations", generation | {"activated_at": WHOLE_SECOND})
        change = {"collection_id": 1, "operation": "add", "created_at": MOMENT}
        changes = [{**change, "passage_id": passage_id} for passage_id in range(num_changes)]
        session.execute(insert(rows["index_changes"]), changes)
        file = {"run_id": run, "file": ODD_TEXT, "status": "read", "num_documents": 1, "updated_at": MOMENT}
        _insert(session, "ingestion_files", file)
        _insert(session, "ingestion_failures", {"run_id": run, "source": "s", "reason": "r", "created_at": MOMENT})
        upload = {"run_id": run, "spool": "s", "file_sha256": "h", "num_bytes": 1, "name": "n", "labels": ODD_JSON}
        _insert(session, "uploads", upload | {"visible_to": "*", "num_attempts": 0, "created_at": MOMENT})
        training = _insert(session, "training_runs", _training_run())
        for step in (1, 2):
            point = {"run_id": training, "metric": "loss", "step": step, "value": 1 / 3}
            _insert(session, "training_points", point)
        model = {"name": "basic", "version": 1, "kind": "reader", "sha256": "h", "note": ODD_TEXT, "created_at": MOMENT}
        number = _insert(session, "models", model | {"activated_at": WHOLE_SECOND})
        file = {"model_id": number, "num_bytes": 512, "sha256": "h"}
        _insert(session, "model_files", file | {"path": "far.safetensors", "uri": "https://models.example/far"})
        number = _insert(session, "model_files", file | {"path": "reader.safetensors"})
        for ordinal in (0, 1):
            _insert(session, "model_file_parts", {"file_id": number, "ordinal": ordinal, "content": BYTES})
        asked = {"answer_id": 1, "label": "*"}
        if session.execute(select(rows["answer_access_labels"])).first() is None:
            _insert(session, "answer_access_labels", asked)
        if session.execute(select(rows["answer_context_documents"])).first() is None:
            _insert(session, "answer_context_documents", {"answer_id": 1, "document_id": 1})
    _add_datasets(database)
    _give_ids_away(database)


def _add_datasets(database: Database) -> None:
    """A dataset of which a document was erased, and a draft whose process died."""
    dataset = create_dataset(database, 1, name="v1")
    with database.write() as session:
        erase_from_datasets(session, 2, reason="asked for")
        values = {"collection_id": 1, "name": "draft", "index_change_id": 0, "num_documents": 0, "num_real": 0}
        draft = _insert(session, "datasets", values | {"num_synthetic": 0, "sha256": "", "created_at": MOMENT})
        _insert(session, "dataset_drafts", {"dataset_id": draft})
        entry = {"dataset_id": draft, "source": "s", "document_id": 1, "document_version": 1, "text_sha256": "h"}
        _insert(session, "dataset_documents", entry | {"origin": "real"})
        session.execute(update(tables.Answer).where(tables.Answer.id == 1).values(dataset_id=dataset.id))


def _give_ids_away(database: Database) -> None:
    """Use an id and delete its row: it must not come again, in the copy neither."""
    with database.write() as session:
        given = _insert(session, "feedback", {"answer_id": 1, "rating": 1, "created_at": MOMENT})
        session.execute(delete(tables.Feedback).where(tables.Feedback.id == given))


def all_rows(database: Database) -> dict[str, list[str]]:
    """Each table's rows as they are stored, written out and sorted; read in another way than the copy reads them."""
    found = {}
    with database.read() as session:
        for table in Base.metadata.sorted_tables:
            columns = [
                type_coerce(column, PlainColumn()).label(column.name) if isinstance(column.type, PlainText) else column
                for column in table.columns
            ]
            found[table.name] = sorted(
                repr([_seen(value) for value in row]) for row in session.execute(select(*columns))
            )
    return found


def _seen(value: Any) -> Any:
    """SQLite keeps no sign of zero."""
    return value + 0.0 if isinstance(value, float) else value


def _insert(session: Any, table: str, values: dict[str, Any]) -> int:
    made = session.execute(insert(Base.metadata.tables[table]).values(values))
    key = made.inserted_primary_key
    return int(key[0]) if key is not None and isinstance(key[0], int) else 0


def _document(document_id: int) -> dict[str, Any]:
    return {
        "collection_id": 1, "source": f"file:///{document_id}", "file": "f", "file_sha256": "h", "title": ODD_TEXT,
        "media_type": "text/plain", "origin": "synthetic", "access_labels": ["Ä"], "tags": {"ü": "x"},
        "metadata": ODD_JSON, "version": 1, "text_sha256": f"{document_id}", "signature": BYTES, "pipeline": "1",
        "created_at": MOMENT, "updated_at": WHOLE_SECOND, "deleted_at": MOMENT if document_id == 3 else None,
    }  # fmt: skip


def _run() -> dict[str, Any]:
    counts = ("added", "updated", "unchanged", "exact_duplicates", "near_duplicates", "refused", "removed", "passages")
    about = {"collection_id": 1, "paths": ["/a", ODD_TEXT], "status": "finished", "started_at": MOMENT}
    return about | {f"num_{what}": 0 for what in counts}


def _training_run() -> dict[str, Any]:
    return {
        "run_key": "k", "kind": "reader", "status": "running", "settings": ODD_JSON, "seed": 1,
        "data_files": [ODD_JSON], "code_version": "1", "machine": {}, "folder": "f", "step": 1, "num_steps": 2,
        "num_starts": 1,
        "started_at": MOMENT, "reported_at": MOMENT,
    }  # fmt: skip
