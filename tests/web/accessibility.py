"""What holds for every page, whoever uses it: it can be read, its controls have names, and it fits a phone."""

from playwright.sync_api import Page

from tests.web.browsing import nameless_controls, overflow_px, pale_texts

SCHEMES = ("light", "dark")
PHONE = {"width": 390, "height": 800}
NARROWEST = {"width": 320, "height": 640}


def check_page(page: Page) -> None:
    """Check a page as it stands, folded parts opened; its window is a narrow one afterwards."""
    page.evaluate("for (const folded of document.querySelectorAll('details')) folded.open = true")
    assert pale_texts(page) == []
    assert nameless_controls(page) == []
    for size in (PHONE, NARROWEST):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        assert overflow_px(page) == 0, size
