"""What a reader could not read, in words: one short sentence each."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rag.records import Document

_MAX_NAMED = 20


def listed(names: Sequence[object]) -> str:
    """``3``, ``3 and 5``, ``3, 5 and 7``; after twenty of them ``and 80 more``."""
    shown = [str(name) for name in names[:_MAX_NAMED]]
    if len(names) > _MAX_NAMED:
        shown.append(f"{len(names) - _MAX_NAMED:,} more")
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))


def counted(number: int, what: str, was_lost: str) -> tuple[str, ...]:
    """``2 images were passed over.`` of ``image`` and ``passed over``; nothing for none."""
    if not number:
        return ()
    return (f"1 {what} was {was_lost}." if number == 1 else f"{number:,} {_plural(what)} were {was_lost}.",)


def numbered(what: str, numbers: Sequence[int], *, one: str, several: str) -> tuple[str, ...]:
    """``Pages 3 and 5 have no text.`` of ``Page``, ``has no text`` and ``have no text``; nothing for none."""
    if not numbers:
        return ()
    return (f"{what} {numbers[0]} {one}." if len(numbers) == 1 else f"{what}s {listed(numbers)} {several}.",)


def told_by_the_last(documents: Iterator[Document], losses: list[str]) -> Iterator[Document]:
    """The documents; the last one carries ``losses`` too, which fill up while the others are read.

    No more than a few are named: an archive may hold thousands of files.
    """
    held: Document | None = None
    for document in documents:
        if held is not None:
            yield held
        held = document
    if held is not None:
        num_more = len(losses) - _MAX_NAMED
        more = (f"{num_more:,} more were not read, or not wholly.",) if num_more > 0 else ()
        yield replace(held, losses=(*held.losses, *losses[:_MAX_NAMED], *more))


def _plural(what: str) -> str:
    noun, *rest = what.split(" ", 1)
    return " ".join((f"{noun}s", *rest))
