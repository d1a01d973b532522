"""Equations of Office files as text."""

import pytest
from lxml import etree

from rag.ingest.readers.equations import equation_text

NAMESPACE = "http://schemas.openxmlformats.org/officeDocument/2006/math"


def run(text: str) -> str:
    return f"<m:r><m:t>{text}</m:t></m:r>"


@pytest.mark.parametrize(
    ("xml", "text"),
    [
        (run("a=") + run("b"), "a=b"),
        (f"<m:f><m:num>{run('a+b')}</m:num><m:den>{run('2')}</m:den></m:f>", "(a+b)/2"),
        (f"<m:sSup><m:e>{run('10')}</m:e><m:sup>{run('-6')}</m:sup></m:sSup>", "10^(-6)"),
        (f"<m:sSub><m:e>{run('x')}</m:e><m:sub>{run('1')}</m:sub></m:sSub>", "x_1"),
        (f"<m:sSubSup><m:e>{run('x')}</m:e><m:sub>{run('1')}</m:sub><m:sup>{run('2')}</m:sup></m:sSubSup>", "x_1^2"),
        (f"<m:rad><m:deg/><m:e>{run('x+1')}</m:e></m:rad>", "√(x+1)"),
        (f"<m:d><m:dPr><m:begChr m:val='['/><m:endChr m:val=']'/></m:dPr><m:e>{run('x')}</m:e></m:d>", "[x]"),
        (f"<m:d><m:e>{run('x')}</m:e></m:d>", "(x)"),
        (
            f"<m:nary><m:naryPr><m:chr m:val='∑'/></m:naryPr><m:sub>{run('i=1')}</m:sub><m:sup>{run('n')}</m:sup>"
            f"<m:e>{run('i')}</m:e></m:nary>",
            "∑_(i=1)^n i",
        ),
        (f"<m:func><m:fName>{run('sin')}</m:fName><m:e>{run('x')}</m:e></m:func>", "sin x"),
        (
            f"<m:m><m:mr><m:e>{run('a')}</m:e><m:e>{run('b')}</m:e></m:mr><m:mr><m:e>{run('c')}</m:e></m:mr></m:m>",
            "[a, b; c]",
        ),
    ],
)
def test_what_changes_the_meaning_is_marked(xml: str, text: str) -> None:
    assert equation_text(etree.fromstring(f"<m:oMath xmlns:m='{NAMESPACE}'>{xml}</m:oMath>")) == text


def test_deep_nesting_is_read_flat() -> None:
    xml = run("x")
    for _ in range(80):
        xml = f"<m:sSup><m:e>{xml}</m:e><m:sup>{run('2')}</m:sup></m:sSup>"
    assert "x" in equation_text(etree.fromstring(f"<m:oMath xmlns:m='{NAMESPACE}'>{xml}</m:oMath>"))
