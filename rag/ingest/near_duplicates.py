"""Finding documents that nearly repeat another: MinHash signatures (Broder, 1997) and locality-sensitive hashing."""

import re
from collections.abc import Iterable

import numpy as np
from datasketch import MinHash, MinHashLSH

SHINGLE_WORDS = 3
NUM_PERMUTATIONS = 128
SCHEME = "affine32"
"""Fixed, as signatures are kept in SQL and must stay comparable."""
_WORD = re.compile(r"\w+")


def signature_of(text: str) -> bytes | None:
    """The MinHash signature of a text's three-word shingles; None for a text too short to have one."""
    words = _WORD.findall(text.lower())
    if len(words) < SHINGLE_WORDS:
        return None
    shingles = {" ".join(words[i : i + SHINGLE_WORDS]) for i in range(len(words) - SHINGLE_WORDS + 1)}
    minhash = MinHash(num_perm=NUM_PERMUTATIONS, seed=1, scheme=SCHEME)
    minhash.update_batch([shingle.encode() for shingle in sorted(shingles)])
    return np.asarray(minhash.digest(), dtype="<u4").tobytes()


def _minhash(signature: bytes) -> MinHash:
    values = np.frombuffer(signature, dtype="<u4").astype(np.uint32)
    return MinHash(num_perm=NUM_PERMUTATIONS, seed=1, scheme=SCHEME, hashvalues=values)


class NearDuplicates:
    """The signatures of a collection's documents, by document id."""

    def __init__(self, signatures: Iterable[tuple[int, bytes]], *, threshold: float) -> None:
        """``threshold`` is the estimated Jaccard similarity from which two documents count as near duplicates."""
        self._threshold = threshold
        self._table = MinHashLSH(threshold=threshold, num_perm=NUM_PERMUTATIONS)
        self._signatures: dict[int, MinHash] = {}
        for document_id, signature in signatures:
            self.put(document_id, signature)

    def put(self, document_id: int, signature: bytes | None) -> None:
        """Add a document, or replace its signature."""
        if document_id in self._signatures:
            self._table.remove(document_id)
            del self._signatures[document_id]
        if signature is not None:
            self._signatures[document_id] = _minhash(signature)
            self._table.insert(document_id, self._signatures[document_id])

    def find(self, signature: bytes | None, *, other_than: int | None = None) -> int | None:
        """The first document (lowest id) that the signature nearly repeats.

        The table proposes and the estimated similarity decides, so that its false positives do not link documents.
        """
        if signature is None:
            return None
        wanted = _minhash(signature)
        found = [
            document_id
            for document_id in self._table.query(wanted)
            if document_id != other_than and self._signatures[document_id].jaccard(wanted) >= self._threshold
        ]
        return min(found, default=None)
