from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from rag.records import Answer, ExplainedToken, Explanation, Hit, HitScores, SourceWeight
from rag.web.heat_map import heat_map_page

HOSTILE = "<script>alert(1)</script> The toll is 40 crowns."
HIT = Hit(
    passage_id=7,
    document_id=1,
    document_version=1,
    title="Tolls <b>",
    source="x",
    origin="real",
    headings=(),
    page=None,
    row=None,
    start=100,
    end=100 + len(HOSTILE),
    text=HOSTILE,
    scores=HitScores(relevance=0.9),
)
START = HIT.start + HOSTILE.index("40")
TOKEN = ExplainedToken(
    text="40",
    passage_id=7,
    start=START,
    end=START + 2,
    probability=0.8,
    copied=0.7,
    written=0.1,
    passage_weights=(0.9,),
)
EXPLANATION = Explanation(
    answer="40",
    passage_ids=(7,),
    passage_weights=(0.9,),
    tokens=(TOKEN,),
    sources=(SourceWeight(passage_id=7, start=START, end=START + 2, weight=0.7),),
)
ANSWER = Answer(
    id=3,
    question='What is "the toll" & why <i>?',
    collection="default",
    answer="40",
    abstained=False,
    confidence=0.66,
    citations=(),
    passages=(HIT,),
    scores={},
    timings_ms={},
    model="reader",
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
)


class Page(HTMLParser):
    """Collects tags, and the text inside marks with its colour."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.marked: list[tuple[str, str]] = []
        self.text = ""
        self._style = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._style = dict(attrs).get("style") or "" if tag == "mark" else ""

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._style:
            self.marked.append((data, self._style))
            self._style = ""


@pytest.fixture
def page() -> Page:
    return Page(heat_map_page(ANSWER, EXPLANATION))


def test_what_was_copied_is_marked_as_strongly_as_it_weighs(page: Page) -> None:
    assert page.marked == [
        ("40", "background-color: rgba(var(--heat), 0.700)"),
        ("40", "background-color: rgba(var(--heat), 0.700)"),
    ]


def test_text_of_documents_and_questions_is_never_markup(page: Page) -> None:
    assert "script" not in page.tags
    assert "i" not in page.tags
    assert "b" not in page.tags
    assert HOSTILE in page.text
    assert ANSWER.question in page.text


def test_withheld_answer_is_said_to_be(page: Page) -> None:
    assert "Withheld" not in page.text
    assert "Withheld" in Page(heat_map_page(replace(ANSWER, abstained=True), EXPLANATION)).text


def test_synthetic_document_is_said_to_be(page: Page) -> None:
    assert "synthetic" not in page.text
    made_up = replace(ANSWER, passages=(replace(HIT, origin="synthetic"),))
    assert "synthetic document" in Page(heat_map_page(made_up, EXPLANATION)).text


def test_nothing_to_explain_is_a_page_too() -> None:
    nothing = Explanation(answer="", passage_ids=(7,), passage_weights=(0.0,), tokens=(), sources=())
    assert "No answer." in Page(heat_map_page(ANSWER, nothing)).text
