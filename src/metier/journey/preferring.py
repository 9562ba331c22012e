"""What a panel said becomes what is tuned on: preview, freeze, start DPO or KTO.

    found = preview(session, Wanted(("spring",)))
    made = freeze(session, Wanted(("spring",)), "mara")
    job = start_tune(session, made.version.id, Start("dpo"))

Test items never become training rows: a model trained on them cannot be measured on them. They are
left out, and named, unless ``allow_test`` says otherwise; then they leave the new version's test
split. The version carries the rest of the test split of the one the panel was made on, so that what
is tuned on it is measured on the same rows; it does not become the latest version.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from metier.core import ledger
from metier.core.codec import to_json
from metier.core.errors import InputError
from metier.core.jobs import Job
from metier.core.lineage import Edge, Ref
from metier.core.records import DataVersion
from metier.core.store.tables import VersionRow
from metier.core.types import Example, Json
from metier.core.workspace import Workspace
from metier.journey.handlers import enqueue
from metier.journey.preferred import (
    IN_TEST,
    TEXT_TASKS,
    VERDICT,
    Gathered,
    Kind,
    Wanted,
    by_of,
    gather,
    held_out,
    row_of,
    splits_of,
)
from metier.journey.session import Session
from metier.review.pairs import Pair, Verdict
from metier.tune.config import TuneConfig


@dataclass(frozen=True, slots=True)
class Shown:
    """One preference as it is previewed. ``rejected`` None: a single reply (``wanted`` or not)."""

    example: str
    prompt: str
    chosen: str
    rejected: str | None
    margin: float | None
    raters: int
    disagreement: float
    weight: float
    by: str
    wanted: bool = True


@dataclass(frozen=True)
class Preview:
    """What freezing would give. ``left_out`` counts by reason; ``lean`` how often a preference has
    which number of raters; ``task_fits`` False: the task is not answered in text."""

    panels: tuple[str, ...]
    kind: Kind
    answers: int
    aside: int
    preferences: int
    wanted: int
    train: int
    validation: int
    left_out: dict[str, int]
    by: dict[str, int]
    raters: dict[int, int]
    mean_margin: float | None
    examples: tuple[Shown, ...]
    corrected_raters: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class FrozenPreferences:
    """The version, and what it was made of. ``version`` None: a dry run."""

    version: DataVersion | None
    preview: Preview
    dry_run: bool = False


@dataclass(frozen=True)
class Start:
    """How a tune on preferences begins. ``start_from`` a run or release ("": the project's own
    setting); ``lr`` None: the project's."""

    kind: Kind
    start_from: str = ""
    lr: float | None = None
    epochs: float | None = None


def preview(session: Session, wanted: Wanted, shown: int = 5) -> Preview:
    """Say what freezing would give, with the first ``shown`` preferences. Nothing is written.

    Raises NotFound for a panel that is not there, InputError for terms out of their ranges.
    """
    return _preview(session, wanted, gather(session, wanted), shown)


def freeze(
    session: Session, wanted: Wanted, actor: str, *, dry_run: bool = False
) -> FrozenPreferences:
    """Freeze the preferences as a data version with lineage to every answer. Audited.

    Raises InputError where there is nothing to learn from, and for a task that is not answered in
    text.
    """
    found = gather(session, wanted)
    seen = _preview(session, wanted, found, 5)
    _refuse_empty(session, wanted, seen)
    if dry_run:
        return FrozenPreferences(None, seen, True)
    splits = splits_of(session, wanted, found)
    version = _save(session, wanted, found, seen, splits)
    detail = {"version": version.id, "preferences": seen.preferences, "kind": wanted.kind}
    session.workspace.audit.append(actor, "preferences.freeze", ", ".join(seen.panels), detail)
    return FrozenPreferences(version, seen)


def start_tune(session: Session, version: str, start: Start) -> Job:
    """Queue a tune on a version of preferences, for a worker."""
    found = ledger.get_version(session.workspace, version)
    return enqueue(tuning_session(session, start), "tune", {"version": found.id})


def tuning_session(session: Session, start: Start) -> Session:
    """The session with [tune] set to learn from preferences. A table of the same algorithm in the
    project's file keeps its other settings."""
    config = session.project.tune
    algorithm: dict[str, Json] = {"type": start.kind}
    if config.algorithm.type == start.kind:
        algorithm = config.algorithm.model_dump(mode="json")
    if start.kind == "kto":
        algorithm["verdict"] = VERDICT
    changes: dict[str, Json] = {"algorithm": algorithm}
    if start.start_from:
        changes["start_from"] = start.start_from
    changes |= {} if start.lr is None else {"lr": start.lr}
    changes |= {} if start.epochs is None else {"epochs": start.epochs}
    try:
        tune = TuneConfig.model_validate(config.model_dump(mode="json") | changes)
    except ValueError as error:
        raise InputError(
            "settings that a tune can have", got=str(error).split("\n", 1)[0]
        ) from error
    return replace(session, project=session.project.model_copy(update={"tune": tune}))


