"""The Review page in a real browser: judging what is queued, finding answers, charts, and what goes unanswered."""

from types import ModuleType

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from rag.store import tables
from tests.web.accessibility import SCHEMES, check_page
from tests.web.conftest import OpenPage, Site

pytestmark = pytest.mark.slow

MARKUP = "<img src=x onerror=alert(1)><b>bold</b>"
VIEWS = ("/review", "/review?view=answers", "/review?view=unanswered", "/review?view=time")


@pytest.fixture(scope="module", autouse=True)
def asked(site: Site, review_log: ModuleType) -> int:
    """The small log of the docs, whose days are long past, and answers of today; the id of the last of these."""
    review_log.fill(site.service.database)
    collection = site.new_collection()
    site.upload("rota.txt", f"The rota {MARKUP} is kept by Amara Diallo.", collection=collection)
    for question in ("Who keeps the rota?", f"Who is {MARKUP}?"):
        response = site.rest.post("/v1/answers", json={"question": question, "collection": collection})
        assert response.status_code == 200, response.text
    return int(response.json()["id"])


def entries(page: Page) -> list[str]:
    """The questions in the list, in order."""
    return page.locator("#answers .entry-question").all_inner_texts()


def test_queue_leads_from_answer_to_answer_and_each_judgement_is_a_row(site: Site, page: Page) -> None:
    page.goto("/review")
    first = page.get_by_role("link", name="Which class do we travel in?")
    expect(first).to_contain_text("thumbs down")
    expect(page.get_by_text("Choose an answer to see everything")).to_be_visible()
    questions = entries(page)
    first.click()
    asked_heading = page.locator("#asked")
    expect(asked_heading).to_have_text("Which class do we travel in?")
    expect(asked_heading).to_be_focused()
    expect(page).to_have_url(f"{site.url}/review?answer=8")
    expect(page.locator(".answer-words")).to_have_text("28 days")
    expect(page.get_by_role("meter", name="faithfulness")).to_have_attribute("value", "0.1")
    expect(page.locator("#detail blockquote")).to_have_count(1)
    expect(page.get_by_text("should be: second class")).to_be_visible()

    page.get_by_role("button", name="Save and go on").click()
    expect(page.get_by_text("Say good or bad first.")).to_be_visible()
    page.locator(".passages button").first.click()
    expect(page.get_by_role("radio", name="Bad")).to_be_checked()
    page.get_by_label("Comment", exact=True).fill("That is leave.")
    page.get_by_label("The answer should have been").fill("second class")
    page.get_by_role("button", name="Save and go on").click()
    expect(asked_heading).to_have_text(questions[1])
    expect(first).to_contain_text("judged: bad")
    with site.service.database.read() as session:
        row = session.scalars(select(tables.Feedback).order_by(tables.Feedback.id.desc())).first()
        assert row is not None
        assert (row.answer_id, row.rating, row.is_review, row.wrong_passage_id) == (8, -1, True, 1)
        assert (row.comment, row.corrected_answer) == ("That is leave.", "second class")

    page.reload()
    expect(page.locator("#answers a")).to_have_count(len(questions) - 1)
    assert questions[0] not in entries(page)


def test_keys_lead_through_the_queue_and_can_be_turned_off(page: Page) -> None:
    page.goto("/review?view=answers")
    expect(page.locator("#answers a").first).to_be_visible()
    questions = entries(page)
    page.locator("#answers a").first.click()
    heading = page.locator("#asked")
    expect(heading).to_have_text(questions[0])
    page.keyboard.press("n")
    expect(heading).to_have_text(questions[1])
    page.keyboard.press("p")
    expect(heading).to_have_text(questions[0])
    expect(page.get_by_role("button", name="Previous")).to_be_disabled()
    page.keyboard.press("g")
    expect(page.get_by_role("radio", name="Good")).to_be_checked()
    page.get_by_label("Comment", exact=True).fill("")
    page.keyboard.type("bn")  # what is typed into a field is no key
    expect(page.get_by_label("Comment", exact=True)).to_have_value("bn")
    expect(page.get_by_role("radio", name="Good")).to_be_checked()
    page.get_by_label("keys:").uncheck()
    page.keyboard.press("n")
    expect(heading).to_have_text(questions[0])
    page.go_back()
    expect(page.locator("#detail")).to_be_hidden()


