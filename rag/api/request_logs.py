"""What a server logs: lines or JSON objects, each with the id of the request that it is about.

No question, answer or document is ever logged: a route's template stands for the path, and messages name ids.
"""

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
FIELDS = ("request_id", "method", "route", "status", "duration_ms")
REQUESTS = logging.getLogger("rag.requests")


class _WithRequestId(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        """Note on a record which request it is about; none is left out."""
        if not hasattr(record, "request_id"):
            record.request_id = REQUEST_ID.get()
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON; a traceback is in ``exception``."""
        said: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        said |= {name: getattr(record, name) for name in FIELDS if getattr(record, name, None) is not None}
        if record.exc_info:
            said["exception"] = self.formatException(record.exc_info)
        return json.dumps(said, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """One line, with the request's id at its end."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        line = super().format(record)
        request_id = getattr(record, "request_id", None)
        return line if request_id is None else f"{line} [{request_id}]"


def log_request(*, request_id: str, method: str, route: str | None, status: int, duration_ms: float) -> None:
    """Log that a request has been answered."""
    shown = route or "unmatched"
    extra = {"request_id": request_id, "method": method, "route": shown, "status": status}
    REQUESTS.info(
        "%s %s %d in %.1f ms", method, shown, status, duration_ms, extra={**extra, "duration_ms": round(duration_ms, 1)}
    )


def configure_logs(style: Literal["text", "json"]) -> None:
    """Give the process's handlers the format and the request's id, and let requests be logged. For a server's start."""
    formatter = JsonFormatter() if style == "json" else TextFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    for handler in logging.getLogger().handlers:
        handler.setFormatter(formatter)
        handler.addFilter(_WithRequestId())
    REQUESTS.setLevel(logging.INFO)
