"""Reading e-mail messages."""

import io
import zipfile
from collections.abc import Callable
from email.message import EmailMessage
from email.policy import SMTP

import pytest

from rag.errors import UnreadableDocument
from rag.records import Document

ReadAll = Callable[..., list[Document]]


def message(text: str | None = "Hello.", *, subject: str = "Leave policy") -> EmailMessage:
    made = EmailMessage(policy=SMTP)
    made["From"] = "Jörg Maier <joerg@example.org>"
    made["To"] = "team@example.org"
    made["Cc"] = "Ada <ada@example.org>"
    made["Date"] = "Fri, 01 Mar 2024 10:30:00 +0100"
    made["Subject"] = subject
    if text is not None:
        made.set_content(text)
    return made


HEADER = (
    "From: Jörg Maier <joerg@example.org>; To: team@example.org; Cc: Ada <ada@example.org>; "
    "Date: 2024-03-01 10:30+01:00"
)


def test_subject_header_and_text_are_read(read: ReadAll) -> None:
    (document,) = read(message("One.\n\nTwo – naïve.", subject="Größe: 5 €").as_bytes(), "a.eml")
    assert document.title == "Größe: 5 €"
    assert document.text == f"Größe: 5 €\n\n{HEADER}\n\nOne.\n\nTwo – naïve."
    assert document.media_type == "message/rfc822"
    assert document.metadata == {
        "from": "Jörg Maier <joerg@example.org>",
        "to": "team@example.org",
        "cc": "Ada <ada@example.org>",
        "date": "2024-03-01T10:30:00+01:00",
        "num_attachments": 0,
    }


def test_of_two_forms_the_plain_text_is_taken(read: ReadAll) -> None:
    mail = message("Plain.")
    mail.add_alternative("<p>Rich.</p>", subtype="html")
    assert read(mail.as_bytes(), "a.eml")[0].text.endswith("\n\nPlain.")


def test_html_is_read_by_the_html_reader_where_there_is_no_plain_text(read: ReadAll) -> None:
    mail = message(" \n")
    mail.add_alternative("<h2>Days</h2><ul><li>twenty<li>five</ul><script>x</script>", subtype="html")
    (document,) = read(mail.as_bytes(), "a.eml")
    assert document.text.endswith("\n\nDays\n\n- twenty\n- five")
    assert document.sections[-1].headings == ("Leave policy", "Days")


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("iso-8859-1", "“Größe” – 5 €".encode("cp1252")),
        ("iso-2022-jp", "休暇は二十日です。".encode("iso2022_jp")),
        ("shift_jis", "休暇は二十日です。".encode("cp932")),
        ("utf-8", "“Größe” – 5 €, déjà vu".encode("cp1252")),
        ("x-unknown", "Größe – 5 €".encode()),
    ],
)
def test_the_charset_is_honoured_and_a_wrong_one_seen_through(read: ReadAll, charset: str, text: bytes) -> None:
    head = b"Subject: x\nFrom: a@b\nMIME-Version: 1.0\nContent-Transfer-Encoding: 8bit\n"
    (document,) = read(head + f"Content-Type: text/plain; charset={charset}\n\n".encode() + text, "a.eml")
    assert any(word in document.text for word in ("休暇は二十日です。", "Größe – 5 €", "“Größe” – 5 €"))
    assert document.losses == ()


def test_lines_that_a_mail_program_broke_are_joined(read: ReadAll) -> None:
    head = b"Subject: x\nFrom: a@b\nContent-Type: text/plain; format=flowed\n\n"
    (document,) = read(head + b"One sentence that \ngoes on.\nAnother.\n> quoted \n> text\n", "a.eml")
    assert document.text.endswith("One sentence that goes on.\nAnother.\n> quoted\n> text")


def test_attachments_are_documents_of_their_own_and_others_are_lost(read: ReadAll) -> None:
    mail = message()
    mail.add_attachment(b"h\nx\n", maintype="text", subtype="csv", filename="sub/list é.csv")
    mail.add_attachment(b"\x89PNG", maintype="image", subtype="png", filename="photo.png")
    mail.add_attachment(b"# Title\n\nNotes.", maintype="application", subtype="octet-stream", filename="n.md")
    mail.add_attachment(b"%PDF-1.4", maintype="application", subtype="pdf", filename="bad.pdf")
    body, table, notes = read(mail.as_bytes(), "a.eml")
    assert (table.source, table.file, table.text) == (
        "upload:a.eml#attachment=list%20%C3%A9.csv",
        "upload:a.eml",
        "h: x",
    )
    assert (notes.source, notes.title) == ("upload:a.eml#attachment=n.md", "Title")
    assert body.metadata["num_attachments"] == 4
    photo, pdf = notes.losses
    assert photo == "Attachment photo.png (image/png) was not read."
    assert pdf.startswith("Attachment bad.pdf is damaged")


