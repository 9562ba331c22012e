"""Rows of erased groups do not come back with the next build, though their source may have them."""

from __future__ import annotations

from collections.abc import Sequence

from metier.core.ledger.erasures import erased_groups
from metier.core.types import Example
from metier.core.workspace import Workspace
from metier.data.spool import filtered


def without_erased(ws: Workspace, rows: Sequence[Example]) -> tuple[Sequence[Example], int]:
    """Return the rows of groups that were not erased, and how many others there were.

    A row without a group counts as a group of its own, under its id. What is left out is kept
    nowhere, not in quarantine either.
    """
    erased = erased_groups(ws)
    if not erased:
        return rows, 0
    kept = filtered(rows, lambda row: ws.sealed.group_hash(row.group or row.id) not in erased)
    return kept, len(rows) - len(kept)
