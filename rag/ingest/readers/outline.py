"""Building a document's text block by block, so that every character of it lies in exactly one section."""

from collections.abc import Mapping

from rag.errors import UnreadableDocument
from rag.ingest.readers.facts import clean_facts, one_line, title_from_name
from rag.ingest.readers.limits import check_chars
from rag.ingest.readers.raw_file import RawFile
from rag.records import Document, Section
from rag.text.clean import clean_text

# A longer "heading" is a paragraph in large letters; as part of every heading path below it, it would only be noise.
_MAX_HEADING_CHARS = 200


class TextBuilder:
    """Takes headings, paragraphs and lines in reading order; gives the text and its sections.

    Blocks are cleaned as they come, so the finished text is clean as a whole and the offsets are final. A heading, a
    page or a row begins a section; the heading's own line is its first.
    """

    def __init__(self, raw: RawFile) -> None:
        self._raw = raw
        self._parts: list[str] = []
        self._length = 0
        self._sections: list[Section] = []
        self._outline: list[tuple[int, str]] = []
        self._top_heading: tuple[int, str] | None = None
        self._page: int | None = None
        self._row: int | None = None
        self._section_start: int | None = None
        self._after_line = False
        self._losses: list[str] = []

    @property
    def is_empty(self) -> bool:
        """Whether no text has come so far."""
        return not self._parts

    def heading(self, text: str, *, level: int) -> None:
        """Begin a section under this heading; ``level`` counts from the outermost, 0 or 1."""
        title = one_line(text)
        if len(title) > _MAX_HEADING_CHARS:
            self.paragraph(text)
        elif title:
            self._end_section()
            while self._outline and self._outline[-1][0] >= level:
                self._outline.pop()
            self._outline.append((level, title))
            if self._top_heading is None or level < self._top_heading[0]:
                self._top_heading = (level, title)
            self._append(title, separator="\n\n")
            self._after_line = False

    def end_headings(self) -> None:
        """Begin a section that stands under no heading."""
        self._end_section()
        self._outline.clear()

    def start_page(self, page: int) -> None:
        """Begin the section of this page."""
        self._end_section()
        self._page = page

    def start_row(self, row: int) -> None:
        """Begin the section of this row."""
        self._end_section()
        self._row = row

    def paragraph(self, text: str) -> None:
        """Add a block set off by blank lines."""
        self._append(clean_text(text), separator="\n\n")
        self._after_line = False

    def line(self, text: str, *, indent: str = "", marker: str = "") -> None:
        """Add a list item, a table row or the like: no blank line between it and another line before it."""
        cleaned = clean_text(text)
        if cleaned:
            hanging = "\n" + indent + " " * len(marker)
            block = indent + marker + cleaned.replace("\n", hanging).replace(hanging + "\n", "\n\n")
            self._append(block, separator="\n" if self._after_line else "\n\n")
            self._after_line = True

    def break_lines(self) -> None:
        """Set the next line off by a blank line: it belongs to another list or table."""
        self._after_line = False

    def lose(self, *losses: str) -> None:
        """Note what of the file is not in the text, one sentence each."""
        self._losses.extend(losses)

    def document(
        self, *, title: str, media_type: str, metadata: Mapping[str, object], place: str | None = None
    ) -> Document:
        """The document of all blocks so far; without ``title``, its top heading or the file's name serves.

        ``place`` says where in the outermost file the document lies, if it is but a part of this one.

        Raises:
            UnreadableDocument: there is no text.
        """
        self._end_section()
        if self.is_empty:
            raise UnreadableDocument(f"{self._raw.name} holds no text.")
        top_heading = self._top_heading[1] if self._top_heading else ""
        return Document(
            source=f"{self._raw.uri}#{place}" if place else self._raw.source,
            file=self._raw.uri,
            title=title or top_heading or title_from_name(self._raw.name),
            media_type=media_type,
            text="".join(self._parts),
            sections=tuple(self._sections),
            metadata=clean_facts(metadata),
            losses=tuple(self._losses),
        )

    def _append(self, block: str, *, separator: str) -> None:
        if not block:
            return
        if self._parts:
            self._parts.append(separator)
            self._length += len(separator)
        else:
            block = block.lstrip()
        if self._section_start is None:
            self._section_start = self._length + len(block) - len(block.lstrip())
        self._parts.append(block)
        self._length += len(block)
        check_chars(self._length, max_document_chars=self._raw.limits.max_document_chars, name=self._raw.name)

    def _end_section(self) -> None:
        if self._section_start is not None:
            self._sections.append(
                Section(
                    start=self._section_start,
                    end=self._length,
                    headings=tuple(title for _, title in self._outline),
                    page=self._page,
                    row=self._row,
                )
            )
            self._section_start = None
