"""Files of known questions as collections of their own, made once and used by every evaluation of the file.

Of a SQuAD file the paragraphs become documents, of a folder in BEIR's layout the documents.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rag.errors import InvalidInput
from rag.evaluate.beir import CORPUS, load_beir
from rag.ingest.files import bytes_sha256
from rag.ingest.labels import Labels
from rag.ingest.pipeline import Ingester
from rag.ingest.report import IngestionProgress
from rag.records import Document, Section
from rag.store.collections import Collection, get_collection
from rag.store.database import Database
from rag.store.documents import documents_of_file
from rag.training.squad import SquadFile, SquadQuestion, load_squad


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedQuery:
    """A query, and how relevant which documents are: grades above 0 by document id."""

    text: str
    grades: Mapping[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """The questions of a file, and the collection that holds its paragraphs.

    ``document_ids`` maps a paragraph's place in the file to the id of its document.
    """

    squad: SquadFile
    file_sha256: str
    collection: Collection
    document_ids: Mapping[int, int]


T = TypeVar("T")
OnProgress = Callable[[IngestionProgress], None]


def build_corpus(path: Path, *, ingester: Ingester, database: Database, on_progress: OnProgress) -> Corpus:
    """Put the paragraphs of a file in SQuAD format into a collection, each a document, duplicates kept.

    Raises:
        InvalidInput: the file cannot be read or is not in this format.
    """
    squad = load_squad(path)
    file_sha256 = bytes_sha256(path.read_bytes())
    documents = [
        (paragraph.title or f"Paragraph {n + 1}", paragraph.text) for n, paragraph in enumerate(squad.paragraphs)
    ]
    collection, document_ids = _store(
        documents,
        name=path.stem,
        kind="squad",
        sha256=file_sha256,
        ingester=ingester,
        database=database,
        on_progress=on_progress,
    )
    return Corpus(squad=squad, file_sha256=file_sha256, collection=collection, document_ids=document_ids)


def judged_questions(corpus: Corpus, questions: Sequence[SquadQuestion]) -> list[JudgedQuery]:
    """Questions as queries, each with its own paragraph as the only relevant document."""
    return [JudgedQuery(text=q.question, grades={corpus.document_ids[q.paragraph]: 1}) for q in questions]


def build_beir_corpus(
    folder: Path, *, split: str, ingester: Ingester, database: Database, on_progress: OnProgress
) -> tuple[Collection, list[JudgedQuery]]:
    """Put the documents of a folder in BEIR's layout into a collection; returns it with the judged queries.

    Raises:
        InvalidInput: the folder is not in this layout.
    """
    loaded = load_beir(folder, split=split)
    documents = [(document.title, document.text) for document in loaded.documents]
    sha256 = bytes_sha256((folder / CORPUS).read_bytes())
    collection, document_ids = _store(
        documents,
        name=folder.name,
        kind="beir",
        sha256=sha256,
        ingester=ingester,
        database=database,
        on_progress=on_progress,
    )
    numbers = {document.id: number for number, document in enumerate(loaded.documents)}
    return collection, [
        JudgedQuery(
            text=query.text,
            # A document without any words was not stored; nothing could find it.
            grades={document_ids[numbers[d]]: grade for d, grade in query.grades.items() if numbers[d] in document_ids},
        )
        for query in loaded.queries
    ]


def build_judged_corpus(
    path: Path, *, split: str, ingester: Ingester, database: Database, on_progress: OnProgress
) -> tuple[Collection, list[JudgedQuery]]:
    """The same of either: a folder in BEIR's layout, or a file in SQuAD format, which has no splits.

    Raises:
        InvalidInput: it is neither, or holds no questions.
    """
    if path.is_dir():
        return build_beir_corpus(path, split=split, ingester=ingester, database=database, on_progress=on_progress)
    corpus = build_corpus(path, ingester=ingester, database=database, on_progress=on_progress)
    return corpus.collection, judged_questions(corpus, sample_questions(corpus.squad, limit=None, seed=0))


def _store(
    documents: Sequence[tuple[str, str]],
    *,
    name: str,
    kind: str,
    sha256: str,
    ingester: Ingester,
    database: Database,
    on_progress: OnProgress,
) -> tuple[Collection, dict[int, int]]:
    """The collection that holds these (title, text), each as a document, and their ids by place; made if need be."""
    collection_name, file = f"evaluation:{name}:{sha256[:8]}", f"{kind}:{sha256}"
    sources = [f"{file}#paragraph={number + 1}" for number in range(len(documents))]
    ingester.ingest_documents(
        (
            Document(
                source=source,
                file=file,
                title=title,
                media_type="text/plain",
                text=text,
                sections=(Section(start=0, end=len(text)),),
            )
            for source, (title, text) in zip(sources, documents, strict=True)
            if text.strip()
        ),
        file=file,
        file_sha256=sha256,
        collection=collection_name,
        labels=Labels(tags={}, deduplicate=False),
        on_progress=on_progress,
    )
    with database.read() as session:
        collection = get_collection(session, collection_name)
        stored = documents_of_file(session, collection.id, file)
    numbers = {source: number for number, source in enumerate(sources)}
    return collection, {numbers[document.source]: document.id for document in stored}


def sample_questions(squad: SquadFile, *, limit: int | None, seed: int) -> list[SquadQuestion]:
    """All questions of the file, or ``limit`` of them drawn with ``seed``.

    Raises:
        InvalidInput: there is no question to ask, or ``limit`` is below 1.
    """
    if not squad.questions:
        raise InvalidInput("The file holds no questions.")
    return sample(squad.questions, limit=limit, seed=seed)


def sample(questions: Sequence[T], *, limit: int | None, seed: int) -> list[T]:
    """All of them, or ``limit`` of them drawn with ``seed``. Raises InvalidInput: ``limit`` is below 1."""
    if limit is None or limit >= len(questions):
        return list(questions)
    if limit < 1:
        raise InvalidInput("limit must be at least 1.")
    return random.Random(seed).sample(list(questions), limit)
