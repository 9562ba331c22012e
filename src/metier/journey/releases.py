"""Releases of a project: from a run that was evaluated to a release with its gate decided."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, cast

from metier.core import ledger
from metier.core.codec import to_json
from metier.core.errors import InputError
from metier.core.records import DataVersion, EvaluationReport, Release, TuneRun
from metier.core.types import Json
from metier.journey.hosted import refuse_hosted
from metier.journey.panel_results import keep_panels_of
from metier.journey.panelled import with_panels
from metier.journey.probed import with_probes
from metier.journey.session import Session, make_bench
from metier.journey.trust import trust_of
from metier.models.adapters import NOTE
from metier.models.base import find_base, fingerprint_folder
from metier.models.prompt import TUNED as TUNED_PROMPT
from metier.registry import Manifest, create_release, get_release, load_manifest
from metier.release.gate import Decision, decide
from metier.scoring.goals.looks import look_level
from metier.scoring.goals.targets import TUNED, judge

if TYPE_CHECKING:
    from metier.evaluate.bench import Bench, Contender

LIBRARIES = ("metier", "torch", "transformers", "peft", "safetensors", "tokenizers")
SPLIT = "test"


def make_release(session: Session, run_id: str = ledger.LATEST) -> Release:
    """Make a release of a run: judge its newest test evaluation, and keep all that shapes it.

    The same run, evaluation and decision again give the release that is there. Raises InputError
    when the run is not finished, not evaluated, or evaluated with settings that changed since.
    """
    ws = session.workspace
    run = ledger.get_run(ws, run_id)
    _weights(run)
    refuse_hosted(run)
    report = _evaluation(session, run)
    bench = make_bench(session, run.version_id)
    _refuse_changed(bench, report)
    keep_panels_of(session, report.id)
    gate = to_json(_decision(bench, report))
    return create_release(ws, _manifest(session, run, bench.version, report), gate)


def export_release(session: Session, key: str, into: Path, *, merged: bool = False) -> Path:
    """Write a release to a folder that other engines load; return the folder."""
    from metier.models.base import load_base
    from metier.release.export import export_adapter, export_merged, holds_adapter

    ws = session.workspace
    release = get_release(ws, key)
    if not merged:
        return export_adapter(ws, release, into)
    base = None
    if holds_adapter(load_manifest(ws, release)):
        allowed = session.project.project.trust_remote_code
        base = load_base(release.base, allow_remote_code=allowed)
    return export_merged(ws, release, into, base)


def _weights(run: TuneRun) -> str:
    if run.adapter is None:
        raise InputError(
            "a finished run",
            got=f"{run.id}, which is {run.state}",
            remedy="run `metier tune` again: it goes on from the last checkpoint",
        )
    return run.adapter


def _evaluation(session: Session, run: TuneRun) -> EvaluationReport:
    """The run's newest evaluation on the test split of the version it was tuned on."""
    found = [
        report
        for report in ledger.list_evaluations(session.workspace, run.version_id)
        if (report.run_id, report.split, report.rung) == (run.id, SPLIT, TUNED)
    ]
    if not found:
        raise InputError(
            f"a run that was measured on the {SPLIT} split",
            got=f"{run.id}, which was not",
            remedy=f"run `metier evaluate --run {run.id}` first",
        )
    return found[-1]


def _refuse_changed(bench: Bench, report: EvaluationReport) -> None:
    """Raise InputError when the project asks otherwise than it did when the run was measured."""
    from metier.evaluate.answers import answers_key

    measured = report.settings.get("answers_key")
    # The key needs of the contender only its fingerprint, and the report has that of its own.
    if measured in (None, answers_key(bench, cast("Contender", report), SPLIT)):
        return
    raise InputError(
        "an evaluation with the objective and [evaluate] settings of now",
        got=f"{report.id}, made with others: what would be served was not measured",
        remedy="run `metier evaluate` again, or put back what was changed in metier.toml",
    )


def _decision(bench: Bench, candidate: EvaluationReport) -> Decision:
    """Judge the candidate beside the newest report of every other rung, at its look's level."""
    from metier.evaluate.compare import Comparison

    newest: dict[str, EvaluationReport] = {}
    for report in ledger.list_evaluations(bench.workspace, bench.version.id):
        if report.split == SPLIT:
            newest[report.rung] = report
    ws = bench.workspace
    reports = [with_panels(ws, one) for one in (newest | {TUNED: candidate}).values()]
    look = ledger.look_of(bench.workspace, candidate)
    results = judge(
        bench.objective,
        with_probes(ws, candidate),
        reports,
        Comparison(bench),
        trust_of(bench.workspace, bench.objective, bench.config.judge),
        level=look_level(look.budget),
    )
    return decide(results, look)


def _manifest(
    session: Session, run: TuneRun, version: DataVersion, report: EvaluationReport
) -> Manifest:
    adapter = _weights(run)
    entries = session.workspace.artifacts.files(adapter)
    files = {entry["path"]: entry["digest"] for entry in entries}
    project = session.project
    return Manifest(
        project=project.project.name,
        number=0,
        run_id=run.id,
        version_id=version.id,
        version_hash=version.hash,
        evaluation_id=report.id,
        base=run.base,
        base_fingerprint=_base_fingerprint(session, run, files),
        adapter=adapter,
        files=files,
        system=str(run.config.get("system", "")),
        prompt=TUNED_PROMPT.name,
        objective=project.objective.model_dump(mode="json"),
        labels=tuple(version.labels),
        deidentify=_deidentify(version),
        max_new_tokens=int(report.settings.get("max_new_tokens", project.evaluate.max_new_tokens)),
        metrics=to_json(report.metrics),
        software=_software(),
        deidentification=_deidentification(version),
    )


def _base_fingerprint(session: Session, run: TuneRun, files: dict[str, str]) -> str:
    """The fingerprint of the base the run was tuned on, which the tune left beside the weights."""
    if NOTE in files:
        note: Json = json.loads(session.workspace.artifacts.get_bytes(files[NOTE]))
        return str(note["base_fingerprint"])
    return fingerprint_folder(find_base(run.base))


def _deidentify(version: DataVersion) -> str:
    """The profile that the version's texts went through."""
    setting: Json = version.config.get("deidentify", "none")
    return str(setting.get("profile", "patterns") if isinstance(setting, dict) else setting)


def _deidentification(version: DataVersion) -> dict[str, Json]:
    """The settings that the version's texts went through; {}: the profile's own, or none."""
    setting: Json = version.config.get("deidentify", "none")
    return dict(setting) if isinstance(setting, dict) else {}


def _software() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: installed(name) for name in LIBRARIES}
