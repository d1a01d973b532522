"""E-mail messages (RFC 5322 and MIME, RFC 2045 to 2049): text, attachments, forwarded messages."""

import email
import email.policy
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from email.errors import MessageError
from email.message import EmailMessage
from pathlib import PurePosixPath

from rag.errors import InvalidInput, LimitExceeded, UnreadableDocument
from rag.ingest.readers.encoding import decode_text
from rag.ingest.readers.facts import one_line
from rag.ingest.readers.html import DECLARED_ENCODING, add_html
from rag.ingest.readers.losses import told_by_the_last
from rag.ingest.readers.outline import TextBuilder
from rag.ingest.readers.raw_file import PartReader, RawFile
from rag.ingest.readers.tables import row_line
from rag.records import Document

_MEDIA_TYPE = "message/rfc822"
_MARKS_OF_A_MESSAGE = ("from", "to", "subject", "date", "received", "message-id")
_SHOWN_HEADERS = ("From", "To", "Cc", "Date")
_SIGNATURES = ("application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature")
# Attachments without a telling name are read by their type.
_ENDINGS = {
    "application/json": ".json",
    "application/pdf": ".pdf",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/zip": ".zip",
    "text/csv": ".csv",
    "text/html": ".html",
    "text/markdown": ".md",
    "text/plain": ".txt",
}
_MAX_NAME_CHARS = 200
_LIMITS_OF_THE_WHOLE = ("max_archive_members", "max_archive_bytes")


def read_eml(raw: RawFile, *, read_part: PartReader) -> Iterator[Document]:
    """Read ``.eml``: the message, and a document ``source#attachment=name`` for each attachment and forwarded message.

    The plain text is taken, or the HTML where there is none. Attachments that are not read are among the losses.

    Raises:
        UnreadableDocument: the file is no message.
        LimitExceeded: the message or its text is too large, or an attached archive unpacks to too much.
    """
    message = email.message_from_bytes(raw.read(), policy=email.policy.default)
    yield from _read_message(raw, message, read_part)


def _read_message(raw: RawFile, message: EmailMessage, read_part: PartReader) -> Iterator[Document]:
    if not any(_header(message, name) for name in _MARKS_OF_A_MESSAGE):
        raise UnreadableDocument(f"{raw.name} is no e-mail message: it has neither sender nor subject nor date.")
    content = _Content(raw)
    content.add(message)
    losses = content.losses

    def documents() -> Iterator[Document]:
        yield _message_document(raw, message, content)
        times: Counter[str] = Counter()
        for part in content.attachments:
            name = _attachment_name(part)
            if _forwarded(part) is None and not read_part.reads(name):
                losses.append(f"Attachment {name} ({part.get_content_type()}) was not read.")
                continue
            times[name] += 1
            place = raw.place_of("attachment", name)
            if times[name] > 1:
                place = f"{place}&number={times[name]}"
            try:
                for document in _read_attachment(raw, part, read_part, name=name, place=place):
                    yield replace(document, losses=tuple(f"Attachment {name}: {loss}" for loss in document.losses))
            except InvalidInput as error:
                if isinstance(error, LimitExceeded) and error.setting in _LIMITS_OF_THE_WHOLE:
                    raise
                losses.append(f"Attachment {error}" if str(error).startswith(name) else f"Attachment {name}: {error}")

    yield from told_by_the_last(documents(), losses)


def _read_attachment(
    raw: RawFile, part: EmailMessage, read_part: PartReader, *, name: str, place: str
) -> Iterator[Document]:
    forwarded = _forwarded(part)
    if forwarded is not None:
        inner = raw.part(b"", name=name, place=place, container="message")
        max_depth = raw.limits.max_message_depth
        if inner.containers.count("message") >= max_depth:
            raise LimitExceeded(f"{name} lies within {max_depth} other messages", setting="max_message_depth")
        yield from _read_message(inner, forwarded, read_part)
    else:
        yield from read_part(raw.part(_payload(part), name=name, place=place, container="message"))


