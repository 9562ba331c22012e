"""Pictures of every page: wide and narrow, light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
PAGES = {
    "overview": "/",
    "runs": "/runs",
    "run": "/runs/latest",
    "compare": "/compare",
    "try": "/try",
    "queues": "/queues",
    "corrections": "/annotate/corrections",
    "guidelines": "/guidelines",
    "interactions": "/interactions",
    "reply": "/interactions?which=said",
}
WIDTHS = (1280, 390)
SCHEMES = ("light", "dark")
SETTLE_MS = 150


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser that talks to nobody."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def screenshots(
    url: str,
    folder: Path,
    pages: dict[str, str] | None = None,
    browser: Browser | None = None,
    words: str = "",
) -> list[Path]:
    """Visit the pages served at ``url``; write four pictures of each, ``page-width-scheme.png``.

    ``words`` are sent on the page Try it before its picture is taken.
    """
    if browser is None:
        with chromium() as own:
            return screenshots(url, folder, pages, own, words)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for width, scheme in product(WIDTHS, SCHEMES):
        view: Any = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
        context = browser.new_context(**view)
        page = context.new_page()
        for name, path in (pages or PAGES).items():
            page.goto(url + path)
            if name == "reply":
                _open_first_reply(page)
            if name == "try" and words:
                page.fill("#message", words)
                page.press("#message", "Enter")
                page.locator(".react").nth(1).wait_for()
            page.wait_for_timeout(SETTLE_MS)
            written.append(folder / f"{name}-{width}-{scheme}.png")
            page.screenshot(path=str(written[-1]), full_page=True)
        context.close()
    return written


def _open_first_reply(page: Page) -> None:
    first = page.locator("td a.row")
    if first.count():
        first.first.click()
        page.locator(".react").wait_for()
