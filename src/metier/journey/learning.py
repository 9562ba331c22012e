"""What is learned from served replies, for one project: collect failures, correct them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from metier.core import ledger
from metier.core.errors import NotFound
from metier.journey.session import Session
from metier.registry.releases import aliases, load_manifest

if TYPE_CHECKING:
    from metier.feedback.collect import Collected


def collect_failures(session: Session, *, dry_run: bool = False) -> Collected:
    """Put the replies that people should look at into the queue."""
    from metier.feedback.collect import collect

    project = session.project
    return collect(
        session.workspace,
        project.feedback,
        project.objective,
        known_labels(session),
        dry_run=dry_run,
    )


def known_labels(session: Session) -> Sequence[str]:
    """The closed label set: the champion's, or that of the latest version; () without one."""
    workspace = session.workspace
    champion = aliases(workspace).get("champion")
    if champion is not None:
        return load_manifest(workspace, champion).labels
    try:
        return ledger.get_version(workspace).labels
    except NotFound:
        return ()
