"""Which labels a reply or a correction may name just now."""

from __future__ import annotations

from metier.core import ledger
from metier.core.errors import NotFound
from metier.core.objective import Objective
from metier.core.workspace import Workspace


def current_labels(ws: Workspace, objective: Objective) -> tuple[str, ...]:
    """The closed set in force: the champion's, else the latest version's, else the project's.

    Empty where the task has none, or where no version froze it yet.
    """
    from metier.registry import aliases, load_manifest

    champion = aliases(ws).get("champion")
    if champion is not None:
        return load_manifest(ws, champion).labels
    try:
        return ledger.get_version(ws).labels
    except NotFound:
        return tuple(objective.labels) if isinstance(objective.labels, list) else ()
