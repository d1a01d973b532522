"""What it saves to embed repeated passages once, and what it does to searching: manuals that share legal sections.

    python benchmarks/repeated_passages.py [--documents 200]

The same manuals are ingested twice: as they are, and with a number of its own in each legal section, so that no two are
the same and every passage is embedded under its title. Everything is made up; each manual has three facts of its own,
and each fact is asked for. Prints passages, embedded texts and seconds, and how well both are searched.
"""

import argparse
import random
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag.assemble import Rag
from rag.config import load_settings
from rag.index.embedder import Embedder
from rag.records import SearchMode, SearchOptions
from rag.store import migrate
from rag.store.database import Database

LEGAL = {
    "Copyright and liability": (
        "No part of this manual{own} may be copied or handed on without the written consent of the publisher. The "
        "publisher is not liable for damage that comes of improper use, and reserves the right to change the text at "
        "any time without notice. Only the printed edition of the current year is binding for all parties to the "
        "contract. Names of products are used without regard to whether they are protected, and nothing in this text "
        "gives a licence to use them. Should one clause be void, the remaining ones stay in force."
    ),
    "Disposal and recycling": (
        "Electrical devices{own} do not belong in household waste. Take the device to a collection point for old "
        "electrical goods at the end of its life; the service is free of charge for private households. Remove "
        "batteries before, and hand them in apart. The materials can be used again according to their marking, and by "
        "recycling old devices you make an important contribution to protecting the environment. Ask the local "
        "authority for the collection point that is responsible for you."
    ),
}
FACTS = {
    "Weight and size": "The {name} weighs {a} grams and is {b} millimetres wide. It stands on four feet of rubber, "
    "which can be screwed off when the device is fixed to a wall with the two brackets from the box.",
    "First use": "Charge the {name} for {a} minutes before the first use. A green lamp shows when it is ready, and the "
    "switch on its back locks it with code {b} until it is started for the first time by its owner.",
    "Cleaning": "Clean the {name} every {a} days with a dry cloth. After {b} hours of work the filter has to be "
    "replaced; a new one can be ordered from the shop that sold the device, by the number on the filter's frame.",
}
QUESTIONS = {
    "Weight and size": "How much does the {name} weigh?",
    "First use": "How long must the {name} be charged before it is used for the first time?",
    "Cleaning": "How often should the {name} be cleaned?",
}
LEGAL_QUESTIONS = {
    "Copyright and liability": "May I copy the manual of the {name}?",
    "Disposal and recycling": "Where do I take my old {name} at the end of its life?",
}
SYLLABLES = ("ba", "do", "fi", "ge", "ka", "lu", "mo", "ni", "pa", "ro", "su", "te", "va", "xi", "zo")
OWN_NUMBER = " (number {})"
OWN = re.compile(r" \(number \d+\)")
TOP_K = 8
ASKED = 20
"""Manuals that are asked about."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=200)
    arguments = parser.parse_args()
    numbers = random.Random(0)
    names: list[str] = []
    while len(names) < arguments.documents:
        name = "".join(numbers.choice(SYLLABLES) for _ in range(4)).capitalize()
        names += [name] if name not in names else []
    for shared in (True, False):
        with tempfile.TemporaryDirectory() as folder:
            _measure(Path(folder), names, shared=shared)


def _measure(folder: Path, names: Sequence[str], *, shared: bool) -> None:
    (folder / "manuals").mkdir()
    for number, name in enumerate(names):
        (folder / "manuals" / f"{name}.md").write_text(_manual(name, number, shared=shared))
    database = Database(f"sqlite:///{folder / 'rag.db'}")
    migrate.upgrade(database)
    database.dispose()
    with Rag(load_settings(data_dir=folder)) as service:
        service.embedders.get(service.embedders.default).embed(["warm up"])
        embedded = _count_embedded()
        began = time.process_time()
        report = service.ingest(folder / "manuals")
        print(
            f"{'shared' if shared else 'their own'}: {report.num_passages} passages, {len(embedded)} texts embedded, "
            f"{report.num_passages_reused} passages reused, {report.seconds:.1f} s, "
            f"{time.process_time() - began:.1f} s of processor time"
        )
        modes: tuple[SearchMode, ...] = ("keyword", "vector", "hybrid")
        for mode in modes:
            print(f"  {mode}: {_searched(service, names, mode)}")


def _manual(name: str, number: int, *, shared: bool) -> str:
    numbers = random.Random(number)
    facts = {
        heading: text.format(name=name, a=numbers.randrange(20, 900), b=numbers.randrange(20, 900))
        for heading, text in FACTS.items()
    }
    legal = {heading: text.format(own="" if shared else OWN_NUMBER.format(number)) for heading, text in LEGAL.items()}
    return f"# The {name}\n\n" + "".join(f"## {heading}\n\n{text}\n\n" for heading, text in {**facts, **legal}.items())


def _count_embedded() -> list[str]:
    """The list that every text goes into that is embedded from now on."""
    embedded: list[str] = []
    embed = Embedder.embed

    def counting(self: Embedder, texts: Sequence[str]) -> NDArray[np.float16]:
        embedded.extend(texts)
        return embed(self, texts)

    Embedder.embed = counting  # type: ignore[method-assign]
    return embedded


def _searched(service: Rag, names: Sequence[str], mode: SearchMode) -> str:
    """How far up stands what is asked for: a fact of one manual, or a legal section, which is in all of them."""
    options = SearchOptions(mode=mode, rerank=False)
    facts, legal, named, different = [], [], [], []
    for name in names[:ASKED]:
        for heading, question in QUESTIONS.items():
            hits = service.search(question.format(name=name), top_k=TOP_K, options=options)
            told = FACTS[heading].split("{a}")[0].format(name=name)
            facts.append(_reciprocal_rank([told in hit.text for hit in hits]))
        for heading, question in LEGAL_QUESTIONS.items():
            hits = service.search(question.format(name=name), top_k=TOP_K, options=options)
            right = [heading in hit.headings for hit in hits]
            legal.append(_reciprocal_rank(right))
            titles = [title for hit in hits for title in (hit.title, *(other.title for other in hit.also_in))]
            named.append(f"The {name}" in titles)
            different.append(len({OWN.sub("", hit.text) for hit in hits}))
    return (
        f"MRR of facts {np.mean(facts):.3f}, of legal sections {np.mean(legal):.3f}; "
        f"{np.mean(different):.1f} different things in {TOP_K} hits; the manual is named {np.mean(named):.3f}"
    )


def _reciprocal_rank(right: Sequence[bool]) -> float:
    return 1 / (right.index(True) + 1) if True in right else 0.0


if __name__ == "__main__":
    main()
