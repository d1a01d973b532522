"""A small collection to store things in, on both databases."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from rag.records import Document, Metadata, Passage, Section
from rag.store.collections import get_or_create_collection
from rag.store.database import Database
from rag.store.documents import DocumentDetails, insert_document
from rag.store.passages import replace_passages


@dataclass(frozen=True)
class Library:
    """One collection of a database, with short ways to fill it."""

    database: Database
    collection_id: int

    def document(
        self, source: str, text: str, *, title: str = "Title", file: str | None = None, metadata: Metadata | None = None
    ) -> Document:
        """A document as ingestion would read it."""
        return Document(
            source=source,
            file=file or source,
            title=title,
            media_type="text/plain",
            text=text,
            sections=(Section(start=0, end=len(text), headings=("Part",), page=1),),
            metadata=metadata or {},
        )

    def add(
        self,
        source: str,
        text: str = "some words",
        *,
        title: str = "Title",
        file: str | None = None,
        metadata: Metadata | None = None,
        **details: Any,
    ) -> int:
        """Store a document without passages, and return its id. ``details`` are those of DocumentDetails."""
        document = self.document(source, text, title=title, file=file, metadata=metadata)
        with self.database.write() as session:
            return insert_document(
                session, self.collection_id, document, self.details(**{"text_sha256": source, **details})
            )

    def details(self, text_sha256: str, **more: Any) -> DocumentDetails:
        """What ingestion would say of a document."""
        return DocumentDetails(file_sha256="file", text_sha256=text_sha256, pipeline="1", **more)

    def add_passages(self, document_id: int, texts: Sequence[str], *, version: int = 1) -> list[int]:
        """Give a document these passages, embedded as (1, 1), (2, 2), …; returns their ids."""
        vectors = np.array([[number, number] for number in range(1, len(texts) + 1)], dtype=np.float16)
        with self.database.write() as session:
            return replace_passages(
                session, document_id, self.collection_id, version, self.passages(texts), vectors, "model"
            )

    def passages(self, texts: Sequence[str]) -> list[Passage]:
        """Passages that stand one after the other."""
        starts = [sum(map(len, texts[:number])) for number in range(len(texts))]
        return [
            Passage(
                ordinal=number,
                start=start,
                end=start + len(text),
                text=text,
                num_tokens=len(text.split()),
                headings=("Part",),
                page=1,
            )
            for number, (start, text) in enumerate(zip(starts, texts, strict=True))
        ]


@pytest.fixture
def library(database: Database) -> Library:
    """An empty collection; the test runs once on each database system."""
    with database.write() as session:
        collection = get_or_create_collection(session, "handbooks", embedding_model="model")
    return Library(database, collection.id)
