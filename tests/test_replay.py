"""The same question gives the same answer: later, and whatever else is asked at the same time."""

import itertools
import random
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from rag.answerer import AskOptions
from rag.assemble import Rag
from rag.config import Settings
from rag.errors import NotFound
from rag.ingest.labels import Labels
from rag.records import Document, Section
from rag.replay import Replay, _word_changes
from rag.store.answer_review import list_answers

TOWNS = [
    "Lund",
    "Malmo",
    "Umea",
    "Gavle",
    "Boras",
    "Vaxjo",
    "Ystad",
    "Kalmar",
    "Visby",
    "Falun",
    "Motala",
    "Nora",
    "Eslov",
    "Arvika",
    "Mora",
    "Skara",
    "Sala",
    "Trosa",
    "Kiruna",
    "Pitea",
]
PEOPLE = [
    "Anna",
    "Karl",
    "Nils",
    "Olga",
    "Rolf",
    "Elsa",
    "Ivar",
    "Maja",
    "Sven",
    "Tuva",
    "Axel",
    "Brita",
    "Carl",
    "Disa",
    "Egil",
    "Frida",
    "Gert",
    "Hilda",
]
TRADES = ["bakery", "brewery", "harbour", "library", "mill"]
FORMS = [
    "Who opened the {trade} of {town}?",
    "When was the {trade} of {town} opened?",
    "why did the {trade} of {town} close",
    "How many people worked at the {trade} of {town}?",
    "What stands where the {trade} of {town} stood?",
]
PASSAGE_TOKENS = 64
"""No more than a paragraph has: what is tested does not hang on how much there is to read."""
NUM_THREADS = 8


def _document(town: str, rng: random.Random) -> Document:
    """A section of its own for each trade, so that a passage is short and there are many to choose from."""
    paragraphs = [
        f"The {trade} of {town} was opened by {rng.choice(PEOPLE)} in {rng.randrange(1800, 1950)} and gave work to "
        f"{rng.randrange(3, 90)} people. It closed because {rng.choice(PEOPLE)} bought the land, and "
        f"{rng.choice(['a school', 'a park', 'a square', 'nothing'])} stands there now.\n"
        for trade in TRADES
    ]
    ends = list(itertools.accumulate(map(len, paragraphs)))
    return Document(
        source=f"towns#{town}",
        file="towns",
        title=town,
        media_type="text/plain",
        text="".join(paragraphs),
        sections=tuple(Section(start=start, end=end) for start, end in zip([0, *ends], ends, strict=False)),
    )


