"""What ``rag ingest`` says of an engine that is not there, or that does not fit the rest of the call."""

import socket
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rag.cli.main import app
from rag.errors import ClusterUnavailable, InvalidInput


@pytest.fixture
def call(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Calls ``rag ingest`` with these options, over one file if they name no source; raises what the command raises."""
    monkeypatch.setenv("RAG_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("RAG_DATA_DIR", str(tmp_path / "data"))
    file = tmp_path / "cat.txt"
    file.write_text("The cat sleeps.")

    def run(*options: str) -> None:
        paths = [] if {"--sql", "--resume"} & {*options} else [str(file)]
        CliRunner().invoke(app, ["ingest", *paths, *options], catch_exceptions=False)

    return run


def test_cluster_that_does_not_answer_is_a_sentence(call) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        for named in (address, f"ray://{address}"):
            with pytest.raises(ClusterUnavailable, match=f"No Ray cluster can be used at {named} .*check --address"):
                call("--engine", "ray", "--address", named)


def test_missing_package_is_named(call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InvalidInput, match=r"needs the Python package ray; install grounded-rag\[ray\]"):
        call("--engine", "ray")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--engine", "spark"), "The engine 'spark' is unknown; it is local or ray."),
        (("--address", "127.0.0.1:6379"), "add --engine ray"),
        (("--engine", "ray", "--dry-run"), "leave --engine ray out"),
        (("--engine", "ray", "--sql", "sqlite:///shop.db", "--query", "SELECT 1"), "are for files"),
        (("--engine", "ray", "--resume"), "leave the rest out"),
    ],
)
def test_options_that_do_not_belong_together_are_told(call, options: tuple[str, ...], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        call(*options)
