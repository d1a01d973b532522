"""What is kept of a person: giving it out, and taking the person out of it."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.encoders import jsonable_encoder

from rag.api.callers import Owner
from rag.api.problems import problems
from rag.api.service import Service
from rag.api.user_schemas import ErasureResponse, PersonResponse
from rag.records import RetentionMode
from rag.store.audit import put_audit_event
from rag.store.personal_records import count_person, erase_person, records_of_person

router = APIRouter(prefix="/v1/users", tags=["keys"])
UserId = Annotated[str, Path(description="The user's id, as of a key.")]


@router.get("/{user_id}/data", summary="Show what is kept of a person", responses=problems(404, 422, 503))
def show(user_id: UserId, service: Service, caller: Owner) -> PersonResponse:
    """Show all that is kept of a person: answers with all that was logged, feedback, keys, audit events.

    The same as `rag users export`, which writes it bit by bit, for people of whom much is kept.
    """
    with service.database.read() as session:
        count_person(session, user_id)
    with service.database.write() as session:
        put_audit_event(session, caller, "user.export", target=user_id)
    with service.database.read() as session:
        return PersonResponse(records=jsonable_encoder(list(records_of_person(session, user_id))))


@router.delete("/{user_id}/data", summary="Erase a person", responses=problems(404, 422, 503))
def erase(
    user_id: UserId,
    service: Service,
    caller: Owner,
    *,
    mode: Annotated[
        RetentionMode, Query(description="Of the answers: delete, or keep scores and timings without words.")
    ] = "delete",
    confirm: Annotated[bool, Query(description="Do it. Without it, this only says what it would do.")] = False,
) -> ErasureResponse:
    """Take a person out of all that is kept: answers, feedback, conversations, keys; the audit keeps the acts alone."""
    if confirm:
        counts = erase_person(service.database, user_id, mode=mode, caller=caller)
    else:
        with service.database.read() as session:
            counts = count_person(session, user_id)
    return ErasureResponse(erased=confirm, **asdict(counts))
