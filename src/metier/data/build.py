"""Builds a data version: import, steps, split, leakage gate, freeze.

    result = build(project.data, project.objective, workspace, root, Progress())

Cases (failures of served models, with the right answers) join after the files were split, so that
they cannot move a row of a file. Everything is decided first; then sources, quarantine, changes
and suspects are written, and the version last. A build that is killed leaves no version, and the
next one writes what is missing. Rows that do not fit into memory are spooled (see ``spool``).
The same rows, cases and settings give the same version, and rows keep their side from one version
to the next.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from metier.core import ledger
from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.core.progress import Progress
from metier.core.records import FEEDBACK, DataVersion
from metier.core.steps import Step
from metier.core.types import Example, Json
from metier.core.workspace import Workspace
from metier.data.asides import store_asides
from metier.data.canaries import account, make_canaries
from metier.data.card import make_card
from metier.data.cases import Joined, case_rows, join_cases
from metier.data.cleaning.characters import tidy_label
from metier.data.cleaning.steps import cleaning_notes, cleaning_steps
from metier.data.cleaning.undo import undone_json, undone_rules
from metier.data.config import CanariesConfig, DataConfig
from metier.data.deidentify import Deidentification, Deidentify
from metier.data.divide import Divided, divide
from metier.data.duplicates import ExactDuplicates, NearDuplicates, SemanticDuplicates
from metier.data.erase.refused import without_erased
from metier.data.executors import make_executor
from metier.data.grow import Ground, grow
from metier.data.intake import Imported, SourceReport, read_sources
from metier.data.labels import (
    LABEL_TASKS,
    CheckLabels,
    labels_in,
    refuse_too_few,
)
from metier.data.leakage import Leak, Leaking
from metier.data.measured import gate_of
from metier.data.pipeline import (
    Changed,
    Dropped,
    Frame,
    Outcomes,
    StepReport,
    Suspected,
    run_steps,
)
from metier.data.planned import planned
from metier.data.quality.decide import Decide, Decisions, decisions_of
from metier.data.quality.rebalance import even_out
from metier.data.quarantine import restored_keys
from metier.data.reported import reported_steps
from metier.data.sides import earlier
from metier.data.spool import Chained, Room
from metier.data.watch import Watched
from metier.privacy.sign_off import Signature, other_sources, signature_for, signed_by


@dataclass(frozen=True, slots=True)
class Known:
    """The closed label set before the build; empty: taken from the data. ``origin`` names it."""

    labels: tuple[str, ...]
    origin: str


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What a build did, in the order it was done.

    ``version`` is None after a dry run, which stores nothing. ``splits`` holds the examples with
    their groups in clear, unlike the frozen version; it and the texts in ``drops``, ``changes`` and
    ``suspects`` are for looking at here and now (see ``preview``). ``leaks`` are those that refused
    a dry run, or whose rows gave way.
    """

    version: DataVersion | None
    counts: Mapping[str, int]
    labels: tuple[str, ...]
    sources: tuple[SourceReport, ...]
    steps: tuple[StepReport, ...]
    drops: Sequence[Dropped]
    changes: Sequence[Changed]
    suspects: Sequence[Suspected]
    card: Mapping[str, Json]
    warnings: tuple[str, ...] = ()
    splits: Mapping[str, Sequence[Example]] = field(default_factory=dict, repr=False)
    leaks: tuple[Leak, ...] = field(default=(), repr=False)


def build(
    config: DataConfig,
    objective: Objective,
    ws: Workspace,
    root: Path,
    progress: Progress,
    *,
    dry_run: bool = False,
) -> BuildResult:
    """Build a data version from the sources of ``config``; their paths are relative to ``root``.

    What would be refused only after the steps is a warning in a dry run, which then has no splits.

    Raises:
        ConfigError: no sources, or a planned test size that no target gives.
        InputError: a source cannot be read, no row is left (the message says which step dropped
            how many), no label fits, the split sizes cannot be had, or the splits leak.
    """
    config = planned(config, objective)
    room = Room(ws.work_dir, config.memory_rows)
    with closing(make_executor(config.executor, config.workers)) as executor:
        frame = Frame(progress, room=room, executor=executor)
        return _build(config, objective, ws, root, frame, dry_run)


