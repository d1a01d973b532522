"""The Ask page in a real browser: what a person sees and does, from the upload of a document to its deletion."""

import json
import re
from functools import partial

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from sqlalchemy import select

from rag.store import tables
from tests.api.running_server import wait_until
from tests.web.accessibility import check_page
from tests.web.browsing import nameless_controls, opened_page, overflow_px, pale_texts
from tests.web.conftest import OpenPage, Site

pytestmark = pytest.mark.slow

SUPPORT = "# Support\n\nThe support rota 🦩 is kept by Amara Diallo. Tickets are answered within four hours.\n"
HISTORY = "The company was founded in Lisbon in 1987 by Maria Costa. It moved to Porto in 1994."
QUESTION = "Who keeps the support rota?"
CITATION = {"document_id": 1, "document_version": 1, "title": "Birds", "page": None, "row": None, "start": 0, "end": 6}
LANGUAGE_MODEL_ANSWER = {
    **{"id": 1, "question": "Who flies?", "answer": "Rosa 🦩 and Amara fly to Oslo with Rosa.", "abstained": False},
    **{"confidence": 0.6, "confidence_kind": "support", "notes": [], "passages": [], "timings_ms": {"total": 9}},
    **{"standalone_question": None, "model": "lm", "unsupported": [[17, 28]], "citations": [CITATION, CITATION]},
    "spans": [
        {"answer_start": start, "answer_end": end, "citation": citation}
        for start, end, citation in [(0, 4, 0), (4, 5, None), (5, 6, 0), (6, 11, None), (11, 16, 1), (34, 38, 0)]
    ],
}
CARD_OF = """async (answer) => {
  const { answerCard } = await import("/static/answer-card.js");
  const words = answerCard(answer).querySelector(".answer");
  for (const link of words.querySelectorAll("a")) link.replaceWith(link.textContent);
  return words.innerHTML;
}"""
RECORD_WORDS = """() => {
  window.wordsSeen = [];
  new MutationObserver(() => {
    const words = document.querySelector(".pending .answer")?.textContent;
    if (words) window.wordsSeen.push(words);
  }).observe(document.body, { subtree: true, childList: true, characterData: true });
}"""


def ask(page: Page, question: str) -> None:
    """Ask, and wait for the answer."""
    expect(page.get_by_label("in", exact=True)).to_be_enabled()  # the page's script is at work
    page.get_by_label("Question").fill(question)
    page.keyboard.press("Enter")
    expect(page.locator("#current .answer-card:not(.pending) .asked")).to_have_text(question)


@pytest.fixture
def handbook(site: Site) -> str:
    """A collection of two documents."""
    name = site.new_collection()
    site.upload("support.md", SUPPORT, collection=name, tags="team=ops")
    site.upload("history.txt", HISTORY, collection=name, origin="synthetic")
    return name


def test_an_answer_is_seen_coming_its_quote_opened_and_rated_and_nothing_is_left_of_it_after_deletion(
    site: Site, page: Page
) -> None:
    collection = site.new_collection()
    document = site.upload("support.md", SUPPORT, collection=collection)
    page.goto(f"/?collection={collection}")
    expect(page.get_by_label("in", exact=True)).to_have_value(collection)
    page.evaluate(RECORD_WORDS)

    site.generator.go_on.clear()
    page.get_by_label("Question").fill(QUESTION)
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.get_by_text("Reading 1 passage of 1 document…")).to_be_visible()
    expect(page.locator(".found")).to_have_text("Support")
    site.generator.go_on.set()
    expect(page.locator("#current .answer")).to_contain_text("Amara Diallo")
    assert {"Amara", "Amara Diallo"} <= set(page.evaluate("window.wordsSeen"))
    expect(page.get_by_role("meter", name="Confidence in percent")).to_be_visible()
    expect(page.locator("#current .confidence").get_by_text("Very likely right")).to_be_visible()

    page.get_by_text("All 1 passage read, with scores").click()
    expect(page.locator(".scores dt")).to_have_text(["relevance", "fused", "keyword", "vector"])
    page.get_by_role("button", name="Yes").click()
    page.get_by_label("Comment (optional)").fill("Just so.")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("Thank you, it is in the log.")).to_be_visible()
    with site.service.database.read() as session:
        feedback = session.scalars(select(tables.Feedback).order_by(tables.Feedback.id.desc())).first()
        assert feedback is not None
        assert (feedback.rating, feedback.comment) == (1, "Just so.")

    page.get_by_role("link", name="Quote 1: Support").first.click()
    expect(page).to_have_url(re.compile(rf"/documents/{document}\?version=1&start=\d+&end=\d+$"))
    expect(page.locator("mark")).to_have_text("Amara Diallo")  # after a character of two UTF-16 units
    expect(page.locator("mark")).to_be_in_viewport()
    expect(page.get_by_text("Passage 1 of 1")).to_be_visible()
    page.go_back()
    expect(page.locator("#current .answer")).to_contain_text("Amara Diallo")

    assert site.rest.delete(f"/v1/documents/{document}").status_code == 204
    ask(page, "Who keeps the rota of support?")
    expect(page.locator("#current .answer")).to_have_text("Not in these documents.")


