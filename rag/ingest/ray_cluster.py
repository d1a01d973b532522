"""A Ray cluster: one at an address, or one of this machine alone that ends with the run; and its errors in words."""

import logging
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from rag.disk import TemporaryFolder
from rag.environment import environment
from rag.errors import ClusterUnavailable, InvalidInput

MAX_RETRIES = 3
"""How often a piece is given to another worker, after the one that did it was killed or its machine was lost."""
CONNECT_TIMEOUT_S = 5.0
"""Longest wait for the address to take a connection. Ray itself tries for minutes where nobody answers."""
STORE_BYTES = 256_000_000
"""Memory of a cluster started here for what is on its way between processes; beyond it, Ray uses the disk."""
MAX_REASON_CHARS = 300
_FOR_WORKERS = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
"""A worker has one processor; without this, each would compute on all that its machine has."""
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0"}
# By this variable Ray decides, when it is imported, whether its servers listen to this machine only.
_LOOPBACK_ONLY = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


class WorkerLost(ClusterUnavailable):
    """A piece of work took its worker down each time that it was tried."""


class RayCluster:
    """A connection to a Ray cluster. Its calls may be made by several threads at once."""

    def __init__(self, address: str | None, *, num_cpus: int) -> None:
        """Connect to ``address``; None starts a cluster of this machine alone, with ``num_cpus``, 0 being all it has.

        Where the process is connected to a cluster already, that one is used, and left as it is.

        Raises:
            InvalidInput: the package ray is missing.
            ClusterUnavailable: no cluster answers at the address, or it is not one that this process can use.
        """
        self._under_way: set[Any] = set()
        self._folder: TemporaryFolder | None = None
        with environment(_QUIET if address else _QUIET | _LOOPBACK_ONLY):
            self._ray = _import_ray()
            self._is_own = not self._ray.is_initialized()
            if self._is_own:
                self._connect(address, num_cpus)

    @property
    def num_cpus(self) -> int:
        """Processors of all its machines."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def task(self, function: Callable[..., Any]) -> Any:
        """A function that ``run`` has done by a worker with one processor. Doing it twice must do no harm."""
        worker = {"num_cpus": 1, "max_retries": MAX_RETRIES, "runtime_env": {"env_vars": _FOR_WORKERS}}
        return self._ray.remote(**worker)(function)

    def run(self, task: Any, *arguments: object) -> Any:
        """Have a task done, and wait for what it returns.

        Raises:
            InvalidInput: the task raised it.
            WorkerLost: its worker was killed, again and again.
            ClusterUnavailable: the cluster has failed, or ``cancel`` was called.
        """
        errors = self._ray.exceptions
        result = task.remote(*arguments)
        self._under_way.add(result)
        try:
            return self._ray.get(result)
        except errors.RayTaskError as error:
            raise _told(error.cause) from error
        except (errors.WorkerCrashedError, errors.NodeDiedError, errors.OutOfMemoryError) as error:
            raise WorkerLost(
                f"A worker of the Ray cluster was killed {1 + MAX_RETRIES} times at the same piece of work "
                f"({_reason(error)}); the same command goes on from here."
            ) from error
        except errors.RayError as error:
            raise ClusterUnavailable(
                f"The Ray cluster failed ({_reason(error)}); the same command goes on from here."
            ) from error
        finally:
            self._under_way.discard(result)

    def cancel(self) -> None:
        """Give up what is under way."""
        for result in list(self._under_way):
            self._ray.cancel(result)

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        if self._is_own:
            self._ray.shutdown()
        if self._folder is not None:
            self._folder.remove()

    def _connect(self, address: str | None, num_cpus: int) -> None:
        usual: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
        try:
            if address is not None:
                _require_answer(address)
                self._ray.init(address=address, **usual)
                return
            self._folder = TemporaryFolder("rag-ray-")
            self._ray.init(
                address="local",
                num_cpus=num_cpus or None,
                num_gpus=0,
                include_dashboard=False,
                object_store_memory=STORE_BYTES,
                _temp_dir=str(self._folder.path),
                **usual,
            )
        except (OSError, RuntimeError, ValueError, AssertionError, self._ray.exceptions.RayError) as error:
            self.close()
            if address is None:
                raise ClusterUnavailable(f"A Ray cluster could not be started here: {_reason(error)}") from error
            raise ClusterUnavailable(
                f"No Ray cluster can be used at {address} ({_reason(error)}); check --address and that `ray status` "
                "answers there, or leave --address out to use this machine alone."
            ) from error


def _import_ray() -> Any:
    try:
        import ray
        import ray.exceptions
    except ModuleNotFoundError as error:
        raise InvalidInput(f"--engine ray needs the Python package {error.name}; install grounded-rag[ray].") from error
    logging.getLogger("ray").setLevel(logging.ERROR)
    return ray


def _require_answer(address: str) -> None:
    """Try an address that names host and port.

    Raises:
        OSError: nobody takes connections there.
        ValueError: the port is no number.
    """
    parts = urlsplit(address if "://" in address else f"//{address}")
    if parts.hostname and parts.port:
        socket.create_connection((parts.hostname, parts.port), timeout=CONNECT_TIMEOUT_S).close()


def _told(cause: Exception) -> Exception:
    if isinstance(cause, InvalidInput):
        return InvalidInput(str(cause))
    return ClusterUnavailable(
        f"A worker of the Ray cluster failed ({_reason(cause)}); its machines need grounded-rag in the same version."
    )


def _reason(error: BaseException) -> str:
    """The first line of an error that has its say on many."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")[:MAX_REASON_CHARS]
