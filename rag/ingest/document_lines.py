"""Documents as JSON Lines, one a line: what ``rag documents export`` writes and ``rag documents import`` reads.

A line holds everything that is needed to store the document again: its text with its sections, and what is known of it.
What is computed from these (passages, embeddings, near duplicates) is not in it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, BinaryIO

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from rag.errors import InvalidInput
from rag.ingest.labels import LabelledDocument, Labels
from rag.records import Document, Origin, Section
from rag.store.column_types import check_plain_text
from rag.store.document_texts import CurrentDocument
from rag.text.clean import normalized_sha256

BYTES_PER_CHAR = 64
"""What a line may hold for each character that a document may have: at most four bytes for the character itself, the
rest for sections of a word or two."""
MAX_FAULTS = 3
MAX_INTEGER = 2**53  # JSON readers agree on integers up to here (RFC 8259, section 6)


def _plain(text: str) -> str:
    check_plain_text(text)
    return text


Words = Annotated[str, AfterValidator(_plain)]
Name = Annotated[str, Field(min_length=1), AfterValidator(_plain)]
Number = Annotated[int, Field(ge=1, le=MAX_INTEGER)]


class _Line(BaseModel):
    # An unknown field may be one that a later version wrote to keep somebody out, so it is never passed over.
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, from_attributes=True, allow_inf_nan=False)


class SectionLine(_Line):
    """A section, as ``rag.records.Section``."""

    start: int
    end: int
    headings: tuple[Words, ...] = ()
    page: Number | None = None
    row: Number | None = None


class DocumentLine(_Line):
    """One line. A field that has the name of one of ``StoredDocument`` is exported from there.

    The version's number is kept where the document is new. The last three fields are not read: times are those of
    storing, and duplicates are found anew.
    """

    source: Name
    file: Name
    title: Words
    media_type: Words
    text: Words
    sections: tuple[SectionLine, ...]
    metadata: dict[Name, Words | bool | int | float | None] = Field(default_factory=dict)
    tags: dict[Name, Words] = Field(default_factory=dict)
    origin: Origin
    access_labels: tuple[Name, ...] = ()
    version: Number = 1
    text_sha256: str
    file_sha256: Words
    created_at: datetime | None = None
    updated_at: datetime | None = None
    duplicate_of: str | None = None


def to_line(current: CurrentDocument) -> bytes:
    """The line of a stored document, in UTF-8, with its line break."""
    known = {
        **asdict(current.document),
        "text": current.text,
        "sections": current.sections,
        "duplicate_of": current.duplicate_of,
    }
    line = DocumentLine.model_validate({name: known[name] for name in DocumentLine.model_fields})
    return line.model_dump_json().encode() + b"\n"


def read_lines(
    stream: BinaryIO, *, max_document_chars: int, on_refused: Callable[[int, str], None]
) -> Iterator[LabelledDocument]:
    """The documents of an export, one by one. Blank lines are passed over.

    ``on_refused`` is told the number of each line that cannot be taken, from 1, and the reason as a sentence.
    """
    max_line_bytes = max_document_chars * BYTES_PER_CHAR
    number = 0
    while raw := stream.readline(max_line_bytes + 1):
        number += 1
        if len(raw) > max_line_bytes:
            _pass_over_rest(stream, raw)
            on_refused(number, f"Line {number} is too long; raise the limit (setting: max_document_chars).")
            continue
        raw = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
        if not raw.strip():
            continue
        try:
            document = _read(raw, max_document_chars)
        except ValidationError as error:
            on_refused(number, f"Line {number}: {_faults(error)}.")
        except InvalidInput as error:
            on_refused(number, f"Line {number}: {error}")
        else:
            yield document


def _read(raw: bytes, max_document_chars: int) -> LabelledDocument:
    line = DocumentLine.model_validate_json(raw)
    if not line.text.strip():
        raise InvalidInput("The document holds no text.")
    if len(line.text) > max_document_chars:
        raise InvalidInput(
            f"The document has more than {max_document_chars:,} characters; raise the limit "
            "(setting: max_document_chars)."
        )
    if normalized_sha256(line.text) != line.text_sha256:
        raise InvalidInput("The text is not the one whose text_sha256 this is; export the document again.")
    sections = tuple(Section(**section.model_dump()) for section in line.sections)
    if not sections:
        raise InvalidInput("The document has no section, and what stands in no section is not found.")
    _check_sections(sections, len(line.text))
    return LabelledDocument(
        document=Document(
            source=line.source,
            file=line.file,
            title=line.title,
            media_type=line.media_type,
            text=line.text,
            sections=sections,
            metadata=line.metadata,
        ),
        file_sha256=line.file_sha256,
        labels=Labels(tags=line.tags, origin=line.origin, access_labels=line.access_labels),
        min_version=line.version,
    )


def _check_sections(sections: Sequence[Section], num_chars: int) -> None:
    at = 0
    for number, section in enumerate(sections, start=1):
        if not at <= section.start <= section.end <= num_chars:
            raise InvalidInput(
                f"Section {number}, characters {section.start} to {section.end}, does not lie in the text after the "
                f"section before it; the text has {num_chars} characters."
            )
        at = section.end


def _faults(error: ValidationError) -> str:
    faults = error.errors(include_input=False, include_url=False)
    told = []
    for fault in faults[:MAX_FAULTS]:
        where = ".".join(str(part) for part in fault["loc"])[:60]
        message = fault["msg"][:1].lower() + fault["msg"][1:]
        told.append(f"{where}: {message}" if where else message)
    more = f" and {len(faults) - MAX_FAULTS} more" if len(faults) > MAX_FAULTS else ""
    return "; ".join(told) + more


def _pass_over_rest(stream: BinaryIO, raw: bytes) -> None:
    while raw and not raw.endswith(b"\n"):
        raw = stream.readline(1 << 20)