def test_follow_up_says_what_it_was_understood_as_and_its_conversation_opens_again(page: Page, handbook: str) -> None:
    page.goto(f"/?collection={handbook}")
    ask(page, "Who founded the company?")
    ask(page, "And when did it move to Porto?")
    expect(page.locator("#current .answer")).to_contain_text("1994")
    expect(page.get_by_text("Understood as: When did the company move to Porto?")).to_be_visible()
    earlier = page.locator("#earlier-list .earlier > summary")
    expect(earlier).to_contain_text("Maria Costa")
    here = page.locator("#conversation-list a[aria-current]")
    expect(here).to_contain_text("2 answers")

    page.get_by_role("link", name="New conversation").click()
    expect(page.locator("#current .answer-card")).to_have_count(0)
    page.get_by_role("link", name="Who founded the company?").first.click()
    expect(page.locator("#current .answer")).to_contain_text("1994")
    expect(page.get_by_label("in", exact=True)).to_have_value(handbook)
    earlier.click()
    expect(page.locator("#earlier-list .answer")).to_contain_text("Maria Costa")

    page.reload()  # what is asked before the conversation is there goes on with it all the same
    ask(page, "And who founded it?")
    expect(here).to_contain_text("3 answers")


def test_conversation_is_deleted_when_asked_twice_and_its_answers_stay(site: Site, page: Page, handbook: str) -> None:
    page.goto(f"/?collection={handbook}")
    ask(page, "Who founded the company?")
    kept = site.rest.get("/v1/answers?limit=1").json()["answers"][0]
    listed = page.locator("#conversation-list > li")
    num_listed = listed.count()
    listed.first.get_by_role("button", name="Delete the conversation").click()
    confirm = page.get_by_role("dialog", name="Delete the conversation “Who founded the company?”?")
    confirm.get_by_role("button", name="Keep it").click()
    expect(confirm).to_have_count(0)
    expect(page.locator("#current .answer")).to_contain_text("Maria Costa")
    listed.first.get_by_role("button", name="Delete the conversation").click()
    confirm.get_by_role("button", name="Delete it").click()
    expect(confirm).to_have_count(0)
    expect(listed).to_have_count(num_listed - 1)
    expect(page.locator("#current .answer-card")).to_have_count(0)
    assert "conversation=" not in page.url
    assert site.rest.get(f"/v1/answers/{kept['answer_id']}").json()["answer"] == kept["answer"]
    ask(page, "Who founded the company?")  # it begins another one
    expect(listed).to_have_count(num_listed)


def test_stopping_gives_the_work_up_and_keeps_the_question(site: Site, page: Page, handbook: str) -> None:
    page.goto(f"/?collection={handbook}")
    site.generator.go_on.clear()
    before = site.generator.num_cancelled
    try:
        page.get_by_label("Question").fill(QUESTION)
        page.get_by_role("button", name="Ask", exact=True).click()
        expect(page.get_by_text("Reading 2 passages of 2 documents…")).to_be_visible()
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_text("Stopped.")).to_be_visible()
        wait_until(lambda: site.generator.num_cancelled == before + 1)
    finally:
        site.generator.go_on.set()
    expect(page.get_by_label("Question")).to_have_value(QUESTION)
    expect(page.get_by_label("Question")).to_be_focused()
    expect(page.locator(".answer-card")).to_have_count(0)


def test_filters_say_which_documents_are_read(page: Page, handbook: str) -> None:
    page.goto(f"/?collection={handbook}")
    page.get_by_text("Filters", exact=True).click()
    page.get_by_label("Origin").select_option("synthetic")
    ask(page, QUESTION)
    expect(page.locator("#current .answer")).to_have_text("Not in these documents.")
    expect(page.get_by_text("Filters (1 in use)")).to_be_visible()
    page.get_by_role("button", name="Clear the filters").click()
    page.get_by_label("Tags").fill("team=ops")
    page.get_by_label("Format").select_option("text/markdown")
    ask(page, QUESTION)
    expect(page.locator("#current .answer")).to_contain_text("Amara Diallo")
    page.get_by_label("Tags").fill("team")
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_label("Question").fill(QUESTION)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text(re.compile("The filter “team” is not of the form name=value"))


