"""The application: routes, problem documents and pages put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from anyio import to_thread
from fastapi import FastAPI

from rag.api.admission import Admission
from rag.api.edge import BodyLimit, Edge
from rag.api.gate import Gate
from rag.api.openapi import complete
from rag.api.problems import add_problem_handlers
from rag.api.rate_limits import TokenBuckets
from rag.api.routes import (
    answers,
    audit_events,
    collections,
    conversations,
    datasets,
    document_versions,
    documents,
    evaluations,
    health,
    ingestion_runs,
    keys,
    metrics,
    openai,
    replays,
    review,
    search,
    session,
    unanswered,
    users,
)
from rag.api.service import ServiceKeeper
from rag.api.shared_rate_limits import SharedTokenBuckets
from rag.api.upload_worker import UploadWorker
from rag.api.watching import Watch, Watching
from rag.api.workers import Workers
from rag.assemble import Rag
from rag.config import Settings, load_settings
from rag.web.pages import add_pages

DESCRIPTION = (
    "Questions over your own documents, answered with exact citations. `start` and `end` count Unicode code points; "
    "errors are problem details (RFC 9457)."
)

RESOURCES = (
    answers,
    replays,
    review,
    unanswered,
    conversations,
    search,
    documents,
    document_versions,
    ingestion_runs,
    collections,
    datasets,
    evaluations,
    openai,
    keys,
    users,
    audit_events,
    session,
    health,
    metrics,
)


class _Api(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document; see ``rag.api.openapi``."""
        return super().openapi() if self.openapi_schema else complete(super().openapi())


def create_app(settings: Settings | None = None, *, service: Rag | None = None) -> FastAPI:
    """The REST API and the pages over one service.

    The service is opened, and its models loaded, when the server starts, not here.

    Args:
        settings: those of the service; None: those of ``service``, else of the environment and ``rag.toml``.
        service: one that is open already; it stays open when the server stops.

    Raises:
        InvalidInput: a setting of the environment has a bad value.
    """
    settings = settings or (service.settings if service else load_settings())
    watch = Watch(settings)
    keeper = ServiceKeeper(settings, service, on_open=watch.begin, on_close=watch.end)
    worker = UploadWorker(keeper)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await to_thread.run_sync(keeper.warm_up)
        worker.start()
        try:
            yield
        finally:
            await to_thread.run_sync(worker.stop)
            await to_thread.run_sync(keeper.close)
            await to_thread.run_sync(watch.close)

    app = _Api(
        title="grounded-rag",
        version=version("grounded-rag"),
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # it would load scripts from another host; see rag.web.pages
        redoc_url=None,
    )
    app.state.keeper, app.state.upload_worker, app.state.watch = keeper, worker, watch
    app.state.workers = Workers(settings.max_concurrent_answers + settings.max_waiting_answers)
    for resource in RESOURCES:
        app.include_router(resource.router)
    add_pages(app)
    add_problem_handlers(app)
    app.add_middleware(BodyLimit, max_upload_bytes=settings.max_upload_bytes)
    own = TokenBuckets()
    limiter = SharedTokenBuckets(keeper, own) if settings.redis_url else own
    app.add_middleware(Gate, settings=settings, keeper=keeper, limiter=limiter)
    app.add_middleware(Admission, max_concurrent_requests=settings.max_concurrent_requests)
    app.add_middleware(Edge)
    app.add_middleware(Watching, watch=watch)
    return app
