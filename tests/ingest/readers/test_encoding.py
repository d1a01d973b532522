"""From bytes to text."""

import random

import pytest

from rag.errors import UnreadableDocument
from rag.ingest.readers.encoding import DecodedText, decode_text

FRENCH = "Le café est fermé. Les élèves étaient à l’école, où ils ont été reçus très chaleureusement."
CZECH = "Příliš žluťoučký kůň úpěl ďábelské ódy. Příliš žluťoučký kůň úpěl ďábelské ódy."
JAPANESE = "会社の規則は次の通りです。\n一年に二十日の休暇があります。\n"
RUSSIAN = "Съешь ещё этих мягких французских булок, да выпей чаю."


@pytest.mark.parametrize(
    ("data", "text", "encoding"),
    [
        (b"plain", "plain", "utf-8"),
        ("naïve – “x”".encode(), "naïve – “x”", "utf-8"),
        ("é".encode("utf-8-sig"), "é", "utf-8"),
        ("é漢".encode("utf-16"), "é漢", "utf-16-le"),
        (b"\xfe\xff" + "é漢".encode("utf-16-be"), "é漢", "utf-16-be"),
        ("é漢".encode("utf-32"), "é漢", "utf-32-le"),
        ("plain text".encode("utf-16-le"), "plain text", "utf-16-le"),
        ("plain text".encode("utf-16-be"), "plain text", "utf-16-be"),
        (JAPANESE.encode("utf-16-le"), JAPANESE, "utf-16-le"),
        (JAPANESE.encode("utf-16-be"), JAPANESE, "utf-16-be"),
        (f"{RUSSIAN}\n".encode("utf-16-be"), f"{RUSSIAN}\n", "utf-16-be"),
        (JAPANESE.encode("cp932"), JAPANESE, "cp932"),
        (JAPANESE.encode("euc_jp"), JAPANESE, "euc_jp"),
        (JAPANESE.encode("iso2022_jp"), JAPANESE, "iso-2022-jp"),
        (FRENCH.encode("cp1252"), FRENCH, "cp1252"),
        ("Café für 10 €, naïve".encode("cp1252"), "Café für 10 €, naïve", "cp1252"),
        (b"plain text\n" * 20_000 + "é\n".encode("cp1252"), "plain text\n" * 20_000 + "é\n", "cp1252"),
        (CZECH.encode("cp1250"), CZECH, "cp1250"),
        (RUSSIAN.encode("koi8-r"), RUSSIAN, "koi8_r"),
        ("名前,年齢,住所\r\n佐藤太郎,30,東京".encode("cp932"), "名前,年齢,住所\r\n佐藤太郎,30,東京", "cp932"),
    ],
)
def test_text_is_decoded(data: bytes, text: str, encoding: str) -> None:
    assert decode_text(data, name="a.txt") == DecodedText(text, encoding)


def test_a_declared_encoding_is_believed_when_it_fits() -> None:
    assert decode_text("Größe".encode("cp1257"), name="a", declared="windows-1257") == DecodedText(
        "Größe", "windows-1257"
    )


@pytest.mark.parametrize("declared", ["base64", "rot13", "utf-7", "unicode_escape", "iso-8859-99", "big5"])
def test_a_declared_encoding_that_does_not_fit_is_passed_over(declared: str) -> None:
    assert decode_text(FRENCH.encode("cp1252"), name="a", declared=declared) == DecodedText(FRENCH, "cp1252")


@pytest.mark.parametrize("declared", ["iso-8859-1", "us-ascii", "windows-1252"])
def test_what_windows_writes_under_other_names_keeps_its_quotation_marks(declared: str) -> None:
    text = "“Café” – 10 €"
    assert decode_text(text.encode("cp1252"), name="a", declared=declared) == DecodedText(text, declared)


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [("euc_jp", "shift_jis"), ("cp932", "iso-8859-1"), ("cp932", "euc-jp"), ("cp932", "utf-8"), ("utf-8", "shift_jis")],
)
def test_a_wrong_declaration_is_seen_through(encoding: str, declared: str) -> None:
    assert decode_text(JAPANESE.encode(encoding), name="a", declared=declared) == DecodedText(JAPANESE, encoding)


def test_damage_in_a_declared_encoding_is_counted() -> None:
    decoded = decode_text((JAPANESE * 5).encode("cp932") + b"\x81", name="a", declared="shift_jis")
    assert decoded == DecodedText(JAPANESE * 5 + "\ufffd", "shift_jis", 1)


def test_replacement_characters_that_stand_in_the_file_are_no_loss() -> None:
    assert decode_text("a\ufffdb".encode(), name="a").loss == ""


def test_a_few_damaged_bytes_do_not_turn_utf_8_into_something_else() -> None:
    decoded = decode_text(("naïve café " * 50).encode() + b"\xff", name="a")
    assert decoded == DecodedText("naïve café " * 50 + "\ufffd", "utf-8 (damaged)", 1)
    assert decoded.loss == "1 place could not be decoded as utf-8 and now read U+FFFD."


@pytest.mark.parametrize("data", [random.Random(1).randbytes(2_000), b"\0" * 100, b"MZ\x90\0\3\0\0\0" * 20])
def test_binary_data_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableDocument, match="a.txt holds binary data"):
        decode_text(data, name="a.txt")


@pytest.mark.parametrize(
    ("data", "kind"), [(b"%PDF-1.7\nabc", "a PDF"), (b"PK\x03\x04abc", "a ZIP"), (b"\x89PNG abc", "PNG")]
)
def test_a_file_under_the_wrong_ending_is_named_for_what_it_is(data: bytes, kind: str) -> None:
    with pytest.raises(UnreadableDocument, match=kind):
        decode_text(data, name="a.txt")


def test_damaged_utf_16_is_refused() -> None:
    with pytest.raises(UnreadableDocument, match="damaged: byte 3 is not utf-16-le"):
        decode_text("ab".encode("utf-16")[:-1], name="a")
