"""Reading reStructuredText."""

from collections.abc import Callable

from rag.records import Document

ReadAll = Callable[..., list[Document]]
Layout = Callable[[Document], list[tuple[tuple[str, ...], str]]]


def test_underlines_make_headings_in_the_order_they_are_first_met(read: ReadAll, layout: Layout) -> None:
    text = "Top\n===\n\nintro\n\nSub\n---\nright below\n\nNext\n====\n\nSub\n---\nDeep\n~~~~\n\nend"
    (document,) = read(text, "a.rst")
    assert layout(document) == [
        (("Top",), "Top\n\nintro"),
        (("Top", "Sub"), "Sub\n\nright below"),
        (("Next",), "Next"),
        (("Next", "Sub"), "Sub"),
        (("Next", "Sub", "Deep"), "Deep\n\nend"),
    ]
    assert document.title == "Top"


def test_an_overlined_title_is_another_style_than_an_underlined_one(read: ReadAll, layout: Layout) -> None:
    (document,) = read("=====\n Top\n=====\n\nPart\n=====\n\ntext", "a.rst")
    assert layout(document) == [(("Top",), "Top"), (("Top", "Part"), "Part\n\ntext")]


def test_rules_tables_and_code_are_no_headings(read: ReadAll, layout: Layout) -> None:
    text = "text\n\n----\n\nmore::\n\n    code\n    ====\n\na  b\n== ==\n1  2\n\nnot a title\n--"
    (document,) = read(text, "a.rst")
    assert layout(document) == [((), text)]


def test_the_header_of_a_pep_gives_title_and_metadata_and_stays_in_the_text(read: ReadAll) -> None:
    header = "PEP: 8\nTitle: Style Guide\nAuthor: A B <a@b.c>,\n        C D\nStatus: Active"
    (document,) = read(f"{header}\n\nIntroduction\n============\n\nNote: this is no field.", "pep-0008.rst")
    assert document.title == "Style Guide"
    assert document.metadata == {"pep": "8", "title": "Style Guide", "author": "A B <a@b.c>,", "status": "Active"}
    assert document.text.startswith(header)
    assert document.media_type == "text/prs.fallenstein.rst"


def test_a_field_list_below_the_title_gives_metadata(read: ReadAll) -> None:
    (document,) = read("Guide\n=====\n\n:Author: A B\n:Version: 2\n\ntext", "a.rst")
    assert document.title == "Guide"
    assert document.metadata == {"author": "A B", "version": "2"}
