"""Signing in on the pages: a key is exchanged for a cookie that scripts cannot read."""

from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response

from rag.api.callers import CSRF_COOKIE, SESSION_COOKIE, From, check_csrf, csrf_token
from rag.api.key_schemas import CallerResponse, SignInRequest, SignInResponse
from rag.api.problems import problems
from rag.api.service import Keeper
from rag.errors import NotAuthenticated
from rag.store.api_keys import find_usable_key
from rag.store.sign_ins import create_sign_in, delete_sign_in, find_signed_in_key

router = APIRouter(prefix="/session", tags=["session"])


@router.post("", summary="Sign in", status_code=201, responses=problems(401, 422, 503))
def sign_in(given: SignInRequest, keeper: Keeper, request: Request, response: Response) -> SignInResponse:
    """Sign in with an API key: the cookie rag_session then stands for it, until it ends or the key is revoked."""
    service = keeper.open()
    with service.database.read() as session:
        key = find_usable_key(session, given.key.strip())
    if key is None:
        raise NotAuthenticated("The API key is not known, revoked or expired; ask an administrator for another.")
    with service.database.write() as session:
        secret, expires_at = create_sign_in(session, key.id, hours=service.settings.sign_in_hours)
    token = csrf_token(secret)
    seconds = int((expires_at - datetime.now(UTC)).total_seconds())
    for name, value, is_hidden in ((SESSION_COOKIE, secret, True), (CSRF_COOKIE, token, False)):
        response.set_cookie(
            name,
            value,
            max_age=seconds,
            httponly=is_hidden,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
    return SignInResponse(user_id=key.user_id, role=key.role, expires_at=expires_at, csrf_token=token)


@router.get("", summary="Who am I?", responses=problems(503))
def show(caller: From) -> CallerResponse:
    """Show who asks, and what they may see."""
    labels, collections = caller.access_labels, caller.collections
    return CallerResponse(
        user_id=caller.user_id,
        role=caller.role,
        collections=None if collections is None else sorted(collections),
        access_labels=None if labels is None else sorted(labels),
    )


@router.delete("", summary="Sign out", status_code=204, responses=problems(403, 503))
def sign_out(keeper: Keeper, request: Request) -> Response:
    """Sign out: the cookie opens nothing any more. Without a sign-in this does nothing."""
    secret = request.cookies.get(SESSION_COOKIE)
    if secret is not None:
        database = keeper.open().database
        with database.read() as session:
            is_signed_in = find_signed_in_key(session, secret) is not None
        if is_signed_in:
            check_csrf(request, secret)
            with database.write() as session:
                delete_sign_in(session, secret)
    response = Response(status_code=204)
    for name in (SESSION_COOKIE, CSRF_COOKIE):
        response.delete_cookie(name, samesite="strict", secure=request.url.scheme == "https")
    return response
