"""What people are called on pages where most readers should not know who said what."""

from __future__ import annotations

from collections.abc import Iterable
from string import ascii_uppercase

from metier.core.workspace import Workspace
from metier.people import Person, names_of


def called(ws: Workspace, people: Iterable[str], reader: Person) -> dict[str, str]:
    """Return what to call each person: by name for those who manage people, else a letter, in the
    order of the ids; a reader finds themselves as "you"."""
    known = names_of(ws) if reader.may("manage") else {}
    names = {}
    for place, one in enumerate(sorted(people)):
        alias = ascii_uppercase[place] if place < len(ascii_uppercase) else str(place + 1)
        names[one] = known.get(one, one if reader.may("manage") else f"Person {alias}")
        if one == reader.id and not reader.may("manage"):
            names[one] = f"Person {alias} (you)"
    return names
