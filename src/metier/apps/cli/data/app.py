"""``metier data``: the group its commands join."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, help="Build, inspect and restore data versions.")
