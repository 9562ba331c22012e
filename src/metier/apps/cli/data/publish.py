"""``metier data``: write a version for other tools."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from metier.apps.cli.data.app import app
from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show


@app.command()
def publish(
    folder: Annotated[Path, typer.Argument(help="New or empty folder to write.")],
    how: Annotated[
        str, typer.Option("--format", help="openai, trl, sharegpt, alpaca, parquet or hub.")
    ] = "openai",
    split: Annotated[
        list[str] | None, typer.Option(help="Splits to write (default: not test, not challenge).")
    ] = None,
    version: str = typer.Option("latest", help="Data version."),
    directory: Directory = HERE,
    as_json: AsJson = False,
) -> None:
    """Write a version's splits in the format of another trainer, or as a hub data set."""
    from metier.journey.publishing import publish_version

    with session(directory) as opened:
        done = publish_version(opened, folder, how, version=version, splits=split or [])
    rows = ", ".join(f"{name} {count:,}" for name, count in done.rows.items())
    words = f"{rows} rows in {done.folder} (noted in the audit)"
    if "test" in done.rows:
        words += (
            "\nthe test set is among them: whoever trains on it can no longer be measured on it"
        )
    show(asdict(done), as_json, lambda: say(words))
