"""The pictures of docs/pages.md: WRITE_PICTURES=1 python -m pytest tests/web/test_pictures.py writes them anew."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select, update

from rag.store import tables
from tests.web.conftest import OpenPage, Site
from tests.web.logged_evaluation import log_evaluation

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
        page.wait_for_url(f"{site.url}/")
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


def fill_log_of_these_days(site: Site, review_log: ModuleType) -> None:
    """Put the small log of docs/sql.md in, as if its last day were today."""
    review_log.fill(site.service.database)
    with site.service.database.write() as session:
        dated = session.execute(select(tables.Answer.id, tables.Answer.created_at)).all()
        now = datetime.now(UTC)
        past = [(answer_id, moment) for answer_id, moment in dated if moment < now - timedelta(days=1)]
        later = timedelta(days=(now - max(moment for _, moment in past)).days)
        for answer_id, moment in past:
            session.execute(
                update(tables.Answer).where(tables.Answer.id == answer_id).values(created_at=moment + later)
            )


def test_pages_of_reviewers_look_as_in_the_docs(
    site: Site, open_page: OpenPage, pictures: Path, review_log: ModuleType
) -> None:
    fill_log_of_these_days(site, review_log)
    with open_page(viewport=LAPTOP, color_scheme="light") as page:
        page.goto("/review")
        page.get_by_role("link", name="Which class do we travel in?").click()
        page.get_by_role("radio", name="Bad").check()
        page.get_by_label("The answer should have been").fill("second class")
        take(page, pictures / "review.png")
        page.goto("/review?view=time")
        expect(page.locator("figure svg[role=img]")).to_have_count(4)
        take(page, pictures / "review-time.png")
        page.goto("/documents")
        files = [
            HANDBOOK / "team/on-call.md",
            HANDBOOK / "team/on-call-night.md",
            HANDBOOK / "archive/damaged-scan.pdf",
        ]
        expect(page.get_by_text("Put documents in")).to_be_visible()  # the page takes files from then on
        page.get_by_label("Choose files").set_input_files(files)
        expect(page.get_by_text("3 files sent.")).to_be_visible()
        expect(page.locator("#list > li").first).to_be_visible()
        take(page, pictures / "documents.png")
        asked = "service {}"
        a = log_evaluation(site, [1.0] * 12 + [0.0] * 8, asked, top_k=2)
        b = log_evaluation(site, [0.5, *[1.0] * 17, 0.0, 0.0], asked, top_k=8)
        page.goto(f"/evaluation?a={a}&b={b}")
        expect(page.get_by_role("heading", name=f"Evaluation {b} (B) against {a} (A)")).to_be_visible()
        take(page, pictures / "evaluation.png")