def _preview(session: Session, wanted: Wanted, found: Gathered, shown: int) -> Preview:
    held = held_out(found, wanted)
    left = Counter(one.why for one in found.left)
    margins = [one.margin for one in found.kept if isinstance(one, Pair)]
    raters = Counter(one.raters for one in found.kept)
    return Preview(
        panels=tuple(one.name for one in found.queues),
        kind=wanted.kind,
        answers=found.evidence.answers,
        aside=found.evidence.aside,
        preferences=len(found.kept),
        wanted=sum(one.wanted for one in found.kept if isinstance(one, Verdict)),
        train=sum(one.example not in held for one in found.kept),
        validation=sum(one.example in held for one in found.kept),
        left_out=dict(sorted(left.items(), key=lambda one: (-one[1], one[0]))),
        by=dict(Counter(by_of(one) for one in found.kept)),
        raters=dict(sorted(raters.items())),
        mean_margin=sum(margins) / len(margins) if margins else None,
        examples=tuple(_shown(found, one) for one in found.kept[:shown]),
        corrected_raters=len({who for _, who in found.evidence.leanings}),
        warnings=tuple(_warnings(session, wanted, found)),
    )


def _shown(found: Gathered, one: Pair | Verdict) -> Shown:
    row = found.rows[one.example]
    common = (one.raters, one.disagreement, one.weight, by_of(one))
    if isinstance(one, Pair):
        prompt = row.conversation.last_user
        return Shown(one.example, prompt, one.chosen, one.rejected, one.margin, *common)
    said = (one.example, row.conversation.last_user, one.text, None, one.score)
    return Shown(*said, *common, wanted=one.wanted)


def _warnings(session: Session, wanted: Wanted, found: Gathered) -> Iterator[str]:
    task = session.project.objective.task
    if task not in TEXT_TASKS:
        yield f"preferences are learned for tasks answered in text; this one is {task!r}"
    refused = sum(one.why == IN_TEST for one in found.left)
    if refused:
        words = "preference is" if refused == 1 else "preferences are"
        yield (
            f"{refused} {words} about test items, and not trained on: make panels "
            "on the validation or train split"
        )
    if found.used_test:
        yield (
            f"{len(found.used_test)} test items become training rows and leave the test split of "
            "the new version: results on it cannot be compared with earlier ones"
        )
    if wanted.kind == "kto" and found.kept:
        said = {one.wanted for one in found.kept if isinstance(one, Verdict)}
        if len(said) == 1:
            yield "KTO needs wanted and unwanted replies; here all are " + (
                "wanted" if said == {True} else "unwanted"
            )


def _refuse_empty(session: Session, wanted: Wanted, seen: Preview) -> None:
    task = session.project.objective.task
    if task not in TEXT_TASKS:
        raise InputError(
            f"a task that is answered in text: {', '.join(TEXT_TASKS)}",
            got=f'task = "{task}"',
            remedy="of labels, correct the rows instead: `metier annotate make`",
        )
    if not seen.preferences:
        why = ", ".join(f"{count} {reason}" for reason, count in seen.left_out.items())
        raise InputError(
            "preferences to freeze",
            got=f"none of {seen.answers} answers" + (f": {why}" if why else ""),
            remedy="loosen the terms, let more people answer, or make a panel on the validation "
            "or train split; --allow-test takes test items and gives up measuring on them",
        )
    if wanted.kind == "kto" and seen.wanted in (0, seen.preferences):
        raise InputError(
            "wanted and unwanted replies, as KTO needs both",
            got=f"{seen.wanted} wanted of {seen.preferences}",
            remedy="raise unwanted_at or lower wanted_at, or use DPO",
        )


def _save(
    session: Session,
    wanted: Wanted,
    found: Gathered,
    seen: Preview,
    splits: Mapping[str, Sequence[Example]],
) -> DataVersion:
    ws, base = session.workspace, found.base
    assert base is not None
    account = {
        "panels": list(seen.panels),
        "kind": wanted.kind,
        "terms": to_json(wanted.terms),
        "allow_test": wanted.allow_test,
        "from": base.id,
        "answers": seen.answers,
        "preferences": seen.preferences,
        "left_out": seen.left_out,
        "by": seen.by,
    }
    card = {key: value for key, value in base.card.items() if key != "splits"}
    version = ledger.save_version(
        ws,
        splits,
        labels=base.labels,
        config=base.config,
        card={**card, "preferences": account},
        sources=(),
        made_from=(Ref("version", base.id), "prompts and test split of"),
    )
    _record(ws, version, base, found)
    return ledger.get_version(ws, version.id)


def _record(ws: Workspace, version: DataVersion, base: DataVersion, found: Gathered) -> None:
    """Lineage to the panels and to every answer; and the place behind the version it is from."""
    made = Ref("version", version.id)
    edges = [Edge(made, Ref("queue", one.name), "preferred in") for one in found.queues]
    for one in found.kept:
        row = Ref("example", row_of(found, one).id)
        edges += [Edge(row, Ref("assignment", id), "said in") for id in one.assignments]
    with ws.db.session() as session:
        ws.lineage.record_many(edges, session=session)
        old, new = session.get_one(VersionRow, base.id), session.get_one(VersionRow, version.id)
        if new.id != old.id:
            new.built_at = old.built_at - timedelta(microseconds=1)
