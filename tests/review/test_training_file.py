"""Reviewed answers as training data: what becomes of each judgement, and that others read the file."""

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from sqlalchemy import update

from rag.reader.input_format import ReaderTokenizer
from rag.records import Hit
from rag.review.training_file import TrainingFile, locate, training_file
from rag.store import tables
from rag.store.answers import LoggedAnswer, add_feedback, get_answer, insert_answer
from rag.store.database import Database
from rag.store.reviews import judged_answer_ids
from rag.training.examples import ReaderExamples
from rag.training.squad import load_squad


@pytest.fixture
def log(sqlite_database: Database, review_log: ModuleType) -> Database:
    review_log.fill(sqlite_database)
    return sqlite_database


def judged(database: Database, *, with_thumbs: bool = False) -> list[LoggedAnswer]:
    with database.read() as session:
        return [get_answer(session, n) for n in judged_answer_ids(session, with_thumbs=with_thumbs)]


def questions(made: TrainingFile) -> dict[int, dict]:
    """By answer id."""
    return {
        qa["answer_id"]: qa
        for article in made.squad["data"]
        for paragraph in article["paragraphs"]
        for qa in paragraph["qas"]
    }


def test_what_each_judgement_gives(log: Database) -> None:
    made = training_file(judged(log))
    found = {number: (qa["judged"], [a["text"] for a in qa["answers"]]) for number, qa in questions(made).items()}
    assert found == {
        1: ("confirmed", ["28 days"]),
        4: ("confirmed", ["thirty days"]),  # ben had the last word
        9: ("confirmed", ["Python 3.11"]),
        15: ("corrected", ["Amara Diallo"]),  # the question of answer 2, which was confirmed before
    }
    assert (made.num_questions, made.num_real, made.num_synthetic) == (len(found), len(found), 0)
    assert [(each.answer_id, each.reason) for each in made.left_out] == [
        (12, "It is judged bad, and no corrected answer is given.")
    ]


def test_follow_up_is_learned_in_the_form_in_which_it_was_read(log: Database) -> None:
    with log.write() as session:
        said = {"question": "And for how long?", "standalone_question": "How long is the leave?"}
        session.execute(update(tables.Answer).where(tables.Answer.id == 1).values(**said))
    assert questions(training_file(judged(log)))[1]["question"] == "How long is the leave?"


def test_every_answer_stands_at_its_place(log: Database) -> None:
    made = training_file(judged(log, with_thumbs=True), with_thumbs=True)
    for article in made.squad["data"]:
        for paragraph in article["paragraphs"]:
            assert paragraph["origin"] in ("real", "synthetic")
            for qa in paragraph["qas"]:
                assert qa["origin"] == paragraph["origin"]
                for answer in qa["answers"]:
                    start = answer["answer_start"]
                    assert paragraph["context"][start : start + len(answer["text"])] == answer["text"]


def test_thumbs_count_only_where_asked_for_and_no_review_is_there(log: Database) -> None:
    made = training_file(judged(log, with_thumbs=True), with_thumbs=True)
    found = questions(made)
    assert (found[8]["judged"], found[8]["answers"][0]["text"]) == ("corrected", "second class")
    assert found[7]["answers"][0]["text"] == "Jonas Weber"
    assert found[4]["judged"] == "confirmed"  # the asker's correction came before a review


def test_confirmed_abstention_is_a_question_without_an_answer(log: Database) -> None:
    with log.write() as session:
        add_feedback(session, 10, rating=1, is_review=True)
    made = training_file(judged(log))
    qa = questions(made)[10]
    assert (qa["is_impossible"], qa["answers"], qa["judged"]) == (True, [], "unanswerable")
    assert made.num_unanswerable == 1


