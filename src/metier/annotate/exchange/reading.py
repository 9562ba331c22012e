"""Importing a file into a queue: the counterpart of ``out.export``."""

from __future__ import annotations

import tempfile
from pathlib import Path

from metier.annotate.exchange.files import Format, read_packet
from metier.annotate.exchange.taking import Into, Taken, take
from metier.core.workspace import Workspace

SUFFIX: dict[Format, str] = {"csv": ".csv", "argilla": ".json", "label_studio": ".json"}


def import_file(
    ws: Workspace,
    file: Path,
    into: Into,
    actor: str,
    *,
    form: str = "",
    settings: Path | None = None,
    dry_run: bool = False,
) -> Taken:
    """Take a file's items and answers into a queue; what cannot be used is named in ``refused``.

    Raises InputError for a file or queue that cannot be, as ``read_packet`` and ``take`` do.
    """
    return take(ws, read_packet(file, form, settings), into, actor, dry_run=dry_run)


def import_bytes(
    ws: Workspace, data: bytes, into: Into, actor: str, form: Format, *, dry_run: bool = False
) -> Taken:
    """The same for what came over the network: JSON, JSON lines or CSV, in UTF-8."""
    with tempfile.TemporaryDirectory(dir=ws.work_dir) as folder:
        file = Path(folder) / f"body{SUFFIX[form]}"
        file.write_bytes(data)
        return import_file(ws, file, into, actor, form=form, dry_run=dry_run)
