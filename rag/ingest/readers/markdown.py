"""Markdown (CommonMark with tables and strikethrough): the words without the marks."""

import re
import textwrap
from collections.abc import Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

from rag.errors import UnreadableDocument
from rag.ingest.readers.facts import sensible_property
from rag.ingest.readers.html import add_html
from rag.ingest.readers.outline import TextBuilder
from rag.ingest.readers.raw_file import RawFile
from rag.ingest.readers.tables import header_names, row_line
from rag.records import Document

_FRONT_MATTER = re.compile(r"\n*+---[ \t]*\n(?P<fields>.*?\n)??(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
# Two rules with prose between them look like front matter, but for its lines.
_YAML_LINE = re.compile(r"(?:[ \t#-].*|[^\s:][^:]*:(?:[ \t].*)?)?")
_FIELD = re.compile(r"(?P<name>[A-Za-z_][\w -]{0,60}):[ \t]+(?P<value>\S.*)")
_INTEGER = re.compile(r"-?(?:0|[1-9]\d{0,14})")
# The tags of site generators in a link's address ("[text]({% page '/x' %})") keep Markdown from seeing a link at all.
_TEMPLATE_ADDRESS = re.compile(r"\]\((?:\{%[^%\n]{0,300}%\}|\{\{[^}\n]{0,300}\}\})[^)\s]{0,300}\)")
# HTML with nothing to show, as the lone opening and closing tags around Markdown are: not worth a parser.
_SILENT_HTML = re.compile(r"(?:\s|<!--.*?-->|<(?!!--)(?![^>]*\balt=)[^>]*+>)*+", re.DOTALL)
# markdown-it drops the text of deeper quotes and lists, after 20 levels by default; a list takes two for itself.
_MAX_NESTING = 60
_MAX_INDENTED_DEPTH = 8


def read_markdown(raw: RawFile) -> Iterator[Document]:
    """Read ``.md`` or ``.markdown``; ``name: value`` lines of YAML front matter become metadata.

    Raises:
        UnreadableDocument: the file is not text, or empty.
        LimitExceeded: the file or its text is too large.
    """
    content = raw.read_text()
    text = content.text.replace("\r\n", "\n")
    fields, body_start = _front_matter(text)
    parser = MarkdownIt("commonmark", {"maxNesting": _MAX_NESTING}).enable(["table", "strikethrough"])
    tokens = parser.parse(_TEMPLATE_ADDRESS.sub("](#)", text[body_start:]))
    if any(token.level >= _MAX_NESTING - 1 for token in tokens):
        raise UnreadableDocument(f"{raw.name} nests quotes or lists too deeply; flatten them.")
    blocks = _MarkdownBlocks(TextBuilder(raw))
    blocks.builder.lose(*content.losses)
    blocks.add(tokens)
    title = sensible_property(fields.pop("title", None))
    yield blocks.builder.document(title=title, media_type="text/markdown", metadata={**fields, **content.metadata})


def _front_matter(text: str) -> tuple[dict[str, object], int]:
    """The scalar fields of the front matter, and where the body begins. Lists and nested fields are passed over."""
    match = _FRONT_MATTER.match(text)
    lines = (match["fields"] or "").split("\n") if match else []
    if not match or not all(map(_YAML_LINE.fullmatch, lines)):
        return {}, 0
    fields: dict[str, object] = {}
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field:
            fields[field["name"]] = _scalar(field["value"])
    return fields, match.end()


def _scalar(value: str) -> object:
    if value in ("true", "false"):
        return value == "true"
    if _INTEGER.fullmatch(value):
        return int(value)
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return None if value in ("null", "~", "|", ">", ">-", "|-") else value


class _MarkdownBlocks:
    """Hands the parser's blocks to the builder, keeping track of the lists that they stand in."""

    def __init__(self, builder: TextBuilder) -> None:
        self.builder = builder
        self._counters: list[int | None] = []
        self._marker = ""

    def add(self, tokens: Sequence[Token]) -> None:
        """Add all blocks, in order."""
        i = 0
        while i < len(tokens):
            token = tokens[i]
            if token.type == "table_open":
                end = next(j for j in range(i, len(tokens)) if tokens[j].type == "table_close")
                self._add_table(tokens[i:end])
                i = end
            elif token.type == "heading_open":
                self.builder.heading(_plain_text(tokens[i + 1]), level=int(token.tag[1:]))
                i += 2
            else:
                self._add_block(token)
            i += 1

    def _add_block(self, token: Token) -> None:
        match token.type:
            case "bullet_list_open":
                self._counters.append(None)
            case "ordered_list_open":
                start = token.attrGet("start")
                self._counters.append(1 if start is None else int(start))
            case "bullet_list_close" | "ordered_list_close":
                self._counters.pop()
            case "list_item_open":
                self._marker = self._next_marker()
            case "list_item_close":
                self._marker = ""
            case "inline":
                self._add_text(_plain_text(token))
            case "fence" | "code_block":
                self._add_text(textwrap.dedent(token.content.expandtabs(4)))
            case "html_block":
                if not _SILENT_HTML.fullmatch(token.content):
                    add_html(self.builder, token.content)

    def _next_marker(self) -> str:
        count = self._counters[-1]
        if count is None:
            return "- "
        self._counters[-1] = count + 1
        return f"{count}. "

    def _add_text(self, text: str) -> None:
        if self._counters:
            indent = "  " * (min(len(self._counters), _MAX_INDENTED_DEPTH) - (1 if self._marker else 0))
            self.builder.line(text, indent=indent, marker=self._marker)
            self._marker = ""
        else:
            self.builder.paragraph(text)

    def _add_table(self, tokens: Sequence[Token]) -> None:
        rows: list[list[str]] = []
        for token in tokens:
            if token.type == "tr_open":
                rows.append([])
            elif token.type == "inline":
                rows[-1].append(_plain_text(token))
        headers = header_names(rows[0])
        self.builder.break_lines()
        for row in rows[1:]:
            self.builder.line(row_line(headers, row))
        if len(rows) == 1:
            self.builder.line(row_line([], headers))
        self.builder.break_lines()


def _plain_text(token: Token) -> str:
    parts = []
    for child in token.children or ():
        if child.type == "softbreak":
            parts.append(" ")
        elif child.type == "hardbreak" or (child.type == "html_inline" and child.content[:3].lower() == "<br"):
            parts.append("\n")
        elif child.type != "html_inline":  # the alternative text of a picture is its content
            parts.append(child.content)
    return "".join(parts)