def test_markup_in_documents_and_questions_is_text_and_never_runs(site: Site, page: Page) -> None:
    collection = site.new_collection()
    markup = '<img src=x onerror="window.ran=1"><script>window.ran=1</script>'
    link = "javascript:window.ran=1"
    site.upload(
        "trap.jsonl",
        json.dumps({"title": markup, "text": f"The gatekeeper is called <b>Rosa</b> {link}. {markup}"}),
        collection=collection,
        tags=f"team={markup}",
    )
    page.goto(f"/?collection={collection}")
    ask(page, f"What is the gatekeeper called? {markup}")
    page.get_by_text("All 1 passage read, with scores").click()
    expect(page.locator("#current .passages").last).to_contain_text(markup)
    for image in ("img:not([src='/static/icon.svg'])", "#content script", "#content b", "a[href^='javascript']"):
        expect(page.locator(image)).to_have_count(0)
    page.locator("#current .passages a:not(.cite)").first.click()
    expect(page.locator("#text")).to_contain_text(markup)
    expect(page.locator("#title")).to_have_text(markup)
    expect(page.locator("#text script, #text img, #facts img")).to_have_count(0)
    assert page.evaluate("window.ran") is None


def test_everything_can_be_done_with_the_keyboard_alone(page: Page, handbook: str) -> None:
    page.goto(f"/?collection={handbook}")
    expect(page.get_by_label("in", exact=True)).to_be_enabled()
    expect(page.get_by_label("Question")).to_be_focused()
    page.keyboard.type(QUESTION)
    page.keyboard.press("Enter")
    expect(page.locator("#current .answer")).to_contain_text("Amara Diallo")
    press_tab_until(page, "button.thumb.down")
    page.keyboard.press("Space")
    expect(page.get_by_label("Comment (optional)")).to_be_focused()
    page.keyboard.type("Not any more.")
    page.keyboard.press("Tab")
    page.keyboard.type("Rosa Weiss")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Thank you, it is in the log.")).to_be_visible()
    page.keyboard.press("/")
    expect(page.get_by_label("Question")).to_be_focused()
    press_tab_until(page, ".answer .cite")
    page.keyboard.press("Enter")
    expect(page.locator("mark")).to_have_text("Amara Diallo")
    page.keyboard.press("Shift+Tab")
    page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    page.reload()
    press_tab_until(page, ".page-header nav a")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Question")).to_be_focused()


