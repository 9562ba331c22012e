"""Write a project's data version for other tools."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from metier.core.errors import InputError, nearest
from metier.data.export import FORMATS, Exported, export_version
from metier.journey.session import Session


def publish_version(
    session: Session,
    folder: Path,
    how: str,
    *,
    version: str = "latest",
    splits: Sequence[str] = (),
) -> Exported:
    """Write splits of a version into ``folder`` in a format (see ``data.export``).

    Raises:
        InputError: no such format or split, the format cannot hold a row, or the folder is not
            empty.
        NotFound: no such version.
    """
    if how not in FORMATS:
        raise InputError("a format", got=repr(how), remedy=nearest(how, FORMATS))
    objective = session.project.objective
    ws = session.workspace
    return export_version(ws, objective, folder, how, version=version, splits=splits)
