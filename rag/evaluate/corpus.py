"""A SQuAD file's paragraphs as a collection of their own, made once and used by every evaluation of the file."""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rag.errors import InvalidInput
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
class Corpus:
    """The questions of a file, and the collection that holds its paragraphs.

    ``document_ids`` maps a paragraph's place in the file to the id of its document.
    """

    squad: SquadFile
    file_sha256: str
    collection: Collection
    document_ids: Mapping[int, int]


def build_corpus(
    path: Path, *, ingester: Ingester, database: Database, on_progress: Callable[[IngestionProgress], None]
) -> Corpus:
    """Put the paragraphs of a file in SQuAD format into a collection, each a document, duplicates kept.

    Raises:
        InvalidInput: the file cannot be read or is not in this format.
    """
    squad = load_squad(path)
    file_sha256 = bytes_sha256(path.read_bytes())
    name, file = f"evaluation:{path.stem}:{file_sha256[:8]}", f"squad:{file_sha256}"
    ingester.ingest_documents(
        _documents(squad, file),
        file=file,
        file_sha256=file_sha256,
        collection=name,
        labels=Labels(tags={}, deduplicate=False),
        on_progress=on_progress,
    )
    with database.read() as session:
        collection = get_collection(session, name)
        stored = documents_of_file(session, collection.id, file)
    numbers = {_source(file, number): number for number in range(len(squad.paragraphs))}
    return Corpus(
        squad=squad,
        file_sha256=file_sha256,
        collection=collection,
        document_ids={numbers[document.source]: document.id for document in stored},
    )


def sample_questions(squad: SquadFile, *, limit: int | None, seed: int) -> list[SquadQuestion]:
    """All questions of the file, or ``limit`` of them drawn with ``seed``.

    Raises:
        InvalidInput: there is no question to ask, or ``limit`` is below 1.
    """
    questions = list(squad.questions)
    if not questions:
        raise InvalidInput("The file holds no questions.")
    if limit is None or limit >= len(questions):
        return questions
    if limit < 1:
        raise InvalidInput("limit must be at least 1.")
    return random.Random(seed).sample(questions, limit)


def _source(file: str, number: int) -> str:
    return f"{file}#paragraph={number + 1}"


def _documents(squad: SquadFile, file: str) -> Iterator[Document]:
    for number, paragraph in enumerate(squad.paragraphs):
        yield Document(
            source=_source(file, number),
            file=file,
            title=paragraph.title or f"Paragraph {number + 1}",
            media_type="text/plain",
            text=paragraph.text,
            sections=(Section(start=0, end=len(paragraph.text)),),
        )
