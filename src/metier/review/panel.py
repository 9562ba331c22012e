"""A panel: which replies are rated, by how many, in which order, and what nobody is to see.

    panel = Panel(mode="rate", candidates=(...), dimensions=(...))
    items = panel_items(panel, cases)
    make_panel(ws, NewPanel("spring", panel), version, cases, "mara")

One item of mode "rate" is one reply, of "compare" two of the same case, of "timed" a case to be
answered with or without a model's draft. What an item is about is in its subject, which never
leaves the server: ``c2:ex_9f…`` is candidate 2's reply to that example, ``c2+c1:ex_9f…`` shows
candidate 2 as reply a and candidate 1 as reply b.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from typing import Any, Literal

from metier.core.errors import InputError
from metier.core.lineage import Ref
from metier.core.records import DataVersion
from metier.core.types import Json
from metier.core.workspace import Workspace
from metier.queue.forms import Form, FormField, form_json, rubric_form
from metier.queue.queues import make_queue
from metier.queue.types import NewItem, NewQueue, Queue
from metier.review.config import RubricDimension
from metier.review.order import BLOCK, shuffled
from metier.review.outside import for_outside, refuse_images

Mode = Literal["rate", "compare", "timed"]
DEIDENTIFIED = ("safe-harbor", "expert-determination")
"""Profiles of data versions that people from outside may see."""
TWIN = "~again"
"""What the subject of a hidden duplicate ends with."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One whose replies are rated: the stored predictions of an evaluation. ``key`` is c1, c2, …;
    ``role`` says what it is to the others (challenger, champion, baseline)."""

    key: str
    name: str
    evaluation: str
    rung: str = ""
    run_id: str | None = None
    role: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """One example with every candidate's reply, and the record beside it."""

    example_id: str
    turns: tuple[Json, ...]
    replies: Mapping[str, str]
    source: tuple[Json, ...] = ()


@dataclass(frozen=True, slots=True)
class Panel:
    """What a panel is: the design its queue keeps. ``repeats``: share of items that come twice;
    ``rate_both`` asks for ratings beside the choice in mode "compare"."""

    mode: Mode
    candidates: tuple[Candidate, ...]
    dimensions: tuple[RubricDimension, ...]
    raters_per_item: int = 2
    repeats: float = 0.1
    seed: int = 0
    guests: bool = False
    rate_both: bool = False
    seconds_per_item: float = 90.0
    reference: str | None = None

    def candidate(self, key: str) -> Candidate:
        """The candidate of a key."""
        return next(one for one in self.candidates if one.key == key)

    def asked_of(self, role: str, fields: Sequence[str]) -> tuple[RubricDimension, ...]:
        """The dimensions that a person with this role and these fields rates."""
        if self.mode == "timed" or (self.mode == "compare" and not self.rate_both):
            return ()
        return tuple(one for one in self.dimensions if one.rated_by_person(role, fields))


@dataclass(frozen=True, slots=True)
class NewPanel:
    """A panel to be made, under a name that no queue has."""

    name: str
    panel: Panel
    title: str = ""
    people: tuple[str, ...] = ()
    selection: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Preview:
    """What making a panel would do, with the first items as raters will see them."""

    items: int
    duplicates: int
    answers: int
    hours: float
    first: tuple[Json, ...]
    warnings: tuple[str, ...] = ()


def subject_of(keys: Sequence[str], example_id: str) -> str:
    """The subject of an item that shows these candidates' replies (a, then b)."""
    return f"{'+'.join(keys)}:{example_id}"


def read_subject(subject_id: str) -> tuple[tuple[str, ...], str]:
    """The candidates' keys in the order a, b and the example of a subject, duplicates alike."""
    keys, _, example = subject_id.removesuffix(TWIN).partition(":")
    return tuple(keys.split("+")), example


