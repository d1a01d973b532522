"""How many near duplicates are found, at what cost? Labelled articles, and documents made here with planted edits.

    python benchmarks/near_duplicates.py --articles FOLDER
    python benchmarks/near_duplicates.py --documents 100000
    python benchmarks/near_duplicates.py --alike 10000

FOLDER holds files articles_N.train (a document a line, its name first) and articles_N.truth (the two names of a
planted pair a line). Documents are signed, looked up and stored by the functions that ingestion calls, in a real SQLite
database and in transactions of as many; nothing is split or embedded.

Truth is the exact Jaccard similarity of three-word shingles, 0.8 or more, counted here without the program's own code.
Made documents are compared within each family (a text and its edited copies), and pairs across families at random.
"""

import argparse
import re
import resource
import sqlite3
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag.ingest.near_duplicates import NearDuplicates, signature_of
from rag.records import Document
from rag.store import migrate
from rag.store.collections import get_or_create_collection
from rag.store.database import Database
from rag.store.documents import DocumentDetails, insert_document
from rag.store.index_changes import lock_collection

THRESHOLD = 0.8
SEED = 20
VOCABULARY = 20_000
NUM_WORDS = (80, 240)
SHARE_OF_COPIES = 0.3
EDITS = (0.01, 0.02, 0.03, 0.04, 0.05, 0.1, 0.2)
RANDOM_PAIRS = 100_000
DOCUMENTS_PER_TRANSACTION = 64

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What storing came to.

    ``links`` leads from a document to the one that it is said to nearly repeat, ``pairs`` holds all that it repeats.
    """

    links: dict[str, str]
    pairs: set[Pair]
    seconds: float
    processor_seconds: dict[str, float]
    band_bytes: int
    database_bytes: int


class MadeDocuments:
    """Documents that are functions of the seed and their number: none has to be kept."""

    def __init__(self, *, share_of_copies: float = SHARE_OF_COPIES, edits: Sequence[float] = EDITS) -> None:
        """Copies are of an earlier document, or of what that is a copy of."""
        self._share_of_copies, self._edits = share_of_copies, edits
        weights = 1 / np.arange(1, VOCABULARY + 1)  # Zipf's law
        self._cumulative = np.cumsum(weights / weights.sum())

    def source_of(self, number: int) -> int:
        """The number of the document that this one is an edited copy of; its own if it is none."""
        rng = self._rng(number, 0)
        if number == 0 or rng.random() >= self._share_of_copies:
            return number
        source = int(rng.integers(number))
        return self.source_of(source)

    def edit_of(self, number: int) -> float:
        """The share of its words that are changed in a copy."""
        return float(self._rng(number, 1).choice(self._edits))

    def text(self, number: int) -> str:
        """The words."""
        source = self.source_of(number)
        words = self._original(source)
        return " ".join(words if source == number else self._edited(words, number))

    def _original(self, number: int) -> list[str]:
        rng = self._rng(number, 2)
        return self._draw(rng, int(rng.integers(*NUM_WORDS)))

    def _edited(self, words: list[str], number: int) -> list[str]:
        rng = self._rng(number, 3)
        num_edits = max(1, round(self.edit_of(number) * len(words)))
        chosen = dict(
            zip(rng.choice(len(words), num_edits, replace=False).tolist(), rng.integers(3, size=num_edits), strict=True)
        )
        edited: list[str] = []
        for place, word in enumerate(words):
            match chosen.get(place):
                case None:
                    edited.append(word)
                case 0:
                    edited += self._draw(rng, 1)
                case 1:
                    edited += [word, *self._draw(rng, 1)]
        return edited

    def _draw(self, rng: np.random.Generator, size: int) -> list[str]:
        return [f"w{rank}" for rank in np.searchsorted(self._cumulative, rng.random(size))]

    def _rng(self, number: int, purpose: int) -> np.random.Generator:
        return np.random.default_rng((SEED, number, purpose))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--articles", type=Path, help="folder of articles_N.train and articles_N.truth")
    parser.add_argument("--documents", type=int, action="append", default=[], help="how many to make; may be repeated")
    parser.add_argument("--alike", type=int, help="how many copies of one text to make, 1 % of their words changed")
    arguments = parser.parse_args()
    if arguments.articles:
        for train in sorted(arguments.articles.glob("articles_*.train"), key=lambda path: path.stat().st_size):
            measure_articles(train)
    for num_documents in arguments.documents:
        measure_made(num_documents)
    if arguments.alike:
        measure_alike(arguments.alike)


def measure_articles(train: Path) -> None:
    """One labelled set: its planted pairs against the linked ones."""
    lines = (line.partition(" ") for line in train.read_text(encoding="utf-8").splitlines())
    documents = [(name, text) for name, _, text in lines]
    truth = {ordered(line.split()) for line in train.with_suffix(".truth").read_text(encoding="utf-8").splitlines()}
    stored = store(documents)
    found = {ordered(pair) for pair in stored.pairs}
    print(f"{train.stem}: {len(documents)} documents, {len(truth)} pairs, {figures(truth, found)}")


def measure_made(num_documents: int) -> None:
    """Documents made here: pairs and links against exact truth, cost and size."""
    made = MadeDocuments()
    before = peak_mebibytes()
    stored = store((str(number), made.text(number)) for number in range(num_documents))
    grown = peak_mebibytes() - before
    print(
        f"{num_documents} documents: {cost(stored, num_documents)}; bands {stored.band_bytes / 2**20:.1f} MiB of "
        f"{stored.database_bytes / 2**20:.0f}; peak memory grew by {grown:.0f} MiB to {peak_mebibytes():.0f}"
    )
    families: dict[int, list[int]] = defaultdict(list)
    for number in range(num_documents):
        families[made.source_of(number)].append(number)
    near, pairs = true_pairs(made, [members for members in families.values() if len(members) > 1])
    print_links(made, stored.links, near)
    print(f"  pairs: {len(pairs)} true, {figures(pairs, stored.pairs)}")
    print(f"  most similar of {RANDOM_PAIRS} random pairs across families: {highest_across(made, num_documents):.3f}")


def measure_alike(num_documents: int) -> None:
    """What it costs when every document nearly repeats every other one, and whether all lead to the first."""
    made = MadeDocuments(share_of_copies=1.0, edits=EDITS[:1])
    stored = store(((str(number), made.text(number)) for number in range(num_documents)), all_pairs=False)
    to_first = sum(other == "0" for other in stored.links.values())
    print(f"{num_documents} alike: {cost(stored, num_documents)}; linked {len(stored.links)}, to the first {to_first}")


def cost(stored: Stored, num_documents: int) -> str:
    """Documents a second, and the processor time of one."""
    processor = {name: 1000 * seconds / num_documents for name, seconds in stored.processor_seconds.items()}
    parts = ", ".join(f"{name} {value:.2f}" for name, value in processor.items())
    return (
        f"{num_documents / stored.seconds:.0f} documents/s; processor time of one {sum(processor.values()):.2f} ms "
        f"({parts})"
    )


def store(documents: Iterable[tuple[str, str]], *, all_pairs: bool = True) -> Stored:
    """Store named texts in a new database, looking for the one that each nearly repeats, in transactions of many.

    ``all_pairs`` also looks for all that it repeats, which costs no time here.
    """
    names: list[str] = []
    links: dict[str, str] = {}
    pairs: set[Pair] = set()
    clock = Clock()
    near_duplicates = NearDuplicates(threshold=THRESHOLD)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rag.db"
        database = Database(f"sqlite:///{path}")
        migrate.upgrade(database)
        with database.write() as session:
            collection_id = get_or_create_collection(session, "made", embedding_model="none").id
        for batch in batches(documents):
            clock.start()
            signatures = [signature_of(text) for _, text in batch]
            clock.lap("sign")
            with database.write() as session:
                lock_collection(session, collection_id)
                for (name, text), signature in zip(batch, signatures, strict=True):
                    clock.lap("commit")
                    found = near_duplicates.find_all(session, collection_id, text, signature)
                    near = next(found, None)
                    clock.lap("find")
                    if near is not None and all_pairs:
                        pairs.update((names[other.document_id - 1], name) for other in (near, *found))
                    clock.start()  # ingestion is content with one
                    details = DocumentDetails(file_sha256="", text_sha256=name, pipeline="", signature=signature)
                    if near is not None:
                        details = replace(details, near_duplicate_of=near.document_id)
                        links[name] = names[near.document_id - 1]
                    insert_document(session, collection_id, document(name, text), details)
                    names.append(name)
                    clock.lap("insert")
            clock.lap("commit")
        database.dispose()
        return Stored(
            links=links,
            pairs=pairs,
            seconds=clock.seconds,
            processor_seconds=clock.processor_seconds,
            band_bytes=bytes_of(path, "near_duplicate_bands"),
            database_bytes=path.stat().st_size,
        )


class Clock:
    """Seconds between laps: in all, and of the processor by the name of what was done."""

    def __init__(self) -> None:
        """Nothing counts before ``start``."""
        self.seconds = 0.0
        self.processor_seconds: dict[str, float] = defaultdict(float)
        self.start()

    def start(self) -> None:
        """What went before does not count."""
        self._at, self._processor_at = time.perf_counter(), time.process_time()

    def lap(self, name: str) -> None:
        """What was done since the last lap."""
        at, processor_at = self._at, self._processor_at
        self.start()
        self.seconds += self._at - at
        self.processor_seconds[name] += self._processor_at - processor_at


def document(name: str, text: str) -> Document:
    """As a reader would give it."""
    return Document(source=name, file=name, title=name, media_type="text/plain", text=text, sections=(), metadata={})


def batches(documents: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """As many as are written in one transaction."""
    batch: list[tuple[str, str]] = []
    for one in documents:
        batch.append(one)
        if len(batch) == DOCUMENTS_PER_TRANSACTION:
            yield batch
            batch = []
    if batch:
        yield batch


def true_pairs(made: MadeDocuments, families: Sequence[Sequence[int]]) -> tuple[dict[str, bool], set[Pair]]:
    """Of each copy whether an earlier document is near to it, and all near pairs."""
    near: dict[str, bool] = {}
    pairs: set[Pair] = set()
    for members in families:
        shingles = {number: shingles_of(made.text(number)) for number in members}
        for first, second in combinations(members, 2):
            is_near = similarity(shingles[first], shingles[second]) >= THRESHOLD
            near[str(second)] = near.get(str(second), False) or is_near
            if is_near:
                pairs.add((str(first), str(second)))
    return near, pairs


def print_links(made: MadeDocuments, links: dict[str, str], near: dict[str, bool]) -> None:
    """Links against truth: a link is right when the two are near, a document is found when it has a link."""
    right = sum(
        similarity(shingles_of(made.text(int(one))), shingles_of(made.text(int(other)))) >= THRESHOLD
        for one, other in links.items()
    )
    wanted = {name for name, is_near in near.items() if is_near}
    precision, recall = right / max(1, len(links)), len(wanted & links.keys()) / max(1, len(wanted))
    print(
        f"  documents near to an earlier one: {len(wanted)}, linked {len(links)}, precision {precision:.4f}, "
        f"recall {recall:.4f}, F1 {2 * precision * recall / (precision + recall):.4f}"
    )
    print("  words edited   copies   near by truth   of these found")
    for edit in EDITS:
        copies = [name for name in near if made.source_of(int(name)) != int(name) and made.edit_of(int(name)) == edit]
        true = [name for name in copies if near[name]]
        found = sum(name in links for name in true)
        print(f"  {edit:12.0%} {len(copies):8} {len(true):15} {found:16}")


def highest_across(made: MadeDocuments, num_documents: int) -> float:
    """The highest similarity of random pairs of documents of different families."""
    rng = np.random.default_rng(SEED)
    chosen: NDArray[np.int64] = rng.integers(num_documents, size=min(1_000, num_documents))
    shingles = [(made.source_of(int(number)), shingles_of(made.text(int(number)))) for number in chosen]
    highest = 0.0
    for first, second in rng.integers(len(shingles), size=(RANDOM_PAIRS, 2)):
        (family, left), (other_family, right) = shingles[first], shingles[second]
        if family != other_family:
            highest = max(highest, similarity(left, right))
    return highest


def shingles_of(text: str) -> set[tuple[str, ...]]:
    """Three words each, in lower case; counted apart from the program's own."""
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[start : start + 3]) for start in range(len(words) - 2)}


def similarity(left: set[tuple[str, ...]], right: set[tuple[str, ...]]) -> float:
    """Jaccard similarity."""
    return len(left & right) / len(left | right)


def ordered(pair: Iterable[str]) -> Pair:
    """The same pair however it was written."""
    first, second = sorted(pair)
    return first, second


def figures(truth: set[Pair], found: set[Pair]) -> str:
    """Precision, recall and F1 in words."""
    right = len(truth & found)
    precision, recall = right / max(1, len(found)), right / max(1, len(truth))
    f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    return f"found {len(found)}, precision {precision:.4f}, recall {recall:.4f}, F1 {f1:.4f}"


def bytes_of(path: Path, table: str) -> int:
    """The pages of a table of an SQLite file."""
    connection = sqlite3.connect(path)
    try:
        (size,) = connection.execute("SELECT SUM(pgsize) FROM dbstat WHERE name = ?", [table]).fetchone()
    finally:
        connection.close()
    return int(size)


def peak_mebibytes() -> float:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
