"""Ingestion on a Ray cluster: the same as here, also when workers are killed; its failures are sentences."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rag.ingest.engine
import rag.ingest.ray_cluster
import rag.ingest.reading
from rag.assemble import Rag
from rag.config import Settings
from rag.errors import InvalidInput
from rag.ingest.file_options import FileOptions
from rag.ingest.ray_cluster import RayCluster
from rag.ingest.ray_engine import RayEngine
from rag.ingest.ray_tasks import SentFile, read_sent
from rag.ingest.readers.limits import limits_of
from rag.ingest.readers.raw_file import NO_FIELDS
from rag.ingest.report import IngestionReport
from tests.ingest_corpus import stored_state, write_corpus

NUM_WORKERS = 2
ON_RAY = FileOptions(engine="ray", workers=NUM_WORKERS)


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    """A cluster of two workers, started as a run without an address starts it; the runs of the tests find it there."""
    started = RayCluster(None, num_cpus=NUM_WORKERS)
    yield started
    started.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    write_corpus(folder)
    (folder / "empty.txt").touch()
    return folder


Ingest = Callable[..., tuple[IngestionReport, dict[str, Any]]]


@pytest.fixture(scope="module")
def ingest(
    migrated_sqlite_file: Path, folder: Path, tiny_embedding_model: str, tmp_path_factory: pytest.TempPathFactory
) -> Ingest:
    """Ingests the folder into a fresh database; returns the report and all that people can see of it."""

    def run(options: FileOptions) -> tuple[IngestionReport, dict[str, Any]]:
        data = tmp_path_factory.mktemp("data")
        shutil.copy(migrated_sqlite_file, data / "rag.db")
        settings = Settings(data_dir=data, embedding_model=tiny_embedding_model, embedding_dtype="float32")
        with pytest.MonkeyPatch.context() as patch, Rag(settings) as service:
            patch.setattr(rag.ingest.reading, "BATCH_DOCUMENTS", 10)  # many batches over few documents
            report = service.ingest(folder, options=options)
        return report, stored_state(f"sqlite:///{data / 'rag.db'}", data)

    return run


@pytest.fixture(scope="module")
def local(ingest: Ingest) -> tuple[IngestionReport, dict[str, Any]]:
    """What the run makes of the folder in this process."""
    return ingest(FileOptions())


def _require_same(one: tuple[IngestionReport, dict[str, Any]], other: tuple[IngestionReport, dict[str, Any]]) -> None:
    (report, state), (other_report, other_state) = one, other
    # How many vectors were taken over depends on how many batches are under way.
    ignored = other_report.seconds, other_report.num_passages_reused
    assert replace(report, seconds=ignored[0], num_passages_reused=ignored[1]) == other_report
    assert np.array_equal(state["vectors"], other_state["vectors"])
    assert {**state, "vectors": None} == {**other_state, "vectors": None}


@pytest.mark.slow
def test_run_on_two_workers_gives_the_same(
    cluster: RayCluster, ingest: Ingest, local: tuple[IngestionReport, dict[str, Any]]
) -> None:
    report, state = local
    assert (report.num_exact_duplicates, report.num_near_duplicates, report.num_refused) == (1, 1, 2)
    assert len(state["passages"]) > 70
    assert cluster.num_cpus == NUM_WORKERS
    _require_same(local, ingest(ON_RAY))


@pytest.mark.slow
def test_workers_of_another_version_are_told_from_ours(cluster: RayCluster) -> None:
    file = SentFile(
        data=b"The cat sleeps.",
        name="cat.txt",
        uri="file:///cat.txt",
        limits=limits_of(Settings()),
        fields=NO_FIELDS,
        passage_tokens=100,
        pipeline_version=0,
    )
    with pytest.raises(InvalidInput, match="another version of grounded-rag; install the same"):
        cluster.run(cluster.task(read_sent), file)


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_workers_killed_at_work_change_nothing(
    ingest: Ingest, local: tuple[IngestionReport, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[int] = []
    calls = count()
    run = RayCluster.run

    def kill() -> None:
        for pid in killed:
            os.kill(pid, signal.SIGKILL)

    def run_and_kill(self: RayCluster, function: Any, *arguments: object) -> Any:
        if function._function.__name__ == "embed_texts" and next(calls) == 3:
            # Stopped, they surely have the piece that is sent now, and pieces of others, when they are killed.
            killed.extend(_workers())
            for pid in killed:
                os.kill(pid, signal.SIGSTOP)
            threading.Timer(0.5, kill).start()
        return run(self, function, *arguments)

    monkeypatch.setattr(RayCluster, "run", run_and_kill)
    ended = ingest(ON_RAY)
    assert len(killed) >= NUM_WORKERS
    assert not set(killed) & set(_workers())
    _require_same(local, ended)


@pytest.mark.slow
def test_command_runs_on_the_cluster_of_an_address(
    cluster: RayCluster,
    folder: Path,
    migrated_sqlite_file: Path,
    tiny_embedding_model: str,
    local: tuple[IngestionReport, dict[str, Any]],
    tmp_path: Path,
) -> None:
    import ray

    address = ray.get_runtime_context().gcs_address
    assert address.startswith("127.0.0.1:")  # what is started here listens to this machine only
    shutil.copy(migrated_sqlite_file, tmp_path / "rag.db")
    code = "from rag.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "ingest", str(folder), "--engine", "ray", "--address", address],
        env={
            **os.environ,
            "RAG_DATA_DIR": str(tmp_path),
            "RAG_EMBEDDING_MODEL": tiny_embedding_model,
            "RAG_EMBEDDING_DTYPE": "float32",
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 3, done.stderr  # some files were refused
    assert "empty.txt is empty." in done.stdout
    state = stored_state(f"sqlite:///{tmp_path / 'rag.db'}", tmp_path)
    assert state["documents"] == local[1]["documents"]
    assert np.array_equal(state["vectors"], local[1]["vectors"])
    # The cluster is not the command's, so it is still there.
    assert cluster.num_cpus == NUM_WORKERS


@pytest.mark.slow
def test_file_that_takes_its_worker_down_is_refused(
    cluster: RayCluster, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rag.ingest.ray_cluster, "MAX_RETRIES", 0)

    def die(_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    engine = RayEngine(None, workers=1, passage_tokens=100)
    with engine:
        engine._read = cluster.task(die)
        documents = engine.read(folder / "00.txt", limits_of(Settings()), NO_FIELDS)
        with pytest.raises(InvalidInput, match=r"00.txt cannot be read: the process that read it"):
            list(documents)
        with pytest.raises(InvalidInput, match=r"nowhere.txt cannot be read: no such file"):
            list(engine.read(folder / "nowhere.txt", limits_of(Settings()), NO_FIELDS))
        monkeypatch.setattr(rag.ingest.engine, "MAX_BYTES_AHEAD", 10)  # larger ones are not sent
        assert len(list(engine.read(folder / "00.txt", limits_of(Settings()), NO_FIELDS))) == 1


def _workers() -> Iterator[int]:
    """Processes of workers, of the cluster that this process has started, of which some are at a task."""
    parents: dict[int, int] = {}
    workers: list[int] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if (entry / "cmdline").read_bytes().startswith((b"ray::IDLE", b"ray::read_sent", b"ray::embed_texts")):
                workers.append(int(entry.name))
        except OSError:
            continue  # it has just ended
    for pid in workers:
        ancestor = pid
        while ancestor in parents and ancestor != os.getpid():
            ancestor = parents[ancestor]
        if ancestor == os.getpid():
            yield pid