def panel_of(queue: Queue) -> Panel:
    """The design of a panel's queue. Raises InputError for a queue that is none."""
    settings = queue.settings or {}
    if queue.kind != "review" or "mode" not in settings:
        raise InputError("a review panel", got=f"{queue.name!r}, a queue of kind {queue.kind}")
    plain = {name: settings[name] for name in Panel.__dataclass_fields__ if name in settings}
    candidates = tuple(Candidate(**one) for one in settings["candidates"])
    dimensions = tuple(RubricDimension.model_validate(one) for one in settings["dimensions"])
    return Panel(**plain | {"candidates": candidates, "dimensions": dimensions})


def panel_settings(panel: Panel) -> dict[str, Any]:
    """The design as the queue keeps it."""
    plain = {name: getattr(panel, name) for name in Panel.__dataclass_fields__}
    return plain | {
        "candidates": [asdict(one) for one in panel.candidates],
        "dimensions": [one.model_dump(mode="json") for one in panel.dimensions],
    }


def panel_form(panel: Panel) -> Form:
    """What is asked of each item by everyone together (each sees their own dimensions)."""
    if panel.mode == "timed":
        return Form((FormField("better", "text", "Your reply"),))
    rates = panel.mode == "rate" or panel.rate_both
    dimensions = [dimension_field(one) for one in panel.dimensions] if rates else []
    return rubric_form(dimensions, beside=panel.mode == "compare")


def dimension_field(one: RubricDimension) -> FormField:
    """A dimension as a question."""
    anchors = {str(one.low + place): words for place, words in enumerate(one.anchors)}
    return FormField(one.name, "rating", one.title, one.about, (), True, one.low, one.high, anchors)


def panel_items(panel: Panel, cases: Sequence[Case]) -> list[NewItem]:
    """The items in the panel's order, hidden duplicates last (the queue hands them out apart)."""
    block = _blocks(panel, cases)
    order = shuffled(_subjects(panel, cases), panel.seed)
    order.sort(key=lambda one: block[one[1].example_id])
    items = [_item(panel, keys, case, place, "work") for place, (keys, case) in enumerate(order)]
    if panel.mode == "timed":
        return items
    again = shuffled(range(len(order)), panel.seed + 1)[: round(panel.repeats * len(order))]
    return items + [_item(panel, *order[place], place, "duplicate") for place in sorted(again)]


def preview_panel(panel: Panel, cases: Sequence[Case]) -> Preview:
    """Say what the panel would be, and write nothing."""
    items = panel_items(panel, cases)
    work = [one for one in items if one.role == "work"]
    answers = len(items) * panel.raters_per_item
    return Preview(
        items=len(work),
        duplicates=len(items) - len(work),
        answers=answers,
        hours=answers * panel.seconds_per_item / 3600,
        first=tuple(one.shown for one in work[:3]),
        warnings=tuple(_warnings(panel, cases)),
    )


def make_panel(
    ws: Workspace, new: NewPanel, version: DataVersion, cases: Sequence[Case], actor: str
) -> Queue:
    """Make the panel's queue with its items and its lineage. Audited.

    Raises InputError for a name in use, fewer than two candidates (timed: one), no case, and for
    guests beside a version whose texts are not de-identified.
    """
    check_panel(new.panel, version, cases)
    panel = new.panel
    items = panel_items(panel, cases)
    work = sum(one.role == "work" for one in items)
    settings = panel_settings(panel) | {
        "order": {"block": BLOCK, "blocks": max(1, math.ceil(work / BLOCK))}
    }
    queue = make_queue(
        ws,
        NewQueue(
            new.name,
            "review",
            title=new.title or new.name,
            wanted=panel.raters_per_item,
            blind=True,
            suggest=False,
            lease_s=1800.0,
            version_id=version.id,
            form=form_json(panel_form(panel)),
            selection={**new.selection, "examples": len(cases)},
            settings=settings,
            people=new.people,
        ),
        items,
        actor,
    )
    parents = [(Ref("evaluation", one.evaluation), "rates") for one in panel.candidates]
    ws.lineage.record(Ref("queue", queue.name), [*parents, (Ref("version", version.id), "shows")])
    return queue


