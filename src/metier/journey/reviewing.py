"""Panels of a project: who is rated on which items, what was found, and what it means for a gate.

    plan_project_panel(session, Ask(detect=0.3))
    make_project_panel(session, PanelAsk("spring", ("challenger", "champion")), "mara")

What came of it is in ``metier.journey.panel_results``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from metier.core import ledger
from metier.core.errors import InputError, NotFound
from metier.core.records import DataVersion, EvaluationReport, Prediction
from metier.core.store.tables import VersionExampleRow
from metier.core.types import Example, Image, Json, Message
from metier.journey.asked import people_asked
from metier.journey.report import numbers
from metier.journey.session import Session, make_bench
from metier.journey.verbs import newest_per_rung
from metier.queue.queues import list_queues
from metier.queue.types import Queue
from metier.registry import aliases
from metier.review.order import shuffled
from metier.review.panel import (
    Candidate,
    Case,
    Mode,
    NewPanel,
    Panel,
    Preview,
    check_panel,
    make_panel,
    preview_panel,
)
from metier.review.plan import Ask, Plan, Variances, plan_panel
from metier.scoring import Resampling, primary_metric
from metier.scoring.goals.targets import CHAMPION, NO_BASELINES, best_of

if TYPE_CHECKING:
    from metier.retrieval.index import Index

SPLIT = "test"
BASELINE = "baseline"
ROLES = ("challenger", CHAMPION, BASELINE)
PASSAGE_CHARS = 4000
NO_REPLY = "(no reply)"
ENOUGH = 100
"""Ratings from which a panel's own variances are planned with."""


@dataclass(frozen=True, slots=True)
class PanelAsk:
    """What a panel is asked for. ``candidates``: champion, challenger, baseline, a rung of the
    latest version, or an evaluation's id. ``items`` 0: all; ``dimensions`` (): all of the rubric.

    ``raters`` None: as [review] says. ``reference_answer`` shows the right answer beside the item.
    """

    name: str
    candidates: tuple[str, ...] = ROLES
    mode: Mode = "rate"
    items: int = 50
    dimensions: tuple[str, ...] = ()
    raters: int | None = None
    duplicates: float | None = None
    guests: bool = False
    rate_both: bool = False
    people: tuple[str, ...] = ()
    title: str = ""
    reference_answer: bool = False


def plan_project_panel(session: Session, ask: Ask) -> Plan:
    """Plan a panel with this project's prices, items and what earlier panels showed."""
    config, prices = session.project.review, session.project.costs
    return plan_panel(
        replace(
            ask,
            usd_per_hour=prices.usd_per_annotator_hour,
            seconds_per_item=_seconds(session) or config.seconds_per_item,
            duplicates=config.duplicates,
            variances=ask.variances or _measured_variances(session),
            available=_available(session),
            cluster_size=_cluster_size(session) or ask.cluster_size,
        )
    )


def preview_project_panel(session: Session, ask: PanelAsk) -> Preview:
    """Say what a panel would be, with its first items; nothing is written."""
    people_asked(session, ask.people, "review")
    version, panel, cases = _designed(session, ask)
    check_panel(panel, version, cases)
    return preview_panel(panel, cases)


def make_project_panel(session: Session, ask: PanelAsk, actor: str) -> Queue:
    """Make a panel from stored predictions: on the test split, unless evaluations on another one
    are named. Raises InputError, NotFound."""
    version, panel, cases = _designed(session, ask)
    split = ledger.get_evaluation(session.workspace, panel.candidates[0].evaluation).split
    chosen = {"split": split, "asked": ask.items, "seed": panel.seed}
    people = people_asked(session, ask.people, "review")
    new = NewPanel(ask.name, panel, ask.title, people, chosen)
    return make_panel(session.workspace, new, version, cases, actor)


def list_panels(session: Session) -> list[Queue]:
    """The project's panels, the newest first."""
    return [
        one for one in list_queues(session.workspace, "review") if "mode" in (one.settings or {})
    ]


def evaluations_elsewhere(session: Session) -> list[EvaluationReport]:
    """The newest evaluation of each rung on each other split than the test split of the latest
    version: a panel on those gives preferences that may be learned from."""
    newest: dict[tuple[str, str], EvaluationReport] = {}
    version = ledger.get_version(session.workspace)
    for report in ledger.list_evaluations(session.workspace, version.id):
        if report.split in version.splits and report.split != SPLIT:
            newest[report.split, report.rung] = report
    return list(newest.values())


