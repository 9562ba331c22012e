"""Make the pictures of README from a finished demo: a terminal session and some pages.

    python docs/pictures.py demo/        # writes docs/media/*.svg and *.jpg

The session is recorded: the commands below are run in a pseudo-terminal, and what they print is
drawn as it came. The pages are those of a running ``metier serve`` in Debian's Chromium.
"""

from __future__ import annotations

import io
import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
MEDIA = HERE / "media"
COLUMNS, WIDTH = 140, 1280
COMMANDS = ("metier demo {demo}", "metier cycle status", "metier release list")
PAGES = {"overview": "/", "try": "/try", "compare": "/compare"}


def recorded(command: str, folder: Path) -> str:
    """Return what a command prints in a terminal of ``COLUMNS`` columns, colours included."""
    pieces: list[bytes] = []
    words = [sys.executable, "-m", *shlex.split(command)]
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)  # progress is for the one who waits
        os.execve(
            words[0], words, {**os.environ, "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
        )
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # how a pseudo-terminal says that the other end is closed
            break
        if not piece:
            break
        pieces.append(piece)
    os.waitpid(child, 0)
    return b"".join(pieces).decode().replace("\r\n", "\n").rstrip()


def record_session(demo: Path) -> None:
    """Draw the commands and what they print, as one SVG."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    for command in COMMANDS:
        line = command.format(demo=demo.name)
        console.print(Text(f"$ {line}", style="bold"))
        folder = demo.parent if "{demo}" in command else demo
        printed = recorded(line, folder).replace(f"{demo.parent}/", "")
        console.print(Text.from_ansi(printed))
        console.print()
    MEDIA.mkdir(exist_ok=True)
    drawn = console.export_svg(title="metier")
    # Its fonts would be fetched from elsewhere; the reader's own monospace one does.
    plain = re.sub(r"@font-face\s*\{[^}]*\}", "", drawn)
    (MEDIA / "session.svg").write_text(plain, encoding="utf-8")


def take_pictures(demo: Path) -> None:
    """Photograph the pages of the demo, and its report."""
    from playwright.sync_api import sync_playwright

    command = [sys.executable, "-m", "metier", "serve", "--port", "0", "--json", "--project"]
    server = subprocess.Popen([*command, str(demo)], stdout=subprocess.PIPE, text=True)
    url = json.loads(server.stdout.readline())["url"] if server.stdout else ""
    places = {name: url + path for name, path in PAGES.items()}
    places["report"] = (demo / "report.html").as_uri()
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": WIDTH, "height": 900})
        page.goto(url)
        alone = page.locator("form[action='/start/alone'] button")
        if alone.count():  # nobody has said yet whether there are to be accounts
            alone.click()
        for name, place in places.items():
            page.goto(place)
            page.wait_for_timeout(800)  # charts are drawn after the page is there
            page.screenshot(path=MEDIA / f"{name}.jpg", type="jpeg", quality=70)
        browser.close()
    server.send_signal(signal.SIGTERM)
    server.wait()


if __name__ == "__main__":
    finished = Path(sys.argv[1]).resolve()
    record_session(finished)
    take_pictures(finished)
