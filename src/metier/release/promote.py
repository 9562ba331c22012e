"""Promotion and rollback: which release answers under the name ``champion``.

A release is promoted through its gate, or loudly past it: with a reason that stays in the audit
log. Each change is one transaction with its audit entry, so there is never a moment with half of
it, and never a change that nobody made.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from metier.core.errors import NotFound, UserError
from metier.core.ledger.erasures import list_erasures
from metier.core.ledger.harms import Harm, harms_in_the_way
from metier.core.records import Release
from metier.core.store.tables import AliasRow
from metier.core.types import Json
from metier.core.workspace import Workspace
from metier.registry import aliases, get_release, lock_aliases, point_alias
from metier.release.gate import Decision, describe_result, read_decision

REASON_CHARS = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """What a promotion would do. ``replaces`` is the champion of now (None: there is none);
    ``blocked_by`` says in words what the gate did not pass and what else is in the way."""

    release: Release
    decision: Decision
    replaces: Release | None
    blocked_by: tuple[str, ...]
    harms: tuple[str, ...] = ()
    """Potential harms that nobody has resolved: part of ``blocked_by``, never overridden."""

    @property
    def changes_nothing(self) -> bool:
        """Whether it is the champion already."""
        return self.replaces is not None and self.replaces.id == self.release.id


def plan_promotion(ws: Workspace, key: str) -> Plan:
    """Say what promoting a release would do, and change nothing. Raises NotFound."""
    release = get_release(ws, key)
    decision = read_decision(release)
    blocked: tuple[str, ...] = ()
    if decision.state != "passed":
        blocked = tuple(map(describe_result, decision.unmet)) or decision.words[:1]
    blocked += tuple(_erased(ws, release))
    harms = tuple(map(_harm_words, harms_in_the_way(ws, release)))
    return Plan(release, decision, aliases(ws).get("champion"), blocked + harms, harms)


def _erased(ws: Workspace, release: Release) -> list[str]:
    return [
        f"it learned from rows that were erased on {one.created_at:%Y-%m-%d} ({one.id})"
        for one in list_erasures(ws)
        if release.run_id in one.runs
    ]


def _harm_words(harm: Harm) -> str:
    return (
        f"potential harm {harm.id}, reported in panel {harm.queue!r} on {harm.created_at:%Y-%m-%d}"
        ", is not resolved"
    )


def promote(
    ws: Workspace, key: str, *, actor: str | None = None, override: str | None = None
) -> Release:
    """Make a release the champion; the champion of now becomes ``previous``.

    ``override`` is the reason for promoting past a gate that is not passed, of at least
    ``REASON_CHARS`` characters; where the gate is passed it is not needed and not noted. Promoting
    the champion again changes nothing.

    Raises:
        NotFound: there is no such release.
        UserError: the gate is not passed and no reason, or one too short, was given; or a
            potential harm is not resolved, which no reason overrides.
    """
    plan = plan_promotion(ws, key)
    if plan.changes_nothing:
        return plan.release
    if plan.harms:
        raise UserError(
            "a release without open reports of harm",
            got="\n  ".join([f"{plan.release.name}, with {len(plan.harms)}", *plan.harms]),
            remedy="look at each (`metier review harms`) and resolve it with a reason",
        )
    reason = None
    if plan.blocked_by:
        reason = _reason_for(plan, override)
    release = plan.release
    with ws.db.session() as session:
        lock_aliases(ws, session)
        before = _pointed(session, "champion")
        if before == release.id:
            return release
        point_alias(ws, "previous", before, actor, session)
        point_alias(ws, "champion", release.id, actor, session)
        if _pointed(session, "challenger") == release.id:
            point_alias(ws, "challenger", None, actor, session)
        detail: dict[str, Json] = {
            "number": release.number,
            "replaces": before,
            "gate": plan.decision.state,
        }
        action = "release.promote"
        if reason is not None:
            action = "release.override"
            detail |= {"reason": reason, "not_passed": [r.asked for r in plan.decision.unmet]}
        ws.audit.append(actor, action, release.id, detail, session=session)
    return release


def rollback(ws: Workspace, *, actor: str | None = None, reason: str = "") -> Release:
    """Make the previous champion the champion again, and the champion of now the previous one.

    Raises NotFound when no champion came before.
    """
    with ws.db.session() as session:
        lock_aliases(ws, session)
        before, previous = _pointed(session, "champion"), _pointed(session, "previous")
        if before is None or previous is None:
            got = "no champion at all" if before is None else "a champion that was the first"
            remedy = "nothing to go back to; `metier release list` shows what can be promoted"
            raise NotFound("a champion before this one", got=got, remedy=remedy)
        point_alias(ws, "champion", previous, actor, session)
        point_alias(ws, "previous", before, actor, session)
        detail = {"replaces": before, "reason": reason}
        ws.audit.append(actor, "release.rollback", previous, detail, session=session)
    return get_release(ws, previous)


def check_reason(text: str) -> str:
    """Return a reason without the white space around it. Raises UserError when it is too short."""
    reason = text.strip()
    if len(reason) < REASON_CHARS:
        raise UserError(
            f"a reason of at least {REASON_CHARS} characters for promoting past the gate",
            got=repr(reason) if reason else "none",
            remedy="say with --reason why it is worth it; it stays in the audit log",
        )
    return reason


def _reason_for(plan: Plan, override: str | None) -> str:
    if override is not None:
        return check_reason(override)
    raise UserError(
        "a release whose gate is passed",
        got="\n  ".join([f"{plan.release.name}, {plan.decision.words[0]}", *plan.blocked_by]),
        remedy="gather what is missing, or promote it past the gate: --override --reason WHY",
    )


def _pointed(session: Session, name: str) -> str | None:
    row = session.get(AliasRow, name)
    return None if row is None else row.release_id