def candidate_reports(session: Session, names: Sequence[str]) -> list[tuple[str, EvaluationReport]]:
    """Find the evaluations that names stand for: an id its own, others those on the latest
    version's test split.

    Raises NotFound for one that is not there, InputError where they are of several versions or
    one comes twice.
    """
    found = [(name, _report(session, name)) for name in names]
    versions = {one.version_id for _, one in found} | {one.split for _, one in found}
    if len(versions) > 2:
        raise InputError(
            "candidates that were measured on the same split of the same version",
            got=", ".join(f"{name}: {one.split} of {one.version_id}" for name, one in found),
            remedy="evaluate all of them on the latest version",
        )
    ids = [one.id for _, one in found]
    twice = next((name for name, one in found if ids.count(one.id) > 1), None)
    if twice is not None:
        raise InputError("different candidates", got=f"{twice} and another are the same evaluation")
    return found


def _designed(session: Session, ask: PanelAsk) -> tuple[DataVersion, Panel, list[Case]]:
    config = session.project.review
    reports = candidate_reports(session, ask.candidates)
    candidates = tuple(
        Candidate(f"c{place}", called, one.id, one.rung, one.run_id, name if name in ROLES else "")
        for place, (called, (name, one)) in enumerate(
            zip(_names(reports), reports, strict=True), start=1
        )
    )
    panel = Panel(
        mode=ask.mode,
        candidates=candidates,
        dimensions=config.named(ask.dimensions),
        raters_per_item=ask.raters or config.raters_per_item,
        repeats=config.duplicates if ask.duplicates is None else ask.duplicates,
        seed=config.seed,
        guests=ask.guests,
        rate_both=ask.rate_both,
        seconds_per_item=config.seconds_per_item,
    )
    version = ledger.get_version(session.workspace, reports[0][1].version_id)
    cases = _cases(
        session, version, dict(zip(candidates, (r for _, r in reports), strict=True)), ask
    )
    return version, panel, cases


def _names(reports: Sequence[tuple[str, EvaluationReport]]) -> list[str]:
    """What candidates are called in the results: an evaluation by its rung, where one has it."""
    rungs = Counter(one.rung for _, one in reports) + Counter(name for name, _ in reports)
    return [one.rung if name == one.id and rungs[one.rung] == 1 else name for name, one in reports]


def _report(session: Session, name: str) -> EvaluationReport:
    ws = session.workspace
    version = ledger.get_version(ws)
    rungs = {one.rung: one for one in newest_per_rung(session, version.id)}
    if name == BASELINE:
        untuned = [one for rung, one in rungs.items() if rung not in NO_BASELINES]
        best = best_of(untuned, primary_metric(session.project.objective))
        if best is None:
            raise NotFound("a baseline", got="none measured", remedy="run `metier baseline`")
        return best
    release = aliases(ws).get(name)
    if release is not None:
        own = ledger.get_evaluation(ws, release.evaluation_id)
        if own.version_id == version.id:
            return own
    if name in rungs:
        return rungs[name]
    if name in ROLES:
        what = "measured on the latest version" if release else "there yet"
        raise NotFound(
            f"a {name}", got=f"none {what}", remedy="name an evaluation, or run `metier evaluate`"
        )
    return ledger.get_evaluation(ws, name)


def _cases(
    session: Session,
    version: DataVersion,
    reports: Mapping[Candidate, EvaluationReport],
    ask: PanelAsk,
) -> list[Case]:
    """The items that every candidate answered, or a part of them drawn by the seed."""
    from metier.evaluate.turns import every_turn

    ws = session.workspace
    split = next(iter(reports.values())).split
    given = {
        one.key: {p.example_id: p for p in ledger.load_predictions(ws, report)}
        for one, report in reports.items()
    }
    shared = set.intersection(*(set(found) for found in given.values()))
    examples = [
        one for one in every_turn(ledger.load_split(ws, version, split)) if one.id in shared
    ]
    if 0 < ask.items < len(examples):
        kept = set(shuffled((one.id for one in examples), session.project.review.seed)[: ask.items])
        examples = [one for one in examples if one.id in kept]
    passages = _passages(session, version, [p for own in given.values() for p in own.values()])
    return [_case(one, {k: own[one.id] for k, own in given.items()}, passages, ask)
            for one in examples]  # fmt: skip


