"""From an HTML tree to blocks of text: headings, paragraphs, list items, code and table rows."""

import textwrap

from bs4 import Tag

from rag.ingest.readers.html_tables import table_lines
from rag.ingest.readers.html_walk import INLINE, NEVER_TEXT
from rag.ingest.readers.outline import TextBuilder

_HEADINGS = {"h1": 1, "h2": 2, "h3": 3, "h4": 4, "h5": 5, "h6": 6}
_SURROUNDINGS = frozenset(["nav", "footer", "aside", "menu"])
_SURROUNDING_ROLES = frozenset(["navigation", "banner", "contentinfo", "search", "menu", "menubar"])
_ARTICLES = ("article", "main")
_MARKS_OF_CONTENT = ["p", "li", "table", "main", "article", *_HEADINGS]
_MARKS_OF_LAYOUT = ["table", "pre", *_HEADINGS]
_MAX_INDENTED_DEPTH = 8


class HtmlBlocks:
    """A visitor that hands the blocks of a page to a ``TextBuilder``.

    Unless ``keeps_surroundings``, it passes over menus, asides, the site's header and footer, buttons and forms. A form
    around real content (some frameworks wrap whole pages in one) is entered, and so is a header within an article.
    """

    def __init__(self, builder: TextBuilder, root: Tag, *, keeps_surroundings: bool) -> None:
        self._builder = builder
        self._keeps_surroundings = keeps_surroundings
        self._around_content = _ancestors_of(_MARKS_OF_CONTENT, root)
        self._around_blocks = _ancestors_of(_MARKS_OF_LAYOUT, root)
        self._lines: list[list[str]] = [[]]
        self._heading: Tag | None = None
        self._article_depth = int(root.name in _ARTICLES or root.get("role") == "main")
        self._counters: list[int | None] = []
        self._marker = ""

    def enter(self, tag: Tag) -> bool:
        """See ``Visitor``."""
        name = tag.name
        if name in NEVER_TEXT or self._is_surrounding(tag):
            return False
        if name == "br":
            self._lines.append([])
        elif name == "img":
            self.text(f" {tag.get('alt') or ''} ")
        elif name not in INLINE:
            return self._enter_block(tag)
        return True

    def leave(self, tag: Tag) -> None:
        """See ``Visitor``."""
        name = tag.name
        if tag is self._heading:
            self._heading = None
            self._builder.heading(self._take(), level=_HEADINGS[name])
        elif self._heading is not None:
            self.text(" " if name not in INLINE else "")
        elif name not in INLINE and name not in ("br", "img"):
            self.flush()
        if name in _ARTICLES:
            self._article_depth -= 1
        elif name == "li":
            self._marker = ""
        elif name in ("ul", "ol") and self._heading is None:
            self._counters.pop()

    def text(self, text: str) -> None:
        """See ``Visitor``."""
        self._lines[-1].append(text)

    def flush(self) -> None:
        """Hand on what has gathered since the last block."""
        text = self._take()
        if not text:
            return
        if self._counters:
            indent = "  " * (min(len(self._counters), _MAX_INDENTED_DEPTH) - (1 if self._marker else 0))
            self._builder.line(text, indent=indent, marker=self._marker)
            self._marker = ""
        else:
            self._builder.paragraph(text)

    def _take(self) -> str:
        lines = [" ".join("".join(line).split()) for line in self._lines]
        self._lines = [[]]
        return "\n".join(filter(None, lines))

    def _enter_block(self, tag: Tag) -> bool:
        if tag.name in _ARTICLES:
            self._article_depth += 1
        if self._heading is not None:
            self.text(" ")
            return True
        self.flush()
        if tag.name in _HEADINGS:
            self._heading = tag
        elif tag.name in ("ul", "ol"):
            self._counters.append(0 if tag.name == "ol" else None)
        elif tag.name == "li" and self._counters:
            self._marker = self._next_marker()
        elif tag.name == "pre":
            self._builder.paragraph(textwrap.dedent(tag.get_text().expandtabs(4)))
            return False
        elif tag.name == "table" and self._is_data_table(tag):
            self._builder.break_lines()
            for line in table_lines(tag):
                self._builder.line(line)
            self._builder.break_lines()
            return False
        return True

    def _next_marker(self) -> str:
        count = self._counters[-1]
        if count is None:
            return "- "
        self._counters[-1] = count + 1
        return f"{count + 1}. "

    def _is_data_table(self, table: Tag) -> bool:
        # A table with headings, code or tables in it arranges a page, and one without rows is no table.
        return id(table) not in self._around_blocks and table.find("tr") is not None

    def _is_surrounding(self, tag: Tag) -> bool:
        if self._keeps_surroundings:
            return False
        if tag.name == "header":
            return not self._article_depth
        if tag.name == "form":
            return id(tag) not in self._around_content
        if tag.name == "button":
            return self._heading is None  # accordions put the words of a heading into a button
        return tag.name in _SURROUNDINGS or str(tag.get("role")) in _SURROUNDING_ROLES


def _ancestors_of(names: list[str], root: Tag) -> set[int]:
    # From below and stopping at what is known, which takes linear time however deep the tree is.
    ancestors: set[int] = set()
    for tag in root.find_all(names):
        for parent in tag.parents:
            if id(parent) in ancestors:
                break
            ancestors.add(id(parent))
    return ancestors
