"""What understanding follow-ups by rules brings: the right passage found first, with and without it.

    python benchmarks/follow_up.py [--standalone dev-v1.1.json]

Asks the follow-ups of ``follow_up.json`` over its passages, each a document of its own: as they are, in the form that
``rag.text.follow_up`` gives them, and in the form that a person wrote. ``conversations`` were looked at while the rules
were written; ``held_out`` were written afterwards, and no rule was changed for them. Their last few questions stand by
themselves and must stay as they are. The answers before a follow-up are given, so that only the resolving is measured.

With ``--standalone``, counts how many questions of a file in SQuAD format are changed after a question about something
else. They come from people who had a paragraph before them, so some do point at it ("When was this edict declared?").
"""

import argparse
import json
import random
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rag.assemble import Rag
from rag.config import load_settings
from rag.records import Turn
from rag.store import migrate
from rag.store.database import Database
from rag.text.follow_up import standalone_form

DATA = Path(__file__).with_name("follow_up.json")
MAX_CHARS = 2_000
NUM_STANDALONE = 4_000


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--standalone", type=Path, help="a file in SQuAD format")
    arguments = parser.parse_args()
    data = json.loads(DATA.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder, open_filled(Path(folder), data["passages"]) as service:
        print(f"{'hit@1':14} {'questions':>9} {'as asked':>9} {'resolved':>9} {'by hand':>9}")
        for name in ("conversations", "held_out"):
            figures = measure(service, data[name])
            print(f"{name:14} {len(data[name]):9} " + " ".join(f"{figure:9.3f}" for figure in figures))
    if arguments.standalone:
        num_changed = count_changed(arguments.standalone)
        print(f"changed of {NUM_STANDALONE} questions of another article: {num_changed / NUM_STANDALONE:.1%}")


def open_filled(folder: Path, passages: dict[str, str]) -> Rag:
    """A service over these passages, each a file."""
    settings = load_settings(data_dir=folder / "data")
    database = Database(settings.resolved_database_url)
    migrate.upgrade(database)
    database.dispose()
    (folder / "files").mkdir()
    for name, text in passages.items():
        (folder / "files" / f"{name}.txt").write_text(text, encoding="utf-8")
    service = Rag(settings)
    service.ingest(folder / "files")
    return service


def measure(service: Rag, conversations: Sequence[dict[str, Any]]) -> tuple[float, float, float]:
    """hit@1 of the follow-ups as they are, as the rules have them, and as a person has them."""
    forms = [
        (one["question"], resolved(one) or one["question"], one["standalone"], f"/{one['passage']}.txt")
        for one in conversations
    ]
    return (
        _share(_is_first(service, asked, source) for asked, _, _, source in forms),
        _share(_is_first(service, form, source) for _, form, _, source in forms),
        _share(_is_first(service, form, source) for _, _, form, source in forms),
    )


def resolved(conversation: dict[str, Any]) -> str | None:
    """What the rules make of the follow-up; None where they leave it."""
    turns = [Turn(question, answer) for question, answer in conversation["turns"]]
    return standalone_form(conversation["question"], turns, max_chars=MAX_CHARS)


def count_changed(file: Path) -> int:
    """How many of ``NUM_STANDALONE`` questions are changed after a question of any article."""
    articles = [
        [(qa["question"], qa["answers"][0]["text"]) for paragraph in article["paragraphs"] for qa in paragraph["qas"]]
        for article in json.loads(file.read_text(encoding="utf-8"))["data"]
    ]
    draw = random.Random(1)
    questions = [question for article in articles for question, _ in article]
    draw.shuffle(questions)
    return sum(
        standalone_form(question, [Turn(*draw.choice(draw.choice(articles)))], max_chars=MAX_CHARS) is not None
        for question in questions[:NUM_STANDALONE]
    )


def _is_first(service: Rag, question: str, source: str) -> bool:
    return service.search(question, top_k=1)[0].source.endswith(source)


def _share(values: Iterable[bool]) -> float:
    each = list(values)
    return sum(each) / len(each)


if __name__ == "__main__":
    main()
