"""What every verb of the command line shares: errors, output, progress, the open workspace.

A verb's body opens a session, calls one library verb, and shows the result. Standard output is for
results (tables, or one JSON document with ``--json``); progress and errors go to standard error.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metier.core.errors import InputError, UserError, disk_full, met_full_disk

if TYPE_CHECKING:
    from metier.core.progress import Progress
    from metier.journey.session import Session

Directory = Annotated[
    Path, typer.Option("--project", "-p", help="Project folder (default: here or above).")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
HERE = Path(".")
INTERRUPTED = 130
PLACES = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT,
    errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG,
)  # fmt: skip
"""What the system says of a place that is not there, or not ours: no bug, and no traceback."""


@contextmanager
def session(directory: Path) -> Iterator[Session]:
    """Open the project at or above ``directory``; its workspace is made on first use."""
    from metier.config import find_project
    from metier.journey.session import open_session

    path = find_project(directory)
    logs = path.parent / ".metier" / "logs"
    with terminal_progress(logs) as progress, open_session(path, progress) as opened:
        yield opened


@contextmanager
def terminal_progress(logs: Path | None) -> Iterator[Progress]:
    """Progress as bars on a terminal, as plain lines elsewhere, and as a JSON-lines log in
    ``logs`` (None: no project, no log)."""
    from metier.apps.cli.bars import Bars, plain_lines
    from metier.core.progress import Progress, Sink, json_lines

    sinks: list[Sink] = []
    if logs is not None:
        logs.mkdir(parents=True, exist_ok=True)
        sinks.append(json_lines(logs / "progress.jsonl"))
    if sys.stderr.isatty():
        with Bars() as bars:
            yield Progress(bars, *sinks)
    else:
        yield Progress(plain_lines(sys.stderr), *sinks)


def guarded(run: Callable[[], Any]) -> Any:
    """Call ``run``; tell what a user can fix in words and exit with the error's code."""
    try:
        return run()
    except UserError as error:
        fail(error)
    except KeyboardInterrupt:
        typer.echo("\ninterrupted; run the same command again to go on from here", err=True)
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except OSError as error:
        if met_full_disk(error):
            fail(disk_full("writing to the workspace"))
        if error.errno in PLACES and error.filename is not None:
            fail(unusable_place(error))
        raise


def unusable_place(error: OSError) -> UserError:
    """Say that a path which was given, or the project's folder, cannot be used, and why."""
    path = Path(os.fsdecode(error.filename))
    missing = error.errno == errno.ENOENT and not path.parent.is_dir()
    got = f"no folder {path.parent}" if missing else f"{path}: {error.strerror}"
    remedy = "check the name, and who may write there"
    return InputError("a file or folder that can be opened", got=got, remedy=remedy)


def fail(error: UserError) -> None:
    """Print the error (as JSON when that was asked for) and exit with its code."""
    if "--json" in sys.argv:
        parts = {"expected": error.expected, "got": error.got, "remedy": error.remedy}
        typer.echo(json.dumps({"error": {"type": type(error).__name__, **parts}}))
    else:
        typer.echo(f"metier: {error}", err=True)
    raise SystemExit(error.exit_code)


def show(result: Any, as_json: bool, text: Callable[[], None]) -> None:
    """Print ``result`` as JSON, or call ``text`` to print it for people."""
    if as_json:
        from metier.core.codec import to_json

        typer.echo(json.dumps(to_json(result), ensure_ascii=False, indent=2))
    else:
        text()


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "") -> None:
    """Print a table; columns whose cells are all numbers are right-aligned."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cells = [[str(cell) for cell in row] for row in rows]
    drawn = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for index, header in enumerate(headers):
        numeric = bool(cells) and all(row[index][:1] in "0123456789-+–" for row in cells)
        drawn.add_column(header, justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        drawn.add_row(*(Text(cell) for cell in row))
    Console(width=None if sys.stdout.isatty() else 160).print(drawn)


def say(text: str = "") -> None:
    """Print a line of result text."""
    typer.echo(text)
