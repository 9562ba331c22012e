"""Probes of a run: what the tune did beside the task, measured and judged.

    run_probes(session, "latest", ["forgetting", "calibration"])

Each kind leaves one ``Probe``; a kind that was measured with the same model, data and settings is
not measured again. None of them uses up a look at the test set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from metier.core import ledger
from metier.core.canaries import planted
from metier.core.codec import to_json
from metier.core.errors import InputError
from metier.core.ids import new_id
from metier.core.records import EvaluationReport, Probe, TuneRun
from metier.core.types import Estimate, Json, digest
from metier.journey.probed import KINDS, Kind
from metier.journey.session import Session, base_name, load_project_base, make_bench
from metier.journey.verbs import as_job

if TYPE_CHECKING:
    from metier.evaluate.bench import Bench, Contender
    from metier.models.base import Base

PARITY_PURPOSE = "parity"
Found = tuple[Mapping[str, Estimate], Mapping[str, Json]]


@dataclass(frozen=True)
class Served:
    """Where a served model answers: the address of its API and its name there."""

    url: str
    model: str


@dataclass(frozen=True)
class _Subject:
    """The run that is probed."""

    session: Session
    run: TuneRun
    bench: Bench
    base: Base
    contender: Contender
    served: Served | None

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self.session.root


def run_probes(
    session: Session,
    run: str = ledger.LATEST,
    kinds: Sequence[Kind] = KINDS,
    *,
    served: Served | None = None,
) -> list[Probe]:
    """Measure side effects of a finished run, as a job; return one probe per kind.

    ``served`` holds the run to parity with a model behind an API instead of with itself.
    Raises InputError when the run is not finished, or a probe lacks what it needs.
    """
    if not kinds:
        return []
    found = ledger.get_run(session.workspace, run)
    if found.adapter is None:
        raise InputError(
            "a finished run",
            got=f"{found.id}, which is {found.state}",
            remedy="run `metier tune` again: it goes on from the last checkpoint",
        )

    def work(_: object) -> list[Probe]:
        subject = _subject(session, found, served)
        return [_probe(subject, kind) for kind in kinds]

    config: Json = {"run": found.id, "kinds": list(kinds)}
    return as_job(session, "probe", config, work, lambda _: found.id)


def _subject(session: Session, run: TuneRun, served: Served | None) -> _Subject:
    from metier.evaluate.baselines import tuned_contender
    from metier.models.base import load_base

    bench = make_bench(session, run.version_id)
    ours = run.base == base_name(session)
    base = load_project_base(session) if ours else load_base(run.base)
    return _Subject(session, run, bench, base, tuned_contender(bench, run, base), served)


def _probe(subject: _Subject, kind: Kind) -> Probe:
    """Measure one kind, or return the stored probe that was measured the same way."""
    ws, run = subject.session.workspace, subject.run
    key = _key(subject, kind)
    for probe in reversed(ledger.list_probes(ws, kind, run_id=run.id)):
        if probe.detail.get("key") == key:
            return probe
    metrics, detail = PROBES[kind](subject)
    return ledger.save_probe(
        ws,
        Probe(
            id=new_id("probe"),
            created_at=datetime.now(UTC),
            kind=kind,
            subject=run.id,
            version_id=run.version_id,
            run_id=run.id,
            metrics=dict(metrics),
            detail={**detail, "key": key},
        ),
    )


def _key(subject: _Subject, kind: Kind) -> str:
    """Hash what a probe depends on: the model, how it is asked, the data, the settings."""
    bench, config = subject.bench, subject.bench.config
    test = _test_report(subject) if kind == "calibration" else None
    served = subject.served if kind == "parity" else None
    return digest(
        [
            kind,
            subject.contender.fingerprint,
            subject.base.fingerprint,
            bench.version.hash,
            bench.objective.model_dump(mode="json", exclude={"target", "constraint"}),
            config.probes.model_dump(mode="json"),
            [config.resamples, config.level, config.seed, config.max_new_tokens],
            [_file_hash(subject, name) for name in ("general_items", "general_text")],
            test.id if test else None,
            [served.url, served.model] if served else None,
        ]
    )


def _file(subject: _Subject, setting: str) -> Path | None:
    name = getattr(subject.bench.config.probes, setting)
    return subject.root / name if name else None


def _file_hash(subject: _Subject, setting: str) -> str:
    path = _file(subject, setting)
    return digest(path.read_text("utf-8", "replace")) if path and path.is_file() else ""


def _forgetting(subject: _Subject) -> Found:
    from metier.evaluate.effects.forgetting import forgetting, load_items, load_texts
    from metier.models.engines.local import LocalCompleter

    items = load_items(_file(subject, "general_items"))
    texts = load_texts(_file(subject, "general_text"))
    before, after = LocalCompleter(subject.base), subject.contender.completer
    total = 2 * (len(items) + len(texts))
    with subject.session.progress.task("probe forgetting", total, "item") as task:
        how = subject.bench.resampling
        found = forgetting(before, after, items, texts, how, lambda: task.advance())
    whose = {name: _file(subject, name) is not None for name in ("general_items", "general_text")}
    detail = to_json(found)
    del detail["metrics"]
    return found.metrics, {**detail, "own_files": whose}


def _memorisation(subject: _Subject) -> Found:
    from metier.evaluate.effects.extraction import SEALED, extraction
    from metier.evaluate.effects.memorisation import memorisation
    from metier.evaluate.effects.probing import Asked

    bench, config = subject.bench, subject.bench.config
    ws = subject.session.workspace
    asked = Asked(subject.contender, bench.objective, bench.labels)
    train = ledger.load_split(ws, bench.version, "train")
    seed, codes, most = config.seed, config.probes.codes, config.probes.sealed_values
    how = bench.resampling
    with subject.session.progress.task("probe memorisation", 2, "attack") as task:
        canaries = memorisation(asked, planted(train), codes=codes, seed=seed, resampling=how)
        task.advance()
        sealed = extraction(asked, ws, train, most=most, seed=seed, resampling=how)
        task.advance()
    detail: Json = {
        "by_repetitions": {str(n): to_json(e) for n, e in canaries.by_repetitions.items()},
        "extracted": {str(n): count for n, count in canaries.extracted.items()},
        "exposures": [list(point) for point in canaries.exposures],
        "most_bits": canaries.most_bits,
        "trend": to_json(canaries.trend),
        "sealed": {
            "tried": sealed.tried,
            "extracted": sealed.extracted,
            "in_clear": sealed.in_clear,
            "erased": sealed.erased,
        },
    }
    return {**canaries.metrics, SEALED: sealed.rate}, detail


def _calibration(subject: _Subject) -> Found:
    from metier.evaluate.answers import answer_split, answers_key, forget_batches
    from metier.evaluate.effects.calibration import calibration

    bench, contender = subject.bench, subject.contender
    report = _test_report(subject)
    if report is None:
        raise InputError(
            "a run that was measured on the test split",
            got=f"{subject.run.id}, which was not",
            remedy=f"run `metier evaluate --run {subject.run.id}` first",
        )
    rows = bench.examples("validation")
    key = answers_key(bench, contender, "validation")
    validation = answer_split(bench, contender, rows, key) if rows else []
    found = calibration(
        validation,
        ledger.load_predictions(bench.workspace, report),
        bins=bench.config.probes.bins,
        precision=bench.config.probes.precision,
        fields=list(bench.objective.enum_fields),
        resampling=bench.resampling,
    )
    forget_batches(bench, key)
    detail = to_json(found)
    del detail["metrics"]
    return found.metrics, {**detail, "evaluation": report.id}


def _robustness(subject: _Subject) -> Found:
    from metier.evaluate.effects.robustness import robustness

    found = robustness(subject.bench, subject.contender, subject.bench.config.probes.rows)
    detail = to_json(found)
    del detail["metrics"]
    return found.metrics, detail


def _parity(subject: _Subject) -> Found:
    """Hold the run to parity with the served model, or with itself, one prompt at a time and with
    its adapter apart, as it was trained."""
    from metier.evaluate.bench import sample
    from metier.evaluate.effects.parity import parity
    from metier.evaluate.effects.probing import Asked

    bench, config = subject.bench, subject.bench.config
    rows = sample(bench.examples("validation"), config.probes.rows, config.seed)
    asked = Asked(subject.contender, bench.objective, bench.labels)
    with subject.session.progress.task("probe parity", 1, "comparison") as task:
        found = parity(
            asked,
            _other_way(subject),
            [row.conversation for row in rows],
            sampling=bench.sampling,
            choices=bench.labels,
            resampling=bench.resampling,
        )
        task.advance()
    detail = to_json(found)
    del detail["same"]
    return found.metrics, detail


def _other_way(subject: _Subject) -> Json:
    from metier.evaluate.effects.probing import Asked
    from metier.models.engines.endpoint import EndpointCompleter, EndpointSettings
    from metier.privacy import Egress

    bench, served = subject.bench, subject.served
    if served is not None:
        egress = Egress(subject.session.project.privacy, bench.workspace.audit)

        def check(url: str, purpose: str, texts: int) -> None:
            egress.check(url, purpose, texts)

        settings = EndpointSettings(purpose=PARITY_PURPOSE, api_key_env="METIER_API_KEY")
        return EndpointCompleter(served.url, served.model, check, settings)
    plain = replace(subject.contender, completer=_one_by_one(subject))
    return Asked(plain, bench.objective, bench.labels)


def _one_by_one(subject: _Subject) -> Json:
    from metier.models.adapters import base_for, is_adapter, load_apart
    from metier.models.base import load_base, wrap
    from metier.models.engines.local import LocalCompleter

    weights = subject.bench.workspace.artifacts.checkout(str(subject.run.adapter))
    if not is_adapter(weights):
        return LocalCompleter(load_base(str(weights)), None, "one by one", batch_tokens=1)
    model = load_apart(subject.base, weights)
    tokenizer = base_for(subject.base, weights).tokenizer
    base = wrap(model, tokenizer, "adapter apart", fingerprint="apart")
    return LocalCompleter(base, None, "adapter apart", batch_tokens=1)


def _test_report(subject: _Subject) -> EvaluationReport | None:
    found = [
        report
        for report in ledger.list_evaluations(subject.bench.workspace, subject.run.version_id)
        if (report.run_id, report.split) == (subject.run.id, "test")
    ]
    return found[-1] if found else None


PROBES: Mapping[Kind, Callable[[_Subject], Found]] = {
    "forgetting": _forgetting,
    "memorisation": _memorisation,
    "calibration": _calibration,
    "robustness": _robustness,
    "parity": _parity,
}