def test_log_is_filtered_and_sorted_and_its_address_says_how(page: Page) -> None:
    page.goto("/review?view=answers")
    page.get_by_label("Words in question or answer").fill("leave")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("#answers a")).to_have_count(5)
    page.get_by_text("More filters").click()
    page.get_by_label("Answered", exact=True).select_option("no, withheld")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("#answers a")).to_have_count(2)
    assert set(entries(page)) == {"Who approves leave?"}
    page.reload()
    expect(page.locator("#answers a")).to_have_count(2)
    expect(page.get_by_label("Answered", exact=True)).to_have_value("true")
    page.get_by_role("button", name="Clear").click()
    page.locator("#collection").select_option("tickets")
    page.get_by_label("Sorted by").select_option("slowest first")
    expect(page.locator("#answers a")).to_have_count(3)
    assert entries(page)[0] == "Which version is the newest?"
    page.get_by_label("From").fill("2025-06-03")
    page.get_by_label("To", exact=True).fill("2025-06-03")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("#answers a")).to_have_count(1)
    page.get_by_label("Last rating").select_option("bad")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.get_by_text("No answer is like that.")).to_be_visible()


def test_charts_show_the_days_and_have_their_numbers_in_a_table(site: Site, page: Page) -> None:
    page.goto("/review?view=time")
    figures = page.locator("figure")
    expect(figures).to_have_count(4)
    (day,) = site.rest.get("/v1/usage").json()["in_all"]
    for number, columns in enumerate((("num_questions", "num_answered"), (), ("p50_ms", "p95_ms"), ())):
        figure = figures.nth(number)
        expect(figure.get_by_role("img")).to_be_visible()
        figure.get_by_text("The numbers of one day").click()
        cells = figure.locator("tbody tr").locator("th, td").all_inner_texts()
        assert cells[0] == day["day"]
        for cell, name in zip(cells[1:], columns, strict=False):
            assert cell.replace(",", "").removesuffix(" ms") == f"{day[name]:.0f}"
    assert figures.nth(1).locator("svg .series .point").count() >= 2
    expect(page.get_by_role("region", name="What has changed since")).to_be_visible()
    expect(page.get_by_role("region", name="How far reviewers agree")).to_contain_text("anna and ben")
    page.locator("#time-collection").select_option("tickets")
    expect(page.get_by_text("Nothing was asked in these days.")).to_be_visible()


def test_what_goes_unanswered_is_listed_and_leads_to_its_answer(page: Page) -> None:
    page.goto("/review?view=unanswered")
    wifi = page.locator("#unanswered > li").first
    expect(wifi).to_contain_text("What is the wifi password?")
    expect(wifi).to_contain_text("asked 3 times")
    wifi.get_by_text("The closest passage").click()
    expect(wifi.get_by_text("The canteen is open")).to_be_visible()
    wifi.get_by_role("link", name="The last answer").click()
    expect(page.locator("#asked")).to_have_text("What is the wifi password?")
    expect(page.get_by_text("Not answered: the documents do not say.")).to_be_visible()


def test_markup_in_questions_and_passages_is_shown_and_never_runs(page: Page, asked: int) -> None:
    for view in VIEWS:
        page.goto(view)
        page.wait_for_load_state("networkidle")
        assert page.locator("main img, main b").count() == 0
    page.goto(f"/review?view=answers&answer={asked}")
    expect(page.locator("#asked")).to_have_text(f"Who is {MARKUP}?")
    expect(page.locator(".passage-words").first).to_contain_text(MARKUP)
    assert page.locator("main img, main b").count() == 0


@pytest.mark.parametrize("scheme", SCHEMES)
def test_views_can_be_read_have_names_for_all_controls_and_fit_a_phone(
    open_page: OpenPage, asked: int, scheme: str
) -> None:
    for view in (*VIEWS, f"/review?view=answers&answer={asked}"):
        with open_page(color_scheme=scheme) as page:
            page.goto(view)
            expect(page.locator("main .status.busy")).to_have_count(0)
            page.wait_for_load_state("networkidle")
            check_page(page)


def test_on_a_phone_the_answer_takes_the_place_of_the_list(open_page: OpenPage) -> None:
    with open_page(viewport={"width": 390, "height": 800}) as page:
        page.goto("/review?view=answers")
        page.locator("#answers a").nth(1).click()
        expect(page.locator("#detail")).to_be_visible()
        expect(page.locator("#list-pane")).to_be_hidden()
        page.get_by_role("button", name="List").click()
        expect(page.locator("#answers a").nth(1)).to_be_focused()
        expect(page.locator("#detail")).to_be_hidden()


def test_reader_is_told_whom_the_page_is_for(site: Site, page: Page) -> None:
    page.goto("/sign-in?next=/review")
    page.get_by_label("API key").fill(site.new_key("reader"))
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert").first).to_contain_text("needs the role reviewer")
