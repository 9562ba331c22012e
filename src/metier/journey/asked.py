"""The people that a queue or a panel is for, named by id or e-mail."""

from __future__ import annotations

from collections.abc import Sequence

from metier.core.errors import InputError
from metier.journey.session import Session
from metier.people import Permission, get_person, has_accounts


def people_asked(session: Session, names: Sequence[str], needs: Permission) -> tuple[str, ...]:
    """Return the ids of the people named; () stays (), which is everybody who may.

    Without accounts nobody can be looked up, and the names are taken as they are. Raises NotFound
    for somebody who is not here, InputError for one who is shut out or whose role does not allow
    what the work ``needs``.
    """
    if not names or not has_accounts(session.workspace):
        return tuple(names)
    found = [get_person(session.workspace, one) for one in names]
    for one in found:
        if one.disabled_at is not None or not one.may(needs):
            raise InputError(
                "people who may label" if needs == "annotate" else f"people who may {needs}",
                got=f"{one.name}, "
                + ("shut out" if one.disabled_at else f"whose role is {one.role}"),
                remedy="leave them out, or give them another role",
            )
    return tuple(dict.fromkeys(one.id for one in found))
