"""``rag db copy`` as people call it, also when it is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import func, select
from typer.testing import CliRunner, Result

from rag.assemble import Rag
from rag.cli.main import app
from rag.config import Settings
from rag.errors import InvalidInput, StoreUnavailable
from rag.store import tables
from rag.store.database import Database
from tests.store.whole_database import all_rows, fill

ROOT = Path(__file__).parents[2]
NUM_CHANGES = 60_000
"""So many rows that a copy is still at work when it is killed."""


def rag(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A data folder whose database has rows in every table."""
    folder = tmp_path / "here"
    assert rag("--data-dir", str(folder), "db", "upgrade").exit_code == 0
    database = Database(f"sqlite:///{folder / 'rag.db'}")
    fill(database)
    database.dispose()
    return folder


def test_folder_is_copied_to_a_server_and_back_to_a_folder(filled: Path, postgres_copy: str, tmp_path: Path) -> None:
    there = tmp_path / "there"
    told = json.loads(rag("db", "copy", str(filled), postgres_copy, "--json").stdout)
    assert (told["source"], told["was_resumed"]) == (str(filled.absolute() / "rag.db"), False)
    assert told["num_rows"] == sum(table["num_rows"] for table in told["tables"])
    rag("--data-dir", str(there), "db", "upgrade")
    back = rag("db", "copy", postgres_copy, str(there))
    assert back.exit_code == 0
    assert "all of them the same" in back.stdout
    assert "index_changes" in back.stdout
    listed = rag("--data-dir", str(there), "audit", "list", "--json")
    assert [event["action"] for event in json.loads(listed.stdout)["events"]][:3] == [
        "db.copy",
        "db.upgrade",
        "db.copy",
    ]


def test_password_is_never_shown(filled: Path) -> None:
    url = "postgresql+psycopg://rag:sesame@127.0.0.1:1/rag"
    refused = rag("db", "copy", str(filled), url, "--json")
    assert isinstance(refused.exception, StoreUnavailable)
    assert "127.0.0.1:1" in str(refused.exception)
    assert "sesame" not in str(refused.exception) + refused.output


def test_file_is_refused_with_what_to_write(filled: Path, tmp_path: Path) -> None:
    refused = rag("db", "copy", str(filled / "rag.db"), str(tmp_path / "there"))
    assert isinstance(refused.exception, InvalidInput)
    assert "name its folder, or write sqlite:///" in str(refused.exception)


def test_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    refused = rag("db", "copy", str(tmp_path / "absent"), str(tmp_path / "there"))
    assert isinstance(refused.exception, StoreUnavailable)
    assert str(tmp_path / "absent") in str(refused.exception)


@pytest.mark.slow
@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_copy_that_is_killed_goes_on_where_it_was(
    request: pytest.FixtureRequest, tmp_path: Path, new_postgres_url: Callable[[], str], dialect: str
) -> None:
    folder, there = tmp_path / "here", tmp_path / "there"
    source_url = f"sqlite:///{folder / 'rag.db'}" if dialect == "postgresql" else new_postgres_url()
    target_url = f"sqlite:///{there / 'rag.db'}" if dialect == "sqlite" else new_postgres_url()
    for url in (source_url, target_url):
        rag("--database-url", url, "db", "upgrade")
    source, target = Database(source_url), Database(target_url)
    request.addfinalizer(source.dispose)
    request.addfinalizer(target.dispose)
    fill(source, num_changes=NUM_CHANGES)
    command = [sys.executable, "-c", "from rag.cli.main import main; main()", "db", "copy", source_url, target_url]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        deadline = time.monotonic() + 120
        while _num_changes(target) == 0 and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    num_there = _num_changes(target)
    assert 0 < num_there < NUM_CHANGES
    refused = rag("--database-url", target_url, "answers", "list")
    assert "is not whole; run `rag db copy` again" in str(refused.exception)
    told = json.loads(rag("db", "copy", source_url, target_url, "--json").stdout)
    assert told["was_resumed"]
    before, after = all_rows(source), all_rows(target)
    assert set(before.pop("audit_events")) < set(after.pop("audit_events"))
    assert after == before


def _num_changes(database: Database) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(tables.IndexChange)) or 0


@pytest.mark.slow
def test_copied_service_finds_the_same_hits_and_gives_the_same_answer(tmp_path: Path, postgres_copy: str) -> None:
    (tmp_path / "support.txt").write_text("The support rota is kept by Amara Diallo. Her deputy is Jonas Weber.")
    (tmp_path / "travel.txt").write_text("Receipts are handed in within thirty days. Trains are second class.")
    (tmp_path / "history.txt").write_text("The company moved to Porto in 1994.")
    here = tmp_path / "here"
    rag("--data-dir", str(here), "db", "upgrade")
    question = "Who keeps the support rota?"
    with Rag(Settings(data_dir=here)) as service:
        for name in ("support", "travel", "history"):
            service.ingest(tmp_path / f"{name}.txt")
        hits, answer = service.search(question), service.ask(question)
    assert rag("db", "copy", str(here), postgres_copy).exit_code == 0
    for data_dir in (here, tmp_path / "new"):  # with the snapshots that are there, and with none
        with Rag(Settings(data_dir=data_dir, database_url=postgres_copy)) as service:
            assert service.search(question) == hits
            again = service.ask(question)
            assert (again.answer, again.confidence) == (answer.answer, answer.confidence)
            assert again.citations == answer.citations
            assert again.id > answer.id
