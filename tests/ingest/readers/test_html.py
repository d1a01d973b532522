"""Reading HTML."""

import warnings
from collections.abc import Callable

import pytest

from rag.errors import UnreadableDocument
from rag.records import Document

ReadAll = Callable[..., list[Document]]
Layout = Callable[[Document], list[tuple[tuple[str, ...], str]]]


def test_the_content_of_a_page_is_read_without_what_surrounds_it(read: ReadAll, layout: Layout) -> None:
    page = """<!doctype html><html lang=en><head><title>Leave | Handbook</title><meta name=author content="A B">
        <style>p {}</style></head><body><header>Site<nav>Menu</nav></header><aside>Ad</aside>
        <div role=navigation>More menu</div><form><input value=x>Search <button>Go</button></form>
        <h1>Leave</h1><p>You have <b>20</b> days.</p><!-- hidden --><script>no()</script><noscript>no</noscript>
        <h2>Sick leave</h2><p>It is<br>other.</p><footer>Imprint</footer></body></html>"""
    (document,) = read(page, "leave.html")
    assert layout(document) == [
        (("Leave",), "Leave\n\nYou have 20 days."),
        (("Leave", "Sick leave"), "Sick leave\n\nIt is\nother."),
    ]
    assert document.title == "Leave | Handbook"
    assert document.metadata == {"author": "A B", "language": "en"}
    assert document.media_type == "text/html"


@pytest.mark.parametrize("content", ["<main>{}</main>", "<div role=main>{}</div>", "<article>{}</article>"])
def test_only_the_main_part_is_read_if_it_is_marked(read: ReadAll, content: str) -> None:
    inner = "<header><h1>Title</h1></header><p>The text of the page, long enough to be it.</p>"
    (document,) = read(f"<body><div>Before</div>{content.format(inner)}<div>After</div></body>", "a.html")
    assert document.text == "Title\n\nThe text of the page, long enough to be it."


def test_an_article_that_is_only_a_teaser_is_not_taken_for_the_page(read: ReadAll) -> None:
    (document,) = read("<article>Teaser</article><p>The text of the page, which is longer.</p>", "a.html")
    assert "which is longer" in document.text


def test_a_page_wrapped_in_a_form_is_read(read: ReadAll) -> None:
    page = "<h1>T</h1><form><p>Text</p><select><option>x</select><button>Send</button></form>"
    assert read(page, "a.html")[0].text == "T\n\nText"


def test_a_heading_within_a_button_is_read(read: ReadAll, layout: Layout) -> None:
    assert layout(read("<h2><button>When?</button></h2><p>Now.</p>", "a.html")[0]) == [(("When?",), "When?\n\nNow.")]


def test_a_page_of_nothing_but_surroundings_is_read_after_all(read: ReadAll) -> None:
    assert read("<nav>Home</nav><footer>Imprint</footer>", "a.html")[0].text == "Home\n\nImprint"


@pytest.mark.parametrize("page", ["<html></html>", "<script>x</script>", "<!-- x -->", "<p>&nbsp;</p>"])
def test_a_page_without_text_is_refused(read: ReadAll, page: str) -> None:
    with pytest.raises(UnreadableDocument, match="a.html holds no text"):
        read(page, "a.html")


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("H<sub>2</sub>O &amp; caf&eacute; &lt;x&gt;", "H2O & café <x>"),
        ("<p>a  b\n c<p>d", "a b c\n\nd"),
        ("<div>a<div>b</div>c</div>", "a\n\nb\n\nc"),
        ("<pre>  x\n    y  z</pre>", "x\n  y  z"),
        ("<ul><li>a<li>b<ol><li>c<li>d</ol></ul>e", "- a\n- b\n  1. c\n  2. d\n\ne"),
        ("<ul><li><p>a</p><p>b</p></li></ul>", "- a\n  b"),
        ("<dl><dt>Term<dd>Meaning</dl>", "Term\n\nMeaning"),
        ("<img src=x alt='A chart'> shown", "A chart shown"),
        ("plain words without a tag", "plain words without a tag"),
    ],
)
def test_blocks_and_words_are_kept_apart_as_shown(read: ReadAll, html: str, text: str) -> None:
    assert read(html, "a.html")[0].text == text


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ("<tr><th>Name<th>Days<tr><td>Bob<td>5<tr><td>Eve<td>", "Name: Bob; Days: 5\nName: Eve"),
        ("<thead><tr><td>Name<td>Days</thead><tr><td>Bob<td>5", "Name: Bob; Days: 5"),
        ("<tr><th>Founded<td>1975<tr><th>People<td>A<td>B", "Founded: 1975\nPeople: A; B"),
        ("<tr><td>a<td>b<tr><td>c<td>d", "a; b\nc; d"),
        ("<tr><th>X<th>Y<tr><td rowspan=2>a<td>b<tr><td>c", "X: a; Y: b\nX: a; Y: c"),
        (
            "<tr><th rowspan=2>N<th colspan=2>Sales<tr><th>2022<th>2023<tr><td>a<td>1<td>2",
            "N: a; Sales 2022: 1; Sales 2023: 2",
        ),
        ("<tr><th>X<th>Y<th>Z<tr><td colspan=2>a<td>b", "X: a; Z: b"),
        ("<caption>Leave</caption><tr><th>X<th>Y<tr><td>a<td>b", "Leave\nX: a; Y: b"),
        ("<tr><th>only<th>headers", "only; headers"),
        ("<tr><td colspan=99999999999>a<td rowspan=-1>b", "a; b"),
    ],
)
def test_table_rows_repeat_the_column_names(read: ReadAll, rows: str, text: str) -> None:
    assert read(f"<table>{rows}</table>", "a.html")[0].text == text


def test_a_table_that_arranges_a_page_is_read_as_the_blocks_in_it(read: ReadAll, layout: Layout) -> None:
    html = "<table><tr><td>Left<td><h1>T</h1><table><tr><th>X<th>Y<tr><td>a<td>b</table></table>"
    assert layout(read(html, "a.html")[0]) == [((), "Left"), (("T",), "T\n\nX: a; Y: b")]


@pytest.mark.parametrize(
    "unit", ["<div>x", "<b>x", "<table><tr><td>x", "<ul><li>x", "<form><div>x", "<h1>x", "<button>", "<font><p>x"]
)
def test_hostile_nesting_neither_crashes_nor_hangs(read: ReadAll, unit: str) -> None:
    assert "x" in read(unit * 2_000 + "<p>x", "a.html")[0].text


def test_a_text_node_of_many_megabytes_is_not_cut_off(read: ReadAll) -> None:
    (document,) = read("<p>" + "word " * 2_200_000 + "end", "a.html", max_file_bytes=10**8, max_document_chars=10**8)
    assert document.text.endswith("word end")


@pytest.mark.parametrize(
    "content",
    [
        '<?xml version="1.0" encoding="utf-8"?><rss><channel><title>x</title></channel></rss>',
        "<?xml version='1.0'?><html><body>x</body></html>",
        "<a></a><?xml x?>x",
        "http://example.com/x",
        "x.html",
    ],
)
def test_the_parsers_warnings_reach_nobody(read: ReadAll, content: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert "x" in read(content, "a.html")[0].text
    assert caught == []


def test_the_declared_encoding_is_used(read: ReadAll) -> None:
    page = '<meta http-equiv="Content-Type" content="text/html; charset=windows-1251"><p>Привет, мир'
    (document,) = read(page.encode("cp1251"), "a.htm")
    assert document.text == "Привет, мир"
    assert document.metadata == {"encoding": "windows-1251"}
