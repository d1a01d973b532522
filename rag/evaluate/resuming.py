"""Which interrupted evaluation a new call could go on with: one of the same questions under the same conditions."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rag.errors import Busy, InvalidInput
from rag.store.database import Database
from rag.store.evaluations import EvaluationRecord, get_evaluation, unfinished_evaluations

MAY_DIFFER = frozenset({"processor", "num_threads"})
"""What a machine decides and what shifts scores in their last bits only: it does not stand in the way of going on."""
_SHOWN_CHARS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What an evaluation asks and how. ``settings`` is all that its answers depend on beside the documents."""

    file: str
    file_sha256: str
    collection_id: int
    settings: Mapping[str, Any]


def lock_of_run(run_id: int) -> str:
    """The name of the lock that a process holds as long as it works on a run."""
    return f"evaluation-{run_id}"


def run_to_resume(database: Database, asking: Asking, run_id: int | None) -> int:
    """The id of the run to go on with: ``run_id``, or the newest that was interrupted and asks the same.

    Raises:
        NotFound: there is no evaluation ``run_id``.
        InvalidInput: it has finished, or asks something else or otherwise; the message says what differs.
    """
    with database.read() as session:
        if run_id is None:
            found = unfinished_evaluations(session, file_sha256=asking.file_sha256, collection_id=asking.collection_id)
        else:
            found = [get_evaluation(session, run_id)]
    if not found:
        raise InvalidInput(f"There is no unfinished evaluation of {asking.file} to go on with; leave --resume out.")
    reasons = [_reason_against(record, asking) for record in found]
    chosen = next((record.id for record, reason in zip(found, reasons, strict=True) if reason is None), None)
    if chosen is None:
        raise InvalidInput(f"Evaluation {found[0].id} {reasons[0]}.")
    return chosen


def interrupted_run(database: Database, asking: Asking) -> int | None:
    """The id of the newest unfinished run that asks the same and that no process is working on; None: there is none."""
    with database.read() as session:
        found = unfinished_evaluations(session, file_sha256=asking.file_sha256, collection_id=asking.collection_id)
    same = (record.id for record in found if _reason_against(record, asking) is None)
    return next((run_id for run_id in same if not _is_at_work(database, run_id)), None)


def _is_at_work(database: Database, run_id: int) -> bool:
    try:
        with database.exclusive(lock_of_run(run_id), wait=False):
            return False
    except Busy:
        return True


def _reason_against(record: EvaluationRecord, asking: Asking) -> str | None:
    """Why a run cannot be gone on with, as the end of a sentence; None: it can."""
    if record.finished_at is not None:
        return "has finished; there is nothing to go on with"
    if record.file_sha256 != asking.file_sha256:
        return (
            f"asks the questions of another file ({record.file} with SHA-256 {record.file_sha256[:12]}, "
            f"where {asking.file} has {asking.file_sha256[:12]}); name that file, or leave --resume out"
        )
    if record.collection_id != asking.collection_id:
        return f"asks over another collection, made when the file was called {record.file}; name the file so again"
    if "model" not in record.settings:
        return "was begun by an older version of this program, which kept too little of it to go on; leave --resume out"
    differences = _differences(record.settings, asking.settings)
    if differences:
        return f"was begun under other conditions: {'; '.join(differences)}; restore them, or leave --resume out"
    return None


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    now = json.loads(json.dumps(now))  # as it comes back from SQL
    names = [name for name in {**before, **now} if name not in MAY_DIFFER]
    return [
        f"{name} was {_shown(before.get(name))} and is {_shown(now.get(name))} now"
        for name in names
        if before.get(name) != now.get(name)
    ]


def _shown(value: object) -> str:
    words = "not set" if value is None or value == "" else json.dumps(value, ensure_ascii=False).strip('"')
    return words if len(words) <= _SHOWN_CHARS else f"{words[:12]}…"
