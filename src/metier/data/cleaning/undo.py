"""Undo: a person takes back a rule, for one row or altogether, and the next build obeys.

    undo(ws, "typos", row="ex_9f…")      that row keeps its words
    undo(ws, "html")                     no row's markup is touched any more
    undo(ws, "html", redo=True)          takes the decision back

The decision lies in the workspace's settings under "cleaning.undone" and in the audit log. A row is
recognised by its id, or by its text as it came once the source file has changed. ``rewind`` is the
exact inverse of what a step did to an example.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from metier.core import ledger
from metier.core.codec import from_json, to_json
from metier.core.errors import InputError, nearest
from metier.core.steps import Change
from metier.core.types import Example, Json, LabelsTarget, SpansTarget
from metier.core.workspace import Workspace
from metier.data.cleaning import builtin
from metier.data.cleaning.boilerplate import BOILERPLATE
from metier.data.cleaning.irrelevant import IRRELEVANT
from metier.data.cleaning.language import LANGUAGE
from metier.data.cleaning.rules import cleaning_rules
from metier.data.cleaning.typos import TYPOS
from metier.data.cleaning.undone import LABEL_SPACING, Undone

SETTING = "cleaning.undone"
FILTERS = (LANGUAGE, IRRELEVANT)
LEARNED = (BOILERPLATE, TYPOS)


@dataclass(frozen=True, slots=True)
class Decision:
    """One rule that was taken back: for the rows with these ids, or (none) altogether."""

    rule: str
    rows: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Undoing:
    """What an undo or redo did. ``changes`` and ``rows`` count what the rule has changed so far
    of what was asked for; ``stored`` is False after a dry run."""

    rule: str
    row: str | None
    redo: bool
    changes: int
    rows: int
    stored: bool


def undo(
    ws: Workspace,
    rule: str,
    row: str | None = None,
    *,
    redo: bool = False,
    dry_run: bool = False,
    actor: str | None = None,
) -> Undoing:
    """Take ``rule`` back, for one row (its id, the id of a change, or a prefix) or altogether.

    With ``redo``, the rule is on again: ``row`` None takes back every decision about it.

    Raises:
        InputError: this is no cleaning rule, or a filter's drop, which is restored instead.
        NotFound: no such row was changed.
    """
    _refuse(rule, row)
    example = None if row is None else ledger.find_changed(ws, row)
    counts = ledger.count_changes(ws, example)
    found = [count for (_, name), count in counts.items() if name == rule]
    if not dry_run:
        ledger.update_setting(
            ws,
            SETTING,
            lambda value: _decided(value, rule, example, redo),
            actor=actor,
            action="cleaning.redo" if redo else "cleaning.undo",
            detail={"rule": rule, "row": example},
        )
    changes, rows = (sum(part) for part in zip(*found, strict=True)) if found else (0, 0)
    return Undoing(rule, example, redo, changes, rows, not dry_run)


def decisions(ws: Workspace) -> list[Decision]:
    """Return what is undone now, by rule."""
    value = ledger.get_setting(ws, SETTING) or {}
    whole = [Decision(rule) for rule in value.get("rules", [])]
    rows = value.get("rows", {})
    return sorted(
        [*whole, *(Decision(rule, tuple(ids)) for rule, ids in rows.items())],
        key=lambda one: (one.rule, one.rows),
    )


def undone_rules(ws: Workspace, examples: Iterable[Example]) -> Undone:
    """Return the decisions for a build of these rows, which are read only where it matters.

    The texts of rows that are not here are opened, and the opening audited: a changed source gives
    its rows new ids.
    """
    made = decisions(ws)
    wanted = {row for one in made for row in one.rows}
    here = {one.id for one in examples if one.id in wanted} if wanted else set()
    rows = {one.rule: frozenset(one.rows) for one in made if one.rows}
    texts = {
        rule: _texts_as_they_came(ws, rule, sorted(ids.difference(here)))
        for rule, ids in rows.items()
    }
    return Undone(frozenset(one.rule for one in made if not one.rows), rows, texts)


def undone_json(undone: Undone) -> dict[str, Json]:
    """Return the decisions for a card: rules that are off, and rows for which others are."""
    return {
        "rules": sorted(undone.rules),
        "rows": {rule: len(ids) for rule, ids in sorted(undone.rows.items())},
    }


def rewind(example: Example, changes: Sequence[Change]) -> Example:
    """Return ``example`` as it was before one step made these changes, all it made, in order.

    Exact for conversation and target: after a step, ``rewind(keep.example, keep.changes)`` has the
    content hash of what went in. Raises ValueError when the changes are not this example's.
    """
    value = to_json(example)
    for change in reversed(changes):
        _put(value, change)
    back = from_json(Example, value)
    moved = [change.moved for change in changes if change.moved is not None]
    if moved and isinstance(back.target, SpansTarget):
        back = replace(back, target=from_json(SpansTarget, {"spans": moved[0]}))
    if moved and isinstance(back.target, LabelsTarget):
        back = replace(back, target=LabelsTarget(tuple(moved[0])))
    steps = back.provenance.steps
    kept = [one for one in steps if one != steps[-1]] if changes else steps
    return replace(back, provenance=replace(back.provenance, steps=tuple(kept)))


def _put(value: Json, change: Change) -> None:
    """Set the text at the change's place back; labels that were merged have no place any more."""
    if change.place.startswith("/target/labels/"):
        return
    *path, last = [one.replace("~1", "/").replace("~0", "~") for one in change.place.split("/")[1:]]
    holder: Any = value
    if path[0] == "messages":
        holder = value["conversation"]["messages"][int(path[1])]["parts"]
        path, last = [last], "text"
    for name in path:
        holder = holder[int(name) if isinstance(holder, list) else name]
    key: Any = int(last) if isinstance(holder, list) else last
    if holder[key] != change.after:
        raise ValueError(f"{change.place} does not hold what the change by {change.rule} left")
    holder[key] = change.before


