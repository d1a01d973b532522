"""The embedding models in use, each loaded when a collection first needs it."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from rag.index.embedder import Embedder, model_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingRecipe:
    """What an embedding model is loaded from, here or in another process that has the same ``folder``.

    The rest as in ``Embedder``.
    """

    name: str
    folder: Path
    dtype: torch.dtype
    batch_size: int
    half_queries: bool

    def load(self) -> Embedder:
        """Load it.

        Raises:
            InvalidInput: there is no such model on this machine.
        """
        return Embedder(
            self.name,
            folder=self.folder,
            dtype=self.dtype,
            batch_size=self.batch_size,
            half_queries=self.half_queries,
        )


class Embedders:
    """Hands out embedding models by name. Safe to share between threads."""

    def __init__(
        self,
        default: str,
        *,
        dtype: torch.dtype,
        batch_size: int,
        half_queries: bool = True,
        find_folder: Callable[[str], Path] = model_folder,
    ) -> None:
        """``default`` is the model of new collections; nothing is loaded yet. ``find_folder`` knows where a name is."""
        self.default = default
        self._find_folder = find_folder
        self._dtype, self._batch_size, self._half_queries = dtype, batch_size, half_queries
        self._loaded: dict[str, Embedder] = {}
        self._lock = threading.Lock()

    def get(self, name: str) -> Embedder:
        """The model of that name.

        Raises:
            InvalidInput: there is no such model on this machine.
        """
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = self.recipe(name).load()
            return self._loaded[name]

    def recipe(self, name: str) -> EmbeddingRecipe:
        """What the model of that name is loaded from."""
        return EmbeddingRecipe(
            name=name,
            folder=self._find_folder(name),
            dtype=self._dtype,
            batch_size=self._batch_size,
            half_queries=self._half_queries,
        )
