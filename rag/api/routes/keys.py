"""API keys: making, listing and revoking them."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from rag.api.callers import Owner
from rag.api.key_schemas import ApiKeyListResponse, ApiKeyRequest, ApiKeyResponse, CreatedApiKeyResponse
from rag.api.problems import problems
from rag.api.service import Service
from rag.store.api_keys import create_api_key, list_api_keys, revoke_api_key

router = APIRouter(prefix="/v1/keys", tags=["keys"])


@router.post("", summary="Make an API key", status_code=201, responses=problems(422, 503))
def create(wanted: ApiKeyRequest, service: Service, caller: Owner) -> CreatedApiKeyResponse:
    """Make an API key. Its words are in this response and nowhere else: only their hash is kept."""
    with service.database.write() as session:
        made, words = create_api_key(session, wanted.to_record(), caller=caller)
    shown = ApiKeyResponse.from_record(made)
    return CreatedApiKeyResponse(**dict(shown), key=words)


@router.get("", summary="List API keys", responses=problems(422, 503))
def list_all(
    service: Service,
    caller: Owner,  # noqa: ARG001 - who may
    *,
    user_id: Annotated[str | None, Query(description="Of all users if left out.")] = None,
) -> ApiKeyListResponse:
    """List the keys with what they open and when they were last used."""
    with service.database.read() as session:
        keys = list_api_keys(session, user_id=user_id)
    return ApiKeyListResponse(keys=[ApiKeyResponse.from_record(key) for key in keys])


@router.delete("/{key_id}", summary="Revoke an API key", status_code=204, responses=problems(404, 422, 503))
def revoke(key_id: int, service: Service, caller: Owner) -> Response:
    """Revoke a key: it opens nothing any more, nor do the sign-ins that were made with it."""
    with service.database.write() as session:
        revoke_api_key(session, key_id, caller=caller)
    return Response(status_code=204)
