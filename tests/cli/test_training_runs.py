"""``rag train runs`` as people call it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rag.cli.main import app
from rag.errors import InvalidInput, NotFound
from rag.store.database import Database
from rag.store.training_runs import (
    DataFile,
    TrainingRunStart,
    add_training_point,
    finish_training_run,
    start_training_run,
)


@pytest.fixture
def url(sqlite_url: str) -> str:
    """A database with a finished run and one that was killed."""
    database = Database(sqlite_url)
    with database.write() as session:
        for key, kind in (("a", "names"), ("b", "reader")):
            run_id = start_training_run(
                session,
                TrainingRunStart(
                    run_key=key,
                    kind=kind,
                    folder="run",
                    num_steps=30,
                    seed=1,
                    settings={"peak_rate": 0.01},
                    data_files=[DataFile(path="names.txt", sha256="abc", num_bytes=12)],
                    code_version="1",
                    machine={"torch": "2"},
                ),
            )
            add_training_point(session, run_id, 10, {"loss": 3.0, "span": 1.0})
            add_training_point(session, run_id, 20, {"loss": 2.0, "span": 0.5, "validation_loss": 2.25})
        finish_training_run(session, 1, status="finished", scores={"loss": 1.98765}, weights_sha256="f00")
    database.dispose()
    return sqlite_url


def _rag(url: str, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["--database-url", url, "train", "runs", *arguments])
    if isinstance(result.exception, InvalidInput | NotFound):
        raise result.exception
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def test_list_shows_newest_first_with_status_and_scores(url: str) -> None:
    lines = _rag(url).splitlines()
    assert ["reader" in lines[1], "running" in lines[1], "20 of 30" in lines[1]] == [True] * 3
    assert ["names" in lines[2], "finished" in lines[2], "loss 1.988" in lines[2]] == [True] * 3
    page = json.loads(_rag(url, "--json", "--limit", "1"))
    assert [run["id"] for run in page["runs"]] == [2]
    rest = json.loads(_rag(url, "--json", "--cursor", page["next"]))
    assert ([run["kind"] for run in rest["runs"]], rest["next"]) == (["names"], None)
    assert [run["id"] for run in json.loads(_rag(url, "--json", "--kind", "names"))["runs"]] == [1]


def test_one_run_is_shown_with_its_data_and_curves(url: str) -> None:
    shown = json.loads(_rag(url, "1", "--json"))
    assert shown["curves"] == {
        "loss": [[10, 3.0], [20, 2.0]],
        "span": [[10, 1.0], [20, 0.5]],
        "validation_loss": [[20, 2.25]],
    }
    assert shown["data_files"] == [{"path": "names.txt", "sha256": "abc", "num_bytes": 12}]
    assert (shown["status"], shown["weights_sha256"], shown["settings"]) == ("finished", "f00", {"peak_rate": 0.01})
    assert shown["started_at"].endswith("Z")
    text = _rag(url, "1")
    assert all(word in text for word in ("settings.peak_rate", "sha256 abc, 12 bytes", "last validation_loss", "2.25"))


def test_plot_is_a_picture_of_the_losses_or_of_what_is_asked_for(url: str, tmp_path: Path) -> None:
    path = tmp_path / "curve.svg"
    _rag(url, "1", "--plot", str(path))
    picture = path.read_text()
    assert picture.count("<polyline") + picture.count("<circle") == 2
    assert "validation_loss" in picture
    _rag(url, "1", "--plot", str(path), "--metric", "span")
    assert ("span" in path.read_text(), "validation_loss" in path.read_text()) == (True, False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["9"], "no training run 9"),
        (["--plot", "x.svg"], "--plot needs the id"),
        (["1", "--plot", "x.svg", "--metric", "colour"], "no curve 'colour'; it has: loss, span, validation_loss"),
        (["1", "--plot", "/nowhere/x.svg"], "Cannot write"),
    ],
)
def test_wrong_use_is_one_clear_sentence(url: str, arguments: list[str], words: str) -> None:
    with pytest.raises((InvalidInput, NotFound), match=words):
        _rag(url, *arguments)


def test_empty_list_says_so(sqlite_url: str) -> None:
    assert _rag(sqlite_url) == ""
    assert json.loads(_rag(sqlite_url, "--json")) == {"runs": [], "next": None}
