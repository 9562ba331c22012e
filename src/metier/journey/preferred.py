"""The preferences of panels with the rows they are about, before they are frozen.

Which examples may be learned from is decided here: none of a test split, and none whose prompt is
that of a test row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Literal

from metier.core import ledger
from metier.core.errors import InputError
from metier.core.ledger.harms import WITHDRAWN, list_harms
from metier.core.records import LOSS_WEIGHT, DataVersion
from metier.core.types import (
    CompletionTarget,
    Example,
    ExampleTarget,
    PreferenceTarget,
    Provenance,
)
from metier.core.workspace import Workspace
from metier.journey.session import Session
from metier.queue import Queue, get_queue, iter_answers, list_queues
from metier.review.evidence import Evidence, Judged, weigh
from metier.review.pairs import LeftOut, Pair, Terms, Verdict, pairs_of, verdicts_of
from metier.review.panel import Panel, panel_of, read_subject

Kind = Literal["dpo", "kto"]
VERDICT = "wanted"
"""The slice that says of a single reply whether it was wanted."""
LEARNED = ("train", "validation")
IN_TEST = "its example is in the test split"
LIKE_TEST = "its prompt is that of a test row"
GONE = "its example is no longer there"
TEXT_TASKS = ("answer", "summarize", "compose", "chat")
MODES = ("rate", "compare")
LEAST_GROUPS = 10
"""Fewer customers, patients or conversations than this are all trained on."""


@dataclass(frozen=True)
class Wanted:
    """Which panels (empty: all), for which algorithm, on which terms. ``held_out`` is the share of
    examples kept for validation."""

    panels: tuple[str, ...] = ()
    kind: Kind = "dpo"
    terms: Terms = field(default_factory=Terms)
    allow_test: bool = False
    held_out: float = 0.1


@dataclass
class Gathered:
    """Preferences with the examples they are about."""

    queues: list[Queue]
    evidence: Evidence
    kept: list[Pair | Verdict]
    left: list[LeftOut]
    rows: dict[str, Example] = field(default_factory=dict)
    base: DataVersion | None = None
    used_test: set[str] = field(default_factory=set)


def preference_panels(ws: Workspace) -> list[Queue]:
    """The panels that preferences can come of, the newest first."""
    queues = list_queues(ws, "review")
    return [one for one in queues if (one.settings or {}).get("mode") in MODES]


def judged_of(ws: Workspace, queue: Queue) -> list[Judged]:
    """What was said in one panel. Raises InputError for a queue that is no panel."""
    panel = panel_of(queue)
    harmed: dict[str, set[str]] = {}
    still_open: dict[str, set[str]] = {}
    for one in list_harms(ws, queue.name):
        if one.resolution != WITHDRAWN:
            harmed.setdefault(one.item_id, set()).add(one.candidate)
        if one.resolved_at is None:
            still_open.setdefault(one.item_id, set()).add(one.candidate)
    found = []
    for item, given in iter_answers(ws, queue.name):
        keys, example = read_subject(item.subject_id)
        texts = {one["key"]: str(one["text"]) for one in (item.shown or {}).get("replies", ())}
        replies = tuple(
            (panel.candidate(key).evaluation, texts[side])
            for key, side in zip(keys, "ab", strict=False)
            if side in texts
        )
        found.append(
            Judged(
                given.id,
                queue.name,
                given.person,
                example,
                replies,
                given.answer if isinstance(given.answer, Mapping) else None,
                tuple(given.flags),
                item.role == "duplicate",
                harmed=frozenset(harmed.get(item.id, ())),
                open_harm=frozenset(still_open.get(item.id, ())),
            )
        )
    return found


def gather(session: Session, wanted: Wanted) -> Gathered:
    """Read the panels and sort out what can be learned from.

    Raises NotFound for a panel that is not there, InputError for numbers out of their ranges.
    """
    wanted.terms.check()
    if not 0 <= wanted.held_out < 1:
        raise InputError("held_out from 0 to less than 1", got=f"{wanted.held_out:g}")
    ws = session.workspace
    names = wanted.panels or tuple(one.name for one in preference_panels(ws))
    queues = [get_queue(ws, name) for name in dict.fromkeys(names)]
    panels = [panel_of(one) for one in queues]
    judged = [one for queue in queues for one in judged_of(ws, queue)]
    evidence = weigh(judged, _scales(panels), wanted.terms.severity)
    if wanted.kind == "dpo":
        pairs, left = pairs_of(evidence, wanted.terms)
        found = Gathered(queues, evidence, list(pairs), left)
    else:
        verdicts, left = verdicts_of(evidence, wanted.terms)
        found = Gathered(queues, evidence, list(verdicts), left)
    _match_rows(ws, wanted, found)
    return found


def _scales(panels: Sequence[Panel]) -> dict[str, tuple[float, float]]:
    return {one.name: (one.low, one.high) for panel in panels for one in panel.dimensions}


def _match_rows(ws: Workspace, wanted: Wanted, found: Gathered) -> None:
    """Find the examples; those of a test split, or like a row of one, are left out."""
    asked = {one.example for one in found.kept}
    test_ids: set[str] = set()
    prompts: set[str] = set()
    for version in _versions(ws, found.queues):
        found.base = found.base or version
        for split in version.splits:
            for row in ledger.iter_split(ws, version, split):
                if split not in LEARNED:
                    test_ids.add(row.id)
                    prompts.add(_prompt(row))
                if row.id in asked:
                    found.rows.setdefault(row.id, row)
    kept = []
    for one in found.kept:
        why = _leak(found.rows.get(one.example), one.example in test_ids, prompts)
        if why == IN_TEST and wanted.allow_test:
            found.used_test.add(one.example)
            why = None
        if why is None:
            kept.append(one)
        else:
            found.left.append(LeftOut(one.example, why))
    found.kept = kept


def _leak(row: Example | None, in_test: bool, prompts: set[str]) -> str | None:
    if row is None:
        return GONE
    if in_test:
        return IN_TEST
    return LIKE_TEST if _prompt(row) in prompts else None


def _prompt(row: Example) -> str:
    return " ".join(row.conversation.text.casefold().split())


def _versions(ws: Workspace, queues: Sequence[Queue]) -> Iterator[DataVersion]:
    """The versions that the panels show, the newest first, each once."""
    ids = {one.version_id for one in queues if one.version_id}
    for one in sorted(ids, reverse=True):
        yield ledger.version_now(ws, one)


def by_of(one: Pair | Verdict) -> str:
    """What a preference rests on."""
    if isinstance(one, Pair):
        return one.by
    return "ratings" if one.score is not None else "choices"


def splits_of(session: Session, wanted: Wanted, found: Gathered) -> dict[str, list[Example]]:
    """The splits of the new version: preferences for training and validation, and the test rows."""
    assert found.base is not None
    train: list[Example] = []
    validation: list[Example] = []
    held = held_out(found, wanted)
    for one in found.kept:
        (validation if one.example in held else train).append(row_of(found, one))
    splits = {"train": train, "validation": validation}
    if "test" in found.base.splits:
        rows = ledger.load_split(session.workspace, found.base, "test")
        splits["test"] = [one for one in rows if one.id not in found.used_test]
    return splits


def held_out(found: Gathered, wanted: Wanted) -> set[str]:
    """The examples kept for validation: whole groups, in an order drawn from their names, until
    they have their share; none while there are fewer than ten groups."""
    groups: dict[str, set[str]] = {}
    for one in found.kept:
        row = found.rows[one.example]
        groups.setdefault(row.group or row.id, set()).add(row.id)
    if len(groups) < LEAST_GROUPS or not wanted.held_out:
        return set()
    order = sorted(groups, key=lambda name: blake2b(name.encode(), digest_size=8).digest())
    count = max(1, round(wanted.held_out * len(groups)))
    return {example for name in order[:count] for example in groups[name]}


def row_of(found: Gathered, one: Pair | Verdict) -> Example:
    """A preference as the row that is trained on; its parent is the example it is about."""
    row = found.rows[one.example]
    target: ExampleTarget
    slices = {
        **row.slices,
        LOSS_WEIGHT: f"{one.weight:.4g}",
        "raters": str(one.raters),
        "disagreement": f"{one.disagreement:.3g}",
        "preferred_by": by_of(one),
    }
    if isinstance(one, Pair):
        target, said = PreferenceTarget(one.chosen, one.rejected, one.margin), one.rejected
    else:
        target, said = CompletionTarget(one.text), ""
        slices[VERDICT] = "yes" if one.wanted else "no"
    source = "panel " + ", ".join(queue.name for queue in found.queues)
    text = getattr(target, "chosen", getattr(target, "text", ""))
    return replace(
        row,
        id=Example.make_id("preferences", f"{row.id}\n{text}\n{said}"),
        target=target,
        split=None,
        slices=slices,
        provenance=Provenance(source, _digest(found), row.id, row.id, ("preferences",)),
    )


def _digest(found: Gathered) -> str:
    return "panels:" + "+".join(sorted(one.name for one in found.queues))
