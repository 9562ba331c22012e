"""``metier data coverage``: what de-identification looks for, category by category."""

from __future__ import annotations

from typing import Annotated

import typer

from metier.apps.cli.data.app import app
from metier.apps.cli.frame import AsJson, say, show, table


@app.command()
def coverage(
    profile: Annotated[str, typer.Option(help="Profile to show.")] = "safe-harbor",
    markdown: Annotated[bool, typer.Option("--markdown", help="Print it as Markdown.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show which identifiers a profile looks for, how, in which languages, and what it leaves."""
    from metier.privacy import coverage as tables
    from metier.privacy.profiles import profile as named

    found = tables.coverage(named(profile).name)
    if markdown and not as_json:
        say(tables.markdown(found).rstrip())
    else:
        show(found, as_json, lambda: _show_table(found))


def _show_table(found: object) -> None:
    from metier.privacy.coverage import Coverage, spoken_languages

    assert isinstance(found, Coverage)
    say(f"What the profile {found.profile} looks for (letters: 45 CFR 164.514(b)(2)(i))\n")
    rows = [
        (row.letter or "-", kind.kind, kind.operator, spoken_languages(kind.languages), kind.how)
        for row in found.categories
        for kind in row.kinds
    ]
    table(["", "kind", "in its place", "languages", "how it is found"], rows)
    empty = [f"({row.letter}) {row.title}" for row in found.categories if not row.kinds]
    if empty:
        say(f"Not looked for: {'; '.join(empty)}.\n")
    table(
        ["", "category", "left to people"],
        [(row.letter, row.title, row.leaves) for row in found.categories if row.letter],
    )
    say(found.disclaimer)
