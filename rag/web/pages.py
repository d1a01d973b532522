"""Serving the pages and the description of the API."""

from pathlib import Path

import swagger_ui_bundle
from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

STATIC = Path(__file__).parent / "static"
# Swagger UI sets styles on elements; its page alone may.
DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def add_pages(app: FastAPI) -> None:
    """Add the Ask page at ``/`` and the API's description at ``/docs``."""
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.mount("/swagger", StaticFiles(directory=swagger_ui_bundle.swagger_ui_path), name="swagger")

    @app.get("/", include_in_schema=False)
    def ask_page() -> FileResponse:
        return FileResponse(STATIC / "ask.html", headers={"Cache-Control": "no-cache"})

    @app.get("/docs", include_in_schema=False)
    def docs_page() -> FileResponse:
        return FileResponse(
            STATIC / "docs.html", headers={"Cache-Control": "no-cache", "Content-Security-Policy": DOCS_POLICY}
        )
