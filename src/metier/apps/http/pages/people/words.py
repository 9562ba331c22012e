"""What roles and permissions are called on the pages."""

from __future__ import annotations

from metier.people import Permission, Role

ROLE_WORDS: dict[Role, str] = {
    "owner": "Owner: everything, and who else may",
    "engineer": "Engineer: builds, tunes and releases",
    "reviewer": "Reviewer: rates, labels and adjudicates",
    "annotator": "Annotator: labels",
    "auditor": "Auditor: looks at everything, the audit log too",
    "viewer": "Viewer: looks at results",
    "guest": "Guest of one panel",
}
MAY_WORDS: dict[Permission, str] = {
    "look": "look at data, runs and results",
    "annotate": "label in queues",
    "adjudicate": "decide where labels differ",
    "review": "rate in panels",
    "build": "build, tune and release",
    "audit": "read the audit log",
    "manage": "invite people and change roles",
}
