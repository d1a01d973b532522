"""HTML: the content of a page without what stands around it (menus, banners, forms, scripts)."""

import re
from collections.abc import Iterator

from bs4 import BeautifulSoup, Tag

from rag.ingest.readers.facts import one_line, sensible_property
from rag.ingest.readers.html_blocks import HtmlBlocks
from rag.ingest.readers.html_walk import walk
from rag.ingest.readers.outline import TextBuilder
from rag.ingest.readers.raw_file import RawFile
from rag.records import Document
from rag.text.clean import clean_text

DECLARED_ENCODING = re.compile(
    rb"""(?:<meta[^>]{0,200}charset\s*=\s*|<\?xml[^>]{0,100}encoding\s*=\s*)["']?(?P<encoding>[\w-]{2,20})""",
    re.IGNORECASE,
)
_XML_DECLARATION = re.compile(r"<\?xml[^>]{0,1000}>", re.IGNORECASE)
_FACTS = ("author", "description", "keywords")
# An only <article> is the content if it has at least this share of the page's text, else it may be a teaser.
_ARTICLE_SHARE = 0.5


def read_html(raw: RawFile) -> Iterator[Document]:
    """Read ``.html`` or ``.htm``: what is in ``<main>`` or the only ``<article>``, else in the body.

    Menus, site headers and footers, asides, forms, scripts and styles are left out, unless nothing else is there.

    Raises:
        UnreadableDocument: the file is not text, or shows none.
        LimitExceeded: the file or its text is too large.
    """
    content = raw.read_text(declaration=DECLARED_ENCODING)
    soup = _parse(content.text)
    builder = TextBuilder(raw)
    builder.lose(*content.losses)
    for root, keeps_surroundings in ((_content_root(soup), False), (soup, False), (soup, True)):
        if builder.is_empty:
            _add_blocks(builder, root, keeps_surroundings=keeps_surroundings)
    yield builder.document(
        title=sensible_property(soup.title.get_text() if soup.title else None),
        media_type="text/html",
        metadata={**_facts(soup), **content.metadata},
    )


def add_html(builder: TextBuilder, markup: str) -> None:
    """Add the blocks of a piece of HTML that stands within another document."""
    _add_blocks(builder, _parse(markup), keeps_surroundings=True)


def _add_blocks(builder: TextBuilder, root: Tag, *, keeps_surroundings: bool) -> None:
    blocks = HtmlBlocks(builder, root, keeps_surroundings=keeps_surroundings)
    walk(root, blocks)
    blocks.flush()


def _parse(markup: str) -> BeautifulSoup:
    # Beautiful Soup warns of markup that looks like XML or like a file name; both are wrong alarms here.
    cleaned = _XML_DECLARATION.sub("", clean_text(markup))
    return BeautifulSoup(cleaned if "<" in cleaned else f"<p>{cleaned}", "lxml")


def _content_root(soup: BeautifulSoup) -> Tag:
    main = soup.find("main") or soup.find(None, {"role": "main"})
    if isinstance(main, Tag):
        return main
    articles = soup.find_all("article", limit=2)
    if len(articles) == 1 and len(articles[0].get_text()) >= _ARTICLE_SHARE * len(soup.get_text()):
        return articles[0]
    return soup


def _facts(soup: BeautifulSoup) -> dict[str, str]:
    facts = {}
    for name in _FACTS:
        tag = soup.find("meta", attrs={"name": name})
        if isinstance(tag, Tag):
            facts[name] = one_line(str(tag.get("content", "")))
    root = soup.find("html")
    if isinstance(root, Tag):
        facts["language"] = one_line(str(root.get("lang", "")))
    return facts
