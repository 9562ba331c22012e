"""Which served replies people look at: corrections, bad votes, guards, doubt, and a random share.

    collect(ws, project.feedback, project.objective, labels)

Collecting again makes no item twice; what was said since is added to items that still wait.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from metier.core import ledger
from metier.core.objective import Objective
from metier.core.progress import Progress
from metier.core.records import Feedback, Interaction
from metier.core.workspace import Workspace
from metier.feedback.answers import refuse_spans
from metier.feedback.config import FeedbackConfig
from metier.feedback.draw import lot
from metier.feedback.types import CORRECTIONS, DEMONSTRATION, SUBJECT, Collected
from metier.models.prompt import parse_reply
from metier.queue import Item, NewItem, add_items, items_of

__all__ = ["PRIORITIES", "Collected", "collect"]
PAGE = 500
CORRECTION, LOW_CONFIDENCE, AUDIT, BAD, GUARD = (
    "correction", "low_confidence", "audit", "bad_", "guard_",
)  # fmt: skip
PRIORITIES = {CORRECTION: 50, BAD: 40, GUARD: 30, LOW_CONFIDENCE: 20, AUDIT: 10}
"""By reason (or its beginning), the priority of an item; of several the highest counts."""


def collect(
    ws: Workspace,
    config: FeedbackConfig,
    objective: Objective,
    labels: Sequence[str],
    *,
    seed: int = 0,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Collected:
    """Put the replies that deserve a look into the queue of corrections.

    Of the replies with no other reason, ``config.audit_share`` is drawn by a keyed hash of the
    reply's id and ``seed``; with the same seed the draw stays. A dry run only counts.
    Raises InputError for a task whose answers cannot be corrected.
    """
    refuse_spans(objective)
    looked_at, made, added_to = 0, 0, 0
    ids: list[str] = []
    by_reason: Counter[str] = Counter()
    total = sum(ledger.count_interactions(ws).values())
    with (progress or Progress()).task("collect", total, "replies") as task:
        for page in _pages(ws):
            done = [one for one in page if one.state == "done"]
            wanted = _wanted(ws, config, objective, labels, seed, done)
            known = items_of(ws, CORRECTIONS, [one.subject_id for one in wanted])
            new = [one for one in wanted if one.subject_id not in known]
            more = [one for one in wanted if _adds(one, known.get(one.subject_id))]
            items = [] if dry_run else add_items(ws, CORRECTIONS, [*new, *more])
            ids += [item.id for item in items[: len(new)]]
            by_reason.update(reason for one in new for reason in one.reasons)
            looked_at, made, added_to = looked_at + len(done), made + len(new), added_to + len(more)
            task.advance(len(page))
    return Collected(looked_at, made, added_to, by_reason, tuple(ids), dry_run)


def _pages(ws: Workspace) -> Iterator[list[Interaction]]:
    page = ledger.list_interactions(ws, limit=PAGE)
    while page:
        yield page
        page = ledger.list_interactions(ws, after=page[-1].id, limit=PAGE)


def _wanted(
    ws: Workspace,
    config: FeedbackConfig,
    objective: Objective,
    labels: Sequence[str],
    seed: int,
    page: Sequence[Interaction],
) -> list[NewItem]:
    said: dict[str, list[Feedback]] = {}
    for one in ledger.list_feedback(ws, [reply.id for reply in page]):
        said.setdefault(one.interaction_id, []).append(one)
    wanted = []
    for reply in page:
        reasons = [
            *_said_reasons(config, objective, labels, reply, said.get(reply.id, [])),
            *(f"{GUARD}{guard}" for guard in reply.guards),
            *_doubt(config, reply),
        ]
        if not reasons and lot(ws, f"audit {seed}", reply.id) < config.audit_share:
            reasons = [AUDIT]
        if reasons:
            priority = max(_priority(reason) for reason in reasons)
            wanted.append(NewItem(SUBJECT, reply.id, tuple(reasons), priority))
    return wanted


def _said_reasons(
    config: FeedbackConfig,
    objective: Objective,
    labels: Sequence[str],
    reply: Interaction,
    said: Sequence[Feedback],
) -> Iterator[str]:
    for one in said:
        bad_at = config.bad_when.get(one.metric)
        if one.metric == DEMONSTRATION:
            # Who gives as right what was served confirms it; nobody needs to look.
            if one.value != parse_reply(_first(reply), objective, labels):
                yield CORRECTION
        elif (
            bad_at is not None
            and isinstance(one.value, bool | int | float)
            and (float(one.value) <= bad_at)
        ):
            yield f"{BAD}{one.metric}"


def _doubt(config: FeedbackConfig, reply: Interaction) -> Iterator[str]:
    if reply.confidence is not None and reply.confidence < config.low_confidence:
        yield LOW_CONFIDENCE


def _first(reply: Interaction) -> str:
    return reply.replies[0] if reply.replies else ""


def _priority(reason: str) -> int:
    return next(value for start, value in PRIORITIES.items() if reason.startswith(start))


def _adds(one: NewItem, item: Item | None) -> bool:
    """Whether an item that is there, and waits, would take something on."""
    waits = item is not None and item.state in ("open", "leased")
    return waits and item is not None and not set(one.reasons) <= set(item.reasons)
