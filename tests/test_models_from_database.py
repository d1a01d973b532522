"""A process that has nothing but the URL of a database answers with the models that are in it."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rag.assemble import Rag
from rag.config import Settings
from rag.disk import file_sha256
from rag.index.embedder import CARRIED_MODEL, model_folder
from rag.ingest.labels import NO_LABELS
from rag.reader.checkpoint import SHIPPED_WEIGHTS, WEIGHTS, load_reader, save_reader
from rag.records import Caller
from rag.store.answers import get_answer
from rag.store.database import Database
from tests.server_process import COMMAND, environment_of, serving

QUESTION = "Who keeps the support rota?"
OPERATOR = Caller(os_user="root")


@pytest.fixture(scope="module")
def team_reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reader that answers as the shipped one does, and is another one."""
    folder = tmp_path_factory.mktemp("weights") / "team"
    model, config = load_reader(SHIPPED_WEIGHTS, model_folder(CARRIED_MODEL))
    with torch.no_grad():
        next(parameter for name, parameter in model.named_parameters() if "decoder" in name).mul_(1.001)
    save_reader(folder, model, replace(config, name="team"))
    return folder


def fill(database_url: str, folder: Path, reader: Path) -> None:
    """A document, and a reader that answers; by a process whose files are gone afterwards."""
    with Rag(Settings(database_url=database_url, data_dir=folder)) as service:
        words = b"The support rota is kept by Amara Diallo."
        service.ingester.upload(words, name="rota.txt", collection="default", labels=NO_LABELS)
        limit = service.settings.max_model_blob_bytes
        options = {"kind": "reader", "max_blob_bytes": limit, "activate": True, "caller": OPERATOR}
        service.registry.add(reader, name="team", **options)


def logged_model(database_url: str, answer_id: int) -> tuple[str, str | None]:
    database = Database(database_url)
    with database.read() as session:
        logged = get_answer(session, answer_id)
    database.dispose()
    return logged.answer.model, logged.model_sha256


@pytest.mark.slow
def test_command_with_a_database_url_alone_answers_with_its_reader(
    sqlite_url: str, tmp_path: Path, team_reader: Path
) -> None:
    fill(sqlite_url, tmp_path / "gone", team_reader)
    empty = tmp_path / "empty"
    empty.mkdir()
    asking = [*COMMAND, "ask", QUESTION, "--json"]
    environment = environment_of({"database_url": sqlite_url})
    done = subprocess.run(asking, env=environment, cwd=empty, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    check_answer(json.loads(done.stdout), sqlite_url, empty, team_reader)


@pytest.mark.slow
def test_server_with_a_database_url_alone_answers_with_its_reader(
    postgres_copy: str, tmp_path: Path, team_reader: Path
) -> None:
    fill(postgres_copy, tmp_path / "gone", team_reader)
    empty = tmp_path / "empty"
    with serving({"database_url": postgres_copy}, empty) as (client, _):
        response = client.post("/v1/answers", json={"question": QUESTION})
        assert response.status_code == 200, response.text
        check_answer(response.json(), postgres_copy, empty, team_reader)


def check_answer(answer: Mapping[str, Any], database_url: str, folder: Path, reader: Path) -> None:
    """It is right, and the log and the folder of the process show that the team's reader gave it."""
    sha256 = file_sha256(reader / WEIGHTS)
    assert sha256 != file_sha256(SHIPPED_WEIGHTS / WEIGHTS)
    assert answer["answer"] == "Amara Diallo"
    assert logged_model(database_url, answer["id"]) == (f"team-{sha256[:12]}", sha256)
    (copy,) = (folder / "rag-data/models").glob("[!.]*")
    assert file_sha256(copy / WEIGHTS) == sha256


def test_collection_is_embedded_with_a_model_of_the_registry(
    database_url: str, tmp_path: Path, tiny_embedding_model: str
) -> None:
    with Rag(Settings(database_url=database_url, data_dir=tmp_path / "here")) as service:
        service.registry.add(
            Path(tiny_embedding_model), name="tiny", kind="embedding", max_blob_bytes=10**8, caller=OPERATOR
        )
    settings = Settings(database_url=database_url, data_dir=tmp_path / "here", embedding_model="registry:tiny@1")
    with Rag(settings) as service:
        service.ingester.upload(b"The owl lives in house 3.", name="owl.txt", collection="default", labels=NO_LABELS)
        hits = service.search("Where does the owl live?")
    # Another machine: the collection itself says what it was embedded with.
    with Rag(Settings(database_url=database_url, data_dir=tmp_path / "there")) as service:
        assert service.collection("default").embedding_model == "registry:tiny@1"
        assert service.search("Where does the owl live?") == hits != ()
        assert (tmp_path / "there/models").is_dir()
