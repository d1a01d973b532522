"""Masking in the log: placeholders there, the words as they are for whoever asked, and true ranges in both."""

import ast
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from rag.api.app import create_app
from rag.assemble import Rag
from rag.config import Settings, load_settings
from rag.errors import InvalidInput
from rag.masking import as_given, mask_of
from rag.records import AnswerSpan, Citation, Hit, HitScores
from rag.store.answer_links import AnswerLinks
from rag.store.answers import NewAnswer, get_answer, insert_answer
from rag.store.collections import get_or_create_collection
from rag.store.database import Database
from rag.store.documents import get_document
from rag.store.evaluations import QuestionResult
from rag.text.personal_data import KINDS

ROOT = Path(__file__).parents[1]
HANDBOOK = {
    "support.md": "# Support\n\nThe support rota is kept by amara@example.org every week. Tickets take four hours.\n",
    "orders.csv": "order,customer,town\n5,Jane Doe,Lund\n6,Karl Berg,Visby\n",
}
PASSAGE = "The rota is kept by amara@example.org; her deputy has +49 30 23125 678."
ANSWER = "It is amara@example.org, or +49 30 23125 678."


def settings(**more: object) -> Settings:
    return Settings(**{"mask_personal_data": KINDS, **more})


def new_answer(collection_id: int = 1) -> NewAnswer:
    hit = Hit(
        passage_id=1, document_id=1, document_version=1, title="Of jane@example.org", source="a", origin="real",
        headings=("Ask bo@example.org",), page=None, row=None, start=0, end=len(PASSAGE), text=PASSAGE,
        scores=HitScores(),
    )  # fmt: skip
    mail, phone = PASSAGE.index("amara"), PASSAGE.index("+49")
    return NewAnswer(
        collection_id=collection_id,
        question="Does jo@example.org keep the rota?",
        answer=ANSWER,
        abstained=False,
        confidence=0.5,
        citations=[
            Citation(
                passage_id=1, document_id=1, document_version=1, title="t", source="a", origin="real", page=None,
                row=None, start=0, end=len(PASSAGE), quote=PASSAGE,
            )
        ],
        passages=[hit],
        scores=[],
        timings_ms={},
        model="m",
        model_sha256=None,
        embedding_model="e",
        index_change_id=0,
        settings={"filters": {"team": {"$in": ["x@example.org", "ops"]}, "customer": "Jane", "year": 2024}},
        spans=[
            AnswerSpan(answer_start=0, answer_end=6),
            AnswerSpan(answer_start=6, answer_end=23, citation=0, start=mail, end=mail + 17),
            AnswerSpan(answer_start=23, answer_end=28),
            AnswerSpan(answer_start=28, answer_end=44, citation=0, start=phone, end=phone + 16),
            AnswerSpan(answer_start=44, answer_end=45),
        ],
        unsupported=[(3, 10), (25, 28), (30, 45)],
        links=AnswerLinks(standalone_question="Does jo@example.org keep it?"),
    )  # fmt: skip


def test_every_field_of_an_answer_is_masked_and_says_so() -> None:
    masked = mask_of(settings(masked_document_fields=("Customer",))).answer(new_answer())
    assert masked.question == "Does <EMAIL> keep the rota?"
    assert masked.links.standalone_question == "Does <EMAIL> keep it?"
    assert masked.answer == "It is <EMAIL>, or <PHONE>."
    assert (
        masked.citations[0].quote == masked.passages[0].text == ("The rota is kept by <EMAIL>; her deputy has <PHONE>.")
    )
    assert (masked.passages[0].title, masked.passages[0].headings) == ("Of <EMAIL>", ("Ask <EMAIL>",))
    assert masked.settings["filters"] == {"team": {"$in": ["<EMAIL>", "ops"]}, "customer": "<CUSTOMER>", "year": 2024}
    assert masked.masked == {
        "answer": ("email", "phone"),
        "filters": ("customer", "email"),
        "passage": ("email", "phone"),
        "question": ("email",),
        "quote": ("email", "phone"),
        "standalone_question": ("email",),
        "title": ("email",),
    }
    assert (masked.citations[0].start, masked.citations[0].end) == (0, len(PASSAGE))


