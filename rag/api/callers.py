"""Who a request is from, which decides what its answer may hold.

A key comes in ``Authorization: Bearer KEY`` or ``X-API-Key: KEY``; pages send the cookie of their sign-in. Where none
is needed (see ``Callers.of``), whoever asks holds the labels of the setting ``access_labels``.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request

from rag.api.hosts import SAFE_METHODS, is_loopback, is_own_caller
from rag.api.service import ServiceKeeper
from rag.config import Settings
from rag.errors import NotAllowed, NotAuthenticated
from rag.records import Caller
from rag.store.api_keys import PREFIX, ApiKey, find_usable_key
from rag.store.sign_ins import find_signed_in_key

SESSION_COOKIE, CSRF_COOKIE, CSRF_HEADER = "rag_session", "rag_csrf", "X-CSRF-Token"
HOW_TO = "send Authorization: Bearer KEY; an administrator makes keys with `rag keys create`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """Who asks, and the key that says so; None where none is needed."""

    caller: Caller
    key: ApiKey | None


class Callers:
    """Finds out who asks."""

    def __init__(self, settings: Settings, keeper: ServiceKeeper) -> None:
        self._labels = None if settings.access_labels is None else frozenset(settings.access_labels)
        self._is_open = settings.require_api_key == "auto" and is_loopback(settings.host)
        self._keeper = keeper

    def of(self, request: Request) -> Identified:
        """Who asks.

        No key is needed by this machine's own callers while the server listens on a loopback address, unless the
        setting ``require_api_key`` is ``always``. A key that is shown counts all the same. What is shown as one there
        and does not look like one is passed over, since clients of the OpenAI protocol must send something.

        Raises:
            NotAuthenticated: a key is needed and not given, or the given one is not usable.
            NotAllowed: a page changes something without the token against forged requests.
            Unavailable: the database, where keys are, is not there.
        """
        is_open = self._is_open and is_own_caller(request)
        shown = shown_key(request)
        if shown is not None and (shown.startswith(PREFIX) or not is_open):
            key = self._find(find_usable_key, shown)
            if key is None:
                raise NotAuthenticated(
                    "The API key is not known, revoked or expired; ask an administrator for another.", is_refused=True
                )
            return Identified(caller=self._caller(request, key), key=key)
        secret = request.cookies.get(SESSION_COOKIE)
        key = None if secret is None else self._find(find_signed_in_key, secret)
        if secret is not None and key is not None:
            if request.method not in SAFE_METHODS:
                check_csrf(request, secret)
            return Identified(caller=self._caller(request, key), key=key)
        if is_open:
            return Identified(caller=self._caller(request, None), key=None)
        if secret is not None:
            raise NotAuthenticated("The sign-in has ended; sign in again at /sign-in.", is_refused=True)
        raise NotAuthenticated(f"An API key is needed: {HOW_TO}.")

    def needs_database(self, request: Request) -> bool:
        """Whether finding out who asks may look into the database, and so take a while."""
        return not (self._is_open and SESSION_COOKIE not in request.cookies and shown_key(request) is None)

    def _find(self, find: Any, secret: str) -> ApiKey | None:
        with self._keeper.open().database.read() as session:
            found: ApiKey | None = find(session, secret)
        return found

    def _caller(self, request: Request, key: ApiKey | None) -> Caller:
        request_id = request.state.request_id
        if key is None:
            return Caller(access_labels=self._labels, request_id=request_id)
        held = None if key.access_labels is None else frozenset(key.access_labels)
        return Caller(
            # The server's own setting holds for every key.
            access_labels=self._labels if held is None else held if self._labels is None else held & self._labels,
            collections=None if key.collections is None else frozenset(key.collections),
            role=key.role,
            user_id=key.user_id,
            api_key_id=key.id,
            request_id=request_id,
        )


def shown_key(request: Request) -> str | None:
    """What a request shows as its key, whatever it is."""
    scheme, _, words = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and words.strip():
        return words.strip()
    return request.headers.get("x-api-key", "").strip() or None


def csrf_token(secret: str) -> str:
    """The token that goes with a sign-in: pages can read it, and the secret cannot be made of it."""
    return hashlib.sha256(f"csrf {secret}".encode(errors="surrogatepass")).hexdigest()


def check_csrf(request: Request, secret: str) -> None:
    """See that a request which would change something was sent by a page of this server.

    A page of another host can make a browser send the cookies along, but can read neither of them (double submit).

    Raises:
        NotAllowed: the token is missing or another one.
    """
    given = request.headers.get(CSRF_HEADER, "")
    if not hmac.compare_digest(given.encode(), csrf_token(secret).encode()):
        raise NotAllowed(
            f"Changes with a cookie need the header {CSRF_HEADER}, with what the cookie {CSRF_COOKIE} holds."
        )


def caller_of(request: Request) -> Caller:
    """The caller of a request, as the gate has found out (see ``rag.api.gate``)."""
    state: Mapping[str, Any] = request.scope["state"]
    caller = state["caller"]
    assert isinstance(caller, Caller)
    return caller


def whole_collection_seer(caller: Annotated[Caller, Depends(caller_of)]) -> Caller:
    """A caller who sees all documents of the collections that they see.

    Raises:
        NotAllowed: they do not.
    """
    if caller.access_labels is not None:
        raise NotAllowed("Only who may see all documents of a collection may see what it held.")
    return caller


def owner_of(caller: Annotated[Caller, Depends(caller_of)]) -> Caller:
    """A caller who sees everything.

    Raises:
        NotAllowed: they do not, and so could give themselves more than they have.
    """
    if caller.access_labels is not None or caller.collections is not None:
        raise NotAllowed(
            "This is for who sees everything, and this server or your key is kept to some labels or collections; use "
            "the command line where the database is."
        )
    return caller


From = Annotated[Caller, Depends(caller_of)]
WholeCollectionSeer = Annotated[Caller, Depends(whole_collection_seer)]
Owner = Annotated[Caller, Depends(owner_of)]