def _case(
    example: Example, given: Mapping[str, Prediction], passages: Index | None, ask: PanelAsk
) -> Case:
    return Case(
        example.id,
        tuple(_turn(one) for one in example.conversation.messages if one.role != "system"),
        {key: reply_text(one) for key, one in given.items()},
        tuple(_source(example, list(given.values()), passages, ask)),
    )


def _turn(message: Message) -> Json:
    images = [part.artifact for part in message.parts if isinstance(part, Image)]
    return {"role": message.role, "text": message.text} | ({"images": images} if images else {})


def reply_text(prediction: Prediction) -> str:
    """A reply as people read it: the fields of an object line by line, else its text."""
    parsed = prediction.parsed
    if isinstance(parsed, Mapping | list):
        return numbers.answer(parsed)
    text = parsed if isinstance(parsed, str) and parsed.strip() else prediction.completion.text
    return text if text.strip() else NO_REPLY


def _source(
    example: Example, given: Sequence[Prediction], passages: Index | None, ask: PanelAsk
) -> list[Json]:
    """The record beside the reply: what is known of the case, and every passage that any candidate
    was shown, so that nothing tells one candidate from another."""
    found: list[Json] = []
    if example.slices and not ask.guests:  # slices are keys: nothing took identifiers out of them
        lines = (f"{name.replace('_', ' ')}: {one}" for name, one in example.slices.items())
        found.append({"title": "Case", "text": "\n".join(lines)})
    shown = dict.fromkeys(chunk for one in given for chunk in one.completion.sources)
    for chunk in shown:
        if passages is None:
            break
        try:
            text = passages.chunk(chunk).text
        except InputError:  # the documents have changed since
            continue
        found.append({"title": "Document", "text": text[:PASSAGE_CHARS]})
    if ask.reference_answer:
        right = given[0].expected
        found.append({"title": "Right answer, as recorded", "text": numbers.answer(right)})
    return found


def _passages(session: Session, version: DataVersion, given: Sequence[Prediction]) -> Index | None:
    if not any(one.completion.sources for one in given):
        return None
    from metier.evaluate.passages import library

    return library(make_bench(session, version.id)).index


def _seconds(session: Session) -> float | None:
    """What an item took in earlier panels."""
    from metier.review.ratings import read_answers
    from metier.review.results import median_seconds

    panels = list_panels(session)
    if not panels:
        return None
    rows = read_answers(session.workspace, panels[0]).rows
    return median_seconds(one.seconds for one in rows)


def _measured_variances(session: Session) -> Variances | None:
    """What the newest panel's ratings vary by; its residual is shared out as is assumed."""
    from metier.review.ratings import read_answers
    from metier.scoring.statistics.severity import correct_severity

    for queue in list_panels(session):
        answers = read_answers(session.workspace, queue)
        for one in answers.panel.dimensions:
            ratings = answers.ratings(one.name)
            if len({r.rater for r in ratings}) < 2 or len(ratings) < ENOUGH:
                continue
            found = correct_severity(ratings, (one.low, one.high), Resampling(resamples=50))
            return Variances.measured(
                found.sd_item**2,
                found.sd_rater**2,
                found.sd_noise**2,
                f"measured in panel {queue.name!r} on {one.name}, {len(ratings)} ratings",
            )
    return None


def _available(session: Session) -> int | None:
    try:
        return ledger.get_version(session.workspace).counts.get(SPLIT)
    except NotFound:
        return None


def _cluster_size(session: Session) -> float | None:
    """Items per group on the test split, where rows have groups."""
    try:
        version = ledger.get_version(session.workspace)
    except NotFound:
        return None
    own = VersionExampleRow.group_hash
    counts = select(func.count(), func.count(own), func.count(own.distinct())).where(
        VersionExampleRow.version_id == version.id, VersionExampleRow.split == SPLIT
    )
    with session.workspace.db.reading() as opened:
        rows, grouped, groups = opened.execute(counts).one()
    return rows / (groups + rows - grouped) if rows else None
