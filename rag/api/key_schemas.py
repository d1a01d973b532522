"""API keys and sign-ins over the wire. A key's own words go out once, when it is made."""

from datetime import datetime

from pydantic import ConfigDict, Field

from rag.api.schemas import RecordResponse, Request, Response
from rag.records import Role
from rag.store.api_keys import NewApiKey


class ApiKeyRequest(Request):
    """A key that is to be made."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"user_id": "amara", "name": "laptop", "role": "reviewer", "expires_in_days": 365},
                {"user_id": "intranet", "collections": ["handbook"], "access_labels": [], "rate_limit_per_minute": 60},
            ]
        }
    )

    user_id: str = Field(description="Whose key it is: any id that you choose. Several keys may have the same.")
    name: str = Field("", description="What it is for.")
    role: Role = "reader"
    collections: list[str] | None = Field(None, description="The collections that it opens; all if left out.")
    access_labels: list[str] | None = Field(
        None, description="The labels that it holds; all documents if left out, those without labels if empty."
    )
    rate_limit_per_minute: int | None = Field(None, description="Requests a minute; any number if left out.")
    expires_in_days: int | None = Field(None, description="For ever if left out.")

    def to_record(self) -> NewApiKey:
        """The same as the store takes it."""
        return NewApiKey(**self.model_dump())


class ApiKeyResponse(RecordResponse):
    """A key without its secret, which nobody can show again."""

    id: int
    user_id: str
    name: str
    role: Role
    collections: list[str] | None = Field(description="Null: all.")
    access_labels: list[str] | None = Field(description="Null: all documents.")
    rate_limit_per_minute: int | None
    expires_at: datetime | None
    created_at: datetime
    last_used_at: datetime | None = Field(description="Exact to a minute.")
    revoked_at: datetime | None


class CreatedApiKeyResponse(ApiKeyResponse):
    """A key that was just made, with its words."""

    key: str = Field(description="Shown now and never again.")


class ApiKeyListResponse(Response):
    """All keys by id, revoked and expired ones as well."""

    keys: list[ApiKeyResponse]


class SignInRequest(Request):
    """An API key to sign in with."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"key": "rag_2_the-words-of-the-key"}]})

    key: str


class SignInResponse(Response):
    """A sign-in: the cookie rag_session is set. Changes need ``csrf_token`` in the header X-CSRF-Token."""

    user_id: str
    role: Role
    expires_at: datetime
    csrf_token: str = Field(description="Also in the cookie rag_csrf.")


class CallerResponse(RecordResponse):
    """Who asks. ``user_id`` is null where this machine's own callers need no key."""

    user_id: str | None
    role: Role
    collections: list[str] | None = Field(description="Null: all.")
    access_labels: list[str] | None = Field(description="Null: all documents.")
