"""Exporting a queue to a file; noted in the audit log, as answers leave metier with it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from metier.annotate.exchange.files import Format, format_of, settings_text, write_packet
from metier.annotate.exchange.giving import give
from metier.core.artifacts import write_atomically
from metier.core.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: items, and records (rows of CSV)."""

    queue: str
    file: Path
    format: Format
    items: int
    records: int


def export(
    ws: Workspace,
    queue: str,
    file: Path,
    form: str = "",
    settings: Path | None = None,
    actor: str | None = None,
) -> Exported:
    """Write a queue to ``file``, and what the tool needs to show it to ``settings``.

    Raises NotFound for the queue, InputError for the format.
    """
    by_name = "csv" if file.suffix.lower() == ".csv" else "argilla"
    known = format_of(form or by_name)
    packet = give(ws, queue)
    records = write_packet(packet, file, known)
    if settings is not None:
        text = settings_text(packet, known)
        settings.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(settings, io.BytesIO(text.encode()))
    detail = {"format": known, "items": len(packet.items), "file": file.name}
    ws.audit.append(actor, "queue.export", queue, detail)
    return Exported(queue, file, known, len(packet.items), records)
