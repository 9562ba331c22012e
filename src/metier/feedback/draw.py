"""Chance that comes out alike every time: drawn from the workspace's key and what is drawn for."""

from __future__ import annotations

from metier.core.workspace import Workspace

_DIGITS = 13  # hex digits, 52 bits: as many as a float holds exactly


def lot(ws: Workspace, purpose: str, subject: str) -> float:
    """A number in [0, 1) for ``subject``, the same whenever it is asked for in this workspace.

    Keyed, so that nobody outside can choose an id or name that is drawn.
    """
    found = ws.sealed.group_hash(f"{purpose}\n{subject}").removeprefix("grp_")
    return float(int(found[:_DIGITS], 16) / 16**_DIGITS)
