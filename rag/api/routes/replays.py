"""Logged questions asked again."""

from fastapi import APIRouter

from rag.api.callers import From
from rag.api.problems import problems
from rag.api.replay_schemas import ReplayResponse
from rag.api.service import Service
from rag.store.audit import audit_reading

router = APIRouter(prefix="/v1/answers", tags=["answers"])


@router.post("/{answer_id}/replay", summary="Run a logged answer again", responses=problems(404, 422, 503))
def replay(answer_id: int, service: Service, caller: From) -> ReplayResponse:
    """Ask a logged question again as it was asked: the same words, or what is different now and why.

    It is searched with the eyes of who asked then. Nothing of it is logged.
    """
    replayed = service.replay(answer_id, caller=caller)
    audit_reading(service.database, caller, "answer.read", [answer_id])
    return ReplayResponse.from_record(replayed)
