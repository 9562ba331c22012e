"""Pictures of every page: wide and narrow, light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

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
    "label": "/label",
    "interactions": "/interactions",
}
WIDTHS = (1280, 390)
SCHEMES = ("light", "dark")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser that talks to nobody."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def screenshots(url: str, folder: Path, pages: dict[str, str] | None = None) -> list[Path]:
    """Visit the pages served at ``url``; write four pictures of each, ``page-width-scheme.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with chromium() as browser:
        for width in WIDTHS:
            for scheme in SCHEMES:
                context = browser.new_context(
                    viewport={"width": width, "height": 900},
                    color_scheme=scheme,  # type: ignore[arg-type]
                )
                page = context.new_page()
                for name, path in (pages or PAGES).items():
                    page.goto(url + path)
                    page.wait_for_timeout(150)
                    file = folder / f"{name}-{width}-{scheme}.png"
                    page.screenshot(path=str(file), full_page=True)
                    written.append(file)
                context.close()
    return written
