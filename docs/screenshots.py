"""Photograph every page: ``python docs/screenshots.py [folder]``.

The project it shows is made for that (``tests/whole_site.py``, as the tests of safety and contrast
use it), so nobody's data is in the pictures. Each page is taken wide in light colours and as on a
phone in dark ones, as WebP of at most 60 KB, in Debian's Chromium; README.md lists them.
"""

from __future__ import annotations

import base64
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "tests"), str(HERE.parent / "src")]

from browser.shots import chromium  # noqa: E402
from http_desk import listening  # noqa: E402
from metier.people import NewInvitation, invite  # noqa: E402
from people_site import PASSWORD, email_of  # noqa: E402
from whole_site import Whole, whole  # noqa: E402

FOLDER = HERE / "screenshots"
VIEWS = ((1280, "light"), (390, "dark"))
MOST_BYTES = 60_000
TALLEST = {1280: 1700, 390: 1500}
PARTS = ("peek", "annotate-queue-guideline", "jobs", "verify", "forecast")
SETTLE_MS = 500


@dataclass(frozen=True)
class Shot:
    """One page as one person sees it ("" nobody). ``keys`` are pressed before it is taken."""

    name: str
    path: str
    who: str = "mara"
    keys: tuple[str, ...] = ()


def shots_of(site: Whole) -> list[Shot]:
    """Every page of the site, and some as others see them."""
    found = [
        Shot(name, path)
        for name, path in site.named().items()
        if not name.endswith(PARTS) and name not in ("label", "review-panel", "review-panel-1")
    ]
    _, code = invite(site.session.workspace, NewInvitation("annotator"), "docs")
    return [
        Shot("login", "/login", ""),
        Shot("join", f"/join?code={code}", ""),
        *found,
        Shot("annotate-keys", "/annotate/round-2", "ben", ("?",)),
        Shot("annotate-annotator", "/annotate/round-2", "ben", ("2",)),
        Shot("queues-annotator", "/queues", "ben"),
        Shot("review-rate", "/review/spring", "eva", ("4", "5")),
        Shot("review-compare", "/review/duel", "eva", ("1",)),
        Shot("not-allowed", "/runs", "ben"),
    ]


def take_all(folder: Path) -> list[tuple[Shot, int, str]]:
    """Write the pictures; return what was taken, in which width and colours."""
    taken = []
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as temporary,
        whole(Path(temporary) / "fernhill") as site,
        listening(site.app) as url,
        chromium() as browser,
    ):
        shots = shots_of(site)
        for width, scheme in VIEWS:
            for who in dict.fromkeys(one.who for one in shots):
                page = looking(browser, url, who, width, scheme)
                for shot in (one for one in shots if one.who == who):
                    picture = take(page, url, shot, width)
                    (folder / file_of(shot, width)).write_bytes(picture)
                    taken.append((shot, width, scheme))
                page.context.close()
    return taken


def looking(browser: Any, url: str, who: str, width: int, scheme: str) -> Any:
    """A page in which somebody has logged in ("": nobody)."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    if who:
        page.goto(f"{url}/login")
        page.get_by_label("E-mail").fill(email_of(who))
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(lambda now: "/login" not in now)
    return page


def take(page: Any, url: str, shot: Shot, width: int) -> bytes:
    """Photograph a page, as small as it must be."""
    page.goto(url + shot.path)
    page.wait_for_timeout(SETTLE_MS)  # charts are drawn after the page is there
    for key in shot.keys:
        page.keyboard.press(key)
    page.wait_for_timeout(SETTLE_MS)
    high = min(int(page.evaluate("document.documentElement.scrollHeight")), TALLEST[width])
    camera = page.context.new_cdp_session(page)
    for quality, scale in ((80, 1.0), (60, 1.0), (45, 0.9), (40, 0.75), (30, 0.6)):
        given = camera.send(
            "Page.captureScreenshot",
            {
                "format": "webp",
                "quality": quality,
                "captureBeyondViewport": True,
                "clip": {"x": 0, "y": 0, "width": width, "height": max(high, 500), "scale": scale},
            },
        )
        picture = base64.b64decode(given["data"])
        if len(picture) <= MOST_BYTES:
            break
    camera.detach()
    return picture


def file_of(shot: Shot, width: int) -> str:
    """The file's name."""
    return f"{shot.name}-{width}.webp"


def write_index(folder: Path, taken: list[tuple[Shot, int, str]]) -> None:
    """List the pictures, and remove those of pages that are no more."""
    shots = list(dict.fromkeys(shot for shot, _, _ in taken))
    lines = [
        "# Every page",
        "",
        "Made by `python docs/screenshots.py` from a made-up project; wide in light colours, as on",
        "a phone in dark ones. What is longer than two screens is cut off.",
        "",
        "| page | path | seen by | pictures |",
        "|---|---|---|---|",
    ]
    for shot in shots:
        links = ", ".join(f"[{width}]({file_of(shot, width)})" for width, _ in VIEWS)
        path = shot.path.partition("?")[0]
        lines.append(f"| {shot.name} | `{without_ids(path)}` | {shot.who or 'anybody'} | {links} |")
    (folder / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    known = {file_of(shot, width) for shot, width, _ in taken}
    for old in folder.glob("*.webp"):
        if old.name not in known:
            old.unlink()


def without_ids(path: str) -> str:
    """A path whose ids are dots: they differ from time to time."""
    import re

    return re.sub(r"(ver|run|eval|quar|chatcmpl|item)[_-][0-9a-f]{8,}", r"\1_…", path)


if __name__ == "__main__":
    target = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else FOLDER
    written = take_all(target)
    write_index(target, written)
    print(f"{len(written)} pictures in {target}")
