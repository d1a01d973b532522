"""Changing the embedding model of a collection, with the real model and a tiny one beside it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rag.assemble import Rag
from rag.config import Settings
from rag.errors import InvalidInput, NotFound
from rag.index.embedder import CARRIED_MODEL
from rag.ingest.file_options import FileOptions
from rag.records import SearchOptions
from rag.store.collections import get_collection
from rag.store.embedding_generations import Generation, drop_generation, list_generations
from tests.embedding_models import save_embedding_model

TEXTS = {f"{animal}.txt": f"The {animal} lives in house number {n}." for n, animal in enumerate(["cat", "dog", "owl"])}


@pytest.fixture(scope="module")
def tiny_embedding_model(tiny_encoder_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with an embedding model of 32 dimensions that knows nothing."""
    folder = tmp_path_factory.mktemp("tiny-embedding-model")
    save_embedding_model(tiny_encoder_folder, folder)
    return str(folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture(params=["embedded", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """SQLite with the embedded search, and PostgreSQL with the one inside it."""
    url = request.getfixturevalue("sqlite_url" if request.param == "embedded" else "postgres_search_url")
    return Settings(database_url=url, data_dir=tmp_path / "data", search=request.param)


@pytest.fixture
def service(settings: Settings, folder: Path) -> Rag:
    with Rag(settings) as opened:
        opened.ingest(folder)
        yield opened


def _generations(service: Rag) -> list[Generation]:
    with service.database.read() as session:
        return list_generations(session, get_collection(session, "default").id)


def _model(service: Rag) -> str:
    with service.database.read() as session:
        return get_collection(session, "default").embedding_model


def test_new_generation_takes_the_place_of_the_old_one_at_once(service: Rag, tiny_embedding_model: str) -> None:
    before = service.search("Where does the cat live?", options=SearchOptions(mode="vector"), top_k=3)
    done = service.reembed(tiny_embedding_model)
    assert (done.num_embedded, done.previous_model, done.previous_kept) == (3, CARRIED_MODEL, True)
    after = service.search("Where does the cat live?", options=SearchOptions(mode="vector"), top_k=3)
    assert {hit.passage_id for hit in after} == {hit.passage_id for hit in before}
    assert [hit.scores.vector for hit in after] != [hit.scores.vector for hit in before]
    assert [(g.embedding_model, g.status, g.num_embedded) for g in _generations(service)] == [
        (CARRIED_MODEL, "kept", 3),
        (tiny_embedding_model, "active", 3),
    ]
    answer = service.ask("Where does the cat live?", abstain=False)
    assert answer.citations


def test_what_comes_later_is_embedded_by_the_new_model(service: Rag, folder: Path, tiny_embedding_model: str) -> None:
    service.reembed(tiny_embedding_model)
    (folder / "fox.txt").write_text("The fox lives in a hole.")
    service.ingest(folder)
    assert "fox" in service.search("fox hole", top_k=1)[0].text
    assert [(g.num_embedded, g.num_passages) for g in _generations(service)] == [(3, 4), (4, 4)]


def test_kept_generation_is_filled_up_when_it_is_wanted_again(
    service: Rag, folder: Path, tiny_embedding_model: str
) -> None:
    service.reembed(tiny_embedding_model)
    (folder / "fox.txt").write_text("The fox lives in a hole.")
    service.ingest(folder)
    done = service.reembed(CARRIED_MODEL)
    assert done.num_embedded == 1
    assert _model(service) == CARRIED_MODEL
    assert (
        "fox" in service.search("Where is the home of the fox?", options=SearchOptions(mode="vector"), top_k=1)[0].text
    )


def test_passages_that_come_while_it_is_embedded_are_not_lost(
    service: Rag, folder: Path, tiny_embedding_model: str
) -> None:
    def ingest_more(num_done: int, _: int) -> None:
        if num_done == 3:
            (folder / "fox.txt").write_text("The fox lives in a hole.")
            (folder / "cat.txt").unlink()
            service.ingest(folder, options=FileOptions(prune=True))

    service.reembed(tiny_embedding_model, on_progress=ingest_more)
    words = " ".join(
        hit.text for hit in service.search("fox cat dog owl", options=SearchOptions(mode="vector"), top_k=9)
    )
    assert "fox" in words
    assert "cat" not in words
    assert len(service.indexes.get(service.collection("default"))) == 3


def test_former_generation_can_be_dropped_and_the_active_one_cannot(service: Rag, tiny_embedding_model: str) -> None:
    service.reembed(tiny_embedding_model, keep_previous=False)
    assert [g.embedding_model for g in _generations(service)] == [tiny_embedding_model]
    with service.database.write() as session:
        collection_id = get_collection(session, "default").id
        with pytest.raises(InvalidInput, match="cannot be dropped"):
            drop_generation(session, collection_id, tiny_embedding_model)
        with pytest.raises(NotFound, match="no generation"):
            drop_generation(session, collection_id, CARRIED_MODEL)


def test_same_model_and_unknown_model_are_refused(service: Rag, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="already"):
        service.reembed(CARRIED_MODEL)
    with pytest.raises(InvalidInput, match="No embedding model"):
        service.reembed(str(tmp_path / "none"))
    assert _model(service) == CARRIED_MODEL


def test_another_process_searches_by_the_new_model_without_a_restart(
    service: Rag, tiny_embedding_model: str, settings: Settings, tmp_path: Path
) -> None:
    with Rag(settings.model_copy(update={"data_dir": tmp_path / "other"})) as other:
        before = other.search("cat", options=SearchOptions(mode="vector"), top_k=1)
        service.reembed(tiny_embedding_model, keep_previous=False)
        after = other.search("cat", options=SearchOptions(mode="vector"), top_k=1)
    assert after[0].scores.vector != before[0].scores.vector


@pytest.mark.slow
def test_killed_reembedding_goes_on_where_it_stopped(
    sqlite_url: str, folder: Path, tiny_embedding_model: str, tmp_path: Path
) -> None:
    for n in range(300):
        (folder / f"{n}.txt").write_text(f"Note number {n} is about the number {n * 7}.")
    settings = Settings(database_url=sqlite_url, data_dir=tmp_path / "data")
    with Rag(settings) as service:
        service.ingest(folder)
    code = (
        "import sys; import rag.ingest.reembedding; from rag.assemble import Rag; from rag.config import Settings;"
        "rag.ingest.reembedding.BATCH = 32;"  # many transactions over few passages
        "service = Rag(Settings(database_url=sys.argv[1], data_dir=sys.argv[2]));"
        "service.reembed(sys.argv[3], on_progress=lambda done, total: print(done, flush=True))"
    )
    arguments = [sys.executable, "-c", code, sqlite_url, str(tmp_path / "data"), tiny_embedding_model]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env={**os.environ}) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    time.sleep(0.1)
    with Rag(settings) as service:
        assert _model(service) == CARRIED_MODEL
        done = service.reembed(tiny_embedding_model)
        assert 0 < done.num_embedded < 303
        assert all(g.num_embedded == 303 for g in _generations(service))
        assert len(service.indexes.get(service.collection("default"))) == 303
