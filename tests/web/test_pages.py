"""The pages: served with the right types, and safe by themselves. What they do is for a browser to test."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from rag.web.pages import STATIC, add_pages

PAGES = {
    "/": "ask.html",
    "/documents/7": "document.html",
    "/review": "review.html",
    "/documents": "documents.html",
    "/evaluation": "evaluation.html",
    "/sign-in": "sign-in.html",
    "/docs": "docs.html",
}
OWN_SCRIPTS = {
    "ask.html": ["ask", "conversations", "filters"],
    "document.html": ["document"],
    "review.html": ["review", "review-list", "judgement", "logged-answer", "unanswered", "usage"],
    "documents.html": ["documents", "upload", "ingestion-runs"],
    "evaluation.html": ["evaluation", "comparison"],
    "sign-in.html": ["sign-in"],
}
"""The scripts of each page that look for its elements by their ids."""
OWN_FILES = sorted(STATIC.iterdir())


@pytest.fixture
def server() -> Iterator[TestClient]:
    """The pages alone."""
    app = FastAPI(docs_url=None)
    add_pages(app)
    with TestClient(app) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "kinds"),
    [
        ("/", {"text/html"}),
        ("/docs", {"text/html"}),
        ("/documents/7", {"text/html"}),
        ("/review", {"text/html"}),
        ("/documents", {"text/html"}),
        ("/evaluation", {"text/html"}),
        ("/sign-in", {"text/html"}),
        ("/static/page.css", {"text/css"}),
        ("/static/ask.css", {"text/css"}),
        ("/static/ask.js", {"text/javascript", "application/javascript"}),
        ("/static/docs.js", {"text/javascript", "application/javascript"}),
        ("/static/icon.svg", {"image/svg+xml"}),
        ("/static/thumb.svg", {"image/svg+xml"}),
        ("/swagger/swagger-ui-bundle.js", {"text/javascript", "application/javascript"}),
        ("/swagger/swagger-ui.css", {"text/css"}),
    ],
)
def test_file_is_served_with_its_type(server: TestClient, path: str, kinds: set[str]) -> None:
    response = server.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"].split(";")[0] in kinds


@pytest.mark.parametrize("page", PAGES)
def test_everything_that_a_page_names_is_there(server: TestClient, page: str) -> None:
    named = re.findall(r'(?:src|href)="([^"]+)"', server.get(page).text)
    assert any(name.endswith(".js") for name in named)
    for name in named:
        assert name.startswith("/"), f"{name} is not on this server"
        if name.startswith(("/static", "/swagger")):
            assert server.get(name).status_code == 200


def test_unchanged_script_is_not_sent_again(server: TestClient) -> None:
    tag = server.get("/static/ask.js").headers["etag"]
    assert server.get("/static/ask.js", headers={"If-None-Match": tag}).status_code == 304


@pytest.mark.parametrize("path", ["/static/../pages.py", "/static/%2e%2e/pages.py", "/static/nothing.js", "/static/"])
def test_nothing_else_is_served(server: TestClient, path: str) -> None:
    assert server.get(path).status_code == 404


@pytest.mark.parametrize("file", OWN_FILES, ids=lambda file: file.name)
def test_own_file_names_no_other_host(file: Path) -> None:
    words = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")  # its name
    words = words.replace("file:///", "")  # an example of a document's source
    assert not re.search(r"(https?:|wss?:)?//[a-z0-9]", words, re.IGNORECASE)


@pytest.mark.parametrize("page", PAGES.values())
def test_page_holds_no_script_and_no_style_of_its_own(page: str) -> None:
    words = (STATIC / page).read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=|javascript:", words, re.IGNORECASE)


@pytest.mark.parametrize("script", [file for file in OWN_FILES if file.suffix == ".js"], ids=lambda file: file.name)
def test_script_sets_text_and_never_markup(script: Path) -> None:
    words = script.read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", words)


@pytest.mark.parametrize("script", [file for file in OWN_FILES if file.suffix == ".js"], ids=lambda file: file.name)
def test_everything_that_a_script_imports_is_there(script: Path) -> None:
    imported = re.findall(r'from "/static/([^"]+)"', script.read_text(encoding="utf-8"))
    assert set(imported) <= {file.name for file in OWN_FILES}


@pytest.mark.parametrize("script", [file for file in OWN_FILES if file.suffix == ".js"], ids=lambda file: file.name)
def test_script_is_short_enough_to_read(script: Path) -> None:
    assert len(script.read_text(encoding="utf-8").splitlines()) <= 250


@pytest.mark.parametrize("name", ["ask.html", "review.html", "documents.html", "evaluation.html", "sign-in.html"])
def test_every_field_of_a_page_has_a_label(name: str) -> None:
    page = (STATIC / name).read_text(encoding="utf-8")
    fields = re.findall(r'<(?:textarea|select|input) id="([^"]+)"', page)
    assert fields
    assert set(fields) == set(re.findall(r'<label for="([^"]+)"', page))


@pytest.mark.parametrize("name", OWN_SCRIPTS)
def test_every_part_that_the_scripts_look_for_is_on_the_page(name: str) -> None:
    scripts = [(STATIC / f"{script}.js").read_text(encoding="utf-8") for script in OWN_SCRIPTS[name]]
    looked_for = {found for script in scripts for found in re.findall(r'byId\("([^"]+)"\)', script)}
    there = re.findall(r'\bid="([^"]+)"', (STATIC / name).read_text(encoding="utf-8"))
    assert looked_for
    assert looked_for <= set(there)
    assert len(there) == len(set(there))


def test_every_format_that_is_read_can_be_asked_for() -> None:
    """Each media type that a reader gives is offered as a filter."""
    readers = (STATIC.parents[1] / "ingest/readers").glob("*.py")
    lines = "\n".join(file.read_text(encoding="utf-8") for file in readers).splitlines()
    stated = "\n".join(line for line in lines if re.search(r"MEDIA_TYPE = |media_type=", line))
    named = set(re.findall(r'"(\w+/[\w.+-]+)"', stated))
    page = (STATIC / "ask.html").read_text(encoding="utf-8")
    (offered,) = re.findall(r'<select id="filter-media_type">.*?</select>', page, re.DOTALL)
    assert len(named) > 10
    assert named == set(re.findall(r'value="([^"]+)"', offered))
