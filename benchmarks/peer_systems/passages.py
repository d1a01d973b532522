"""The passages that every system is given, one JSON record a line; knows no system."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A passage of a document with that title."""

    id: str
    title: str
    text: str

    @property
    def words(self) -> str:
        """What is embedded and searched by keywords, in every system alike: the text under its title."""
        return f"{self.title}\n{self.text}"


def write_passages(file: Path, passages: Iterable[Passage]) -> None:
    """One record a line."""
    lines = (json.dumps(asdict(passage), ensure_ascii=False) + "\n" for passage in passages)
    file.write_text("".join(lines), encoding="utf-8")


def read_passages(file: Path) -> list[Passage]:
    """All of them, in order."""
    return [Passage(**json.loads(line)) for line in file.read_text(encoding="utf-8").split("\n") if line]