def press_tab_until(page: Page, selector: str) -> None:
    """Go on to the next control until it is the wanted one; fails if it is not within reach."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
    pytest.fail(f"{selector} cannot be reached with the keyboard")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_can_be_read_have_names_for_all_controls_and_fit_a_phone(
    site: Site, open_page: OpenPage, handbook: str, scheme: str
) -> None:
    site.upload("moon.md", f"# {'Moon' * 40}\n\n{'Tranquillity' * 20} is a place.\n", collection=handbook)
    with open_page(color_scheme=scheme, viewport={"width": 390, "height": 800}) as page:
        page.goto("/sign-in")
        page.get_by_label("API key").fill("rag_nothing")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).not_to_be_empty()
        check_page(page)
        page.goto(f"/?collection={handbook}")
        ask(page, "Who founded the company?")
        ask(page, QUESTION)
        page.locator("#current .thumb.down").click()
        check_page(page)
        ask(page, f"Who is the queen of {'Moon' * 40}?")
        expect(page.locator("#current .answer")).to_have_text("Not in these documents.")
        check_page(page)
        page.locator("#current .passages a").first.click()
        expect(page.locator("mark").first).to_be_visible()
        check_page(page)


def test_pale_text_nameless_control_and_wide_page_are_noticed(page: Page) -> None:
    page.goto("/sign-in")
    page.evaluate("""() => {
      document.querySelector("h1").style.color = "#999";
      document.querySelector("button").textContent = "";
      document.querySelector("form").style.width = "3000px";
    }""")
    assert [text[5:] for text in pale_texts(page)] == ["Ask your documents"]
    assert nameless_controls(page) == ["button"]
    assert overflow_px(page) > 0


def test_citations_are_numbered_after_their_words_and_what_no_passage_says_is_underlined(page: Page) -> None:
    page.goto("/sign-in")
    shown = page.evaluate(CARD_OF, {**LANGUAGE_MODEL_ANSWER})
    assert shown == "Rosa 🦩<sup>1</sup> and Amara<sup>2</sup> <u>fly to Oslo</u> with Rosa<sup>1</sup>."


def send_stream(body: str, route: Route) -> None:
    """In the place of the server."""
    route.fulfill(body=body, content_type="text/event-stream")


def test_events_are_read_whatever_pieces_they_come_in_and_failures_are_sentences(page: Page, handbook: str) -> None:
    page.goto(f"/?collection={handbook}")
    problem = {"detail": "The answer took longer than 60 s; ask something shorter.", "status": 504}
    streams = {
        f": ping\r\n\r\nevent: error\r\ndata: {json.dumps(problem)}\r\n\r\n": problem["detail"],
        'event: token\ndata: {"text": "Half an"}\n\nevent: tok': "The answer broke off before its end; ask again.",
    }
    for body, sentence in streams.items():
        page.route("**/v1/answers", partial(send_stream, body))
        page.get_by_label("Question").fill(QUESTION)
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text(str(sentence))
        expect(page.locator(".answer-card")).to_have_count(0)
        expect(page.get_by_label("Question")).to_have_value(QUESTION)
    page.unroute_all()
    ask(page, QUESTION)
    expect(page.get_by_role("alert")).to_be_hidden()


def test_where_a_key_is_needed_the_page_leads_to_sign_in_and_back_and_asks_with_its_token(
    closed_site: Site, browser: Browser, handbook: str
) -> None:
    with opened_page(browser, closed_site.url) as page:
        page.goto("/docs")
        page.get_by_role("link", name="Sign in").click()
        expect(page).to_have_url(re.compile("/sign-in.next=%2Fdocs$"))
        page.goto(f"/?collection={handbook}")
        expect(page).to_have_url(re.compile("/sign-in.next="))
        page.get_by_label("API key").fill(closed_site.new_key("reader"))
        page.keyboard.press("Enter")
        expect(page).to_have_url(f"{closed_site.url}/?collection={handbook}")
        ask(page, QUESTION)
        page.get_by_role("button", name="Yes").click()
        page.get_by_role("button", name="Send").click()
        expect(page.get_by_text("Thank you, it is in the log.")).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        expect(page).to_have_url(f"{closed_site.url}/sign-in")
        page.goto("/")
        expect(page).to_have_url(re.compile("/sign-in"))


def test_header_shows_what_the_role_may_use_until_signing_out(site: Site, page: Page) -> None:
    links = page.get_by_role("navigation", name="Pages").get_by_role("link")
    page.goto("/")
    expect(links).to_have_text(["Ask", "Review", "Documents", "Evaluation", "API"])
    page.goto("/sign-in?next=/")
    page.get_by_label("API key").fill(site.new_key("reader"))
    page.get_by_role("button", name="Sign in").click()
    expect(links).to_have_text(["Ask", "Documents", "API"])
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{site.url}/sign-in")


def test_document_tells_its_version_goes_from_passage_to_passage_and_says_what_is_missing(
    site: Site, page: Page
) -> None:
    collection = site.new_collection()
    rules = "\n".join(f"Rule {number} 🦩: keep the door of room {number} shut at night." for number in range(90))
    site.upload("rules.md", rules, collection=collection)
    document = site.upload("rules.md", f"# Rules\n\n{rules}\n\n# Cats\n\nFeed the cat.\n", collection=collection)
    current = site.rest.get(f"/v1/documents/{document}").json()
    *_, last_but_one, last = current["passages"]
    page.goto(f"/documents/{document}?version=1&start=0&end=4")
    expect(page.locator("mark")).to_have_text("Rule")
    expect(page.get_by_text("the document has changed since")).to_be_visible()
    expect(page.get_by_role("button", name="Next passage")).to_be_hidden()
    page.get_by_role("link", name="show version 2").click()
    expect(page.get_by_text("Version 2, the current one.")).to_be_visible()
    assert "".join(page.locator("#text .words").all_text_contents()) == current["text"]  # in several blocks
    assert page.locator("#text .words").count() > 2
    forward, back = (page.get_by_role("button", name=f"{word} passage") for word in ("Next", "Previous"))
    forward.click()
    expect(page.get_by_text(f"Passage 1 of {len(current['passages'])}")).to_be_visible()
    expect(back).to_be_disabled()
    page.goto(f"/documents/{document}?version=2&start={last_but_one['start']}&end={last_but_one['end']}")
    expect(page.locator("mark").first).to_be_in_viewport()
    marked = "".join(page.locator("mark").all_text_contents())
    assert marked == current["text"][last_but_one["start"] : last_but_one["end"]]
    forward.click()
    expect(page.locator("mark")).to_have_text(current["text"][last["start"] : last["end"]])
    expect(page.locator("mark")).to_be_in_viewport()
    expect(forward).to_be_disabled()
    page.get_by_role("button", name="Back to the quote").click()
    expect(page.locator("mark").first).to_contain_text("Rule")
    back.click()
    expect(page.get_by_text(f"Passage {len(current['passages']) - 2} of")).to_be_visible()
    page.goto("/documents/99999")
    expect(page.get_by_role("alert")).to_have_text("There is no document 99999.")
