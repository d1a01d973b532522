"""The one ``Rag`` of a server, and how a route gets at it."""

import logging
import threading
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request

from rag.assemble import Rag
from rag.config import Settings
from rag.errors import InvalidInput, RagError, Unavailable
from rag.store.collections import list_collections
from rag.store.migrate import require_current

log = logging.getLogger(__name__)


READY = "ready"
NEEDED = ("database", "models", "index")
"""The parts that an answer cannot do without."""


class ServiceKeeper:
    """Opens the service, and tries again at the next request where that failed.

    A server that was started before its database, or before ``rag db upgrade``, is up, says why it cannot answer, and
    answers as soon as it can.
    """

    def __init__(
        self,
        settings: Settings,
        service: Rag | None = None,
        *,
        on_open: Callable[[Rag], None] = lambda _: None,
        on_close: Callable[[Rag], None] = lambda _: None,
    ) -> None:
        """Keep ``service``, which stays its caller's to close; None: open one with these settings when needed.

        ``on_open`` is called once with the service when it is there, ``on_close`` before it is let go.
        """
        self._on_open, self._on_close = on_open, on_close
        self._is_known = False
        self._settings, self._service = settings, service
        self._owned = service is None
        self._loaded = self._indexes_open = False
        self._lock = threading.RLock()

    def open(self) -> Rag:
        """The service as far as its database: no model is loaded for it.

        Raises:
            Unavailable: the database is not there.
        """
        return self._open()

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
                    _load_embedding_model(service)
                except InvalidInput as error:
                    raise Unavailable(str(error)) from error
                self._loaded = True
        return service

    def warm_up(self) -> None:
        """Open the database, load the models and open the indexes, so that the first question need not wait."""
        for part, state in self.check().items():
            if state != READY:
                log.warning("Not ready: %s: %s", part, state)

    def check(self) -> dict[str, str]:
        """The state of what an answer needs, ``READY`` or what is wrong; what is not loaded yet is loaded."""
        try:
            service = self._open()
            require_current(service.database)
            if service.is_loaded:
                service.answerer.check_log()
            service.database.require_writable()
        except RagError as error:
            waiting = "waiting for the database"
            return {"database": str(error), "models": waiting, "index": waiting}
        with self._lock:
            parts = {
                "database": READY,
                "models": _state(_load_models, service),
                "index": _state(self._open_indexes, service),
            }
        if service.shared_server is not None:
            problem = service.shared_server.problem()
            parts["redis"] = READY if problem is None else f"degraded: {problem}"
        return parts

    def close(self) -> None:
        """Release the service if it was opened here."""
        if self._is_known and self._service is not None:
            self._on_close(self._service)
            self._is_known = False
        if self._owned and self._service is not None:
            self._service.close()

    def _open(self) -> Rag:
        if self._service is not None:
            return self._introduced(self._service)
        # Outside the lock: while a database server does not answer, each attempt waits for its time limit.
        try:
            opened = Rag(self._settings)
        except InvalidInput as error:
            raise Unavailable(str(error)) from error
        with self._lock:
            kept = self._service = self._service or opened
        if kept is not opened:
            opened.close()
        return self._introduced(kept)

    def _introduced(self, service: Rag) -> Rag:
        if not self._is_known:
            with self._lock:
                if not self._is_known:
                    self._is_known = True
                    self._on_open(service)
        return service

    def _open_indexes(self, service: Rag) -> None:
        service.indexes.check()
        if self._indexes_open:
            return  # those that came later are opened by their first search
        with service.database.read() as session:
            collections = [size.collection for size in list_collections(session)]
        for collection in collections:
            try:
                service.indexes.get(collection).refresh()
            except InvalidInput as error:
                # The others can be searched; who asks this one is told the same.
                log.warning("Collection %s cannot be searched: %s", collection.name, error)
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


def _state(look: Callable[[Rag], None], service: Rag) -> str:
    try:
        look(service)
    except (RagError, OSError) as error:
        return str(error)
    return READY


def _load_embedding_model(service: Rag) -> None:
    service.embedders.get(service.settings.embedding_model)
    service.retriever  # noqa: B018 - made when first used
    service.ingester  # noqa: B018


def _load_models(service: Rag) -> None:
    _load_embedding_model(service)
    service.answerer.check()
