"""Retrieval-augmented question answering over a team's own documents, with citations that can be checked.

import rag

with rag.open(rag.Settings(data_dir="my-data")) as service:
    service.ingest("handbook/")
    print(service.ask("How many days of leave do we have?").answer)
"""

from typing import TYPE_CHECKING

from rag.config import Settings

if TYPE_CHECKING:
    from rag.assemble import Rag

__all__ = ["Settings", "open"]


def open(settings: Settings | None = None) -> "Rag":
    """Open the service; see ``rag.assemble.Rag``.

    Raises:
        InvalidInput: a setting has a bad value.
        StoreUnavailable: the database cannot be opened, or ``rag db upgrade`` has not been run.
    """
    # Only here: it loads torch, which ``rag --help`` and a look at the settings can do without.
    from rag.assemble import open_rag

    return open_rag(settings)