def _refuse(rule: str, row: str | None) -> None:
    known = sorted({*builtin.ORDER, *cleaning_rules, *LEARNED, *FILTERS, LABEL_SPACING})
    known.remove("storable")
    if rule not in known:
        raise InputError(
            "a cleaning rule",
            got=repr(rule),
            remedy=f"{nearest(rule, known)}; what de-identification takes out, [data.deidentify] "
            "decides",
        )
    if row is not None and rule in FILTERS:
        raise InputError(
            "a rule that changes rows",
            got=f"{rule}, which drops them",
            remedy="take the row back with `metier data restore ID`",
        )


def _decided(value: Json, rule: str, row: str | None, redo: bool) -> Json:
    rules = set((value or {}).get("rules", []))
    rows = {name: set(ids) for name, ids in (value or {}).get("rows", {}).items()}
    if row is None:
        rules = rules - {rule} if redo else rules | {rule}
        if redo:
            rows.pop(rule, None)
    elif redo:
        rows[rule] = rows.get(rule, set()) - {row}
    else:
        rows[rule] = rows.get(rule, set()) | {row}
    kept = {name: sorted(ids) for name, ids in sorted(rows.items()) if ids}
    return {"rules": sorted(rules), "rows": kept}


def _texts_as_they_came(ws: Workspace, rule: str, ids: Sequence[str]) -> frozenset[str]:
    """Return what the rule's step was given: the text before its first change of each place."""
    found: set[str] = set()
    for example in ids:
        noted = ledger.list_changes(ws, example)
        steps = {one.step for one in noted if one.why == rule}
        noted = [one for one in noted if one.step in steps]
        opened = ledger.open_changes(ws, noted, purpose="find an undone row in a changed source")
        came: dict[tuple[str, str], str] = {}
        touched: set[tuple[str, str]] = set()
        for one in noted:
            if one.id not in opened:
                continue  # erased since
            key = (one.step, opened[one.id].place)
            came.setdefault(key, opened[one.id].before)
            touched |= {key} if one.why == rule else set()
        found |= {came[key] for key in touched}
    return frozenset(found)
