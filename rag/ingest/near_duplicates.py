"""Finding the document that a text nearly repeats: MinHash signatures (Broder, 1997) propose, the words decide.

Two documents are near duplicates when the Jaccard similarity of their three-word shingles reaches the threshold. The
signatures are kept in SQL with the documents (``rag.store.near_duplicates``); nothing is held in memory.
"""

import math
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from datasketch import MinHash

from rag.store.database import Session
from rag.store.near_duplicates import Candidate, current_text, find_candidates, leads_to

SHINGLE_WORDS = 3
NUM_PERMUTATIONS = 128
SCHEME = "affine32"
"""Fixed, as signatures are kept in SQL and must stay comparable."""
MAX_CANDIDATES = 50
"""Documents looked at for one text, most similar first: a bound for collections of thousands that are all alike."""
MARGIN_DEVIATIONS = 4.0
"""Standard errors by which an estimate may fall below the threshold before the words are not looked at: 1 in 30,000."""
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class NearDuplicate:
    """A document that a text nearly repeats; an original does not nearly repeat another one itself."""

    document_id: int
    is_original: bool


def shingles(text: str) -> set[str]:
    """The three-word shingles of a text. Case and punctuation do not count."""
    words = _WORD.findall(text.lower())
    return {" ".join(shingle) for shingle in zip(words, words[1:], words[2:], strict=False)}


def signature_of(text: str) -> bytes | None:
    """The MinHash signature of a text's three-word shingles; None for a text too short to have one."""
    found = shingles(text)
    if not found:
        return None
    minhash = _empty_minhash().copy()
    minhash.update_batch([shingle.encode() for shingle in sorted(found)])
    return np.asarray(minhash.digest(), dtype="<u4").tobytes()


def jaccard(first: set[str], second: set[str]) -> float:
    """How many of the shingles of two texts both have, as a share of all."""
    shared = len(first & second)
    return shared / (len(first) + len(second) - shared)


class NearDuplicates:
    """Looks for near duplicates of a text in a collection."""

    def __init__(self, *, threshold: float) -> None:
        """``threshold`` is the Jaccard similarity from which two documents count as near duplicates."""
        self._threshold = threshold
        deviation = math.sqrt(threshold * (1 - threshold) / NUM_PERMUTATIONS)
        self._least_estimate = threshold - MARGIN_DEVIATIONS * deviation

    def find(
        self,
        session: Session,
        collection_id: int,
        text: str,
        signature: bytes | None,
        *,
        document_id: int | None = None,
        replaced: Collection[int] = (),
    ) -> NearDuplicate | None:
        """The document that a text nearly repeats: of several, an original before others, and then the oldest.

        The arguments are those of :meth:`find_all`.
        """
        found = self.find_all(session, collection_id, text, signature, document_id=document_id, replaced=replaced)
        return next(found, None)

    def find_all(
        self,
        session: Session,
        collection_id: int,
        text: str,
        signature: bytes | None,
        *,
        document_id: int | None = None,
        replaced: Collection[int] = (),
    ) -> Iterator[NearDuplicate]:
        """The documents that a text nearly repeats, originals first and then by id, each compared when it is asked for.

        Args:
            session: sees the collection.
            collection_id: where to look.
            text: the words.
            signature: their signature.
            document_id: the text's own document. It is never found, nor is one that leads back to it.
            replaced: documents to leave out, as if they had other words by now.
        """
        if signature is None:
            return
        candidates = [
            candidate
            for candidate in find_candidates(session, collection_id, signature, limit=MAX_CANDIDATES)
            if candidate.document_id not in replaced
            and _estimate(candidate.signature, signature) >= self._least_estimate
        ]
        wanted = shingles(text) if candidates else set()

        def is_original(candidate: Candidate) -> bool:
            return candidate.near_duplicate_of is None or candidate.near_duplicate_of in replaced

        for candidate in sorted(candidates, key=lambda candidate: (not is_original(candidate), candidate.document_id)):
            if document_id is not None and leads_to(session, candidate.document_id, document_id):
                continue
            if jaccard(wanted, shingles(current_text(session, candidate.document_id))) >= self._threshold:
                yield NearDuplicate(document_id=candidate.document_id, is_original=is_original(candidate))


@cache
def _empty_minhash() -> MinHash:
    """To be copied: drawing the permutations takes as long as signing a hundred words."""
    return MinHash(num_perm=NUM_PERMUTATIONS, seed=1, scheme=SCHEME)


def _estimate(first: bytes, second: bytes) -> float:
    """The share of places in which two signatures agree, an unbiased estimate of the Jaccard similarity."""
    return float(np.mean(np.frombuffer(first, dtype="<u4") == np.frombuffer(second, dtype="<u4")))