def check_panel(panel: Panel, version: DataVersion, cases: Sequence[Case]) -> None:
    """Raise InputError, in words, for a panel that cannot be held."""
    least = 1 if panel.mode == "timed" else 2
    if len(panel.candidates) < least:
        raise InputError(
            f"at least {least} candidates", got=str(len(panel.candidates)), remedy="name more"
        )
    if not cases:
        raise InputError(
            "items that every candidate answered",
            got="none",
            remedy="evaluate the candidates on the same split of the same version",
        )
    if panel.guests:
        refuse_identified(version)
        refuse_images([case.turns for case in cases])
        if panel.mode == "rate" and not panel.asked_of("guest", ()):
            raise InputError(
                "a dimension that guests rate",
                got="none: every one is for experts",
                remedy='add "guest" or "anyone" to rated_by of a dimension',
            )


def refuse_identified(version: DataVersion) -> None:
    """Raise InputError unless the version's texts went through a full profile."""
    setting = version.config.get("deidentify", "none")
    name = setting.get("profile", "patterns") if isinstance(setting, Mapping) else setting
    if name in DEIDENTIFIED:
        return
    raise InputError(
        f"for people from outside, a version de-identified by {' or '.join(DEIDENTIFIED)}",
        got=f"{version.id}, whose profile is {name!r}: names and dates may be in its texts",
        remedy='set [data] deidentify = { profile = "safe-harbor" }, build the data, and evaluate '
        "the candidates on the new version; or make the panel without guests",
    )


def _subjects(panel: Panel, cases: Sequence[Case]) -> Iterator[tuple[tuple[str, ...], Case]]:
    keys = [one.key for one in panel.candidates]
    for case in cases:
        if panel.mode == "compare":
            for pair in combinations(keys, 2):
                # Which of the two is reply a is drawn, so that the letter says nothing.
                turned = shuffled(pair, f"{panel.seed}\n{case.example_id}\n{pair}")
                yield tuple(turned), case
        elif panel.mode == "timed":
            yield (shuffled(keys, f"{panel.seed}\n{case.example_id}")[0],), case
        else:
            yield from (((key,), case) for key in keys)


def _blocks(panel: Panel, cases: Sequence[Case]) -> dict[str, int]:
    """All replies to one example lie in one block, so that one person often rates them all."""
    per_case = sum(1 for _ in _subjects(panel, cases[:1])) or 1
    size = max(1, BLOCK // per_case)
    ids = shuffled([one.example_id for one in cases], panel.seed + 2)
    return {example_id: place // size for place, example_id in enumerate(ids)}


def _item(
    panel: Panel, keys: tuple[str, ...], case: Case, place: int, role: Literal["work", "duplicate"]
) -> NewItem:
    subject = subject_of(keys, case.example_id)
    twin = subject if role == "duplicate" else None
    return NewItem(
        "pair" if len(keys) == 2 else "reply",
        subject + TWIN if twin else subject,
        priority=-place,
        shown=_shown(panel, keys, case),
        role=role,
        twin_of=twin,
    )


def _shown(panel: Panel, keys: Sequence[str], case: Case) -> Json:
    texts = [case.replies[key] for key in keys]
    draft = texts[0] if panel.mode == "timed" else None
    shown = {
        "turns": list(case.turns),
        "replies": []
        if panel.mode == "timed"
        else [{"key": key, "text": text} for key, text in zip("ab", texts, strict=False)],
        "source": list(case.source),
        "suggestion": draft,
        "assisted": panel.mode == "timed",
    }
    return for_outside(shown) if panel.guests else shown


def _warnings(panel: Panel, cases: Sequence[Case]) -> Iterator[str]:
    if panel.raters_per_item == 1:
        yield "one rater per item: their severity cannot be told from the replies'"
    same = sum(len(set(case.replies.values())) == 1 for case in cases)
    if same and panel.mode != "timed":
        yield f"{same} of {len(cases)} items have the same reply from every candidate"
    if panel.repeats == 0 and panel.mode != "timed":
        yield "no hidden duplicates: nobody's consistency will be known"
