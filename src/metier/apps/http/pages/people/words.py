"""What roles are called on the pages."""

from __future__ import annotations

from metier.people import Role

ROLE_WORDS: dict[Role, str] = {
    "owner": "Owner: everything, and who else may",
    "engineer": "Engineer: builds, tunes and releases",
    "reviewer": "Reviewer: rates, labels and adjudicates",
    "annotator": "Annotator: labels",
    "auditor": "Auditor: looks at everything, the audit log too",
    "viewer": "Viewer: looks at results",
    "guest": "Guest of one panel",
}
