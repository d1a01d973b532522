"""The thread of a server that works on uploads in the background, one after the other."""

import logging
import threading

from rag.api.service import ServiceKeeper
from rag.errors import RagError

log = logging.getLogger(__name__)

POLL_S = 2.0
"""How long an upload waits at most that another process has accepted, or that was found at the start."""


class UploadWorker:
    """Works while the server runs. What is not done when it stops is done after the next start."""

    def __init__(self, keeper: ServiceKeeper) -> None:
        self._keeper = keeper
        self._news, self._stopped = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, with what waits from before."""
        self._stopped.clear()
        self._thread = threading.Thread(target=self._run, name="uploads", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Say that an upload waits."""
        self._news.set()

    def stop(self) -> None:
        """End after the upload that is in work."""
        self._stopped.set()
        self._news.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        is_clean, told = False, ""
        while not self._stopped.is_set():
            self._news.clear()
            try:
                queue = self._keeper.get().uploads
                if not is_clean:
                    queue.remove_leftovers()
                    is_clean = True
                if queue.work():
                    continue
            except RagError as error:
                if told != str(error):  # and not again every two seconds
                    log.warning("Uploads wait: %s", error)
                told = str(error)
            except Exception:  # noqa: BLE001 - the edge of this thread: the next upload may fare better
                log.exception("An upload failed.")
            self._news.wait(POLL_S)
