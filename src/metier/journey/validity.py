"""Whether a metric may be trusted: its agreement with people's ratings, measured and kept.

A metric that is marked ``proxy`` passes no gate until a panel's ratings of held-out replies were
held against it and the lower bound of the correlation reached ``[objective]
proxy_min_correlation``. What was measured is stored as a Probe of the kind "validity".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from metier.core import ledger
from metier.core.errors import InputError, NotFound
from metier.core.ids import new_id
from metier.core.objective import Objective
from metier.core.records import EvaluationReport, Probe
from metier.core.types import Score
from metier.journey.ratings import Rating, read_ratings
from metier.journey.session import Session, make_bench
from metier.journey.trust import PEARSON, SPEARMAN, VALIDITY
from metier.scoring import Resampling, metric_info
from metier.scoring.materials import Materials
from metier.scoring.tasks import possible_metrics

if TYPE_CHECKING:
    from metier.core.types import Example

HELD_OUT = ("validation", "test", "regression", "challenge")


@dataclass(frozen=True)
class _Replies:
    """Replies that were rated: their records, other names of theirs, and where they come from."""

    records: Sequence[Score]
    aliases: Mapping[str, str]
    version_id: str | None
    run_id: str | None
    source: str


def validate_metric(
    session: Session,
    name: str,
    ratings: Path,
    *,
    predictions: Path | None = None,
    evaluation: str | None = None,
) -> Probe:
    """Hold a metric against ratings of the same replies, and keep what was found.

    The replies are those of a stored evaluation (by id; none given: the newest of a held-out
    split), or of a file with ``id`` and ``prediction``. Correlations are signed so that agreement
    is positive also where lower values are better.

    Raises InputError when the metric has no value per reply, the replies are trained on, or too
    few of them were rated.
    """
    objective = session.project.objective
    objective = objective.model_copy(update={"metrics": [*objective.metrics, name]})
    _check_metric(name, objective)
    if predictions is not None:
        replies = _from_file(session, predictions, objective)
    else:
        replies = _from_evaluation(session, evaluation)
    given = read_ratings(ratings)
    rated, notes = _matched(replies, given)
    probe = _measure(session, name, objective, rated)
    detail = {
        **probe.detail,
        "replies": replies.source,
        "ratings": ratings.name,
        "raters_per_reply": sum(one.raters for _, one in rated) / len(rated),
        "notes": notes,
    }
    found = replace(probe, version_id=replies.version_id, run_id=replies.run_id, detail=detail)
    saved = ledger.save_probe(session.workspace, found)
    session.workspace.audit.append(None, "metrics.validate", name, {"ratings": ratings.name})
    return saved


def _check_metric(name: str, objective: Objective) -> None:
    info = metric_info(name, objective)
    if info.kind not in ("proportion", "mean") or name not in possible_metrics(objective):
        raise InputError(
            f"a metric with a value per reply, for task {objective.task!r}",
            got=f"{name!r}, which is a {info.kind}",
            remedy="`metier metrics` lists them with their kinds",
        )


def _measure(
    session: Session, name: str, objective: Objective, rated: Sequence[tuple[Score, Rating]]
) -> Probe:
    from metier.evaluate.failures.items import item_values
    from metier.scoring.builtin import make_metric
    from metier.scoring.statistics.validity import correlation

    metric = make_metric(name, objective=objective, materials=_materials(session))
    config = session.project.evaluate
    resampling = Resampling(resamples=config.resamples, seed=config.seed, level=config.level)
    values = item_values(metric, [record for record, _ in rated])
    sign = 1 if metric.info.higher_is_better else -1
    kept = [
        (sign * float(value), rating.value, record)
        for value, (record, rating) in zip(values, rated, strict=True)
        if not math.isnan(value)
    ]
    ours = [value for value, _, _ in kept]
    theirs = [rating for _, rating, _ in kept]
    records = [record for _, _, record in kept]
    found = {
        kind: correlation(ours, theirs, records, ranked=kind == SPEARMAN, resampling=resampling)
        for kind in (SPEARMAN, PEARSON)
    }
    detail = {"metric": name, "undefined": len(rated) - len(kept), "lower_is_better": sign < 0}
    now = datetime.now(UTC)
    return Probe(new_id("probe"), now, VALIDITY, name, None, None, found, detail)


def _materials(session: Session) -> Materials:
    """What checks read; without a data version there are no training replies."""
    from metier.evaluate.beside import materials_of

    try:
        return materials_of(make_bench(session))
    except NotFound:
        return Materials(session.root)


def _matched(
    replies: _Replies, given: Sequence[Rating]
) -> tuple[list[tuple[Score, Rating]], list[str]]:
    known = {record.example_id: record for record in replies.records}
    rated: dict[str, tuple[Score, Rating]] = {}
    for one in given:
        record = known.get(replies.aliases.get(one.id, one.id))
        if record is None:
            continue
        if record.example_id in rated:
            raise InputError(
                "ratings that name replies in one way", got=f"{one.id} under two names"
            )
        cluster = one.group or record.cluster
        rated[record.example_id] = (replace(record, cluster=cluster), one)
    if not rated:
        raise InputError(
            f"ratings of replies in {replies.source}",
            got=f"{len(given)} ratings of others, e.g. of {given[0].id}",
            remedy="name the evaluation that was rated, or its predictions",
        )
    lost = len(given) - len(rated)
    note = f"{lost} of {len(given)} ratings are of replies that {replies.source} does not hold"
    return list(rated.values()), [note] if lost else []


def _from_evaluation(session: Session, key: str | None) -> _Replies:
    from metier.evaluate.turns import every_turn
    from metier.scoring.records import records_of

    ws = session.workspace
    report = ledger.get_evaluation(ws, key) if key else _newest(session)
    if report.split not in HELD_OUT:
        raise InputError(
            "an evaluation of a held-out split",
            got=f"{report.id}, of {report.split}",
            remedy="rate replies to examples that nothing was trained on",
        )
    predictions = ledger.load_predictions(ws, report)
    version = ledger.get_version(ws, report.version_id)
    examples = every_turn(ledger.load_split(ws, version, report.split))
    aliases = {one.id: one.example_id for one in predictions}
    records = records_of(predictions, examples)
    return _Replies(records, aliases, version.id, report.run_id, f"evaluation {report.id}")


def _newest(session: Session) -> EvaluationReport:
    """The newest evaluation of a held-out split; a tuned one before any other."""
    ws = session.workspace
    version = ledger.get_version(ws)
    found = [one for one in ledger.list_evaluations(ws, version.id) if one.split in HELD_OUT]
    if not found:
        raise NotFound(
            f"an evaluation of {version.id}", got="none", remedy="run `metier evaluate` first"
        )
    tuned = [one for one in found if one.run_id is not None]
    return (tuned or found)[-1]


def _from_file(session: Session, path: Path, objective: Objective) -> _Replies:
    from metier.evaluate.files.rows import (
        Columns,
        find_columns,
        need_column,
        read_items,
        read_table,
    )
    from metier.evaluate.files.task import records_by_system

    rows = read_table(path)
    columns = find_columns(rows, path, Columns())
    need_column(columns, "prediction", rows, path)
    need_column(columns, "id", rows, path)
    records = records_by_system(read_items(rows, path, columns, path.stem), objective)[path.stem]
    version, examples = _examples(session)
    trained = {one.id for one in examples.get("train", ())}
    seen = [one.example_id for one in records if one.example_id in trained]
    if seen:
        got = f"{len(seen)} of the training split, e.g. {seen[0]}"
        raise InputError("replies to held-out examples", got=got)
    asked = {e.id: e.conversation.last_user for own in examples.values() for e in own}
    known = [_with_question(one, asked) for one in records]
    return _Replies(known, {}, version, None, path.name)


def _with_question(record: Score, asked: Mapping[str, str]) -> Score:
    question = asked.get(record.example_id)
    return (
        record if question is None else replace(record, detail={**record.detail, "asked": question})
    )


def _examples(session: Session) -> tuple[str | None, dict[str, list[Example]]]:
    ws = session.workspace
    try:
        version = ledger.get_version(ws)
    except NotFound:
        return None, {}
    return version.id, {split: ledger.load_split(ws, version, split) for split in version.splits}
