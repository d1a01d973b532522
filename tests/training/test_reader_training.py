"""The whole training path on a few paragraphs and a small random encoder."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rag.errors import InvalidInput
from rag.reader.checkpoint import load_config, load_reader, new_reader
from rag.reader.input_format import ReaderTokenizer
from rag.training.examples import ReaderExamples, split_by_article
from rag.training.hard_negatives import mine_hard_negatives
from rag.training.loop import ReaderTrainer, TrainingConfig, TrainingProgress, rate_at
from rag.training.reader import HELD_SEED, ReaderRun, train_reader
from rag.training.squad import SquadFile, load_squad

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


SMALL = {"num_questions": 6, "num_negatives": 2, "num_near_misses": 2, "num_warmup": 2}
CONFIG = TrainingConfig(**SMALL, num_steps=12, checkpoint_every=5, report_every=4, encoder_rate=1e-3, new_rate=1e-2)


def embed(texts: Sequence[str]) -> NDArray[np.float16]:
    """Unit vectors of letter counts: near where the words are alike."""
    counts = np.array([[text.lower().count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts])
    return (counts / np.linalg.norm(counts, axis=1, keepdims=True)).astype(np.float16)


def _trainer(squad: SquadFile, folder: Path, encoder: Path, config: TrainingConfig = CONFIG) -> ReaderTrainer:
    tokenizer = ReaderTokenizer.load(encoder)
    examples = ReaderExamples(squad, tokenizer, max_tokens=200)
    negatives = mine_hard_negatives(examples, embed, folder)
    model = new_reader(encoder, num_decoder_layers=1, dropout=0.1, seed=config.seed)
    return ReaderTrainer(model, tokenizer, examples, negatives, config=config, folder=folder)


def _weights(trainer: ReaderTrainer) -> dict[str, torch.Tensor]:
    return torch.load(trainer._checkpoint, weights_only=True)["model"]


def test_resumed_run_takes_the_same_steps_as_an_undisturbed_one(
    squad_path: Path, tmp_path: Path, tiny_encoder_folder: Path
) -> None:
    squad = load_squad(squad_path)
    whole = _trainer(squad, tmp_path / "whole", tiny_encoder_folder)
    whole.run(lambda _: None)

    class Killed(Exception):
        pass

    def die_at_8(progress: TrainingProgress) -> None:
        if progress.step == 8:
            raise Killed

    first = _trainer(squad, tmp_path / "parts", tiny_encoder_folder)
    with pytest.raises(Killed):
        first.run(die_at_8)
    second = _trainer(squad, tmp_path / "parts", tiny_encoder_folder)
    assert second.resume() == 5  # the last checkpoint before step 8
    second.run(lambda _: None)
    for name, tensor in _weights(whole).items():
        torch.testing.assert_close(_weights(second)[name], tensor, atol=0, rtol=0)


@pytest.mark.slow
def test_killed_process_resumes_from_its_checkpoint(
    squad_path: Path, tmp_path: Path, tiny_encoder_folder: Path
) -> None:
    script = (
        "import sys; import numpy as np; from pathlib import Path; from rag.training.reader import ReaderRun,"
        "train_reader; from rag.training.loop import TrainingConfig;"
        "train_reader(ReaderRun(data=Path(sys.argv[1]), folder=Path(sys.argv[2]), output=Path(sys.argv[2])/'out',"
        "encoder_folder=Path(sys.argv[3]), encoder_name='tiny',"
        "embed=lambda texts: np.ones((len(texts), 2)), num_decoder_layers=1, held_share=0.25),"
        "TrainingConfig(num_steps=100000, num_questions=6, num_negatives=2, num_near_misses=2, checkpoint_every=5),"
        "on_progress=lambda p: None, on_stage=lambda s: None)"
    )
    folder = tmp_path / "run"
    process = subprocess.Popen([sys.executable, "-c", script, squad_path, folder, tiny_encoder_folder])
    try:
        deadline = time.monotonic() + 120
        while not (folder / "checkpoint.pt").is_file():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    config = TrainingConfig(num_steps=100000, num_questions=6, num_negatives=2, num_near_misses=2, checkpoint_every=5)
    train, _ = split_by_article(load_squad(squad_path), share=0.25, seed=HELD_SEED)
    resumed = _trainer(train, folder, tiny_encoder_folder, config)
    assert resumed.resume() > 0
    assert resumed.step % 5 == 0


def test_training_learns_calibrates_and_saves_a_reader_that_loads(
    squad_path: Path, tmp_path: Path, tiny_encoder_folder: Path
) -> None:
    seen: list[TrainingProgress] = []
    stages: list[str] = []
    run = ReaderRun(
        data=squad_path,
        folder=tmp_path / "run",
        output=tmp_path / "weights",
        encoder_folder=tiny_encoder_folder,
        encoder_name="tiny",
        embed=embed,
        num_decoder_layers=1,
        held_share=0.25,
    )
    config = TrainingConfig(**SMALL, num_steps=60, report_every=20, encoder_rate=1e-3, new_rate=1e-2)
    saved = train_reader(run, config, on_progress=seen.append, on_stage=stages.append)
    assert seen[-1].token < seen[0].token * 0.7
    assert seen[-1].span < seen[0].span * 0.7
    assert set(saved.calibration) == {"bias", "relevance", "span", "decoder", "posterior", "margin"}
    assert load_config(tmp_path / "weights") == saved
    load_reader(tmp_path / "weights", tiny_encoder_folder)
    assert stages[-1].startswith("calibrating")


def test_checkpoint_of_a_run_with_other_settings_is_refused(
    squad_path: Path, tmp_path: Path, tiny_encoder_folder: Path
) -> None:
    squad = load_squad(squad_path)
    trainer = _trainer(squad, tmp_path, tiny_encoder_folder)
    trainer.save()
    other = TrainingConfig(**SMALL, num_steps=12, seed=2)
    with pytest.raises(InvalidInput, match="other settings"):
        _trainer(squad, tmp_path, tiny_encoder_folder, other).resume()


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
        _trainer(load_squad(squad_path), tmp_path, tiny_encoder_folder, TrainingConfig(num_steps=1, num_questions=99))


def test_rate_warms_up_stays_and_decays_to_zero() -> None:
    config = TrainingConfig(num_steps=100, num_warmup=10, decay_share=0.4)
    rates = [rate_at(step, config) for step in range(101)]
    assert rates[:10] == sorted(set(rates[:10]))
    assert set(rates[9:61]) == {1.0}
    assert rates[60:] == sorted(set(rates[60:]), reverse=True)
    assert rates[100] == 0.0


def test_rate_before_the_decay_does_not_depend_on_the_length_of_the_run() -> None:
    short, long = (TrainingConfig(num_steps=steps, num_warmup=10) for steps in (100, 300))
    assert [rate_at(step, short) for step in range(60)] == [rate_at(step, long) for step in range(60)]


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
