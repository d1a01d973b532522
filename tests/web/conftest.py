"""A real server on the loopback with the shipped models, and a browser that visits it.

Both live as long as a module's tests: Playwright keeps an event loop of its own going in the thread that tests run in,
which others must not find there.
"""

import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, Page

from rag.api.app import create_app
from rag.assemble import Rag
from rag.cancellation import NEVER, Cancellation
from rag.config import Settings
from rag.errors import Cancelled
from rag.generators.generator import Generation
from rag.records import OWNER, Hit, Role
from rag.store.api_keys import NewApiKey, create_api_key
from tests.api.running_server import running
from tests.web.browsing import opened_browser, opened_page


class HeldUpGenerator:
    """The service's generator, which can be made to wait before it answers."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.go_on = threading.Event()
        self.go_on.set()
        self.num_cancelled = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def generate(self, question: str, hits: Sequence[Hit], *, cancellation: Cancellation = NEVER) -> Generation:
        try:
            while not self.go_on.wait(0.02):
                cancellation.check()
        except Cancelled:
            self.num_cancelled += 1
            raise
        return self._real.generate(question, hits, cancellation=cancellation)


@dataclass(frozen=True, kw_only=True)
class Site:
    """A server with its pages. ``rest`` sends requests to it; ``generator`` can be held up."""

    url: str
    rest: httpx2.Client
    service: Rag
    generator: HeldUpGenerator
    names: Iterator[int] = field(default_factory=lambda: iter(range(1000)))

    def upload(self, name: str, content: str, **fields: Any) -> int:
        """Put a document in and return its id."""
        response = self.rest.post("/v1/documents", files={"file": (name, content.encode())}, data=fields)
        assert response.status_code == 201, response.text
        (document,) = response.json()["documents"]
        return int(document["id"])

    def new_collection(self) -> str:
        """The name of a collection that no other test knows."""
        return f"handbook{next(self.names)}"

    def new_key(self, role: Role, **limits: Any) -> str:
        """The words of a new key."""
        with self.service.database.write() as session:
            _, words = create_api_key(session, NewApiKey(user_id="amara", role=role, **limits), caller=OWNER)
        return words


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite_file: Path) -> Iterator[Site]:
    """A server without documents."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(migrated_sqlite_file, folder / "rag.db")
    settings = Settings(database_url=f"sqlite:///{folder / 'rag.db'}", data_dir=folder / "data")
    with Rag(settings) as service:
        service.answerer._generator = generator = HeldUpGenerator(service.generator)
        with running(create_app(service=service)) as url, httpx2.Client(base_url=url, timeout=60) as rest:
            yield Site(url=url, rest=rest, service=service, generator=generator)


@pytest.fixture
def closed_site(site: Site) -> Iterator[Site]:
    """The same documents on another server, which asks everybody for a key."""
    settings = site.service.settings.model_copy(update={"require_api_key": "always"})
    with running(create_app(settings, service=site.service)) as url:
        yield replace(site, url=url)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with opened_browser() as opened:
        yield opened


OpenPage = Callable[..., AbstractContextManager[Page]]


@pytest.fixture
def open_page(site: Site, browser: Browser) -> OpenPage:
    """Open a page of the site as a visitor with options of their own: ``color_scheme``, ``viewport`` and the like."""
    return partial(opened_page, browser, site.url)


@pytest.fixture
def page(open_page: OpenPage) -> Iterator[Page]:
    """A page of the site in a window of the usual size."""
    with open_page() as opened:
        yield opened
