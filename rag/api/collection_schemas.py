"""Collections over the wire."""

from datetime import datetime
from typing import Self

from pydantic import Field

from rag.api.paging import NEXT
from rag.api.schemas import Response
from rag.store.collections import CollectionSize


class CollectionResponse(Response):
    """A named body of documents, with what it holds now. ``num_documents`` is ``num_real`` and ``num_synthetic``."""

    name: str
    embedding_model: str
    num_documents: int
    num_real: int
    num_synthetic: int
    num_passages: int
    created_at: datetime

    @classmethod
    def from_record(cls, size: CollectionSize) -> Self:
        """The collection as it goes over the wire."""
        return cls(
            name=size.collection.name,
            embedding_model=size.collection.embedding_model,
            num_documents=size.num_documents,
            num_real=size.num_real,
            num_synthetic=size.num_synthetic,
            num_passages=size.num_passages,
            created_at=size.collection.created_at,
        )


class CollectionListResponse(Response):
    """A page of collections, by name."""

    collections: list[CollectionResponse]
    next: str | None = Field(None, description=NEXT)