@pytest.fixture(scope="module")
def towns(migrated_sqlite_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the towns, to be copied."""
    folder = tmp_path_factory.mktemp("towns")
    shutil.copy(migrated_sqlite_file, folder / "rag.db")
    rng = random.Random(0)
    with Rag(Settings(data_dir=folder, passage_tokens=PASSAGE_TOKENS)) as service:
        service.ingester.ingest_documents(
            (_document(town, rng) for town in TOWNS),
            file="towns",
            file_sha256="0" * 64,
            collection="default",
            labels=Labels(tags={}),
            on_progress=lambda _: None,
        )
    return folder


@pytest.fixture
def settings(towns: Path, tmp_path: Path) -> Settings:
    folder = shutil.copytree(towns, tmp_path / "data")
    return Settings(data_dir=folder, passage_tokens=PASSAGE_TOKENS, max_concurrent_answers=NUM_THREADS)


@pytest.fixture
def service(settings: Settings) -> Iterator[Rag]:
    with Rag(settings) as opened:
        yield opened


@pytest.mark.first
@pytest.mark.slow
def test_500_questions_get_the_same_answers_alone_and_mixed(service: Rag) -> None:
    questions = [form.format(town=town, trade=trade) for form in FORMS for town in TOWNS for trade in TRADES]
    assert len(questions) == 500
    options = AskOptions(top_k=3, filters={})

    def ask(question: str) -> tuple[object, ...]:
        found = service.retriever.search(question, collection="default", top_k=options.top_k)
        considered = service.answerer.consider(question, found, options=options)
        return (
            considered.generation.answer,
            considered.generation.confidence,
            [(citation.document_id, citation.start, citation.end) for citation in considered.generation.citations],
            [(hit.passage_id, hit.scores) for hit in considered.hits],
        )

    alone = {question: ask(question) for question in questions}
    shuffled = random.Random(1).sample(questions, len(questions))
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        mixed = dict(zip(shuffled, pool.map(ask, shuffled), strict=True))
    assert mixed == alone
    assert len({answer for answer, *_ in alone.values()}) > 50


def test_answer_is_replayed_with_nothing_changed(service: Rag) -> None:
    answer = service.ask("Who opened the mill of Lund?", top_k=3)
    again = service.replay(answer.id)
    assert again.same
    assert again.same_passages
    assert again.confidence == again.confidence_then
    assert again.changed == {}
    assert again.reasons == ()
    assert {change.change for change in again.word_changes} == {"kept"}


def test_other_settings_and_a_new_document_are_named(service: Rag, tmp_path: Path) -> None:
    answer = service.ask("Who opened the mill of Oslo?", top_k=3, abstain=False)
    (tmp_path / "oslo.txt").write_text("The mill of Oslo was opened by Sigrid in 1911.")
    service.ingest(tmp_path / "oslo.txt")
    again = service.replay(answer.id)
    assert not again.same
    assert again.answer == "Sigrid"
    assert not again.same_passages
    assert set(again.changed) == {"index_change_id"}
    assert again.word_changes[-1].change == "added"
    assert [hit.title for hit in again.passages_entered] == ["oslo"]
    (left,) = again.passages_left
    assert left.source_state == "unchanged"
    assert again.reasons == (f"The collection has changed since: {_index_words(again)}",)


def _index_words(again: Replay) -> str:
    then, now = again.changed["index_change_id"]
    return f"the index stood at change {then}, and stands at {now} now."


def test_erased_and_changed_sources_are_named(service: Rag, tmp_path: Path) -> None:
    oslo, bergen = tmp_path / "oslo.txt", tmp_path / "bergen.txt"
    oslo.write_text("The castle of Oslo was opened by Sigrid in 1911.")
    bergen.write_text("The castle of Bergen was opened by Harald in 1922.")
    service.ingest(oslo, bergen)
    answer = service.ask("Who opened the castle of Oslo?", top_k=2, abstain=False)
    assert answer.answer == "Sigrid"
    by_title = {hit.title: hit.document_id for hit in answer.passages}
    bergen.write_text("The castle of Bergen was never opened.")
    service.ingest(bergen)
    service.erase_document(by_title["oslo"], reason="asked for")
    again = service.replay(answer.id)
    assert not again.same
    assert {lost.hit.document_id: lost.source_state for lost in again.passages_left} == {
        by_title["oslo"]: "erased",
        by_title["bergen"]: "changed",
    }
    erased = f"Document {by_title['oslo']}, which was read then, has been erased."
    assert erased in again.reasons
    assert any("(bergen), which was read then, has another version now." in reason for reason in again.reasons)


def test_other_threshold_is_named_with_both_values(service: Rag, settings: Settings) -> None:
    answer = service.ask("Who opened the mill of Lund?", top_k=3)
    with Rag(settings.model_copy(update={"abstain_below": 1.0})) as other:
        again = other.replay(answer.id)
    assert (again.same, again.abstained_then, again.abstained) == (False, False, True)
    assert (again.answer_then, again.answer) == (answer.answer, "")
    assert [change.change for change in again.word_changes] == ["removed"]
    assert f"The setting abstain_below was {again.changed['abstain_below'][0]} and is 1.0 now." in again.reasons


def test_replay_logs_nothing(service: Rag) -> None:
    answer = service.ask("Who opened the mill of Lund?", top_k=3)
    service.replay(answer.id)
    with service.database.read() as session:
        assert [row.answer_id for row in list_answers(session)] == [answer.id]


def test_words_kept_removed_and_added_are_told_apart() -> None:
    changes = list(_word_changes("opened by Elsa in 1911", "opened by Karl in 1911 again"))
    assert [(one.change, one.words) for one in changes] == [
        ("kept", "opened by"),
        ("removed", "Elsa"),
        ("added", "Karl"),
        ("kept", "in 1911"),
        ("added", "again"),
    ]


def test_other_hardware_is_reported_as_such(service: Rag) -> None:
    answer = service.ask("Who opened the mill of Lund?", top_k=3)
    with service.database.write() as session:
        session.execute(
            text("UPDATE answers SET settings = json_set(settings, '$.processor', 'riscv64 generic, torch 2.0.0')")
        )
    again = service.replay(answer.id)
    assert again.other_hardware
    assert again.changed["processor"][0] == "riscv64 generic, torch 2.0.0"
    assert any(reason.startswith("The machine computes otherwise: processor was riscv64") for reason in again.reasons)


def test_unknown_answer_cannot_be_replayed(service: Rag) -> None:
    with pytest.raises(NotFound):
        service.replay(99)


def test_explanation_names_the_passages_of_the_answer(service: Rag) -> None:
    answer = service.ask("Who opened the mill of Lund?", top_k=3)
    explanation = service.explain(answer)
    assert explanation.answer == answer.answer
    assert explanation.passage_ids == tuple(hit.passage_id for hit in answer.passages)
    (citation,) = answer.citations
    assert explanation.tokens[0].start == citation.start
    assert explanation.tokens[-1].end == citation.end
    assert {token.passage_id for token in explanation.tokens} == {citation.passage_id}
    assert sum(explanation.passage_weights) <= 1 + 1e-3
