"""``metier data``: look at a file before it is a source."""

from __future__ import annotations

from pathlib import Path

from metier.apps.cli.data.app import app
from metier.apps.cli.frame import AsJson, say, show


@app.command()
def guess(file: Path, as_json: AsJson = False) -> None:
    """Say which columns of a file look like prompt, target and group, and why."""
    from metier.sources import guess as look

    found = look(file)
    show(found, as_json, lambda: _show_guess(found))


def _show_guess(found: object) -> None:
    from metier.journey.start import guess_lines

    for line in guess_lines(found):  # type: ignore[arg-type]
        say(line)