def test_wrong_passage_is_not_where_a_correction_is_looked_for(log: Database, review_log: ModuleType) -> None:
    asked = replace(review_log.LOG[0], read=(review_log.LEAVE, review_log.CANTEEN), answer="")
    with log.write() as session:
        answer_id = insert_answer(session, review_log._new_answer(asked, 1))
        add_feedback(
            session, answer_id, rating=-1, corrected_answer="is", wrong_passage_id=review_log.LEAVE, is_review=True
        )
    made = training_file(judged(log))
    paragraph = next(
        paragraph
        for article in made.squad["data"]
        for paragraph in article["paragraphs"]
        if any(qa["answer_id"] == answer_id for qa in paragraph["qas"])
    )
    assert paragraph["document_id"] == review_log.CANTEEN


def test_correction_in_other_words_is_reported(log: Database) -> None:
    with log.write() as session:
        add_feedback(session, 2, rating=-1, corrected_answer="Mrs Diallo", is_review=True)
    made = training_file(judged(log))
    assert 2 not in questions(made)
    assert [each.reason for each in made.left_out if each.answer_id == 2] == [
        "The corrected answer does not stand in these words in a passage that was read."
    ]


def test_synthetic_is_marked_and_can_be_left_out(log: Database) -> None:
    with log.write() as session:
        add_feedback(session, 11, rating=1, is_review=True)
    made = training_file(judged(log))
    assert (made.num_synthetic, questions(made)[11]["origin"]) == (1, "synthetic")
    assert list(questions(training_file(judged(log), origin="synthetic"))) == [11]
    assert 11 not in questions(training_file(judged(log), origin="real"))


def test_last_judgement_of_one_question_over_one_passage_counts(log: Database, review_log: ModuleType) -> None:
    with log.write() as session:
        again = replace(review_log.LOG[0], question="how many days of  leave are there?")
        answer_id = insert_answer(session, review_log._new_answer(again, 1))
        add_feedback(session, answer_id, rating=-1, corrected_answer="28", is_review=True)
    found = questions(training_file(judged(log)))
    assert 1 not in found
    assert found[answer_id]["answers"] == [{"text": "28", "answer_start": 11}]


@pytest.mark.parametrize(
    ("words", "text", "start", "found"),
    [
        ("thirty days", "In thirty days, not thirty days later", 0, "thirty days"),
        ("amara  diallo", "kept by Amara\nDiallo.", 0, "Amara\nDiallo"),
        ("4", "In 42 houses, 4 rooms", 0, "4"),
        ("art", "the party", 0, None),
        ("Ä", "ÄÄ und Ä", 0, "Ä"),
        ("東京", "首都は東京です", 0, "東京"),
        ("$5.00 (net)", "It costs $5.00 (net) a day", 0, "$5.00 (net)"),
        ("one", "one and one", 4, "one"),
        ("one", "one and two", 4, "one"),
        ("  ", "a b", 0, None),
        ("a.b", "axb", 0, None),
    ],
)
def test_words_are_found_whole(words: str, text: str, start: int, found: str | None) -> None:
    place = locate(words, text, start=start)
    assert (None if place is None else text[slice(*place)]) == found
    if place is not None and text[start:].startswith("and one"):
        assert place == (8, 11)


def test_file_is_read_by_the_trainer(log: Database, tmp_path: Path, tokenizer: ReaderTokenizer) -> None:
    path = tmp_path / "training.json"
    with log.write() as session:
        add_feedback(session, 10, rating=1, is_review=True)
    made = training_file(judged(log))
    path.write_text(json.dumps(made.squad))
    squad = load_squad(path)
    assert len(squad.questions) == made.num_questions
    assert sum(not question.answers for question in squad.questions) == 1
    examples = ReaderExamples(squad, tokenizer, max_tokens=200)
    assert (len(examples.questions), examples.num_skipped) == (made.num_questions - 1, 0)


def test_hits_have_what_a_paragraph_says_of_its_place() -> None:
    assert {"origin", "source", "document_id", "document_version", "start"} <= set(Hit.__slots__)
