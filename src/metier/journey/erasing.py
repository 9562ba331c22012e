"""Erase a group from a project, and write the certificate where people find it."""

from __future__ import annotations

from pathlib import Path

from metier.core.ledger.erasures import list_erasures
from metier.data.erase import Erased, Plan, certificate_markdown, erase, plan_erasure
from metier.journey.session import Session


def plan_group(session: Session, group: str) -> Plan:
    """Say what erasing a group would touch; change nothing."""
    return plan_erasure(session.workspace, group)


def erase_group(
    session: Session,
    group: str,
    *,
    reason: str,
    actor: str | None = None,
    out: Path | None = None,
) -> tuple[Erased, Path]:
    """Erase a group; the certificate is written to ``out``, or beside metier.toml.

    Raises:
        NotFound: the workspace holds nothing of it.
        Busy: a job runs.
        IntegrityError: something is still found; the certificate of it is stored all the same.
    """
    ws = session.workspace
    done = erase(ws, group, reason=reason, actor=actor, progress=session.progress)
    path = out or ws.root / "erasures" / f"{done.id}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    record = next(one for one in list_erasures(ws) if one.id == done.id)
    path.write_text(certificate_markdown(record), encoding="utf-8")
    return done, path
