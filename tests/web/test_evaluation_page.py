"""The Evaluation page in a real browser: the runs, and two of them side by side."""

import pytest
from playwright.sync_api import Page, expect

from tests.web.accessibility import SCHEMES, check_page
from tests.web.conftest import OpenPage, Site
from tests.web.logged_evaluation import log_evaluation

pytestmark = pytest.mark.slow

MARKUP = "<img src=x onerror=alert(1)>"
BEFORE = [1.0] * 6 + [0.0] * 14
AFTER = [0.5, *[1.0] * 17, 0.0, 0.0]


@pytest.fixture(scope="module")
def runs(site: Site) -> tuple[int, int]:
    """Two evaluations of the same questions, the second one better."""
    asked = f"{MARKUP} number {{}}"
    return log_evaluation(site, BEFORE, asked, top_k=2), log_evaluation(site, AFTER, asked, top_k=8)


def test_two_evaluations_are_compared_question_by_question(page: Page, runs: tuple[int, int]) -> None:
    page.goto("/evaluation")
    rows = page.locator("#runs tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("handbook.json")
    expect(rows.first).to_contain_text("90 ms")
    expect(page.get_by_label("Before (A)")).to_have_value(str(runs[0]))
    expect(page.get_by_label("After (B)")).to_have_value(str(runs[1]))
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("heading", name=f"Evaluation {runs[1]} (B) against {runs[0]} (A)")).to_be_focused()
    expect(page.get_by_text("Of 20 questions, 12 got better, 1 worse, and 7 stayed as they were.")).to_be_visible()
    f1 = page.locator(".figure", has=page.get_by_role("heading", name="F1", exact=True))
    expect(f1).to_contain_text("30% → 88%")
    expect(f1).to_contain_text("better +57.5 points")
    expect(f1).to_contain_text("approximate randomisation")
    found = page.locator(".figure", has=page.get_by_role("heading", name="Found first"))
    expect(found).to_contain_text("could be chance")
    expect(page.get_by_text("2 → 8")).to_be_visible()
    worse = page.locator("section", has=page.get_by_role("heading", name="Worse (1)")).last
    expect(worse).to_contain_text(f"Who keeps the rota of {MARKUP} number 0?")
    expect(worse).to_contain_text("Elsa Holm")
    kinds = page.get_by_role("region", name="By kind of question")
    expect(kinds.get_by_role("row", name="who")).to_contain_text("better")
    assert page.locator("main img").count() == 0
    page.reload()
    expect(page.get_by_text("Of 20 questions, 12 got better")).to_be_visible()


def test_what_cannot_be_compared_is_said_in_a_sentence(site: Site, page: Page, runs: tuple[int, int]) -> None:
    page.goto(f"/evaluation?a={runs[0]}&b=99")
    expect(page.locator("#compare-problem")).to_have_text("There is no evaluation 99.")
    other = log_evaluation(site, [1.0], "{}", top_k=8, file="other.json")
    page.goto(f"/evaluation?a={runs[0]}&b={other}")
    expect(page.locator("#compare-problem")).to_contain_text("do not ask the same questions")


def test_details_of_an_evaluation_tell_its_figures_and_settings(page: Page, runs: tuple[int, int]) -> None:
    page.goto("/evaluation")
    page.get_by_role("button", name=f"Details of evaluation {runs[0]}").click()
    dialog = page.get_by_role("dialog", name=f"Evaluation {runs[0]}")
    expect(dialog).to_contain_text("latency_ms.total.p50")
    expect(dialog).to_contain_text("top_k")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_page_can_be_read_has_names_for_all_controls_and_fits_a_phone(
    open_page: OpenPage, runs: tuple[int, int], scheme: str
) -> None:
    with open_page(color_scheme=scheme) as page:
        page.goto(f"/evaluation?a={runs[0]}&b={runs[1]}")
        expect(page.locator("#comparison")).to_be_visible()
        check_page(page)
