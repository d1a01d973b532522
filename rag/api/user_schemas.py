"""What the routes about a person's data return."""

from typing import Any

from pydantic import Field

from rag.api.schemas import Response


class PersonResponse(Response):
    """All that is kept of a person."""

    records: list[dict[str, Any]] = Field(
        description="`record` says what each is: user, api_key, sign_in, conversation, answer, feedback or audit_event."
    )


class ErasureResponse(Response):
    """What is kept of a person, or was before it was erased."""

    erased: bool = Field(description="Whether it was done, or only counted.")
    num_answers: int
    num_conversations: int
    num_feedback: int
    num_api_keys: int
    num_sign_ins: int
    num_audit_events: int = Field(description="Those that name the person; they stay, without the name.")