def _build(
    config: DataConfig, objective: Objective, ws: Workspace, root: Path, frame: Frame, dry_run: bool
) -> BuildResult:
    progress = frame.progress
    signature, unsigned = _signature(ws, config, dry_run)
    imported = read_sources(config.sources, objective, root, progress, frame.room)
    imported.examples, erased = without_erased(ws, imported.examples)
    cases = ledger.list_cases(ws)
    known = known_labels(config, objective, ws)
    restored = restored_keys(ws, Chained(imported.examples, case_rows(cases)))
    frame = replace(frame, restored=restored)
    before = earlier(ws, config)
    undone = undone_rules(ws, imported.examples)
    cleaning = cleaning_steps(config, frozenset(objective.enum_fields), root, undone)
    identifying = Deidentification(ws, config.deidentification, config.workers)
    steps = make_steps(config, objective, known, before.ids, decisions_of(ws), identifying)
    steps = [*cleaning, *steps, *reported_steps(ws)]
    outcomes = run_steps(steps, imported.examples, frame)
    imported.examples = ()  # what was read is no longer needed, and may be large
    divided, joined = Divided({}), Joined({})
    refusals: tuple[str, ...] = ()
    leaks: tuple[Leak, ...] = ()
    gate = gate_of(config, ws)
    try:
        _refuse_unusable(imported, outcomes, known, objective)
        kept = before.sides(ws, outcomes.examples)
        divided = divide(config, objective, outcomes, kept, frame, gate)
        joined = join_cases(cases, divided.splits, config, steps, gate, frame)
    except InputError as refusal:
        if not dry_run:
            raise
        refusals = (f"a build would be refused: {refusal}",)
        leaks = refusal.leaks if isinstance(refusal, Leaking) else ()
    ground = Ground(config, objective, known.labels, ws, root)
    grown = grow(ground, joined.splits, gate)
    splits, evened = even_out(config.rebalance, grown.splits, tuple(objective.enum_fields))
    used = _used_labels(splits)
    labels = known.labels or (tuple(sorted(used)) if objective.task in LABEL_TASKS else ())
    closed = tuple(objective.enum_fields)
    card = make_card(imported, outcomes, splits, config, closed, joined.account)
    if erased:
        card["erased_rows"] = erased
    if signature is not None:
        card["sign_off"] = signed_by(signature)
    if undone:
        card["undone"] = undone_json(undone)
    card |= grown.account
    if evened is not None:
        card["rebalance"] = evened
    if isinstance(config.canaries, CanariesConfig) and "train" in splits:
        rows = make_canaries(config.canaries, objective, labels, ws)
        splits = {**splits, "train": Chained(splits["train"], rows)}
        card["canaries"] = account(config.canaries)
    outcomes.add(joined.outcomes)
    drops = Chained(imported.rejected, outcomes.drops)
    version = None
    if not dry_run:
        store_asides(ws, drops, outcomes, progress)
        identifying.save()
        version = _freeze(ws, config, splits, labels, card, progress)
    counts = {name: len(examples) for name, examples in splits.items()}
    return BuildResult(
        version=version,
        counts=counts,
        labels=labels,
        sources=tuple(imported.sources),
        steps=tuple(outcomes.reports),
        drops=drops,
        changes=outcomes.changes,
        suspects=outcomes.suspects,
        card=card,
        warnings=(
            *unsigned,
            *other_sources(ws, signature, [source.digest for source in imported.sources]),
            *refusals,
            *cleaning_notes(outcomes.states),
            *divided.warnings,
            *grown.warnings,
            *_size_warnings(config, counts, outcomes),
            *_idle_labels(known, used),
        ),
        splits=splits,
        leaks=(*leaks, *divided.leaks),
    )


def _signature(
    ws: Workspace, config: DataConfig, dry_run: bool
) -> tuple[Signature | None, tuple[str, ...]]:
    """Return what freezing rests on, before any work is done; a dry run is told what is missing."""
    try:
        return signature_for(ws, config.deidentification), ()
    except InputError as refusal:
        if not dry_run:
            raise
        return None, (f"a build would be refused: {refusal}",)


def known_labels(config: DataConfig, objective: Objective, ws: Workspace) -> Known:
    """Return the closed label set: the objective's, or the one frozen in the latest version."""
    if objective.task not in LABEL_TASKS:
        return Known((), "")
    if isinstance(objective.labels, list):
        return Known(tuple(tidy_label(label) for label in objective.labels), "[objective] labels")
    versions = ledger.list_versions(ws) if config.labels == "frozen" else []
    if not versions:
        return Known((), "")
    latest = ledger.get_version(ws)
    frozen = next((one for one in (latest, *reversed(versions)) if one.labels), latest)
    return Known(
        frozen.labels, f'version {frozen.id}, which froze them ([data] labels = "renew" lifts that)'
    )


