"""Decisions of people about the workspace as a whole: one JSON value under a name, audited.

They lie in the table ``settings``. A value holds ids and names, never text of people.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from metier.core.codec import dumps, loads
from metier.core.store.tables import Setting
from metier.core.types import Json
from metier.core.workspace import Workspace


def get_setting(ws: Workspace, name: str) -> Json:
    """Return the value under ``name``; None when nobody has decided yet."""
    with ws.db.reading() as session:
        row = session.get(Setting, name)
        return None if row is None else loads(dict, row.value)


def update_setting(
    ws: Workspace,
    name: str,
    change: Callable[[Json], Json],
    *,
    actor: str | None,
    action: str,
    detail: Mapping[str, Json],
) -> Json:
    """Replace the value (None: there is none yet) by what ``change`` makes of it; return that.

    The audit entry and the value are one transaction; of two at once, one waits for the other.
    """
    with ws.db.session() as session:
        # First: on PostgreSQL the chain's lock is what two writers meet at.
        ws.audit.append(actor, action, name, detail, session=session)
        row = session.get(Setting, name, populate_existing=True)
        value = change(None if row is None else loads(dict, row.value))
        if row is None:
            session.add(Setting(name=name, value=dumps(value)))
        else:
            row.value = dumps(value)
    return value
