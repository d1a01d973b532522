"""Who a request is from, which decides what its answer may hold."""

from typing import Annotated

from fastapi import Depends

from rag.api.service import Service
from rag.errors import NotAllowed
from rag.records import Caller


def caller_of(service: Service) -> Caller:
    """The caller of a request: whoever reaches this server holds the labels of its setting ``access_labels``."""
    labels = service.settings.access_labels
    return Caller(access_labels=None if labels is None else frozenset(labels))


def owner_of(caller: Annotated[Caller, Depends(caller_of)]) -> Caller:
    """A caller who sees all documents.

    Raises:
        NotAllowed: they do not.
    """
    if caller.access_labels is not None:
        raise NotAllowed("Only who may see all documents of a collection may see what it held.")
    return caller


From = Annotated[Caller, Depends(caller_of)]
