"""The application: routers, errors and pages put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from rag.api.problems import add_problem_handlers
from rag.api.routes import answers, documents, health, search
from rag.api.schemas import Problem
from rag.assemble import Rag
from rag.config import Settings
from rag.web.pages import add_pages

ERRORS: dict[int | str, dict[str, object]] = {
    status: {"model": Problem, "content": {"application/problem+json": {}}} for status in (404, 413, 422, 500, 503)
}


def create_app(settings: Settings) -> FastAPI:
    """The API over the service of these settings.

    Raises:
        StoreUnavailable: the database cannot be opened, or is not migrated.
        ModelError: the reader's weights are missing or damaged.
    """
    service = Rag(settings)
    service.answerer  # noqa: B018 - load the models now: a server that cannot answer must not start

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    app = FastAPI(
        title="grounded-rag",
        version="0.1.0",
        description="Answers from your own documents, with exact citations.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service
    for router in (answers.router, search.router, documents.router):
        app.include_router(router, responses=ERRORS)
    app.include_router(health.router)
    add_pages(app)
    add_problem_handlers(app)
    return app
