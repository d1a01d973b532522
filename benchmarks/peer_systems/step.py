"""One measured step in a process of its own: ``python -m peer_systems.step STEP.json``. Started by ``peers.py``.

Its peak memory is the whole process's, libraries and model included; its start-up is counted from the moment at which
the process was asked for, so that imports are in it.
"""

import json
import shutil
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from peer_systems.system import Place, System, make_system

TOP_K = 10
NUM_WARM_UP = 5
"""Questions asked before the clock runs, the first one to end the start-up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What to do: ingest where ``questions`` is empty, else open what was saved and search. Paths are strings for JSON.

    ``asked_at`` is the moment (seconds since 1970) at which the process was asked for. The first ``num_timed``
    questions are timed; all of them are asked once by one caller, for the hits.
    """

    system: str
    folder: str
    model: str
    dtype: str
    batch_size: int
    passages: str
    vectors: str | None = None
    questions: tuple[str, ...] = ()
    num_timed: int = 0
    callers: tuple[int, ...] = ()
    pass_seconds: float = 0.0
    asked_at: float = 0.0

    @property
    def place(self) -> Place:
        """Where it happens."""
        return Place(folder=Path(self.folder), model=Path(self.model), dtype=self.dtype, batch_size=self.batch_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """Seconds from the file to the saved index, the models loaded before; peak memory and size on disk in MiB."""

    seconds: float
    memory_mib: float
    disk_mib: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Many callers at once: questions answered a second, how many got other ids than alone, how many failed and why."""

    callers: int
    questions_per_second: float
    num_asked: int
    num_changed: int
    num_failed: int
    failure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """``start_up_s`` is from asking for the process to the first answer, ``open_s`` the part after imports and model.

    ``hits`` has the ids found for each question, as far as ``pass_seconds`` reached; ``times_ms`` is of those timed.
    """

    start_up_s: float
    open_s: float
    memory_mib: float
    times_ms: tuple[float, ...]
    loads: tuple[Load, ...]
    hits: tuple[tuple[str, ...], ...]


def ingest(step: Step) -> Ingested:
    """Ingest the passages into an empty folder."""
    folder = Path(step.folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    system = make_system(step.system, step.place)
    vectors = None if step.vectors is None else np.load(step.vectors)
    started = time.perf_counter()
    system.ingest(Path(step.passages), vectors)
    seconds = time.perf_counter() - started
    system.close()
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Ingested(seconds=seconds, memory_mib=peak_memory_mib(), disk_mib=size / 2**20)


def search(step: Step) -> Searched:
    """Open what was saved, and ask: alone and timed, then by many callers."""
    system = make_system(step.system, step.place)
    started = time.perf_counter()
    system.open()
    system.search(step.questions[-1], top_k=TOP_K)
    answered_at, open_s = time.time(), time.perf_counter() - started
    for question in step.questions[-NUM_WARM_UP:]:
        system.search(question, top_k=TOP_K)
    times_ms, hits, alone = _alone(system, step)
    loads = [_together(system, step, callers, hits) for callers in step.callers if callers > 1]
    system.close()
    return Searched(
        start_up_s=answered_at - step.asked_at,
        open_s=open_s,
        memory_mib=peak_memory_mib(),
        times_ms=tuple(times_ms),
        loads=(alone, *loads),
        hits=tuple(hits),
    )


def _alone(system: System, step: Step) -> tuple[list[float], list[tuple[str, ...]], Load]:
    """One caller: times of the timed questions, the ids found for all, and the load of the timed ones."""
    times_ms: list[float] = []
    hits: list[tuple[str, ...]] = []
    began = time.perf_counter()
    for question in step.questions:
        if time.perf_counter() - began > step.pass_seconds * (1 if len(hits) < step.num_timed else 2):
            break
        started = time.perf_counter()
        hits.append(tuple(system.search(question, top_k=TOP_K)))
        if len(times_ms) < step.num_timed:
            times_ms.append((time.perf_counter() - started) * 1000)
    rate = len(times_ms) / (sum(times_ms) / 1000)
    load = Load(callers=1, questions_per_second=rate, num_asked=len(times_ms), num_changed=0, num_failed=0, failure="")
    return times_ms, hits, load


def _together(system: System, step: Step, callers: int, alone: Sequence[tuple[str, ...]]) -> Load:
    """Many callers take the timed questions from one queue until they are through or the time is."""
    ends = time.perf_counter() + step.pass_seconds

    def ask(question: str) -> tuple[str, ...] | None:
        return tuple(system.search(question, top_k=TOP_K)) if time.perf_counter() < ends else None

    began = time.perf_counter()
    with ThreadPoolExecutor(callers) as pool:
        futures = [pool.submit(ask, question) for question in step.questions[: step.num_timed]]
    seconds = time.perf_counter() - began
    failed = [future for future in futures if future.exception()]
    found = [None if future in failed else future.result() for future in futures]
    answered = [ids for ids in found if ids is not None]
    return Load(
        callers=callers,
        questions_per_second=len(answered) / seconds,
        num_asked=len(answered) + len(failed),
        num_changed=sum(ids not in (None, before) for ids, before in zip(found, alone, strict=False)),
        num_failed=len(failed),
        failure=_named(failed[0]) if failed else "",
    )


def _named(failed: Future[tuple[str, ...] | None]) -> str:
    error = failed.exception()
    return f"{type(error).__name__}: {error}"


def peak_memory_mib() -> float:
    """The most that this process held in memory. Not ``ru_maxrss``, which also counts the process that started it."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def main() -> None:
    """Do the step of the file and write its result beside it."""
    file = Path(sys.argv[1])
    fields = json.loads(file.read_text())
    step = Step(**{name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()})
    result = search(step) if step.questions else ingest(step)
    file.with_suffix(".result.json").write_text(json.dumps(asdict(result)))


if __name__ == "__main__":
    main()