def make_steps(
    config: DataConfig,
    objective: Objective,
    known: Known,
    first: frozenset[str] = frozenset(),
    decisions: Decisions | None = None,
    identifying: Deidentification | None = None,
) -> list[Step]:
    """Return the steps after cleaning, in order; rows with the ids ``first`` win over doubles.

    Decisions about suspects come after de-identification: people decided on what was frozen.

    Labels come before duplicates, so that a row with a wrong label never displaces a right one;
    de-identification comes before duplicates, so that people's names and numbers hide none.
    """
    closed = frozenset(objective.enum_fields)
    rules = config.duplicate_rules
    steps: list[Step] = [CheckLabels(objective, known.labels)]
    if config.redacts:
        steps.append(identifying.step(closed) if identifying else Deidentify(closed))
    if decisions is not None and decisions.by_id:
        steps.append(Decide(decisions))
    if rules.exact:
        steps.append(ExactDuplicates(first))
    if rules.near != "off":
        steps.append(NearDuplicates(rules.near, first, slips=rules.slips))
    if rules.semantic != "off":
        steps.append(SemanticDuplicates(rules.semantic, rules.embedder, first))
    return steps


def _refuse_unusable(
    imported: Imported, outcomes: Outcomes, known: Known, objective: Objective
) -> None:
    """Raise when what is left cannot be learned from."""
    unknown = [drop.evidence for drop in outcomes.drops if drop.reason == "unknown_label"]
    refuse_too_few(outcomes.examples, unknown, objective.task, known.labels, known.origin)
    if outcomes.examples:
        return
    rows = sum(source.rows for source in imported.sources)
    lines = [f"import: {len(imported.rejected)} unreadable"] if imported.rejected else []
    for report in outcomes.reports:
        if report.dropped:
            counts = ", ".join(f"{reason} {count}" for reason, count in report.dropped.items())
            lines.append(f"{report.name}: {sum(report.dropped.values())} ({counts})")
    raise InputError(
        "rows left after cleaning",
        got=f"none of {rows}; dropped by " + "; ".join(lines),
        remedy="loosen that step in [data], or correct the sources; "
        "`metier data build --dry-run` shows what each step drops",
    )


def _used_labels(splits: Mapping[str, Sequence[Example]]) -> frozenset[str]:
    rows = chain.from_iterable(splits.values())
    return frozenset(label for row in rows for label in labels_in(row.target))


def _freeze(
    ws: Workspace,
    config: DataConfig,
    splits: Mapping[str, Sequence[Example]],
    labels: tuple[str, ...],
    card: Mapping[str, Json],
    progress: Progress,
) -> DataVersion:
    sources = [
        ledger.record_source(ws, source["path"], source["digest"], source["rows"])
        for source in card["sources"]
    ]
    if "cases" in card:
        sources.append(ledger.record_source(ws, FEEDBACK, FEEDBACK, card["cases"]["corrected"]))
    rows = sum(len(examples) for examples in splits.values())
    with progress.task("data: freeze", total=2 * rows, unit="rows") as task:
        return ledger.save_version(
            ws,
            {name: Watched(examples, task, readings=2) for name, examples in splits.items()},
            labels=labels,
            config=config.model_dump(mode="json"),
            card=card,
            sources=list(dict.fromkeys(sources)),
            looks_budget=config.looks,
        )


def _size_warnings(
    config: DataConfig, counts: Mapping[str, int], outcomes: Outcomes
) -> tuple[str, ...]:
    said = []
    shipped_splits = {one.split for one in outcomes.examples}
    for name, size in (("test", config.test), ("validation", config.validation)):
        shipped = name in shipped_splits
        if shipped and name in config.model_fields_set:
            said.append(f"[data] {name} = {size} is not used: a source ships the {name} split")
        elif isinstance(size, int) and not shipped and counts.get(name, size) != size:
            said.append(
                f"{name} has {counts[name]} rows instead of {size}: groups and classes stay whole"
            )
    return tuple(said)


def _idle_labels(known: Known, used: Collection[str]) -> tuple[str, ...]:
    idle = [label for label in known.labels if label not in used]
    if not idle or not used:
        return ()
    more = f" and {len(idle) - 5} more" if len(idle) > 5 else ""
    return (f"no row has the label {', '.join(map(repr, idle[:5]))}{more} of {known.origin}",)
