"""Clean half against dirty whole: what the cleaning of the training rows is worth.

    dirty whole    every row of the sources that may be trained on, with the label it came with
    as built       the version's training rows: what the steps of the build left
    cleaned        those without the rows under suspicion (labels, contradictions, poor targets)
    clean half     half of the cleaned rows, whole groups

Each arm is learned from by the same model and measured on the same validation rows; no look at the
sealed test set is spent. Validation rows are as doubtful as training rows are: a model that learned
their mistakes is rewarded for them, so what cleaning brings is, if anything, underestimated.

Rows that the build kept have the version's text in every arm, so the difference is that of rows and
labels, not of repaired texts. Rows that it had left out are read from the sources again, fitted in
memory, and stored nowhere. The base is tuned only on what is frozen: with ``tune`` the first arm
is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from metier.core import ledger
from metier.core.codec import to_json
from metier.core.errors import InputError
from metier.core.ids import new_id
from metier.core.objective import Objective
from metier.core.records import EvaluationReport, Probe
from metier.core.types import Estimate, Example, FieldsTarget
from metier.data.intake import read_sources
from metier.data.labels import labels_in
from metier.data.leakage import find_leaks
from metier.data.quality.rebalance import is_copy
from metier.data.quality.report import KIND as QUALITY
from metier.data.quality.suspects import open_suspects
from metier.journey.quality import measure_quality
from metier.journey.session import Session, load_project_base, make_bench
from metier.journey.verbs import TUNED, as_job, finished_run

if TYPE_CHECKING:
    from metier.core.records import TuneRun
    from metier.evaluate.bench import Bench, Contender
    from metier.models.base import Base

KIND = "ablation"
SPLIT = "validation"
FITTED = "tfidf"
DIRTY, BUILT, CLEANED, HALF = "dirty whole", "as built", "cleaned", "clean half"
ONLY_UNUSUAL = frozenset(
    ["outlier", "long_prompt", "short_prompt", "other_language", "high_loss", "unlike_neighbours"]
)
"""Suspicions that say a row is unusual, not that it is wrong: such rows stay in every arm."""
PAIRS = ((HALF, DIRTY), (CLEANED, DIRTY), (CLEANED, BUILT), (HALF, BUILT))


@dataclass(frozen=True, slots=True)
class Arm:
    """One set of training rows and the quality after learning from it."""

    name: str
    rows: int
    estimate: Estimate
    evaluation: str


@dataclass(frozen=True)
class Ablation:
    """The arms in order, and paired differences by name ("clean half - dirty whole")."""

    rung: str
    metric: str
    arms: tuple[Arm, ...]
    differences: Mapping[str, Estimate]
    notes: tuple[str, ...]


def ablate(session: Session, version: str = ledger.LATEST, *, tune: bool = False) -> Ablation:
    """Measure what cleaning is worth, as a job; suspects are looked for first where nobody did.

    Raises InputError without validation rows, or when nothing is left to learn from.
    """
    bench = make_bench(session, version)
    bench.measured(SPLIT)  # its error says how to get validation rows
    if ledger.latest_probe(session.workspace, QUALITY, bench.version.id) is None:
        measure_quality(session, bench.version.id)

    def work(_: object) -> Ablation:
        arms = arms_of(session, bench, with_dirty=not tune)
        found = _compare(bench, _measured(session, bench, arms, tune), arms, tune)
        _keep(session, bench.version.id, found)
        return found

    config = {"version": bench.version.id, "tune": tune}
    return as_job(session, "tune" if tune else KIND, config, work, lambda found: found.rung)


def arms_of(session: Session, bench: Bench, *, with_dirty: bool = True) -> dict[str, list[Example]]:
    """Return the training rows of each arm."""
    from metier.evaluate.curve import nested_share

    built = [row for row in bench.examples("train") if not is_copy(row)]
    doubted = {
        row.example_id
        for row in open_suspects(session.workspace)
        if not set(row.reasons) <= ONLY_UNUSUAL
    }
    cleaned = [row for row in built if row.id not in doubted]
    if not cleaned:
        raise InputError("training rows that are not under suspicion", got="none")
    arms = {BUILT: built, CLEANED: cleaned, HALF: nested_share(cleaned, 0.5, bench.config.seed)}
    return {DIRTY: dirty_rows(session, bench, built), **arms} if with_dirty else arms


def dirty_rows(session: Session, bench: Bench, built: Sequence[Example]) -> list[Example]:
    """Return all rows of the sources that may be trained on, with the labels they came with.

    Left out: rows without a target, and what leaks from the measured rows.
    """
    project, ws = session.project, session.workspace
    imported = read_sources(project.data.sources, project.objective, session.root, session.progress)
    frozen = {row.id: row for row in built}
    measured = {name: bench.examples(name) for name in ("test", SPLIT)}
    away = {row.id for rows in measured.values() for row in rows}
    dirty = [
        _as_delivered(row, frozen.get(row.id), project.objective, ws.sealed.group_hash)
        for row in imported.examples
        if row.target is not None and row.split in (None, "train") and row.id not in away
    ]
    dirty = [row for row in dirty if _usable(row, bench)]
    leaks = find_leaks({**measured, "train": dirty}, project.data.near_leakage)
    gone = {leak.yields.id for leak in leaks}
    return [row for row in dirty if row.id not in gone]


def _as_delivered(
    row: Example, frozen: Example | None, objective: Objective, group_hash: Callable[[str], str]
) -> Example:
    """Return a row with the version's text, where it has it, and the label of its source."""
    if frozen is None:
        return replace(row, group=None if row.group is None else group_hash(row.group))
    if isinstance(frozen.target, FieldsTarget) and isinstance(row.target, FieldsTarget):
        given = row.target.fields
        closed = {name: given[name] for name in objective.enum_fields if name in given}
        return replace(frozen, target=FieldsTarget({**frozen.target.fields, **closed}))
    return replace(frozen, target=row.target)


