"""The one ``Rag`` of a server, and how a route gets at it."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from rag.assemble import Rag
from rag.config import Settings
from rag.errors import InvalidInput, RagError, Unavailable
from rag.store.collections import list_collections
from rag.store.migrate import require_current

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that must be in order; ``detail`` says what is wrong, and is None where nothing is."""

    name: str
    detail: str | None


class ServiceKeeper:
    """Opens the service, and tries again at the next request where that failed.

    A server that was started before its database, or before ``rag db upgrade``, is up, says why it cannot answer, and
    answers as soon as it can.
    """

    def __init__(self, settings: Settings, service: Rag | None = None) -> None:
        """Keep ``service``, which stays its caller's to close; None: open one with these settings when needed."""
        self._settings, self._service = settings, service
        self._owned = service is None
        self._loaded = self._indexes_open = False
        self._lock = threading.RLock()

    def get(self) -> Rag:
        """The service, ready to search.

        Raises:
            Unavailable: the database or the embedding model is not there.
        """
        service = self._open()
        if not self._loaded:
            # One thread loads, or the first few requests would each load the models.
            with self._lock:
                try:
                    _load_embedding(service)
                except InvalidInput as error:
                    raise Unavailable(str(error)) from error
                self._loaded = True
        return service

    def warm_up(self) -> None:
        """Open the database, load the models and open the indexes, so that the first question need not wait."""
        for check in self.check():
            if check.detail:
                log.warning("Not ready: %s: %s", check.name, check.detail)

    def check(self) -> list[Check]:
        """Whether everything that an answer needs is in order; what is not loaded yet is loaded."""
        try:
            service = self._open()
            require_current(service.database)
        except RagError as error:
            waiting = "not looked at, as the database is not ready"
            return [Check(name="database", detail=str(error))] + [
                Check(name=name, detail=waiting) for name in ("embedding_model", "reader", "index")
            ]
        with self._lock:
            return [
                Check(name="database", detail=None),
                _check("embedding_model", _load_embedding, service),
                _check("reader", _load_reader, service),
                _check("index", self._open_indexes, service),
            ]

    def close(self) -> None:
        """Release the service if it was opened here."""
        if self._owned and self._service is not None:
            self._service.close()

    def _open(self) -> Rag:
        if self._service is not None:
            return self._service
        # Outside the lock: while a database server does not answer, each attempt waits for its time limit.
        try:
            opened = Rag(self._settings)
        except InvalidInput as error:
            raise Unavailable(str(error)) from error
        with self._lock:
            kept = self._service = self._service or opened
        if kept is not opened:
            opened.close()
        return kept

    def _open_indexes(self, service: Rag) -> None:
        if self._indexes_open:
            return  # those that came later are opened by their first search
        with service.database.read() as session:
            collections = [size.collection for size in list_collections(session)]
        for collection in collections:
            if collection.embedding_model == service.embedder.name:
                service.indexes.get(collection)
        self._indexes_open = True


def keeper_of(request: Request) -> ServiceKeeper:
    """The keeper that ``create_app`` has put into the application."""
    keeper = request.app.state.keeper
    assert isinstance(keeper, ServiceKeeper)
    return keeper


Keeper = Annotated[ServiceKeeper, Depends(keeper_of)]


def service_of(keeper: Keeper) -> Rag:
    """The service, for a route."""
    return keeper.get()


Service = Annotated[Rag, Depends(service_of)]


def _check(name: str, look: Callable[[Rag], None], service: Rag) -> Check:
    try:
        look(service)
    except (RagError, OSError) as error:
        return Check(name=name, detail=str(error))
    return Check(name=name, detail=None)


def _load_embedding(service: Rag) -> None:
    service.retriever  # noqa: B018 - made when first used
    service.ingester  # noqa: B018


def _load_reader(service: Rag) -> None:
    service.answerer  # noqa: B018
