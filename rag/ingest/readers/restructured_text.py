"""reStructuredText: its headings are found, all other markup stays as written, since it reads well as it is."""

import re
from collections.abc import Iterator

from rag.ingest.readers.facts import sensible_property
from rag.ingest.readers.outline import TextBuilder
from rag.ingest.readers.raw_file import RawFile
from rag.records import Document
from rag.text.clean import clean_text

# "text/prs.fallenstein.rst" is the name in IANA's registry.
_MEDIA_TYPE = "text/prs.fallenstein.rst"
_RULE = re.compile(r"([!-/:-@[-`{-~])\1+")
_MIN_RULE_CHARS = 4  # docutils takes a shorter line for an underline only if it is as long as the title
_FIELD = re.compile(r"([A-Za-z][\w -]{0,40}):[ \t]+(\S.*)")
_LISTED_FIELD = re.compile(rf":{_FIELD.pattern}")
_NUM_HEADER_LINES = 60


def read_restructured_text(raw: RawFile) -> Iterator[Document]:
    """Read ``.rst``. Title and metadata come from a header of ``Name: value`` lines (as in PEPs), if there is one.

    Raises:
        UnreadableDocument: the file is not text, or empty.
        LimitExceeded: the file or its text is too large.
    """
    content = raw.read_text()
    lines = clean_text(content.text).split("\n")
    fields = _header_fields(lines)
    builder = TextBuilder(raw)
    builder.lose(*content.losses)
    _add_lines(builder, lines)
    title = sensible_property(fields.get("title"))
    yield builder.document(title=title, media_type=_MEDIA_TYPE, metadata={**fields, **content.metadata})


def _header_fields(lines: list[str]) -> dict[str, str]:
    """``Name: value`` from the very first line on, else the first ``:Name: value`` list; names in lower case."""
    fields: dict[str, str] = {}
    pattern = _FIELD if _FIELD.fullmatch(lines[0]) else _LISTED_FIELD
    for line in lines[:_NUM_HEADER_LINES]:
        field = pattern.fullmatch(line)
        if field:
            fields.setdefault(field[1].lower(), field[2])
        elif fields and not line.startswith((" ", "\t")):
            break
    return fields


def _add_lines(builder: TextBuilder, lines: list[str]) -> None:
    levels: dict[tuple[str, bool], int] = {}
    block_start = i = 0
    while i < len(lines):
        is_after_break = i == block_start or not lines[i - 1].strip()
        heading = _heading_at(lines, i) if is_after_break else None
        if heading is None:
            i += 1
            continue
        style, num_lines = heading
        builder.paragraph("\n".join(lines[block_start:i]))
        # Styles have no fixed rank: the first to be met is the outermost (docutils, "Sections").
        builder.heading(lines[i + num_lines - 2], level=levels.setdefault(style, len(levels) + 1))
        i += num_lines
        block_start = i
    builder.paragraph("\n".join(lines[block_start:]))


def _heading_at(lines: list[str], i: int) -> tuple[tuple[str, bool], int] | None:
    """The style (underline character, overlined) and the number of lines of the heading that begins at line ``i``."""
    if _is_rule_for(lines, i, i + 1) and lines[i + 2 : i + 3] == lines[i : i + 1]:
        return (lines[i][0], True), 3
    if not lines[i].startswith((" ", "\t")) and _is_rule_for(lines, i + 1, i):
        return (lines[i + 1][0], False), 2
    return None


def _is_rule_for(lines: list[str], rule: int, title: int) -> bool:
    if max(rule, title) >= len(lines) or not lines[title].strip():
        return False
    num_chars = len(lines[rule])
    is_long_enough = num_chars >= _MIN_RULE_CHARS or num_chars >= len(lines[title])
    return is_long_enough and _RULE.fullmatch(lines[rule]) is not None and not _RULE.fullmatch(lines[title])
