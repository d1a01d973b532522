"""Retrieval collections in BEIR's layout (Thakur et al., 2021): documents, queries, and graded judgements of both.

corpus.jsonl        {"_id": …, "title": …, "text": …}
queries.jsonl       {"_id": …, "text": …}
qrels/SPLIT.tsv     query-id, corpus-id, score, under a line of these names
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag.errors import InvalidInput

CORPUS, QUERIES = "corpus.jsonl", "queries.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class BeirDocument:
    """A document of the collection."""

    id: str
    title: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BeirQuery:
    """A query and its judgements: ``grades`` maps ids of relevant documents to how relevant they are, above 0."""

    id: str
    text: str
    grades: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class BeirFolder:
    """A whole collection with the judged queries of one split."""

    documents: tuple[BeirDocument, ...]
    queries: tuple[BeirQuery, ...]


def load_beir(folder: Path, *, split: str = "test") -> BeirFolder:
    """Read a collection. Queries of the split without any relevant document are left out.

    Raises:
        InvalidInput: a file is missing or malformed, or names what is not there; the message says where.
    """
    documents = tuple(
        BeirDocument(id=str(one["_id"]), title=str(one.get("title") or ""), text=str(one["text"]))
        for one in _records(folder / CORPUS, needed=("_id", "text"))
    )
    texts = {str(one["_id"]): str(one["text"]) for one in _records(folder / QUERIES, needed=("_id", "text"))}
    known = {document.id for document in documents}
    path = folder / "qrels" / f"{split}.tsv"
    grades: dict[str, dict[str, int]] = {}
    for number, (query, document, grade) in _judgements(path):
        if query not in texts or document not in known:
            missing = f"query {query}" if query not in texts else f"document {document}"
            raise InvalidInput(f"{path}, line {number}: there is no {missing} in the collection.")
        if grade > 0:
            grades.setdefault(query, {})[document] = grade
    if not grades:
        raise InvalidInput(f"{path} holds no query with a relevant document.")
    queries = tuple(BeirQuery(id=query, text=texts[query], grades=judged) for query, judged in grades.items())
    return BeirFolder(documents=documents, queries=queries)


def _records(path: Path, *, needed: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    for number, line in _lines(path):
        try:
            record = json.loads(line)
        except ValueError as error:
            raise InvalidInput(f"{path}, line {number} is not JSON: {error}.") from error
        if not isinstance(record, dict) or not record.keys() >= set(needed):
            raise InvalidInput(f"{path}, line {number}: an object with {' and '.join(needed)} is needed.")
        yield record


def _judgements(path: Path) -> Iterator[tuple[int, tuple[str, str, int]]]:
    for number, line in _lines(path):
        columns = line.split("\t")
        if number == 1 and columns[0] == "query-id":
            continue
        try:
            query, document, grade = columns
            yield number, (query, document, int(grade))
        except ValueError as error:
            raise InvalidInput(
                f"{path}, line {number}: a query's id, a document's id and a whole number are needed, parted by tabs."
            ) from error


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except OSError as error:
        raise InvalidInput(f"Cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8: {error}.") from error
