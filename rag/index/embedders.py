"""The embedding models in use, each loaded when a collection first needs it."""

import threading

import torch

from rag.index.embedder import Embedder


class Embedders:
    """Hands out embedding models by name. Safe to share between threads."""

    def __init__(self, default: str, *, dtype: torch.dtype, batch_size: int) -> None:
        """``default`` is the model of new collections; nothing is loaded yet."""
        self.default = default
        self._dtype, self._batch_size = dtype, batch_size
        self._loaded: dict[str, Embedder] = {}
        self._lock = threading.Lock()

    def get(self, name: str) -> Embedder:
        """The model of that name.

        Raises:
            InvalidInput: there is no such model on this machine.
        """
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = Embedder(name, dtype=self._dtype, batch_size=self._batch_size)
            return self._loaded[name]
