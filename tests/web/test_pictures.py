"""The pictures of docs/pages.md: WRITE_PICTURES=1 python -m pytest tests/web/test_pictures.py writes them anew."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.web.conftest import OpenPage, Site

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
HANDBOOK = ROOT / "examples/handbook"
MAX_BYTES = 150_000
LAPTOP, PHONE = {"width": 1180, "height": 860}, {"width": 390, "height": 844}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where the pictures go: beside the docs when asked for, otherwise to be looked at and thrown away."""
    folder = ROOT / "docs/pages" if os.environ.get("WRITE_PICTURES") else tmp_path
    folder.mkdir(exist_ok=True)
    return folder


def ask(page: Page, question: str, answer: str) -> None:
    page.get_by_label("Question").fill(question)
    page.keyboard.press("Enter")
    expect(page.locator("#current .answer-card:not(.pending) .answer")).to_contain_text(answer)
    expect(page.get_by_role("button", name="Ask", exact=True)).to_be_visible()


def take(page: Page, path: Path) -> None:
    page.evaluate("document.activeElement.blur()")
    page.screenshot(path=path, animations="disabled")
    assert 10_000 < path.stat().st_size < MAX_BYTES


def test_pages_look_as_in_the_docs(site: Site, open_page: OpenPage, pictures: Path) -> None:
    for file in [*sorted((HANDBOOK / "team").glob("*.md")), HANDBOOK / "team/disaster-recovery.pdf"]:
        response = site.rest.post("/v1/documents", files={"file": (file.name, file.read_bytes())})
        assert response.status_code == 201
    with open_page(viewport=LAPTOP, color_scheme="light") as page:
        page.goto("/")
        ask(page, "How soon must a page be acknowledged?", "15 minutes")
        page.get_by_role("link", name="New conversation").click()
        ask(page, "Where are backups copied to?", "Ghent")
        ask(page, "When are they written?", "02:30")
        expect(page.locator("#conversation-list a[aria-current]")).to_contain_text("2 answers")
        conversation = page.url
        take(page, pictures / "ask.png")
        page.locator("#current .cite").first.click()
        expect(page.locator("mark")).to_be_in_viewport()
        take(page, pictures / "document.png")
    with open_page(viewport=LAPTOP, color_scheme="dark") as page:
        page.goto(conversation)
        ask(page, "How much is the engineer on call paid for a night?", "Not in these documents.")
        take(page, pictures / "not-in-these-documents-dark.png")
    with open_page(viewport=PHONE, color_scheme="light") as page:
        page.goto("/")
        ask(page, "Who may declare a disaster?", "the head of operations or her deputy")
        take(page, pictures / "ask-phone.png")
