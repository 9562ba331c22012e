"""evaluate_file: score and compare predictions that exist already. No project, no workspace.

    found = evaluate_file(Path("predictions.jsonl"))
    found.systems[0].metrics["f1_macro"]      # Estimate with its interval
    found.tables()                            # for a terminal; core.codec.to_json for the rest

The task is guessed from the references (closed set, lists of labels, JSON objects or texts) and
stated in ``why``. Several systems, from a column or from more files, are compared pairwise on the
items they share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from metier.core.errors import InputError, nearest
from metier.core.objective import Objective, TaskKind
from metier.core.records import Difference
from metier.core.types import Score
from metier.evaluate.adjust import adjusted
from metier.evaluate.files.result import FileEvaluation, SystemResult
from metier.evaluate.files.rows import (
    Columns,
    Item,
    check_references,
    check_scores,
    find_columns,
    join_references,
    need_column,
    read_items,
    read_table,
)
from metier.evaluate.files.task import answer_warnings, guess_task, label_fields, records_by_system
from metier.scoring import (
    MetricInfo,
    Resampling,
    confusion,
    field_view,
    make_metric,
    metric_info,
    paired_difference,
    per_class,
    rare_classes,
    task_metrics,
)
from metier.scoring.records import carries
from metier.scoring.statistics.power import detectable
from metier.scoring.types import DEFAULT

__all__ = [
    "FileEvaluation",
    "FileOptions",
    "SystemResult",
    "evaluate_file",
]
GUESSED = Columns()
MAX_PAIRS = 15
SCORES = "scores"
_LEADING = ("f1_macro", "accuracy", "f1_micro", "exact_match", "token_f1", "rougeL")


@dataclass(frozen=True, slots=True)
class FileOptions:
    """How a file is read and measured.

    ``columns`` overrides the guess per role, ``task`` the guess of the task; ``references`` is a
    file with the references, joined by id (without ids: by row); ``against`` are more files, each
    a system named after its file; ``metrics`` are the ones wanted (None: all the task has).
    """

    columns: Columns = GUESSED
    task: TaskKind | None = None
    references: Path | None = None
    against: tuple[Path, ...] = ()
    metrics: tuple[str, ...] | None = None
    resampling: Resampling = DEFAULT


def evaluate_file(path: Path, options: FileOptions | None = None) -> FileEvaluation:
    """Score a file of predictions (JSONL, JSON, CSV, TSV, Parquet, XLSX; also compressed).

    Raises InputError, with file and line, for what would make the numbers wrong: unreadable rows,
    missing references or scores, an id twice, columns that cannot be found.
    """
    options = options or FileOptions()
    columns, items = _read(Path(path), options)
    if columns.prediction is None and columns.score is not None:
        return _evaluate_scores(Path(path), columns, items, options)
    check_references(items)
    references = {item.id: item.reference for item in items}
    objective, why = guess_task(list(references.values()), options.task)
    records = records_by_system(items, objective)
    names = _metric_names(objective, records, options.metrics)
    systems = tuple(_measure(name, own, objective, names, options) for name, own in records.items())
    differences, notes = _differences(records, names, objective, options.resampling)
    return FileEvaluation(
        path=str(path),
        task=objective.task,
        why=(why, *_column_words(columns)),
        columns=columns.named(),
        systems=systems,
        differences=differences,
        warnings=(*notes, *answer_warnings(records, objective)),
        level=options.resampling.level,
    )


def _read(path: Path, options: FileOptions) -> tuple[Columns, list[Item]]:
    rows = read_table(path)
    columns = find_columns(rows, path, options.columns)
    if columns.prediction is not None or columns.score is None:
        need_column(columns, "prediction", rows, path)
        if options.references is None:
            need_column(columns, "reference", rows, path)
    items = read_items(rows, path, columns)
    for other in options.against:
        items += _other_items(Path(other), columns, options, {item.system for item in items})
    if options.references is not None:
        items = join_references(items, _references(Path(options.references), options.columns))
    return columns, items


def _other_items(path: Path, first: Columns, options: FileOptions, taken: set[str]) -> list[Item]:
    """Read one more file as a system; columns the user named hold where they exist in it."""
    rows = read_table(path)
    known = {name for row in rows for name in row.values}
    given = {role: name for role, name in options.columns.named().items() if name in known}
    columns = find_columns(rows, path, replace(GUESSED, **given))
    for role in ("prediction", "reference", "score"):
        needed = getattr(first, role) is not None and getattr(columns, role) is None
        if needed and not (role == "reference" and options.references):
            need_column(columns, role, rows, path)
    return read_items(rows, path, columns, path.stem if path.stem not in taken else str(path))


def _references(path: Path, given: Columns) -> dict[str, Item]:
    rows = read_table(path)
    known = {name for row in rows for name in row.values}
    roles = {"id": given.id, "group": given.group, "reference": given.reference}
    kept = {role: name for role, name in roles.items() if name in known and name is not None}
    columns = find_columns(rows, path, replace(GUESSED, **kept), list(roles))
    need_column(columns, "reference", rows, path)
    items = read_items(rows, path, columns, "references")
    check_references(items)
    return {item.id: item for item in items}


def _metric_names(
    objective: Objective, records: Mapping[str, list[Score]], wanted: Sequence[str] | None
) -> list[str]:
    given = [record for own in records.values() for record in own]
    objective = objective.model_copy(update={"metrics": list(wanted or ())})
    known = [name for name in task_metrics(objective) if _measurable(metric_info(name), given)]
    for name in wanted or ():
        if name not in known:
            raise InputError(
                f"a metric that can be computed for {objective.task!r} from this file",
                got=repr(name),
                remedy=nearest(name, known),
            )
    order = {name: place for place, name in enumerate(_LEADING)}
    leading = sorted(known, key=lambda name: order.get(name.rpartition(".")[2], len(order)))
    return list(wanted or leading)


def _measurable(info: MetricInfo, records: Sequence[Score]) -> bool:
    """Whether a file says what the metric needs; it never says tokens or costs."""
    if info.per_class or info.needs in ("usage", "costs", "probe"):
        return False
    if info.needs == "timing":
        return any("latency_s" in record.detail for record in records)
    return carries(records, info.needs)


def _groups(records: Sequence[Score]) -> int:
    return len({record.cluster or record.example_id for record in records})


def _measure(
    system: str,
    records: Sequence[Score],
    objective: Objective,
    metrics: Sequence[str],
    options: FileOptions,
) -> SystemResult:
    found = {
        metric: make_metric(metric, objective=objective)(records, options.resampling)
        for metric in metrics
    }
    views = {
        field: field_view(records, field) if field else records for field in label_fields(objective)
    }
    single = [name for name, kind in label_fields(objective).items() if kind == "label"]
    return SystemResult(
        name=system,
        n=len(records),
        clusters=_groups(records),
        metrics=found,
        per_class={name: per_class(view, options.resampling) for name, view in views.items()},
        rare={name: rare_classes(view) for name, view in views.items()},
        confusion={name: confusion(views[name]) for name in single},
    )


def _differences(
    records: Mapping[str, list[Score]],
    metrics: Sequence[str],
    objective: Objective | None,
    resampling: Resampling,
) -> tuple[tuple[Difference, ...], list[str]]:
    found, notes = [], []
    pairs = list(combinations(records, 2))
    if len(pairs) > MAX_PAIRS:
        first = next(iter(records))
        pairs = [(first, other) for other in records if other != first]
        notes.append(f"{len(records)} systems: each is compared with {first!r} only")
    for a, b in pairs:
        ours, theirs, note = _shared(records, a, b)
        notes += [note] if note else []
        for metric in metrics if ours else ():
            paired = paired_difference(
                make_metric(metric, objective=objective), ours, theirs, resampling
            )
            shown = detectable(paired.estimate)
            found.append(Difference(metric, a, b, paired.estimate, paired.p_value, None, shown))
    return tuple(adjusted(found) if len(pairs) > 1 else found), notes


def _shared(
    records: Mapping[str, list[Score]], a: str, b: str
) -> tuple[list[Score], list[Score], str]:
    ours = {record.example_id: record for record in records[a]}
    theirs = {record.example_id: record for record in records[b]}
    both = sorted(ours.keys() & theirs.keys())
    note = ""
    if len(both) < max(len(ours), len(theirs)):
        note = (
            f"{a!r} and {b!r} are compared on the {len(both)} items both answered "
            f"({len(ours) - len(both)} only in {a!r}, {len(theirs) - len(both)} only in {b!r})"
        )
    return [ours[i] for i in both], [theirs[i] for i in both], note


def _evaluate_scores(
    path: Path, columns: Columns, items: Sequence[Item], options: FileOptions
) -> FileEvaluation:
    """A column of numbers (ratings, a judge's scores) and no predictions: their means."""
    check_scores(items, columns.score or "")
    records: dict[str, list[Score]] = {}
    for item in items:
        blank = Score(item.id, item.score, cluster=item.group)
        records.setdefault(item.system, []).append(blank)
    metric = make_metric("mean")
    systems = tuple(
        SystemResult(name, len(own), _groups(own), {"mean": metric(own, options.resampling)})
        for name, own in records.items()
    )
    differences, notes = _differences(records, ["mean"], None, options.resampling)
    why = (f"no predictions, but numbers in {columns.score!r}: their mean", *_column_words(columns))
    named, level = columns.named(), options.resampling.level
    return FileEvaluation(str(path), SCORES, why, named, systems, differences, tuple(notes), level)


def _column_words(columns: Columns) -> list[str]:
    named = columns.named()
    words = ", ".join(f"{role} from {column!r}" for role, column in named.items())
    notes = [f"columns: {words}"]
    if "id" not in named:
        notes.append("no id column: rows are matched by their order")
    if "group" not in named:
        notes.append("no group column: every row counts as independent")
    return notes
