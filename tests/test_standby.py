"""A streaming standby serves reads. Promoted when its primary was killed under load, it has what was acknowledged."""

import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from rag.assemble import Rag
from rag.config import Settings
from rag.errors import StoreUnavailable
from rag.ingest.labels import NO_LABELS
from rag.store import migrate
from rag.store.database import Database
from tests.postgres_pair import running_pair

QUESTION = "Who keeps the support rota?"
NUM_CALLERS = 3


class Callers:
    """Ask without end, and write down which answers they were given, and how often there was none."""

    def __init__(self, service: Rag) -> None:
        self._service = service
        self.given, self.refused = list[int](), 0
        self.failures = list[BaseException]()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(NUM_CALLERS)]
        for thread in self._threads:
            thread.start()

    def wait_for(self, number: int) -> None:
        """Wait until there are so many answers more than now."""
        wanted, end = len(self.given) + number, time.monotonic() + 60
        while len(self.given) < wanted:
            assert time.monotonic() < end, self.failures
            time.sleep(0.05)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _ask(self) -> None:
        while not self._stop.is_set():
            try:
                self.given.append(self._service.ask(QUESTION).id)
            except StoreUnavailable:
                self.refused += 1
                time.sleep(0.05)
            except BaseException as error:
                self.failures.append(error)
                raise


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_when_the_primary_is_killed_and_the_standby_promoted(tmp_path: Path) -> None:
    with running_pair() as pair:
        both = pair.url(pair.primary_port, pair.standby_port, options="&target_session_attrs=read-write")
        first = Database(both)
        migrate.upgrade(first)
        first.dispose()
        settings = Settings(database_url=both, data_dir=tmp_path / "data", store_timeout_s=3)
        with Rag(settings) as service:
            words = b"The support rota is kept by Amara Diallo."
            service.ingester.upload(words, name="rota.txt", collection="default", labels=NO_LABELS)
            callers = Callers(service)
            try:
                callers.wait_for(5)
                read_from_standby(pair.url(pair.standby_port), tmp_path)
                pair.kill_primary()
                pair.promote()
                callers.wait_for(5)  # by the same URL, in the same process
            finally:
                callers.stop()
            assert not callers.failures
            with service.database.read() as session:
                logged = set(session.scalars(text("SELECT id FROM answers")))
                assert not session.scalar(text("SELECT pg_is_in_recovery()"))
            assert set(callers.given) <= logged
            assert len(set(callers.given)) == len(callers.given) >= 10


def read_from_standby(url: str, tmp_path: Path) -> None:
    """What only reads works there; an answer, which is logged, is refused with the reason."""
    with Rag(Settings(database_url=url, data_dir=tmp_path / "standby")) as reading:
        deadline = time.monotonic() + 30
        while not (hits := reading.search(QUESTION)):
            assert time.monotonic() < deadline
        assert "Amara Diallo" in hits[0].text
        with pytest.raises(StoreUnavailable, match="read-only"):
            reading.ask(QUESTION)
