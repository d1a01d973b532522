"""From measured steps to rows, and from rows to the table: figures, and how they stand to the fastest peer's."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from peer_systems.corpus import Question
from peer_systems.step import Ingested, Searched
from peer_systems.system import PEERS

CLAIMS = (
    ("ingest, times the fastest peer's rate", "at least 3"),
    ("p50, share of the fastest peer's", "at most 0.5"),
    ("hit@1, less the best peer's", "at least 0"),
    ("p50, times bare FAISS + tantivy + query embedding", "at most 1.3"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One system at one size; medians over the repeats. Rates are passages or questions a second, memory in MiB.

    ``stored_rate`` is with vectors given, None where none were. ``loads`` has questions a second by number of callers;
    ``right`` has a 1 for each question whose first passage was right and a 0 for the others, as far as time allowed.
    ``remarks`` says where it answered otherwise, or not at all, when many asked, and where time cut a pass short.
    """

    size: int
    system: str
    dtype: str
    num_ingested: int
    ingest_rate: float
    stored_rate: float | None
    p50_ms: float
    p95_ms: float
    loads: dict[int, float]
    start_up_s: float
    open_s: float
    ingest_memory_mib: float
    search_memory_mib: float
    disk_mib: float
    right: str
    remarks: tuple[str, ...]

    @property
    def hit_at_1(self) -> float:
        """Share of the questions whose first passage was right."""
        return self.right.count("1") / len(self.right)

    def hits_beyond(self, other: "Row") -> float:
        """hit@1 less the other's, over the questions that both had time for."""
        num = min(len(self.right), len(other.right))
        return (self.right[:num].count("1") - other.right[:num].count("1")) / num


def make_row(
    *,
    size: int,
    system: str,
    dtype: str,
    num_ingested: int,
    ingested: Sequence[Ingested],
    stored: Sequence[Ingested],
    searched: Sequence[Searched],
    questions: Sequence[Question],
    num_timed: int,
) -> Row:
    """The row of a system at a size; each sequence has one result a repeat, ``stored`` none without given vectors."""
    hits = max((one.hits for one in searched), key=len)
    right = [bool(ids) and ids[0] in q.passage_ids for ids, q in zip(hits, questions, strict=False)]
    num_callers = [load.callers for load in searched[0].loads]
    return Row(
        size=size,
        system=system,
        dtype=dtype,
        num_ingested=num_ingested,
        ingest_rate=num_ingested / median(one.seconds for one in ingested),
        stored_rate=size / median(one.seconds for one in stored) if stored else None,
        p50_ms=median(float(np.percentile(one.times_ms, 50)) for one in searched),
        p95_ms=median(float(np.percentile(one.times_ms, 95)) for one in searched),
        loads={
            callers: median(one.loads[place].questions_per_second for one in searched)
            for place, callers in enumerate(num_callers)
        },
        start_up_s=median(one.start_up_s for one in searched),
        open_s=median(one.open_s for one in searched),
        ingest_memory_mib=median(one.memory_mib for one in stored or ingested),
        search_memory_mib=median(one.memory_mib for one in searched),
        disk_mib=median(one.disk_mib for one in stored or ingested),
        right="".join(str(int(is_right)) for is_right in right),
        remarks=_remarks(searched, num_timed=num_timed, num_questions=len(questions)),
    )


def _remarks(searched: Sequence[Searched], *, num_timed: int, num_questions: int) -> tuple[str, ...]:
    remarks: dict[str, None] = {}
    for one in searched:
        for load in one.loads:
            if load.num_failed:
                remarks[f"{load.callers} callers: {load.num_failed} of {load.num_asked} failed ({load.failure})"] = None
            if load.num_changed:
                remarks[f"{load.callers} callers: {load.num_changed} questions got other passages than alone"] = None
            if load.num_asked < num_timed:
                remarks[f"{load.callers} callers: time for {load.num_asked} of {num_timed} questions"] = None
        if len(one.hits) < num_questions:
            remarks[f"hit@1 over {len(one.hits)} of {num_questions} questions"] = None
    return tuple(remarks)


def table(rows: Sequence[Row], callers: Sequence[int]) -> str:
    """The figures as a Markdown table, in brackets what they are of the fastest peer's at that size, and the claims."""
    asked = " / ".join(map(str, callers))
    lines = [
        "| passages | system | ingest, passages/s | vectors given, passages/s | p50, ms | p95, ms "
        f"| questions/s, {asked} callers | start-up, s (opening) | memory, MiB: ingest / search | disk, MiB | hit@1 |",
        "|---" * 11 + "|",
    ]
    for row in rows:
        peers = _peers(rows, row.size)
        ingest, p50 = max((p.ingest_rate for p in peers), default=None), min((p.p50_ms for p in peers), default=None)
        lines.append(
            f"| {row.size:,} | {row.system} ({row.dtype}) | {row.ingest_rate:.1f}{_times(row.ingest_rate, ingest)} "
            f"| {f'{row.stored_rate:,.0f}' if row.stored_rate else ''} "
            f"| {row.p50_ms:.1f}{_times(row.p50_ms, p50)} | {row.p95_ms:.1f} "
            f"| {' / '.join(f'{rate:.1f}' for rate in row.loads.values())} "
            f"| {row.start_up_s:.1f} ({row.open_s:.2f}) "
            f"| {row.ingest_memory_mib:,.0f} / {row.search_memory_mib:,.0f} | {row.disk_mib:,.0f} "
            f"| {row.hit_at_1:.3f} |"
        )
    remarks = [f"- {row.system}, {row.size:,}: {remark}." for row in rows for remark in row.remarks]
    return "\n".join([*lines, "", *claims(rows), *([""] if remarks else []), *remarks])


def claims(rows: Sequence[Row]) -> list[str]:
    """What is claimed of this project beside the peers and the bare parts, as far as they were measured."""
    lines = [
        "| passages | system | " + " | ".join(f"{what} ({wanted})" for what, wanted in CLAIMS) + " |",
        "|---" * 6 + "|",
    ]
    for row in rows:
        if not row.system.startswith("ours"):
            continue
        peers = _peers(rows, row.size)
        bare = [other for other in rows if other.system.startswith("bare") and other.size == row.size]
        bare = [other for other in bare if other.dtype == row.dtype] or bare
        figures = [""] * 4
        if peers:
            figures[0] = f"{row.ingest_rate / max(p.ingest_rate for p in peers):.2f}"
            figures[1] = f"{row.p50_ms / min(p.p50_ms for p in peers):.2f}"
            figures[2] = f"{min(row.hits_beyond(p) for p in peers):+.3f}"
        if bare:
            figures[3] = f"{row.p50_ms / bare[0].p50_ms:.2f}"
        lines.append(f"| {row.size:,} | {row.system} ({row.dtype}) | {' | '.join(figures)} |")
    return lines


def _peers(rows: Sequence[Row], size: int) -> list[Row]:
    return [row for row in rows if row.system in PEERS and row.size == size]


def _times(figure: float, of_peer: float | None) -> str:
    return f" ({figure / of_peer:.2f})" if of_peer else ""
