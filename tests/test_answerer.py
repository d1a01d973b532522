"""The main path with the shipped reader, the real embedding model and real databases."""

import threading
from pathlib import Path

import pytest
from sqlalchemy import text

import rag
from rag.assemble import Rag
from rag.config import Settings
from rag.errors import Busy, InvalidInput, LimitExceeded, NotFound, StoreUnavailable
from rag.index.embedder import CARRIED_MODEL
from rag.records import SearchOptions
from rag.store.answer_review import list_answers
from rag.store.answers import get_answer
from rag.store.database import Database
from rag.store.documents import get_document
from rag.transformer.linear import can_halve

HANDBOOK = {
    "support.md": "# Support\n\nThe support rota is kept by Amara Diallo. Tickets are answered within four hours.\n",
    "holidays.md": "# Holidays\n\nEvery employee has 28 days of leave a year. Leave is approved by the team lead.\n",
    "history.txt": "The company was founded in Lisbon in 1987 by Maria Costa. It moved to Porto in 1994.",
    "machines.csv": "machine,location,memory\nheron,rack 4,512 GB\nstork,rack 9,256 GB\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "handbook"
    folder.mkdir()
    for name, words in HANDBOOK.items():
        (folder / name).write_text(words)
    return folder


@pytest.fixture
def service(database_url: str, tmp_path: Path, folder: Path) -> Rag:
    with Rag(Settings(database_url=database_url, data_dir=tmp_path / "data")) as opened:
        opened.ingest(folder)
        yield opened


@pytest.fixture
def local(sqlite_url: str, tmp_path: Path, folder: Path) -> Rag:
    settings = Settings(
        database_url=sqlite_url, data_dir=tmp_path / "data", max_concurrent_answers=1, max_waiting_answers=0
    )
    with Rag(settings) as opened:
        opened.ingest(folder)
        yield opened


@pytest.mark.parametrize(
    ("question", "answer", "source"),
    [
        ("Who keeps the support rota?", "Amara Diallo", "support.md"),
        ("In which year was the company founded?", "1987", "history.txt"),
        ("How many days of leave does every employee have?", "28", "holidays.md"),
    ],
)
def test_answer_is_right_and_its_citation_is_exact(service: Rag, question: str, answer: str, source: str) -> None:
    given = service.ask(question)
    assert not given.abstained
    assert answer in given.answer
    (citation,) = given.citations
    assert citation.source.endswith(source)
    with service.database.read() as session:
        document = get_document(session, citation.document_id, version=citation.document_version)
    assert document.text[citation.start : citation.end] == citation.quote == given.answer


def test_what_is_logged_is_what_was_given(service: Rag) -> None:
    given = service.ask("Who founded the company?")
    with service.database.read() as session:
        logged = get_answer(session, given.id)
        (row,) = list_answers(session)
    assert logged.answer == given
    assert logged.model_sha256
    assert logged.settings["reader_dtype"] in ("float32", "bfloat16")
    assert logged.settings["query_weights"] == ("float16" if can_halve() else "float32")
    assert row.question == "Who founded the company?"
    assert set(given.scores) == {"confidence", "answerability", "answer_relevancy", "context_precision", "faithfulness"}
    assert set(given.timings_ms) == {"embed", "retrieve", "read", "score", "total"}
    assert all(hit.scores.relevance is not None for hit in given.passages)


def test_questions_are_embedded_in_float32_throughout_where_the_settings_say_so(
    sqlite_url: str, tmp_path: Path
) -> None:
    with rag.open(rag.Settings(database_url=sqlite_url, data_dir=tmp_path, embedding_dtype="float32")) as service:
        assert service.embedders.get(service.embedders.default).query_weights == "float32"


def test_question_about_something_else_is_not_answered_but_shows_the_closest_passages(service: Rag) -> None:
    given = service.ask("What is the boiling point of tungsten in kelvin?")
    assert given.abstained
    assert (given.answer, given.citations) == ("", ())
    assert given.passages
    assert service.ask("What is the boiling point of tungsten in kelvin?", abstain=False).answer


def test_same_question_gets_the_same_answer_again(local: Rag) -> None:
    first, second = (local.ask("When did the company move to Porto?") for _ in range(2))
    assert (first.answer, first.confidence, first.citations) == (second.answer, second.confidence, second.citations)


def test_citation_still_verifies_after_its_document_changed(local: Rag, folder: Path) -> None:
    given = local.ask("Who keeps the support rota?")
    (folder / "support.md").write_text("# Support\n\nThe support rota is kept by Jonas Weber.\n")
    local.ingest(folder)
    (citation,) = given.citations
    with local.database.read() as session:
        document = get_document(session, citation.document_id, version=citation.document_version)
    assert document.text[citation.start : citation.end] == "Amara Diallo"
    assert local.ask("Who keeps the support rota?").answer == "Jonas Weber"


def test_deleted_document_answers_nothing_any_more(local: Rag) -> None:
    given = local.ask("Who keeps the support rota?")
    local.ingester.remove(given.citations[0].document_id)
    again = local.ask("Who keeps the support rota?")
    assert "Diallo" not in again.answer
    assert all(hit.document_id != given.citations[0].document_id for hit in again.passages)


def test_index_deleted_by_hand_is_rebuilt_without_embedding_again(
    local: Rag, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    before = local.search("support rota", top_k=4)
    shutil.rmtree(tmp_path / "data" / "index")
    with Rag(local.settings) as again:
        embedded: list[int] = []
        embedder = again.embedders.get(CARRIED_MODEL)
        real = embedder.embed
        monkeypatch.setattr(embedder, "embed", lambda texts: embedded.append(len(texts)) or real(texts))
        assert again.search("support rota", top_k=4) == before
    assert embedded == []  # no passage; the question is embedded apart


@pytest.mark.parametrize("question", ["", "  \n "])
def test_empty_question_is_refused(local: Rag, question: str) -> None:
    with pytest.raises(InvalidInput, match="empty"):
        local.ask(question)


def test_question_of_100_000_characters_is_refused_naming_the_setting(local: Rag) -> None:
    with pytest.raises(LimitExceeded, match="max_question_chars"):
        local.ask("why " * 25_000)


@pytest.mark.parametrize(("top_k", "message"), [(0, "at least 1"), (1000, "max_top_k")])
def test_top_k_out_of_range_is_refused(local: Rag, top_k: int, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        local.ask("Who?", top_k=top_k)


def test_unknown_collection_names_those_that_exist(local: Rag) -> None:
    with pytest.raises(NotFound, match="default"):
        local.ask("Who?", collection="nope")


def test_question_of_stop_words_only_is_still_answered_or_withheld(local: Rag) -> None:
    assert local.ask("who is it?").passages


def test_more_questions_than_places_are_refused_and_places_are_given_back(local: Rag) -> None:
    inside, go_on = threading.Event(), threading.Event()
    real = local.retriever.search

    def slow(*arguments: object, **options: object) -> object:
        inside.set()
        assert go_on.wait(30)
        return real(*arguments, **options)

    local.answerer._retriever.search = slow  # type: ignore[method-assign]
    thread = threading.Thread(target=local.ask, args=("Who keeps the support rota?",))
    thread.start()
    assert inside.wait(30)
    with pytest.raises(Busy, match="max_concurrent_answers"):
        local.ask("Who founded the company?")
    go_on.set()
    thread.join()
    assert local.ask("Who founded the company?").answer


def test_answer_that_cannot_be_logged_is_not_given(local: Rag) -> None:
    with local.database.write() as session:
        session.execute(text("ALTER TABLE answers RENAME TO hidden"))
    with pytest.raises(StoreUnavailable):
        local.ask("Who founded the company?")


def test_database_that_is_not_migrated_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="rag db upgrade"):
        rag.open(Settings(data_dir=tmp_path / "new"))


def test_rag_open_gives_the_verbs_to_a_script(sqlite_url: str, tmp_path: Path, folder: Path) -> None:
    with rag.open(rag.Settings(database_url=sqlite_url, data_dir=tmp_path / "d", num_threads=2)) as service:
        assert service.ingest(folder, collection="mine").num_added == len(HANDBOOK)
        assert service.search("rota", collection="mine", options=SearchOptions(mode="keyword"))[0].source.endswith(
            "support.md"
        )
        assert service.ask("Who keeps the support rota?", collection="mine").answer == "Amara Diallo"
    assert isinstance(service.database, Database)
