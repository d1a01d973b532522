"""Serving the pages and the description of the API. Everything comes from this server."""

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

STATIC = Path(__file__).parent / "static"

DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Swagger UI writes styles into its elements. Its page alone may, and shows nothing out of documents by itself."""


def add_pages(app: FastAPI) -> None:
    """Add the pages, each at its path, and their files at ``/static``."""
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    # Swagger UI's own files, which FastAPI's page would load from another host.
    app.mount("/swagger", StaticFiles(packages=[("fastapi_swagger", "resources")]), name="swagger")

    @app.get("/", include_in_schema=False)
    def ask_page() -> FileResponse:
        return FileResponse(STATIC / "ask.html")

    @app.get("/documents/{document_id:int}", include_in_schema=False)
    def document_page() -> FileResponse:
        return FileResponse(STATIC / "document.html")

    @app.get("/sign-in", include_in_schema=False)
    def sign_in_page() -> FileResponse:
        return FileResponse(STATIC / "sign-in.html")

    @app.get("/review", include_in_schema=False)
    def review_page() -> FileResponse:
        return FileResponse(STATIC / "review.html")

    @app.get("/documents", include_in_schema=False)
    def documents_page() -> FileResponse:
        return FileResponse(STATIC / "documents.html")

    @app.get("/evaluation", include_in_schema=False)
    def evaluation_page() -> FileResponse:
        return FileResponse(STATIC / "evaluation.html")

    @app.get("/docs", include_in_schema=False)
    def docs_page() -> FileResponse:
        return FileResponse(STATIC / "docs.html", headers={"Content-Security-Policy": DOCS_POLICY})
