"""Walking an HTML tree, with a stack of its own, since a hostile tree is deeper than Python's."""

from typing import Protocol

from bs4 import CData, Tag
from bs4.element import NavigableString, PageElement, PreformattedString

_INLINE_NAMES = (
    "a abbr acronym b bdi bdo big cite code data del dfn em font i ins kbd label mark math nobr q rb rp rt ruby s samp "
    "small span strike strong sub sup time tt u var wbr"
)
_TEXTLESS_NAMES = (
    "head script style template noscript svg canvas iframe object embed audio video map select datalist input textarea "
    "annotation annotation-xml"
)
INLINE = frozenset(_INLINE_NAMES.split())
NEVER_TEXT = frozenset(_TEXTLESS_NAMES.split())


class Visitor(Protocol):
    """What ``walk`` tells of a tree, in reading order."""

    def enter(self, tag: Tag) -> bool:
        """An element begins; False leaves out what is in it, and its end."""

    def leave(self, tag: Tag) -> None:
        """An element that was entered ends."""

    def text(self, text: str) -> None:
        """A piece of text, white space as in the file."""


def walk(root: Tag, visitor: Visitor) -> None:
    """Visit all below ``root``, but not comments and the like."""
    stack: list[tuple[PageElement, bool]] = [(child, False) for child in reversed(root.contents)]
    while stack:
        node, is_end = stack.pop()
        if isinstance(node, NavigableString):
            if isinstance(node, CData) or not isinstance(node, PreformattedString):
                visitor.text(node)
        elif isinstance(node, Tag):
            if is_end:
                visitor.leave(node)
            elif visitor.enter(node):
                stack.append((node, True))
                stack.extend((child, False) for child in reversed(node.contents))


class FlatText:
    """A visitor that gathers everything on one line: blocks and line breaks become spaces."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def __str__(self) -> str:
        return " ".join("".join(self._parts).split())

    def enter(self, tag: Tag) -> bool:
        if tag.name not in INLINE:
            self._parts.append(" ")
        if tag.name == "img":
            self._parts.append(str(tag.get("alt") or ""))
        return tag.name not in NEVER_TEXT

    def leave(self, tag: Tag) -> None:
        if tag.name not in INLINE:
            self._parts.append(" ")

    def text(self, text: str) -> None:
        self._parts.append(text)