def test_ranges_of_the_answer_move_with_its_characters() -> None:
    masked = mask_of(settings()).answer(new_answer())
    shown = [masked.answer[span.answer_start : span.answer_end] for span in masked.spans]
    assert shown == ["It is ", "<EMAIL>", ", or ", "<PHONE>", "."]
    assert [PASSAGE[s.start : s.end] for s in masked.spans if s.start is not None] == [
        "amara@example.org",
        "+49 30 23125 678",
    ]
    assert [masked.answer[start:end] for start, end in masked.unsupported] == ["is <EMAIL>", "or ", "<PHONE>."]


def test_span_with_a_placeholder_inside_is_cut_so_that_the_rest_still_equals_its_source() -> None:
    start = PASSAGE.index("kept")
    copied = PASSAGE[start : start + 40]
    whole = AnswerSpan(answer_start=0, answer_end=40, citation=0, start=start, end=start + 40)
    masked = mask_of(settings()).answer(replace(new_answer(), answer=copied, spans=[whole], unsupported=[]))
    pieces = [(masked.answer[s.answer_start : s.answer_end], PASSAGE[s.start : s.end]) for s in masked.spans]
    assert [shown for shown, _ in pieces] == ["kept by ", "<EMAIL>", "; her deputy ha"]
    assert all(shown == source for shown, source in pieces if shown != "<EMAIL>")


def test_part_of_an_address_that_was_cut_out_of_a_passage_is_masked_like_the_whole() -> None:
    start = PASSAGE.index("amara")
    cut = replace(
        new_answer(),
        answer="amara",
        spans=[AnswerSpan(answer_start=0, answer_end=5, citation=0, start=start, end=start + 5)],
        unsupported=[],
    )
    cut = replace(cut, citations=[replace(cut.citations[0], start=start - 3, end=start + 5, quote="by amara")])
    masked = mask_of(settings()).answer(cut)
    assert (masked.answer, masked.citations[0].quote) == ("<EMAIL>", "by <EMAIL>")


def test_only_the_fields_and_kinds_of_the_settings_are_masked() -> None:
    masked = mask_of(settings(mask_personal_data=["phone"], masked_fields=["answer"])).answer(new_answer())
    assert masked.answer == "It is amara@example.org, or <PHONE>."
    assert replace(masked, answer=ANSWER, masked={}, spans=(), unsupported=()) == replace(
        new_answer(), passages=masked.passages, citations=masked.citations, spans=(), unsupported=()
    )
    assert mask_of(Settings()).answer(made := new_answer()) is made


def test_settings_that_cannot_be_are_refused_in_a_sentence() -> None:
    with pytest.raises(InvalidInput, match="mask_personal_data"):
        load_settings(mask_personal_data=("name",))
    with pytest.raises(InvalidInput, match="masked_fields"):
        load_settings(masked_fields=("prompt",))
    with pytest.raises(InvalidInput, match="there is no region 'ZZ'"):
        mask_of(settings(phone_regions=("ZZ",)))


def test_what_an_evaluation_keeps_is_masked_too() -> None:
    result = QuestionResult(
        question_id="1", question="Who is a@example.org?", reference_answers=("b@example.org",),
        prediction="c@example.org", exact_match=1.0, f1=1.0, abstained=False,
    )  # fmt: skip
    masked = mask_of(settings()).result(result)
    assert (masked.question, masked.prediction, masked.reference_answers) == (
        "Who is <EMAIL>?", "<EMAIL>", ("<EMAIL>",),
    )  # fmt: skip
    assert masked.exact_match == 1.0


def test_logged_answer_knows_what_was_masked_and_the_given_one_is_whole(database: Database) -> None:
    with database.write() as session:
        collection = get_or_create_collection(session, "c", embedding_model="e")
        new = new_answer(collection.id)
        logged = get_answer(session, insert_answer(session, mask_of(settings()).answer(new))).answer
    assert logged.masked == ("answer", "filters", "passage", "question", "quote", "standalone_question", "title")
    given = as_given(logged, new)
    assert (given.question, given.answer, given.spans) == (new.question, ANSWER, tuple(new.spans))
    assert given.masked == logged.masked


