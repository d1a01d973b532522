"""What the failures of a model server mean: those that may pass, and what to change about the others."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2

from rag.generators.completion_stream import BadReply, error_words, parse_object, read_bounded

_PASSING = frozenset({429, 502, 503, 504})
_MAX_BYTES = 20_000
_ADVICE = {
    401: "refuses the key; check generator_api_key",
    403: "refuses the key; check generator_api_key",
    404: "knows no such address or model; check the URL in generator, which usually ends in /v1, and generator_model",
    405: "knows no such address; check the URL in the setting generator, which usually ends in /v1",
}


class PassingFailure(Exception):
    """A failure that may pass; ``wait_s`` is the pause that the server asks for, in seconds."""

    def __init__(self, problem: str, *, wait_s: float | None = None) -> None:
        super().__init__(problem)
        self.wait_s = wait_s


async def failure_of(response: httpx2.Response, *, secret: str) -> BadReply | PassingFailure:
    """The failure that a status other than 200 means, with the server's own words where they help.

    ``secret`` is struck out of them, should the server repeat it.
    """
    status = response.status_code
    if status in _ADVICE:  # nothing is quoted here: servers like to repeat keys
        return BadReply(f"{_ADVICE[status]} (status {status})")
    if 300 <= status < 400:
        return BadReply(f"sends on to another address (status {status}); put that one into the setting generator")
    words = await _words(response)
    told = f"(status {status}): {words.replace(secret, '…') if secret else words}"
    if status in _PASSING:
        return PassingFailure(f"is not able to answer now {told}", wait_s=_retry_after(response))
    return BadReply(f"{'refuses the question' if status < 500 else 'fails'} {told}")


async def _words(response: httpx2.Response) -> str:
    if not response.headers.get("content-type", "").startswith("application/json"):
        return "it does not say why"
    try:
        return error_words(parse_object(await read_bounded(response, max_bytes=_MAX_BYTES)))
    except (BadReply, httpx2.TransportError):
        return "it does not say why"


def _retry_after(response: httpx2.Response) -> float | None:
    """Seconds from now: the header holds seconds or a date (RFC 9110, section 10.2.3)."""
    value = response.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdecimal():
        return float(value[:6])
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, IndexError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
