"""A real browser on a real server, and what every page is checked for.

The browser is the system's Chromium, driven through Playwright, whose driver comes with its package: nothing
is fetched.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog, Page, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
CONTROLS = {"button", "link", "textbox", "combobox", "checkbox", "radio", "meter", "searchbox", "spinbutton", "slider"}
PATIENCE_MS = 20_000
"""For a busy machine; what happens is seen at once."""
MIN_CONTRAST = 4.5
"""WCAG 2.2, success criterion 1.4.3, for text of any size."""


@contextmanager
def opened_browser() -> Iterator[Browser]:
    """Chromium without a window, with a profile of its own. No Chromium is a failure, never a skip."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.fail(
            "The tests of the pages need Chromium: `make test` installs it, or `apt-get install chromium` does."
        )
    expect.set_options(timeout=PATIENCE_MS)
    arguments = [*ARGUMENTS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened_page(browser: Browser, url: str, **options: Any) -> Iterator[Page]:
    """A page of a visitor of their own. Whatever it complains of in the console fails the test at its end.

    ``options`` are those of the visitor's context: ``color_scheme``, ``viewport`` and the like.
    """
    context = browser.new_context(base_url=url, locale="en-GB", timezone_id="UTC", **options)
    try:
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        complaints: list[str] = []
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))

        def refuse(dialog: Dialog) -> None:
            complaints.append(f"dialog: {dialog.message}")
            dialog.dismiss()

        page.on("dialog", refuse)
        yield page
        assert [text for text in complaints if not _is_told_to_people(text)] == []
    finally:
        context.close()


def _is_told_to_people(complaint: str) -> bool:
    """The browser notes each refusal of the server, which the page shows as a sentence; tests look for that.

    And each connection that broke; only a test that breaks one has that.
    """
    what = complaint.removeprefix("Failed to load resource: ")
    return what.startswith(("the server responded with a status of 4", "net::ERR_CONNECTION_RESET"))


def nameless_controls(page: Page) -> list[str]:
    """The controls that a screen reader has no name for, as the browser's own accessibility tree has them."""
    session = page.context.new_cdp_session(page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    session.detach()
    controls = [node for node in nodes if not node["ignored"] and node["role"]["value"] in CONTROLS]
    assert controls
    return [str(node["role"]["value"]) for node in controls if not node.get("name", {}).get("value", "").strip()]


def overflow_px(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    width: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return width


def pale_texts(page: Page) -> Sequence[str]:
    """Texts in sight whose contrast with what is behind them is below ``MIN_CONTRAST``, with it (WCAG 2.2)."""
    found: list[str] = page.evaluate(PALE_TEXTS, MIN_CONTRAST)
    return found


PALE_TEXTS = """(minimum) => {
  const parse = (color) => {
    const [r, g, b, a = 1] = color.match(/[\\d.]+/g).map(Number);
    return [r, g, b, a];
  };
  const over = ([r, g, b, a], under) => [r, g, b].map((value, at) => value * a + under[at] * (1 - a));
  const luminance = (color) => {
    const shares = color.map((value) => value / 255);
    const linear = shares.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const canvas = matchMedia("(prefers-color-scheme: dark)").matches ? [0, 0, 0] : [255, 255, 255];
  const behind = (element) => {
    if (!element) return canvas;
    const color = parse(getComputedStyle(element).backgroundColor);
    return color[3] === 1 ? color.slice(0, 3) : over(color, behind(element.parentElement));
  };
  const pale = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || !element.checkVisibility({ visibilityProperty: true })) continue;
    if (element.closest(":disabled, script, noscript, .unseen, option")) continue;
    const back = behind(element);
    const front = over(parse(getComputedStyle(element).color), back);
    const [light, dark] = [luminance(front), luminance(back)].sort((a, b) => b - a);
    const contrast = (light + 0.05) / (dark + 0.05);
    if (contrast < minimum) pale.push(`${contrast.toFixed(2)} ${node.data.trim().slice(0, 40)}`);
  }
  return pale;
}"""
