"""People and what they may do.

    role        look  annotate  adjudicate  review  build  audit  manage
    owner        x       x          x         x       x      x      x
    engineer     x       x          x         x       x
    reviewer             x          x         x
    annotator            x
    auditor      x                                           x
    viewer       x
    guest                                     x                        (one panel only, no account)

Whoever only annotates or reviews sees the queues they work in, and nothing that could sway them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

Role = Literal["owner", "engineer", "reviewer", "annotator", "auditor", "viewer", "guest"]
ROLES: tuple[Role, ...] = get_args(Role)
Permission = Literal["look", "annotate", "adjudicate", "review", "build", "audit", "manage"]
PERMISSIONS: tuple[Permission, ...] = get_args(Permission)
MAY: dict[Role, frozenset[Permission]] = {
    "owner": frozenset(PERMISSIONS),
    "engineer": frozenset(("look", "annotate", "adjudicate", "review", "build")),
    "reviewer": frozenset(("annotate", "adjudicate", "review")),
    "annotator": frozenset(("annotate",)),
    "auditor": frozenset(("look", "audit")),
    "viewer": frozenset(("look",)),
    "guest": frozenset(("review",)),
}


@dataclass(frozen=True, slots=True)
class Person:
    """Someone who works here. ``id`` is what answers and the audit log name.

    ``fields`` are the subjects they are expert in, e.g. "cardiology". ``queue`` binds a guest to
    the one panel that the invitation was for.
    """

    id: str
    name: str
    role: Role
    email: str | None = None
    fields: tuple[str, ...] = ()
    created_at: datetime | None = None
    disabled_at: datetime | None = None
    queue: str | None = None

    def may(self, what: Permission) -> bool:
        """Whether their role allows it."""
        return self.disabled_at is None and what in MAY[self.role]
