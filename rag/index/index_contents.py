"""What a process holds in memory of one collection: both legs of the search, as of one index change."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np

from rag.errors import IndexDamaged
from rag.index.keyword import KeywordEntry, KeywordIndex
from rag.index.passage_documents import PassageDocuments
from rag.index.snapshots import check_snapshot, link_folder
from rag.index.vectors import VectorIndex, VectorIndexKind
from rag.store.passages import EmbeddingBatch
from rag.text.context import context_line

VECTORS, DOCUMENTS, KEYWORD = "vectors", "documents.npy", "keyword"


class IndexContents:
    """The vectors, the keyword index and the document of each passage, all after ``change_id``.

    Any number of threads may search at once while none applies changes.
    """

    def __init__(
        self, vectors: VectorIndex, keyword: KeywordIndex, keyword_folder: Path, documents: PassageDocuments
    ) -> None:
        self.vectors, self.keyword, self.documents = vectors, keyword, documents
        self.change_id = 0
        self._keyword_folder = keyword_folder

    @classmethod
    def empty(cls, dimension: int, *, kind: VectorIndexKind, working: Path) -> Self:
        """Nothing yet; the keyword index is kept in a new folder in ``working``."""
        folder = Path(tempfile.mkdtemp(dir=working))
        return cls(VectorIndex(dimension, kind=kind), KeywordIndex(folder), folder, PassageDocuments())

    @classmethod
    def load(
        cls, snapshot: Path, *, embedding_model: str, dimension: int, kind: VectorIndexKind, working: Path
    ) -> Self:
        """What a snapshot holds; the snapshot itself is never written to.

        Raises:
            IndexDamaged: it does not hold what its manifest says, or is of another model.
        """
        manifest = check_snapshot(snapshot, embedding_model=embedding_model, dimension=dimension)
        folder = Path(tempfile.mkdtemp(dir=working))
        link_folder(snapshot / KEYWORD, folder)
        contents = cls(
            VectorIndex.load(snapshot / VECTORS, dimension, kind=kind),
            KeywordIndex(folder),
            folder,
            PassageDocuments.load(snapshot / DOCUMENTS),
        )
        if {len(contents.vectors), len(contents.keyword)} != {manifest.num_passages}:
            raise IndexDamaged(f"Snapshot {snapshot} does not hold the passages that its manifest counts.")
        contents.change_id = manifest.change_id
        return contents

    def __len__(self) -> int:
        return len(self.vectors)

    def apply(self, batch: EmbeddingBatch, *, remove: Sequence[int], change_id: int) -> None:
        """Take passages in and out; ``change_id`` is the last change among them."""
        self.keyword.apply(
            add=(
                KeywordEntry(
                    passage_id=words.passage_id,
                    context=context_line(words.title, words.headings),
                    text=words.text,
                )
                for words in batch.words
            ),
            remove=remove,
        )
        removed = np.asarray(remove, dtype=np.int64)
        self.vectors.remove(removed)
        self.vectors.add(batch.passage_ids, batch.vectors)
        self.documents.remove(removed)
        self.documents.put(batch.passage_ids, np.fromiter((words.document_id for words in batch.words), dtype=np.int64))
        self.change_id = change_id

    def discard(self) -> None:
        """Remove the files that it keeps in the working folder; nobody may search it any more."""
        shutil.rmtree(self._keyword_folder, ignore_errors=True)

    def save(self, folder: Path) -> None:
        """Write everything into a folder, to be sealed with its manifest."""
        self.vectors.save(folder / VECTORS)
        self.documents.save(folder / DOCUMENTS)
        link_folder(self._keyword_folder, folder / KEYWORD)