def _usable(row: Example, bench: Bench) -> bool:
    """Whether a model of this task can learn from the row at all."""
    if isinstance(row.target, FieldsTarget):
        fields = row.target.fields
        return all(fields.get(name) in known for name, known in bench.objective.enum_fields.items())
    return not bench.labels or set(labels_in(row.target)) <= set(bench.labels)


def _measured(
    session: Session, bench: Bench, arms: Mapping[str, Sequence[Example]], tune: bool
) -> dict[str, EvaluationReport]:
    from metier.evaluate.evaluate import evaluate

    base = load_project_base(session) if tune else None
    found = {}
    with session.progress.task("ablation", len(arms), "arms") as task:
        for name, rows in arms.items():
            contender = _contender(session, bench, rows, base)
            rung = f"{contender.rung}@{name.replace(' ', '_')}"
            found[name] = evaluate(bench, replace(contender, rung=rung), split=SPLIT)
            task.advance()
    return found


def _contender(
    session: Session, bench: Bench, rows: Sequence[Example], base: Base | None
) -> Contender:
    from metier.evaluate.baselines import tuned_contender
    from metier.evaluate.bench import Contender
    from metier.models.classical import tfidf

    if base is None:
        return Contender(FITTED, tfidf(rows, bench.objective))
    return tuned_contender(bench, _tuned(session, bench, base, rows), base)


def _tuned(session: Session, bench: Bench, base: Base, rows: Sequence[Example]) -> TuneRun:
    from metier.tune.run import Conditions, tune

    project = session.project
    whole = len(rows) == len(ledger.load_split(session.workspace, bench.version, "train"))
    known = finished_run(session, bench.version) if whole else None
    return known or tune(
        project.tune,
        bench.version,
        session.workspace,
        base,
        project.objective,
        system=project.project.system,
        progress=session.progress,
        under=Conditions(only=None if whole else sorted(row.id for row in rows)),
    )


def _compare(
    bench: Bench,
    reports: Mapping[str, EvaluationReport],
    arms: Mapping[str, Sequence[Example]],
    tune: bool,
) -> Ablation:
    from metier.scoring import make_metric, paired_difference, primary_metric, records_of

    name = primary_metric(bench.objective)
    metric = make_metric(name, objective=bench.objective)
    records = {
        arm: records_of(ledger.load_predictions(bench.workspace, report))
        for arm, report in reports.items()
    }
    differences = {}
    for a, b in PAIRS:
        if a in records and b in records:
            paired = paired_difference(metric, records[a], records[b], bench.resampling)
            differences[f"{a} - {b}"] = paired.estimate
    found = tuple(
        Arm(arm, len(arms[arm]), report.metrics[name], report.id) for arm, report in reports.items()
    )
    return Ablation(TUNED if tune else FITTED, name, found, differences, _notes(tune))


def _notes(tune: bool) -> tuple[str, ...]:
    said = ["measured on validation rows, whose labels nobody has checked; no look was spent"]
    if tune:
        said.append(f"{DIRTY} is left out: the base is tuned only on what is frozen")
    return tuple(said)


def _keep(session: Session, version_id: str, found: Ablation) -> None:
    names = {name: name.replace(" - ", "_minus_").replace(" ", "_") for name in found.differences}
    probe = Probe(
        id=new_id("probe"),
        created_at=datetime.now(UTC),
        kind=KIND,
        subject=found.rung,
        version_id=version_id,
        run_id=None,
        metrics={names[name]: estimate for name, estimate in found.differences.items()},
        detail={"metric": found.metric, "arms": to_json(found.arms), "notes": list(found.notes)},
    )
    ledger.save_probe(session.workspace, probe)