@pytest.fixture
def service(database_url: str, tmp_path: Path) -> Rag:
    folder = tmp_path / "handbook"
    folder.mkdir()
    for name, words in HANDBOOK.items():
        (folder / name).write_text(words)
    made = settings(database_url=database_url, data_dir=tmp_path / "data", masked_document_fields=("customer",))
    with Rag(made) as opened:
        opened.ingest(folder)
        yield opened


def everything_logged(service: Rag) -> str:
    with service.database.read() as session:
        tables = ("answers", "answer_passages", "citations", "feedback", "audit_events")
        return "\n".join(str(row) for name in tables for row in session.execute(text(f"SELECT * FROM {name}")))  # noqa: S608


def test_asker_gets_the_words_and_the_log_placeholders(service: Rag) -> None:
    given = service.ask("Who keeps the support rota? Not jo@example.org", abstain=False)
    assert given.answer in ("amara", "amara@example.org")
    (citation,) = given.citations
    with service.database.read() as session:
        document = get_document(session, citation.document_id, version=citation.document_version)
        logged = get_answer(session, given.id).answer
    assert document.text[citation.start : citation.end] == citation.quote == given.answer
    assert (logged.answer, logged.citations[0].quote) == ("<EMAIL>", "<EMAIL>")
    assert logged.question == "Who keeps the support rota? Not <EMAIL>"
    assert "amara" not in everything_logged(service)


def test_values_of_a_named_field_do_not_come_back_in_the_answer(service: Rag) -> None:
    given = service.ask("Which customer is in Visby?", abstain=False)
    assert "Karl Berg" in given.answer or "Karl Berg" in given.passages[0].text
    logged = everything_logged(service)
    assert "<CUSTOMER>" in logged
    assert "Karl Berg" not in logged
    assert "Jane Doe" not in logged


def test_replay_says_what_was_masked_and_compares_what_can_be(service: Rag) -> None:
    plain = service.replay(service.ask("Who keeps the support rota?").id)
    assert plain.same
    assert plain.answer == "<EMAIL>"
    assert any("masked in the new answer" in reason for reason in plain.reasons)
    other = service.replay(service.ask("Who keeps the support rota, not jo@example.org?").id)
    assert "so what was asked now is not what was asked then" in other.reasons[0]


def test_nothing_is_logged_or_given_where_masking_fails(service: Rag, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr("rag.text.placeholders.find_personal_data", fails)
    with pytest.raises(RuntimeError):
        service.ask("Who keeps the support rota?")
    assert everything_logged(service).strip() == ""


def test_feedback_over_rest_is_masked(service: Rag) -> None:
    given = service.ask("Who keeps the support rota?")
    with TestClient(create_app(service=service)) as client:
        sent = {"rating": -1, "comment": "ask bo@example.org", "corrected_answer": "+49 30 23125 678"}
        response = client.post(f"/v1/answers/{given.id}/feedback", json=sent)
        assert (response.json()["comment"], response.json()["corrected_answer"]) == ("ask <EMAIL>", "<PHONE>")
        answered = client.post("/v1/answers", json={"question": "Who keeps the support rota?"}).json()
        assert answered["answer"] == "amara@example.org"
        assert "answer" in answered["masked"]
        assert client.get(f"/v1/answers/{answered['id']}").json()["answer"] == "<EMAIL>"
    assert "example.org" not in everything_logged(service)


def test_no_other_module_writes_to_the_log_past_the_mask() -> None:
    masking = {"insert_answer": {"answerer.py"}, "add_feedback": {"api/routes/answers.py", "cli/answers.py"}}
    for path in (ROOT / "rag").rglob("*.py"):
        name = path.relative_to(ROOT / "rag").as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in masking:
                assert name in masking[node.func.id], f"{name} calls {node.func.id}"
