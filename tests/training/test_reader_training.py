"""The whole training path on a few paragraphs and a small random encoder."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rag.errors import InvalidInput
from rag.reader.checkpoint import ReaderConfig, load_config, load_reader, new_reader
from rag.reader.confidence import ANSWERABLE_FEATURES, RIGHT_FEATURES
from rag.reader.input_format import ReaderTokenizer
from rag.reader.model import ReaderModel
from rag.store.database import Database
from rag.store.training_runs import get_training_run, training_curves
from rag.training.averaging import average_readers
from rag.training.batches import BatchOptions, ReaderBatch, ReaderBatches
from rag.training.examples import ReaderExamples, split_by_article
from rag.training.experiment_tracking import SqlTracker
from rag.training.hard_negatives import mine_hard_negatives
from rag.training.objective import ReaderObjective
from rag.training.passage_search import PassageSearch
from rag.training.reader import ReaderRun, reader_trainer_config, train_reader
from rag.training.reader_calibration import recalibrate_reader
from rag.training.schedule import Schedule
from rag.training.squad import SquadFile, load_squad
from rag.training.trainer import Trainer, TrainerProgress
from rag.training.trainer_config import TrainerConfig

COLOURS = ["red", "green", "blue", "white", "black", "brown", "pink", "grey"]


@pytest.fixture
def squad_path(tmp_path: Path) -> Path:
    """Eight articles of three paragraphs with two questions each."""
    data = []
    for number, colour in enumerate(COLOURS):
        paragraphs = []
        for house in range(3):
            text = f"House {house} of {colour} street was built in {1900 + 10 * number + house} by {colour}man Smith."
            answers = [(str(1900 + 10 * number + house), "When"), (f"{colour}man Smith", "By whom")]
            qas = [
                {
                    "id": f"{number}-{house}-{asked}",
                    "question": f"{asked} was house {house} of {colour} street built?",
                    "answers": [{"text": answer, "answer_start": text.index(answer)}],
                }
                for answer, asked in answers
            ]
            paragraphs.append({"context": text, "qas": qas})
        data.append({"title": f"{colour}_street", "paragraphs": paragraphs})
    path = tmp_path / "houses.json"
    path.write_text(json.dumps({"version": "1.1", "data": data}))
    return path


SMALL = BatchOptions(num_questions=6, num_negatives=2, num_near_misses=2)
CONFIG = replace(
    reader_trainer_config(12, peak_rate=1e-2),
    rate_scales={"encoder.": 0.1},
    schedule=Schedule(decay="warmup_stable_decay", num_warmup=2),
    checkpoint_every=5,
    report_every=4,
)


def embed(texts: Sequence[str]) -> NDArray[np.float16]:
    """Unit vectors of letter counts: near where the words are alike."""
    counts = np.array([[text.lower().count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts])
    return (counts / np.linalg.norm(counts, axis=1, keepdims=True)).astype(np.float16)


def _trainer(
    squad: SquadFile, folder: Path, encoder: Path, batches: BatchOptions = SMALL, config: TrainerConfig = CONFIG
) -> Trainer[ReaderModel, ReaderBatch]:
    tokenizer = ReaderTokenizer.load(encoder)
    examples = ReaderExamples(squad, tokenizer, max_tokens=200)
    negatives = mine_hard_negatives(examples, embed, folder)
    return Trainer(
        new_reader(encoder, num_decoder_layers=1, dropout=0.1, seed=config.seed),
        ReaderObjective(),
        ReaderBatches(examples, negatives, tokenizer, options=batches, seed=config.seed),
        config=config,
        folder=folder,
    )


def _run(data: Path, folder: Path, encoder: Path) -> ReaderRun:
    return ReaderRun(
        data=data,
        folder=folder / "run",
        output=folder / "weights",
        encoder_folder=encoder,
        encoder_name="tiny",
        embed=embed,
        batches=SMALL,
        num_decoder_layers=1,
        held_share=0.25,
    )


def test_resumed_run_takes_the_same_steps_as_an_undisturbed_one(
    squad_path: Path, tmp_path: Path, tiny_encoder_folder: Path
) -> None:
    squad = load_squad(squad_path)
    whole = _trainer(squad, tmp_path / "whole", tiny_encoder_folder)
    whole.run()

    class Killed(Exception):
        pass

    def die_at_8(progress: TrainerProgress) -> None:
        if progress.point.step == 8:
            raise Killed

    with pytest.raises(Killed):
        _trainer(squad, tmp_path / "parts", tiny_encoder_folder).run(die_at_8)
    second = _trainer(squad, tmp_path / "parts", tiny_encoder_folder)
    assert second.resume() == 5  # the last checkpoint before step 8
    second.run()
    states = [torch.load(tmp_path / name / "last.pt", weights_only=True)["model"] for name in ("whole", "parts")]
    for name, tensor in states[0].items():
        torch.testing.assert_close(states[1][name], tensor, atol=0, rtol=0)


@pytest.mark.slow
def test_killed_training_goes_on_to_weights(squad_path: Path, tmp_path: Path, tiny_encoder_folder: Path) -> None:
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]);"
        "from test_reader_training import CONFIG, _run, replace, train_reader;"
        "train_reader(_run(*map(Path, sys.argv[2:])), replace(CONFIG, num_steps=100000),"
        "on_progress=lambda p: None, on_stage=lambda s: None)"
    )
    arguments = [str(path) for path in (Path(__file__).parent, squad_path, tmp_path, tiny_encoder_folder)]
    process = subprocess.Popen([sys.executable, "-c", script, *arguments])
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path / "run" / "last.pt").is_file():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    step = torch.load(tmp_path / "run" / "last.pt", weights_only=True)["step"]
    assert step % 5 == 0
    stages: list[str] = []
    train_reader(
        _run(squad_path, tmp_path, tiny_encoder_folder),
        replace(CONFIG, num_steps=2 * step + 5),
        on_progress=lambda _: None,
        on_stage=stages.append,
    )
    assert f"training from step {step} of {2 * step + 5}" in stages
    load_reader(tmp_path / "weights", tiny_encoder_folder)


def test_training_learns_calibrates_records_and_saves_a_reader_that_loads(
    squad_path: Path, tmp_path: Path, tiny_encoder_folder: Path, sqlite_url: str
) -> None:
    seen: list[TrainerProgress] = []
    stages: list[str] = []
    database = Database(sqlite_url)
    tracker = SqlTracker(database)
    saved = train_reader(
        _run(squad_path, tmp_path, tiny_encoder_folder),
        replace(CONFIG, num_steps=60, report_every=20),
        on_progress=seen.append,
        on_stage=stages.append,
        trackers=[tracker],
    )
    first, last = seen[0].point.metrics, seen[-1].point.metrics
    assert last["token"] < first["token"] * 0.7
    assert last["span"] < first["span"] * 0.7
    assert set(saved.answerable) == {"bias", *ANSWERABLE_FEATURES}
    assert set(saved.right) == {"bias", *RIGHT_FEATURES}
    assert load_config(tmp_path / "weights") == saved
    load_reader(tmp_path / "weights", tiny_encoder_folder)
    assert stages[-1].startswith("calibrating")
    with database.read() as session:
        record = get_training_run(session, tracker.run_id)
        curves = training_curves(session, tracker.run_id)
    database.dispose()
    assert (record.kind, record.status, record.step) == ("reader", "finished", 60)
    assert record.weights_sha256 == saved.weights_sha256
    assert record.settings["num_near_misses"] == 2
    assert [step for step, _ in curves["relevance"]] == [20, 40, 60]


def test_training_goes_on_from_the_weights_of_another_run(
    squad_path: Path, tmp_path: Path, tiny_encoder_folder: Path
) -> None:
    run = _run(squad_path, tmp_path / "first", tiny_encoder_folder)
    first = train_reader(run, CONFIG, on_progress=lambda _: None, on_stage=lambda _: None)
    again = replace(_run(squad_path, tmp_path / "second", tiny_encoder_folder), start_from=run.output)
    second = train_reader(again, CONFIG, on_progress=lambda _: None, on_stage=lambda _: None)
    assert first.training["started_from"] == "tiny"
    assert second.training["started_from"] == first.weights_sha256
    other = replace(again, start_from=None)
    with pytest.raises(InvalidInput, match="another started_from"):
        train_reader(other, CONFIG, on_progress=lambda _: None, on_stage=lambda _: None)


def test_readers_teach_and_become_one(squad_path: Path, tmp_path: Path, tiny_encoder_folder: Path) -> None:
    def train(name: str, seed: int, **more: object) -> tuple[Path, ReaderConfig]:
        run = replace(_run(squad_path, tmp_path / name, tiny_encoder_folder), calibrate=False, dropout=0.1, **more)
        config = replace(CONFIG, seed=seed)
        return run.output, train_reader(run, config, on_progress=lambda _: None, on_stage=lambda _: None)

    base, _ = train("base", 1)
    (one, first), (other, second) = (train(f"t{seed}", seed, start_from=base) for seed in (2, 3))
    assert (first.scoring, first.abstain_below) == ({}, 0.0)  # uncalibrated, as asked
    taught, student = train("student", 4, start_from=base, teachers=(one, other), batch_workers=1)
    assert student.training["taught_by"] == [first.weights_sha256, second.weights_sha256]
    assert student.training["dropout"] == 0.1

    mean = average_readers([one, other], tmp_path / "mean", encoder_folder=tiny_encoder_folder)
    assert mean.training["average_of"] == [first.weights_sha256, second.weights_sha256]
    states = [load_reader(folder, tiny_encoder_folder)[0].state_dict() for folder in (one, other, tmp_path / "mean")]
    for name, tensor in states[2].items():
        torch.testing.assert_close(tensor, (states[0][name] + states[1][name]) / 2, atol=1e-3, rtol=1e-3)
    assert not torch.equal(states[0]["span.weight"], states[1]["span.weight"])
    with pytest.raises(InvalidInput, match="two readers at least"):
        average_readers([taught], tmp_path / "none", encoder_folder=tiny_encoder_folder)
    deeper, _ = train("deeper", 5, num_decoder_layers=2)
    with pytest.raises(InvalidInput, match="of another shape"):
        average_readers([one, deeper], tmp_path / "none", encoder_folder=tiny_encoder_folder)


def test_reader_is_calibrated_anew_on_other_questions(
    squad_path: Path, tmp_path: Path, tiny_encoder_folder: Path
) -> None:
    run = _run(squad_path, tmp_path, tiny_encoder_folder)
    trained = train_reader(run, CONFIG, on_progress=lambda _: None, on_stage=lambda _: None)
    arguments = {"encoder_folder": tiny_encoder_folder, "embed": embed, "num_questions": 90, "share": 1.0}
    with pytest.raises(InvalidInput, match="48 answerable questions are too few"):
        recalibrate_reader(run.output, squad_path, on_question=lambda *_: None, **arguments)
    more = json.loads(squad_path.read_text())
    for article in more["data"]:
        for paragraph in article["paragraphs"]:
            paragraph["qas"] *= 2
    squad_path.write_text(json.dumps(more))
    asked: list[tuple[int, int]] = []
    config, fitted = recalibrate_reader(
        run.output, squad_path, on_question=lambda *counts: asked.append(counts), **arguments
    )
    assert asked == [(number, len(asked)) for number in range(1, len(asked) + 1)]
    assert len(asked) > 90  # some are asked a second time, without their answer
    assert config == load_config(run.output)
    assert (config.weights_sha256, config.training) == (trained.weights_sha256, trained.training)
    assert (config.scoring, config.abstain_below) == (fitted.scoring, fitted.abstain_below)
    load_reader(run.output, tiny_encoder_folder)


def test_search_can_leave_an_article_out(squad_path: Path, tokenizer: ReaderTokenizer) -> None:
    examples = ReaderExamples(load_squad(squad_path), tokenizer, max_tokens=200)
    search = PassageSearch(examples, embed)
    question = "When was house 0 of pink street built?"
    (everywhere,) = search.search([question], limit=5)
    (elsewhere,) = search.search([question], limit=30, without_title="pink street")
    assert examples.passages[everywhere[0][0]].title == "pink street"
    assert {examples.passages[place].title for place, _ in elsewhere} == {f"{c} street" for c in COLOURS} - {
        "pink street"
    }
    assert elsewhere[0][1] > everywhere[4][1]  # scores are those of a search that never had the article


def test_hard_negatives_do_not_hold_the_answer_and_are_stored(
    squad_path: Path, tmp_path: Path, tokenizer: ReaderTokenizer
) -> None:
    examples = ReaderExamples(load_squad(squad_path), tokenizer, max_tokens=200)
    negatives = mine_hard_negatives(examples, embed, tmp_path)
    for question, found in zip(examples.questions, negatives, strict=True):
        assert found
        assert question.passage not in found
        assert all(answer not in examples.passages[i].text for answer in question.answers for i in found)
    (stored,) = tmp_path.glob("hard-negatives-*.json")
    stored.write_text(json.dumps([[0]]))
    assert mine_hard_negatives(examples, embed, tmp_path) == [[0]]


def test_articles_kept_back_share_no_title_with_the_rest(squad_path: Path) -> None:
    rest, kept = split_by_article(load_squad(squad_path), share=0.25, seed=3)
    assert {p.title for p in rest.paragraphs} & {p.title for p in kept.paragraphs} == set()
    assert len(rest.questions) + len(kept.questions) == 48
    for question in kept.questions:
        text, start = question.answers[0]
        assert kept.paragraphs[question.paragraph].text[start : start + len(text)] == text


def test_too_few_questions_are_refused(squad_path: Path, tmp_path: Path, tiny_encoder_folder: Path) -> None:
    with pytest.raises(InvalidInput, match="too few"):
        _trainer(load_squad(squad_path), tmp_path, tiny_encoder_folder, BatchOptions(num_questions=99))


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "not JSON"), ("[]", "not in SQuAD format"), ('{"data": [{"paragraphs": [{}]}]}', "'qas'")],
)
def test_file_in_another_format_is_refused_with_the_place(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(InvalidInput, match=message):
        load_squad(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="Cannot read"):
        load_squad(tmp_path / "none.json")


def test_impossible_questions_have_no_answers(tmp_path: Path) -> None:
    qas = [{"id": "1", "question": "Who?", "is_impossible": True, "answers": [], "plausible_answers": []}]
    path = tmp_path / "v2.json"
    path.write_text(json.dumps({"data": [{"title": "A_B", "paragraphs": [{"context": "text", "qas": qas}]}]}))
    squad = load_squad(path)
    assert squad.questions[0].answers == ()
    assert squad.paragraphs[0].title == "A B"