class _Content:
    """What a message says, and what hangs on it. Bodies are HTML if they are flagged so."""

    def __init__(self, raw: RawFile) -> None:
        self._raw = raw
        self.bodies: list[tuple[str, bool]] = []
        self.attachments: list[EmailMessage] = []
        self.losses: list[str] = []

    def add(self, part: EmailMessage, *, with_text: bool = True) -> None:
        """Add a part of the message, and all that are in it."""
        kind = part.get_content_type()
        if _forwarded(part) is not None:
            self.attachments.append(part)
        elif kind == "multipart/alternative":
            self._add_best(_parts(part), with_text=with_text)
        elif part.is_multipart():
            for child in _parts(part):
                self.add(child, with_text=with_text)
        elif kind in ("text/plain", "text/html") and not part.is_attachment() and not part.get_filename():
            text = self._text(part) if with_text else ""
            if text.strip():
                self.bodies.append((text, kind == "text/html"))
        elif kind not in _SIGNATURES:
            self.attachments.append(part)

    def _add_best(self, parts: list[EmailMessage], *, with_text: bool) -> None:
        """Of the same text in several forms one is taken; what hangs on the others is kept all the same."""
        ranks = [
            0 if part.get_content_type() == "text/plain" and _payload(part).strip() else 1 if _holds_html(part) else 2
            for part in parts
        ]
        best = ranks.index(min(ranks)) if ranks else 0
        for i, part in enumerate(parts):
            self.add(part, with_text=with_text and i == best)

    def _text(self, part: EmailMessage) -> str:
        data = _payload(part)
        declared = part.get_content_charset()
        if part.get_content_type() == "text/html" and declared is None:
            found = DECLARED_ENCODING.search(data)
            declared = found["encoding"].decode("ascii", "replace") if found else None
        try:
            decoded = decode_text(data, name="The text of the message", declared=declared)
        except UnreadableDocument as error:
            self.losses.append(str(error))
            return ""
        self.losses.extend(filter(None, (decoded.loss,)))
        if str(part.get_param("format", "")).lower() == "flowed":
            return _unflowed(decoded.text)
        return decoded.text


def _message_document(raw: RawFile, message: EmailMessage, content: _Content) -> Document:
    subject = one_line(_header(message, "subject"))
    sent_at = _date(message)
    shown = {name: one_line(_header(message, name)) for name in _SHOWN_HEADERS}
    if sent_at is not None:
        shown["Date"] = sent_at.isoformat(sep=" ", timespec="minutes")
    builder = TextBuilder(raw)
    builder.heading(subject, level=1)
    builder.paragraph(row_line(list(shown), list(shown.values())))
    for text, is_html in content.bodies:
        if is_html:
            add_html(builder, text)
        else:
            builder.paragraph(text)
    return builder.document(
        title=subject,
        media_type=_MEDIA_TYPE,
        metadata={
            **{name.lower(): value for name, value in shown.items()},
            "date": sent_at.isoformat() if sent_at else shown["Date"],
            "num_attachments": len(content.attachments),
        },
    )


def _header(message: EmailMessage, name: str) -> str:
    try:
        return str(message.get(name, ""))
    except (MessageError, ValueError, IndexError, AttributeError, TypeError, KeyError):
        # The standard library stumbles over some malformed addresses; as they stand, people can read them still.
        return next((str(value) for key, value in message.raw_items() if key.lower() == name.lower()), "")


def _date(message: EmailMessage) -> datetime | None:
    try:
        value: datetime | None = getattr(message.get("date"), "datetime", None)
    except (MessageError, ValueError, IndexError, TypeError, OverflowError):
        return None
    return value


def _parts(part: EmailMessage) -> list[EmailMessage]:
    return [child for child in part.iter_parts() if isinstance(child, EmailMessage)]


def _payload(part: EmailMessage) -> bytes:
    data = part.get_payload(decode=True)
    return data if isinstance(data, bytes) else b""


def _forwarded(part: EmailMessage) -> EmailMessage | None:
    if part.get_content_type() != _MEDIA_TYPE or not part.is_multipart():
        return None
    return next(iter(_parts(part)), None)


def _holds_html(part: EmailMessage) -> bool:
    return any(child.get_content_type() == "text/html" for child in part.walk())


def _attachment_name(part: EmailMessage) -> str:
    kind = part.get_content_type()
    forwarded = _forwarded(part)
    if forwarded is not None:
        return f"{one_line(_header(forwarded, 'subject'))[:_MAX_NAME_CHARS] or 'message'}.eml"
    name = one_line(PurePosixPath((part.get_filename() or "").replace("\\", "/")).name)[-_MAX_NAME_CHARS:]
    if "." not in name.strip("."):
        name = f"{name or 'attachment'}{_ENDINGS.get(kind, '')}"
    return name


def _unflowed(text: str) -> str:
    """Lines that a mail program broke, in one again (RFC 3676): a space at the end means that the next one goes on."""
    joined: list[str] = []
    goes_on = False
    for line in text.splitlines():
        content = line[1:] if line.startswith(" ") else line
        if goes_on and not line.startswith(">"):
            joined[-1] += content
        else:
            joined.append(content)
        goes_on = line.endswith(" ") and line != "-- " and not line.startswith(">")
    return "\n".join(joined)
