"""The error tree. Every error that a user can cause is one of these, and its message names what to change.

RagError
├── InvalidInput            the caller's input is wrong (HTTP 422)
│   ├── LimitExceeded       the input crosses a limit; the message names the setting (HTTP 413 or 422)
│   └── UnreadableDocument  a file or a payload that cannot be turned into text (HTTP 422)
├── NotAuthenticated        no API key was given, or none that is known (HTTP 401)
├── NotAllowed              the caller may not do this (HTTP 403)
├── Misdirected             the request names a host that this server is not (HTTP 421)
├── RateLimited             the caller's requests come faster than their key allows (HTTP 429)
├── TimeLimitExceeded       an answer took longer than ``answer_timeout_s`` (HTTP 504)
├── NotFound                a named thing does not exist (HTTP 404)
├── Conflict                the same request is being worked on already (HTTP 409)
├── Unavailable             a part we depend on does not answer now; trying again may help (HTTP 503)
│   ├── StoreUnavailable    the database is locked, read-only, missing or not migrated
│   ├── IndexUnavailable    the server that searches does not answer, or holds what it should not
│   ├── ClusterUnavailable  the Ray cluster that an ingestion runs on does not answer, or fails
│   ├── Busy                too many requests are in work; see ``rag.answer_queue``
│   └── GeneratorUnavailable  the model that writes answers is down, too slow, or says what cannot be understood
├── Cancelled               whoever asked has gone away; there is nobody to tell (HTTP 499, as proxies log it)
├── ModelError              model weights are missing, damaged or of another shape than the code expects
└── IndexDamaged            index files do not match their manifest; caught inside, and rebuilt from SQL
"""


class RagError(Exception):
    """An error with a message meant for people: one sentence, no traceback."""


class InvalidInput(RagError):
    """The caller's input is wrong."""


class LimitExceeded(InvalidInput):
    """The input crosses a limit. ``setting`` is the name of the setting that holds it."""

    def __init__(self, message: str, *, setting: str) -> None:
        super().__init__(f"{message} (setting: {setting})")
        self.setting = setting


class UnreadableDocument(InvalidInput):
    """A file or a payload cannot be turned into text."""


class NotAuthenticated(RagError):
    """No API key was given, or none that is known. ``is_refused`` says that one was given."""

    def __init__(self, message: str, *, is_refused: bool = False) -> None:
        super().__init__(message)
        self.is_refused = is_refused


class NotAllowed(RagError):
    """The caller may not do this."""


class Misdirected(RagError):
    """The request names a host that this server is not."""


class RateLimited(RagError):
    """The caller's requests come faster than their key allows. ``retry_after_s`` seconds later one will be taken."""

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TimeLimitExceeded(RagError):
    """An answer took longer than ``answer_timeout_s``."""


class NotFound(RagError):
    """A named thing does not exist."""


class Conflict(RagError):
    """The same request is being worked on already."""


class Unavailable(RagError):
    """A part we depend on does not answer now."""


class StoreUnavailable(Unavailable):
    """The database is locked, read-only, missing or not migrated."""


class IndexUnavailable(Unavailable):
    """The server that searches does not answer, or holds what it should not."""


class ClusterUnavailable(Unavailable):
    """The Ray cluster that an ingestion runs on does not answer, or fails."""


class Busy(Unavailable):
    """Too many requests are in work."""


class GeneratorUnavailable(Unavailable):
    """The model that writes answers is down, too slow, or says what cannot be understood."""


class Cancelled(RagError):
    """Whoever asked has gone away."""


class ModelError(RagError):
    """Model weights are missing, damaged or of another shape than the code expects."""


class IndexDamaged(RagError):
    """Index files do not match their manifest."""
