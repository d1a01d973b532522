"""A Milvus server, or the file of Milvus Lite: the connection, what that version can do, and its errors in words."""

import logging
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from rag.errors import IndexUnavailable, InvalidInput

if TYPE_CHECKING:
    from pymilvus import MilvusClient

T = TypeVar("T")

CHECK_TIMEOUT_S = 2.0
"""Longest wait for a sign of life."""

TIMEOUT_S = 10.0
"""Longest wait for a connection, and for what a search asks."""

WRITE_TIMEOUT_S = 60.0
"""Longest wait for a batch of passages to be taken in; a busy server takes fewer at a time."""

LONG_TIMEOUT_S = 600.0
"""Longest wait for what takes its time on a server: making, loading and sealing a collection."""

_SIGN_OF_LIFE = "get_server_version"
# A server that is back is found within a second; left alone, gRPC waits longer each time, up to two minutes.
_GRPC_OPTIONS = {"grpc.initial_reconnect_backoff_ms": 100, "grpc.max_reconnect_backoff_ms": 1_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What a server of some version can do.

    ``has_half_precision``: it stores vectors of 16-bit floats. ``has_full_text``: it computes BM25. ``is_lite``: it is
    Milvus Lite, whose collections one process has and which links nothing by itself.
    """

    version: str
    is_lite: bool
    has_half_precision: bool
    has_full_text: bool

    @classmethod
    def of_version(cls, version: str) -> "Abilities":
        """What is known of a version, as the server calls it: ``v2.5.4`` or ``milvus_lite-3.2.2``."""
        is_lite = version.startswith("milvus_lite")
        numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
        return cls(
            version=version,
            is_lite=is_lite,
            has_half_precision=not is_lite and numbers >= (2, 4),
            has_full_text=is_lite or numbers >= (2, 5),
        )


class MilvusServer:
    """Runs calls of the client on one server. Safe to share between threads; connects at the first call.

    A file of Milvus Lite is served by threads of this process from the first call until ``close``.
    """

    def __init__(self, uri: str, *, token: str = "", timeout_s: float = TIMEOUT_S) -> None:
        """``timeout_s`` is the longest wait for a connection, and for each call that has no other.

        Raises:
            InvalidInput: the package pymilvus is missing, or for a file milvus-lite.
        """
        self.is_file = "://" not in uri
        try:
            import grpc
            import pymilvus

            if self.is_file:
                import milvus_lite  # noqa: F401 - the client says only that it failed
        except ModuleNotFoundError as error:
            raise InvalidInput(
                f"search = milvus needs the Python package {error.name}; install grounded-rag[milvus]."
            ) from error
        for name in ("grpc", "pymilvus", "milvus_lite"):  # they log with a traceback what they raise as well
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._connect: Callable[..., MilvusClient] = pymilvus.MilvusClient
        self._errors: tuple[type[Exception], ...] = (pymilvus.MilvusException, grpc.RpcError)
        self.uri = os.path.abspath(uri) if self.is_file else uri
        self._timeout_s, self._token = timeout_s, token
        self._client: MilvusClient | None = None
        self._has_failed = False

    @cached_property
    def abilities(self) -> Abilities:
        """What it can do.

        Raises:
            IndexUnavailable: it does not answer.
        """
        return Abilities.of_version(self.run(_SIGN_OF_LIFE))

    def check(self) -> None:
        """Make sure that it answers.

        Raises:
            IndexUnavailable: it does not.
        """
        self.run(_SIGN_OF_LIFE, timeout=min(CHECK_TIMEOUT_S, self._timeout_s))

    def run(self, name: str, /, *arguments: Any, **options: Any) -> Any:
        """What the client's method of that name returns; it may take ``timeout_s``, or the ``timeout`` that is given.

        Raises:
            IndexUnavailable: the server does not answer, or refuses.
        """
        if self._has_failed and name != _SIGN_OF_LIFE:
            self.check()  # while it is away, nobody waits for longer than that
        within = {"timeout": self._timeout_s, **options}
        return self._answer(lambda client: getattr(client, name)(*arguments, **within))

    def load(self, collection: str, *, num_replicas: int, keep: bool = True) -> None:
        """Have searches find a collection, each row of it on so many query nodes.

        ``keep``: one that is loaded stays as it is, on however many.

        Raises:
            IndexUnavailable: the server does not answer, or has too few query nodes.
        """
        from pymilvus.client.types import LoadState

        if keep and self.run("get_load_state", collection)["state"] == LoadState.Loaded:
            return
        try:
            self._load(collection, num_replicas)
        except IndexUnavailable as error:
            if keep or "replica number" not in str(error):
                raise
            self.run("release_collection", collection)  # what is loaded cannot be given others
            self._load(collection, num_replicas)

    def _load(self, collection: str, num_replicas: int) -> None:
        too_few = IndexUnavailable(
            f"Milvus at {self.uri} has too few query nodes for milvus_replicas = {num_replicas}; start more, or "
            "set milvus_replicas to as many as there are."
        )
        if num_replicas > 1 and self.abilities.is_lite:
            raise too_few
        try:
            self.run("load_collection", collection, replica_number=num_replicas, timeout=LONG_TIMEOUT_S)
        except IndexUnavailable as error:
            if num_replicas > 1 and "not enough" in str(error):
                raise too_few from error
            raise

    def timestamp(self) -> int:
        """A moment of the server's clock after everything that it has acknowledged; 0 of Milvus Lite, which has none.

        Raises:
            IndexUnavailable: the server does not answer.
        """
        if self.abilities.is_lite:
            return 0
        return int(self._answer(lambda client: client._get_connection().alloc_timestamp(timeout=self._timeout_s)))

    def _answer(self, ask: Callable[["MilvusClient"], T]) -> T:
        try:
            # Threads that come first at once share a connection, whichever client stays.
            answer = ask(self._client or self._opened())
        except self._errors as error:
            self._has_failed = True
            raise IndexUnavailable(
                f"Milvus at {self.uri} does not do what it is asked ({_reason(error)}). Nothing is lost: what it holds "
                "is made from SQL. Try again when it is well."
            ) from error
        self._has_failed = False
        return answer

    def num_bytes(self) -> int | None:
        """What the file of Milvus Lite takes up; a server does not tell."""
        if not self.is_file:
            return None
        return sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(self.uri) for name in names)

    def close(self) -> None:
        """Let go of the connection, and of the file, which another process can open then."""
        if self._client is None:
            return
        self._client.close()
        self._client = None
        if self.is_file:
            from milvus_lite.server_manager import server_manager_instance

            server_manager_instance.release_server(self.uri)

    def _opened(self) -> "MilvusClient":
        errors: tuple[type[Exception], ...] = (*self._errors, OSError)
        try:
            if self.is_file:
                os.makedirs(os.path.dirname(self.uri), exist_ok=True)
            self._client = self._connect(
                self.uri, token=self._token, timeout=self._timeout_s, grpc_options=_GRPC_OPTIONS
            )
        except errors as error:
            if not self.is_file:
                raise
            raise IndexUnavailable(
                f"The file {self.uri} of Milvus Lite cannot be opened; one process at a time can have it. End the "
                "other one, or run a Milvus server and name it in milvus_uri."
            ) from error
        return self._client


def _reason(error: Exception) -> str:
    words = getattr(error, "message", "") or str(error) or type(error).__name__
    return " ".join(str(words).split()).rstrip(".")[:300]
