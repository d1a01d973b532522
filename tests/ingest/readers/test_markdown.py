"""Reading Markdown."""

from collections.abc import Callable

import pytest

from rag.errors import UnreadableDocument
from rag.records import Document

ReadAll = Callable[..., list[Document]]
Layout = Callable[[Document], list[tuple[tuple[str, ...], str]]]


def test_headings_give_the_path_and_stand_in_their_section(read: ReadAll, layout: Layout) -> None:
    (document,) = read("intro\n\n# Leave\n\nSetext\n------\ntext *one*\n\n# Pay #\nmore", "a.md")
    assert layout(document) == [
        ((), "intro"),
        (("Leave",), "Leave"),
        (("Leave", "Setext"), "Setext\n\ntext one"),
        (("Pay",), "Pay\n\nmore"),
    ]
    assert document.title == "Leave"
    assert document.media_type == "text/markdown"


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("**bold** _soft_ ~~gone~~ `code`", "bold soft gone code"),
        ("see [the *guide*](http://x.y/z 'title') or <http://a.b>", "see the guide or http://a.b"),
        ("![a chart](x.png) and [ref][1]\n\n[1]: http://x.y", "a chart and ref"),
        ("a line\nwrapped &amp; more\\*", "a line wrapped & more*"),
        ("one  \ntwo<br>three", "one\ntwo\nthree"),
        ("> quoted\n> text", "quoted text"),
        ("a <span class='x'>b</span> c", "a b c"),
        ("a\n\n---\n\nb", "a\n\nb"),
        ('[Templates]({% page "/x/#y" %}) and [home]({{ site.url }}/a)', "Templates and home"),
    ],
)
def test_marks_are_dropped_and_words_kept(read: ReadAll, markdown: str, text: str) -> None:
    assert read(markdown, "a.md")[0].text == text


def test_lists_keep_their_marks_numbers_and_levels(read: ReadAll) -> None:
    markdown = "Do:\n\n* one\n  wrapped\n* two\n\n  more of two\n\n3. three\n   - deep\n4. four"
    assert read(markdown, "a.md")[0].text == ("Do:\n\n- one wrapped\n- two\n  more of two\n3. three\n  - deep\n4. four")


def test_a_table_becomes_a_line_per_row_with_the_column_names(read: ReadAll) -> None:
    markdown = "Days:\n\n| Name | *Days* |\n|---|---|\n| Bob | 5 |\n| Eve | |\n\nEnd"
    assert read(markdown, "a.md")[0].text == "Days:\n\nName: Bob; Days: 5\nName: Eve\n\nEnd"


def test_code_is_kept_as_it_is(read: ReadAll) -> None:
    assert (
        read("Run:\n\n```sh\nif *a*:\n    b  # c\n\n\nd\n```\n", "a.md")[0].text == "Run:\n\nif *a*:\n    b  # c\n\nd"
    )


def test_html_is_read_for_its_words_and_comments_are_dropped(read: ReadAll, layout: Layout) -> None:
    markdown = (
        "<!-- no -->\n\n<details>\n<summary>More</summary>\n\ntext\n\n</details>\n\n<h2>Part</h2>\n\n<p>a<b>b</b></p>\n"
    )
    assert layout(read(markdown, "a.md")[0]) == [((), "More\n\ntext"), (("Part",), "Part\n\nab")]


def test_scripts_within_markdown_are_dropped(read: ReadAll) -> None:
    assert read("a\n\n<script>alert(1)</script>\n\n<style>p {}</style>\n\nb", "a.md")[0].text == "a\n\nb"


def test_front_matter_gives_title_and_metadata(read: ReadAll) -> None:
    matter = "title: 'Leave: all of it'\nauthor: A B\nyear: 2024\ndraft: false\nversion: 1.10\ntags:\n  - x\nno:\n# x\n"
    (document,) = read(f"---\n{matter}---\n# Heading\ntext", "a.md")
    assert document.title == "Leave: all of it"
    assert document.metadata == {"author": "A B", "year": 2024, "draft": False, "version": "1.10"}
    assert document.text == "Heading\n\ntext"


def test_prose_between_two_rules_is_no_front_matter(read: ReadAll) -> None:
    assert read("---\n\nThis is prose.\n\n---\n\nmore", "a.md")[0].text == "This is prose.\n\nmore"


def test_a_file_of_nothing_but_front_matter_is_refused(read: ReadAll) -> None:
    with pytest.raises(UnreadableDocument, match="a.md holds no text"):
        read("---\ntitle: x\n---\n", "a.md")


def test_lists_too_deep_for_the_parser_are_refused_rather_than_lost(read: ReadAll) -> None:
    with pytest.raises(UnreadableDocument, match="too deeply"):
        read("".join("  " * i + f"- item {i}\n" for i in range(100)), "a.md")
    assert "item 19" in read("".join("  " * i + f"- item {i}\n" for i in range(20)), "a.md")[0].text


@pytest.mark.parametrize("ending", ["md", "markdown"])
def test_windows_line_ends_are_read(read: ReadAll, ending: str) -> None:
    assert read("---\r\na: b\r\n---\r\n# T\r\n\r\ntext\r\n", f"a.{ending}")[0].text == "T\n\ntext"
