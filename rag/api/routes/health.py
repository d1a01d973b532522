"""Is the process up, and can it answer?"""

from fastapi import APIRouter, Response

from rag.api.service import Service
from rag.errors import RagError
from rag.store.collections import list_collections
from rag.store.migrate import require_current

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process is up."""
    return {"status": "up"}


@router.get("/readyz", responses={503: {"description": "One of the parts is not ready; each says why."}})
def readyz(service: Service, response: Response) -> dict[str, str]:
    """Whether database, models and indexes are ready, each by name."""
    parts: dict[str, str] = {}
    try:
        require_current(service.database)
        parts["database"] = "ready"
        service.answerer  # noqa: B018 - made on first use
        parts["models"] = "ready"
        with service.database.read() as session:
            sizes = list_collections(session)
        for size in sizes:
            if size.collection.embedding_model == service.embedder.name:
                service.indexes.get(size.collection).refresh()
        parts["index"] = "ready"
    except RagError as error:
        missing = next(name for name in ("database", "models", "index") if name not in parts)
        parts[missing] = str(error)
        response.status_code = 503
    return parts
