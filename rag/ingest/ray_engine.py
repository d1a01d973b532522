"""An engine on the machines of a Ray cluster: they read, sign, split and embed, and the process of the run stores."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from rag.ingest.engine import is_small
from rag.ingest.file_reader import FileAhead, WholeFile, read_documents, reader_killed
from rag.ingest.preparation import PIPELINE_VERSION, Preparer
from rag.ingest.prepared_document import PreparedDocument
from rag.ingest.ray_cluster import RayCluster, WorkerLost
from rag.ingest.ray_tasks import SentFile, embed_texts, read_sent
from rag.ingest.readers.limits import Limits
from rag.ingest.readers.raw_file import FieldNames


class RayEngine:
    """Has pieces of work done by Ray, one for each of its threads at a time. So what is under way is bounded, whoever
    is free takes the next piece, and Ray gives a piece to another worker where one is killed or a machine is lost.
    """

    def __init__(self, address: str | None, *, workers: int, passage_tokens: int) -> None:
        """Connect to the cluster at ``address``; None starts one of this machine alone.

        Args:
            address: ``host:port`` as ``ray start --head`` prints it, ``auto``, or ``ray://host:port``.
            workers: pieces done at the same time; 0: as many as the cluster has processors now.
            passage_tokens: longest passage.

        Raises:
            InvalidInput: the package ray is missing.
            ClusterUnavailable: no cluster answers there.
        """
        self._cluster = RayCluster(address, num_cpus=workers)
        self._passage_tokens = passage_tokens
        self._read, self._embed = self._cluster.task(read_sent), self._cluster.task(embed_texts)
        self.num_readers = workers or self._cluster.num_cpus
        # As many again, for a worker that has finished to find the next batch waiting.
        self.num_embedders = 2 * self.num_readers
        self._threads = ThreadPoolExecutor(self.num_readers, thread_name_prefix="ray")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()
        self._threads.shutdown()
        self._cluster.close()

    def read(self, path: Path, limits: Limits, fields: FieldNames) -> Iterable[PreparedDocument]:
        """See ``Engine``. Large files, and those that cannot be opened, are read here."""
        if not is_small(path):
            return read_documents(path, limits, fields)
        try:
            data = path.read_bytes()
        except OSError:
            return read_documents(path, limits, fields)
        file = SentFile(
            data=data,
            name=path.name,
            uri=path.absolute().as_uri(),
            limits=limits,
            fields=fields,
            passage_tokens=self._passage_tokens,
            pipeline_version=PIPELINE_VERSION,
        )
        return FileAhead(self._threads.submit(self._read_sent, file, path), path)

    def embed(self, preparer: Preparer, texts: Sequence[str]) -> NDArray[np.float16]:
        """See ``Engine``.

        Raises:
            InvalidInput: a worker has no such model.
            ClusterUnavailable: the cluster fails.
        """
        future = self._threads.submit(self._cluster.run, self._embed, preparer.embedding_recipe, texts)
        return np.array(future.result())  # what Ray gives lies in its own memory, which ends with the connection

    def cancel(self) -> None:
        """See ``Engine``."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._cluster.cancel()

    def _read_sent(self, file: SentFile, path: Path) -> WholeFile:
        try:
            whole: WholeFile = self._cluster.run(self._read, file)
        except WorkerLost:
            return WholeFile((), reader_killed(path))
        return whole
