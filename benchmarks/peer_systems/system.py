"""What a system must do to be compared, and the names of those that are."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
"""Unit vectors (N, dimension) of the passages, in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a system keeps what it saves (the folder is there), and how it embeds."""

    folder: Path
    model: Path
    dtype: str
    batch_size: int


class System(Protocol):
    """One system in one process. Making one with a ``Place`` loads the embedding model."""

    def ingest(self, file: Path, vectors: Vectors | None) -> None:
        """Read a file of passages, embed them unless their vectors are given, index them, and save all of it."""

    def open(self) -> None:
        """Open what ``ingest`` saved."""

    def search(self, question: str, *, top_k: int) -> list[str]:
        """Ids of the best passages by the system's own hybrid search, best first; may be called from many threads."""

    def close(self) -> None:
        """Release what is open."""


ADAPTERS: Mapping[str, str] = {
    "ours": "ours:Ours",
    "txtai": "with_txtai:WithTxtai",
    "haystack": "with_haystack:WithHaystack",
    "llamaindex": "with_llama_index:WithLlamaIndex",
    "bare": "bare:Bare",
}
"""Module and class of each system; imported when it is measured, so that no process pays for another's imports."""
PEERS: Mapping[str, str] = {"txtai": "txtai", "haystack": "haystack_integrations", "llamaindex": "llama_index"}
"""The systems that are not of this project, and the package by which one can tell that they are installed."""


def make_system(name: str, place: Place) -> System:
    """The system of that name."""
    module, _, adapter = ADAPTERS[name].partition(":")
    system: System = getattr(import_module(f"peer_systems.{module}"), adapter)(place)
    return system
