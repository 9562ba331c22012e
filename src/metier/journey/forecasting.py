"""Forecasts of a project's tunes, and what became of them.

Before: ``forecast_tunes`` says what each base and method would take. After: ``keep_actual`` puts
the finished run beside its forecast, and the next forecast on this machine is corrected by it.
Both are kept as Probes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from metier.core import ledger
from metier.core.codec import to_json
from metier.core.errors import InputError
from metier.core.ids import new_id
from metier.core.records import DataVersion, Probe, TuneRun
from metier.core.types import Estimate, Json, digest
from metier.core.workspace import Workspace
from metier.journey.session import Session, located_base
from metier.tune.config import TuneConfig

if TYPE_CHECKING:
    from metier.tune.algorithms.base import Algorithm
    from metier.tune.forecast.calibration import Outcome
    from metier.tune.forecast.forecast import Candidate, Items
    from metier.tune.forecast.machine import Machine
    from metier.tune.forecast.types import Forecast, Probed

KIND, ACTUAL = "forecast", "forecast_actual"
PROBE_SECONDS = 20.0
# Settings that change neither memory nor time of a step, or how far the run goes.
ASIDE = {"keep_checkpoints", "seed", "lr", "patience"}


@dataclass(frozen=True)
class Wanted:
    """What to forecast: bases and methods (empty: the project's own), with a probe of at most
    ``probe_seconds`` each (0: none), for a machine with ``memory_bytes`` (None: this one's)."""

    version: str = ledger.LATEST
    bases: Sequence[str] = ()
    methods: Sequence[str] = ()
    probe_seconds: float = PROBE_SECONDS
    memory_bytes: int | None = None
    keep: bool = True


def forecast_tunes(session: Session, wanted: Wanted = Wanted()) -> list[Forecast]:
    """Forecast each base with each method, in the order asked. Nothing is trained but the probes'
    few steps, and nothing stored but the forecasts.

    Raises ModelUnavailable for a base that is not of the Llama family, InputError for an unknown
    method.
    """
    from metier.tune.forecast.machine import this_machine

    version = ledger.get_version(session.workspace, wanted.version)
    machine = this_machine()
    if wanted.memory_bytes is not None:
        machine = machine.limited(wanted.memory_bytes)
    configs = [method_config(session.project.tune, name) for name in wanted.methods]
    found = []
    for name in wanted.bases or [session.project.project.base]:
        for config in configs or [session.project.tune]:
            one = _forecast(session, version, located_base(session, name), config, machine, wanted)
            if wanted.keep:
                _keep(session.workspace, version, config, machine, one)
            found.append(one)
    return found


def method_config(config: TuneConfig, name: str) -> TuneConfig:
    """Return the project's settings with a method named ``lora``, ``lora:64``, ``qlora``, ``full``.

    A method of the project's own type keeps its other settings.
    """
    kind, _, rank = name.partition(":")
    method: dict[str, Json] = {"type": kind}
    if config.method.type == kind:
        method = config.method.model_dump(mode="json")
    if rank:
        if not rank.isdigit():
            raise InputError("a method with its rank, e.g. lora:64", got=repr(name))
        method |= {"r": int(rank), "alpha": 2 * int(rank)}
    whole = config.model_dump(mode="json") | {"method": method}
    try:
        return TuneConfig.model_validate(whole)
    except ValueError as error:
        raise InputError(
            "methods like lora, lora:64, qlora or full", got=repr(name), remedy="correct --methods"
        ) from error


def _forecast(
    session: Session,
    version: DataVersion,
    base: str,
    config: TuneConfig,
    machine: Machine,
    wanted: Wanted,
) -> Forecast:
    from metier.tune.forecast.calibration import calibration
    from metier.tune.forecast.forecast import forecast

    candidate, algorithm = _candidate(session, version, base, config)
    outcomes = past_outcomes(session.workspace)
    prices, notes = session.project.costs, list(algorithm.notes)

    def known(probed: bool) -> Any:
        return calibration(outcomes, machine.key, config.method.type, probed)

    counted = forecast(candidate, machine, prices, known=known(False), notes=notes)
    if wanted.probe_seconds <= 0:
        return counted
    if counted.peak.low > machine.available:
        notes.append("No probe was run: counted from its shape alone, it cannot fit.")
        return forecast(candidate, machine, prices, known=known(False), notes=notes)
    probed, why = _probe(session, version, candidate, algorithm, counted, wanted)
    if probed is None:
        return forecast(candidate, machine, prices, known=known(False), notes=[*notes, why])
    return forecast(candidate, machine, prices, probed=probed, known=known(True), notes=notes)


def _candidate(
    session: Session, version: DataVersion, base: str, config: TuneConfig
) -> tuple[Candidate, Algorithm]:
    from metier.models.base import load_without_weights
    from metier.models.footprint import Shape
    from metier.tune.algorithms import make
    from metier.tune.algorithms.base import Ground
    from metier.tune.forecast.forecast import Candidate
    from metier.tune.run import validation_sample

    workspace, project = session.workspace, session.project
    allowed = project.project.trust_remote_code
    around = load_without_weights(base, allow_remote_code=allowed)
    assert around.path is not None
    shape = Shape.read(around.path)
    rows = ledger.load_split(workspace, version, "train")
    held_out = validation_sample(version, workspace, config)
    began = time.monotonic()
    count = len(rows) + len(held_out)
    with session.progress.task("encode", total=count, unit="example") as task:
        algorithm = make(
            Ground(
                config, version, workspace, around, project.objective, project.project.system,
                rows, held_out, task,
            )
        )  # fmt: skip
    items = _items(algorithm, time.monotonic() - began)
    return Candidate(base, shape, config, items), algorithm


def _items(algorithm: Algorithm, seconds: float) -> Items:
    from metier.tune.forecast.forecast import Items
    from metier.tune.forecast.work import supervised_of

    share = float(algorithm.summary().get("supervised_share") or 1.0)
    held = getattr(getattr(algorithm, "held_out", None), "examples", ())
    return Items(
        list(algorithm.lengths),
        supervised_of(algorithm.probes, algorithm.lengths, share),
        [one.tokens for one in held],
        [one.supervised_tokens for one in held],
        seconds,
    )


def _probe(
    session: Session,
    version: DataVersion,
    candidate: Candidate,
    algorithm: Algorithm,
    counted: Forecast,
    wanted: Wanted,
) -> tuple[Probed | None, str]:
    from metier.tune.forecast.probe import NoProbe, ProbeRequest, run_probe

    project = session.project
    request = ProbeRequest(
        root=str(session.root),
        store=project.store,
        artifacts=project.artifacts,
        version=version.id,
        base=candidate.base,
        config=candidate.config.model_dump(mode="json"),
        objective=project.objective.model_dump(mode="json"),
        system=project.project.system,
        steps=_steps(candidate, algorithm, counted),
        limit_s=wanted.probe_seconds,
        checkpointing=counted.checkpointing,
        allow_remote_code=project.project.trust_remote_code,
    )
    with session.progress.task(f"probe {candidate.base}, {counted.method}") as task:
        found = run_probe(request)
        if isinstance(found, NoProbe):
            task.note(found.why)
            return None, f"{found.why}: counted from the model's shape instead."
        return found, ""


def _steps(
    candidate: Candidate, algorithm: Algorithm, counted: Forecast
) -> list[tuple[int, list[str]]] | None:
    """Example ids of the steps to run, where items are examples one to one."""
    from metier.tune.forecast.steps import spread
    from metier.tune.packing.plan import plan

    items, config = algorithm.probes, candidate.config
    if len(items) != len(algorithm.lengths):
        return None
    steps = plan(algorithm.lengths, config.batch_tokens, config.epochs, config.seed).steps
    chosen = spread(counted.work)
    return [(at, [items[index].example_id for index in steps[at]]) for at in chosen]


def _keep(
    ws: Workspace, version: DataVersion, config: TuneConfig, machine: Machine, one: Forecast
) -> None:
    detail: Mapping[str, Json] = {
        "key": _key(version.id, one.base, config),
        "machine": machine.key,
        "family": one.family,
        "probed": one.probed,
        "settled": one.memory["load"].value,
        "peak": to_json(one.peak),
        "seconds": to_json(one.seconds.train),
        "total_seconds": to_json(one.seconds.total),
        "usd": to_json(one.usd),
        "steps": one.work.steps,
        "how": one.how,
    }
    now = datetime.now(UTC)
    ledger.save_probe(ws, Probe(new_id("probe"), now, KIND, one.base, version.id, None, {}, detail))


def keep_actual(session: Session, run: TuneRun) -> Probe | None:
    """Put a finished run beside the newest forecast of it; None where there is none, or where the
    run was resumed (its time and memory are of a part)."""
    ws = session.workspace
    config = TuneConfig.model_validate(
        {name: run.config[name] for name in TuneConfig.model_fields if name in run.config}
    )
    key = _key(run.version_id, run.base, config)
    about = ledger.list_probes(ws, KIND, subject=run.base, version_id=run.version_id)
    forecasts = [one for one in about if one.detail["key"] == key]
    summary = run.summary
    if not forecasts or summary.get("resumed_at") or ledger.PART in run.config:
        return None
    detail = forecasts[-1].detail
    done = summary["steps"] / detail["steps"]
    seconds = float(summary["train_seconds"]) / (detail["seconds"]["value"] * done)
    above = detail["peak"]["value"] - detail["settled"]
    held = summary.get("peak_memory_bytes", 0) - summary.get("memory_before_bytes", 0)
    memory = held / above if above > 0 and held > 0 else 1.0
    found = Probe(
        id=new_id("probe"),
        created_at=datetime.now(UTC),
        kind=ACTUAL,
        subject=run.id,
        version_id=run.version_id,
        run_id=run.id,
        metrics={
            "memory_ratio": _single(memory),
            "time_ratio": _single(seconds),
        },
        detail={
            **{name: detail[name] for name in ("machine", "family", "probed")},
            "forecast": dict(detail),
            "peak_bytes": summary.get("peak_memory_bytes"),
            "train_seconds": summary["train_seconds"],
        },
    )
    return ledger.save_probe(ws, found)


def past_outcomes(ws: Workspace) -> list[Outcome]:
    """How the workspace's runs came out beside their forecasts, oldest first."""
    from metier.tune.forecast.calibration import Outcome

    return [
        Outcome(
            one.detail["machine"],
            one.detail["family"],
            bool(one.detail["probed"]),
            one.metrics["memory_ratio"].value,
            one.metrics["time_ratio"].value,
        )
        for one in ledger.list_probes(ws, ACTUAL)
    ]


def _single(value: float) -> Estimate:
    missing = float("nan")
    return Estimate(value, missing, missing, 1, 1, method="one run, actual over forecast")


def _key(version_id: str, base: str, config: TuneConfig) -> str:
    return digest([version_id, base, config.model_dump(mode="json", exclude=ASIDE)])