def test_attachments_of_one_name_are_told_apart(read: ReadAll) -> None:
    mail = message()
    for text in ("One.", "Two."):
        mail.add_attachment(text.encode(), maintype="text", subtype="plain", filename="a.txt")
    assert [d.source for d in read(mail.as_bytes(), "a.eml")][1:] == [
        "upload:a.eml#attachment=a.txt",
        "upload:a.eml#attachment=a.txt&number=2",
    ]


def test_an_attachment_without_a_name_is_read_by_its_type(read: ReadAll) -> None:
    mail = message()
    mail.add_attachment(b'{"text": "One."}', maintype="application", subtype="json")
    _, attached = read(mail.as_bytes(), "a.eml")
    assert (attached.source, attached.text) == ("upload:a.eml#attachment=attachment.json", "One.")


def test_an_attached_archive_is_read(read: ReadAll) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("x/a.txt", "Packed.")
    mail = message()
    mail.add_attachment(stream.getvalue(), maintype="application", subtype="zip", filename="x.zip")
    _, packed = read(mail.as_bytes(), "a.eml")
    assert (packed.source, packed.text) == ("upload:a.eml#attachment=x.zip&member=x/a.txt", "Packed.")


def test_a_forwarded_message_is_read_with_its_attachments(read: ReadAll) -> None:
    inner = message("Inner.", subject="Old news")
    inner.add_attachment(b"Attached.", maintype="text", subtype="plain", filename="a.txt")
    inner.add_attachment(b"x", maintype="image", subtype="gif", filename="b.gif")
    outer = message("See below.")
    outer.add_attachment(inner)
    body, forwarded, attached = read(outer.as_bytes(), "a.eml")
    assert body.text.endswith("See below.")
    assert (forwarded.source, forwarded.title) == ("upload:a.eml#attachment=Old%20news.eml", "Old news")
    assert attached.source == "upload:a.eml#attachment=Old%20news.eml&attachment=a.txt"
    assert attached.losses == ("Attachment Old news.eml: Attachment b.gif (image/gif) was not read.",)


def test_messages_forwarded_too_often_are_lost(read: ReadAll) -> None:
    mail = message("0")
    for number in range(1, 5):
        outer = message(str(number))
        outer.add_attachment(mail)
        mail = outer
    documents = read(mail.as_bytes(), "a.eml", max_message_depth=3)
    assert [d.text[-1] for d in documents] == ["4", "3", "2"]
    assert "(setting: max_message_depth)" in documents[-1].losses[0]
    assert len(read(mail.as_bytes(), "a.eml")) == 5


def test_what_hangs_on_the_form_that_is_not_taken_is_kept(read: ReadAll) -> None:
    rich = EmailMessage()
    rich.set_content("<p>Rich.</p>", subtype="html")
    rich.add_attachment(b"Attached.", maintype="text", subtype="plain", filename="a.txt")
    plain = EmailMessage()
    plain.set_content("Plain.")
    mail = message(None)
    mail["MIME-Version"] = "1.0"
    mail["Content-Type"] = "multipart/alternative"
    mail.set_payload([plain, rich])
    body, attached = read(mail.as_bytes(), "a.eml")
    assert body.text.endswith("Plain.")
    assert attached.text == "Attached."


def test_a_signature_is_neither_read_nor_lost(read: ReadAll) -> None:
    mail = message()
    mail.add_attachment(b"x", maintype="application", subtype="pgp-signature", filename="signature.asc")
    (document,) = read(mail.as_bytes(), "a.eml")
    assert document.losses == ()


@pytest.mark.parametrize(
    "header",
    [
        b"From: <<<>>> @, \nSubject: s",
        b"Date: nonsense\nSubject: s",
        b"Subject: =?utf-8?B?////?= s",
        b"Subject: s\nContent-Type: nonsense/;;; x=",
        b"Subject: s\nContent-Type: multipart/mixed",
        b"Subject: s\nContent-Transfer-Encoding: nonsense",
    ],
)
def test_malformed_headers_do_not_stop_the_reading(read: ReadAll, header: bytes) -> None:
    assert "s" in read(header + b"\n\ntext\n", "a.eml")[0].title


@pytest.mark.parametrize("data", [b"just some words", b"Key: value\n\nwords"])
def test_what_is_no_message_is_refused(read: ReadAll, data: bytes) -> None:
    with pytest.raises(UnreadableDocument, match="a.eml is no e-mail message"):
        read(data, "a.eml")
