"""Sweeps of a project: which settings of [tune] suit its data, found at a fraction of the cost.

    result = run_sweep(session)        # resumable: the same call goes on, finished trials are kept
    result.words                       # who won, by how much, and how sure that is

A trial is a tuning run that pauses at each rung; there its adapter answers a sample of the
validation split, exactly as a finished run answers the test split. The test split is not touched.
Where a sweep was begun is kept with it, so any worker that has the workspace may join.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from metier.core import ledger
from metier.core.artifacts import write_atomically
from metier.core.costs import Prices
from metier.core.errors import InputError, NotFound
from metier.core.records import DataVersion, TuneRun
from metier.core.types import Json, Score, digest
from metier.core.workspace import Workspace
from metier.journey import adopting
from metier.journey.session import Session, base_name, load_project_base, make_bench
from metier.tune.sweep.planning import Plan, make_plan

if TYPE_CHECKING:
    from metier.evaluate.bench import Bench
    from metier.models.base import Base
    from metier.scoring import Metric
    from metier.tune.sweep.halving import Trial
    from metier.tune.sweep.result import SweepResult
    from metier.tune.sweep.run import Sweeping, Value
    from metier.tune.sweep.store import SweepStore

KIND = "sweep"
SPLIT = "validation"
JOIN_S = 60.0
"""How long a worker that joins waits for a sweep to join."""


@dataclass(frozen=True)
class Outline:
    """A sweep before it is run: its plan, what it would cost (``seconds`` and ``usd`` None: no run
    with this base and data has been finished to judge by), and what trying all would."""

    sweep: str
    plan: Plan
    exhaustive_runs: float
    seconds: float | None
    usd: float | None
    metric: str
    examples: int


def outline_sweep(session: Session, version: str = ledger.LATEST) -> Outline:
    """Plan a sweep and say what it costs; nothing is trained and nothing stored."""
    from metier.tune.sweep.budget import usd_per_s

    ground = _ground(session, version)
    one = ground.full_run_s
    seconds = None if one is None else one * ground.plan.runs
    rate = usd_per_s(session.project.costs, ground.device)
    return Outline(
        sweep=ground.name,
        plan=ground.plan,
        exhaustive_runs=sum(each.trials * each.length for each in ground.plan.brackets),
        seconds=seconds,
        usd=None if seconds is None else seconds * rate,
        metric=ground.metric,
        examples=min(session.project.sweep.examples, ground.version.counts.get(SPLIT, 0)),
    )


def run_sweep(
    session: Session,
    version: str = ledger.LATEST,
    *,
    join: bool = False,
    adopt: bool = False,
    wait_s: float = JOIN_S,
) -> SweepResult:
    """Run the project's sweep to its end, or go on with it where it stopped.

    With ``join`` only a sweep that another worker has begun (or begins within ``wait_s``) is
    worked on. With ``adopt`` the best settings are written to metier.toml and the run they left is
    the project's latest. A sweep that is at its end is judged again, and nothing is trained.

    Raises InputError where nothing could be measured, NotFound where there is nothing to join.
    """
    from metier.core.codec import to_json
    from metier.tune.sweep.budget import spent
    from metier.tune.sweep.result import judge
    from metier.tune.sweep.run import sweep
    from metier.tune.sweep.store import SweepStore

    ground = _ground(session, version)
    if join:
        _await(session.workspace, ground.name, wait_s)
    workspace = session.workspace
    with SweepStore.open(workspace.db, ground.name, ground.kept, higher=ground.higher) as store:
        sweeping = _sweeping(session, ground, store)
        ended = sweep(sweeping)
        metric = ground.metric, ground.compute(), ground.higher
        costs = spent(ended.trials, sweeping.rate)
        result = judge(ground.name, metric, ended.trials, costs, ground.records, ended.stopped)
        if result is None:
            raise InputError(
                "a trial that could be measured",
                got=ended.stopped or "none",
                remedy="give [sweep] a larger budget",
            )
        store.finish(to_json({"words": result.words, "settings": result.settings}))
    workspace.audit.append(None, KIND, ground.name, {"run": result.winner.run})
    if adopt:
        adopting.adopt(session, result)
    return result


def write_page(result: SweepResult, out: Path) -> Path:
    """Write the page of a sweep; return the file's path."""
    from metier.journey.report.sweep import sweep_page

    path = out.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, BytesIO(sweep_page(result).encode()))
    return path


@dataclass(frozen=True)
class _Ground:
    """What a sweep stands on."""

    name: str
    kept: Json
    plan: Plan
    version: DataVersion
    bench: Bench
    base: Base
    metric: str
    higher: bool
    full_run_s: float | None
    lr: float

    @property
    def device(self) -> str:
        """Where it runs, for the price."""
        return "cpu" if self.base.model.device.type == "cpu" else "gpu"

    def compute(self) -> Metric:
        """The metric as it is computed for this project."""
        from metier.evaluate.beside import materials_of
        from metier.scoring import make_metric

        objective, materials = self.bench.objective, materials_of(self.bench)
        return make_metric(self.metric, objective=objective, materials=materials)

    def records(self, evaluation: str) -> list[Score]:
        """The graded answers of a stored evaluation."""
        from metier.evaluate.compare import Comparison

        report = ledger.get_evaluation(self.bench.workspace, evaluation)
        return Comparison(self.bench).records(report)


def _ground(session: Session, version: str) -> _Ground:
    from dataclasses import replace

    from metier.scoring import metric_info, primary_metric
    from metier.tune.methods.trainable import learning_rate
    from metier.tune.sweep.budget import most_runs, usd_per_s

    project, config = session.project, session.project.sweep
    bench = make_bench(session, version)
    measured = project.evaluate.model_copy(update={"test_sample": config.examples})
    bench = replace(bench, config=measured)
    bench.measured(SPLIT)  # its error says how to get validation rows
    base = load_project_base(session)
    lr = learning_rate(project.tune, base.model.num_parameters())
    name = _name(session, bench.version, base)
    metric = config.metric or primary_metric(project.objective)
    device = "cpu" if base.model.device.type == "cpu" else "gpu"
    seconds = _full_run_s(session, bench.version)
    budget = most_runs(config.budget, usd_per_s(project.costs, device), seconds)
    return _Ground(
        name=name,
        kept={
            "sweep": config.model_dump(mode="json"),
            "tune": project.tune.model_dump(mode="json"),
        },
        plan=make_plan(config, project.tune, lr, budget),
        version=bench.version,
        bench=bench,
        base=base,
        metric=metric,
        higher=metric_info(metric.partition("@")[0]).higher_is_better,
        full_run_s=seconds,
        lr=lr,
    )


def _name(session: Session, version: DataVersion, base: Base) -> str:
    """The same settings, data, base and prompts are the same sweep."""
    project = session.project
    decides = [
        version.hash,
        base.fingerprint,
        project.tune.model_dump(mode="json"),
        project.sweep.model_dump(mode="json"),
        project.objective.model_dump(mode="json"),
        project.project.system,
    ]
    return f"sweep_{digest(decides)[:16]}"


def _full_run_s(session: Session, version: DataVersion) -> float | None:
    """Seconds of the newest whole run with this base and data, None where there is none."""
    for run in reversed(ledger.list_runs(session.workspace, version.id)):
        seconds = run.summary.get("train_seconds")
        whole = run.state == "done" and not run.summary.get("resumed_at")
        if whole and seconds and run.base == base_name(session) and ledger.PART not in run.config:
            epochs = float(run.config.get("epochs", session.project.tune.epochs))
            return float(seconds) * session.project.tune.epochs / epochs
    return None


def _await(workspace: Workspace, name: str, wait_s: float) -> None:
    """Wait until another worker has begun the sweep."""
    from metier.tune.sweep.store import SweepStore

    until = time.monotonic() + wait_s
    while True:
        try:
            SweepStore.open(workspace.db, name).close()
            return
        except NotFound:
            if time.monotonic() > until:
                raise
            time.sleep(1.0)


def _sweeping(session: Session, ground: _Ground, store: SweepStore) -> Sweeping:
    from metier.tune.sweep.budget import usd_per_s
    from metier.tune.sweep.run import Sweeping
    from metier.tune.sweep.space import resolve_all
    from metier.tune.sweep.store import options_of

    project, config = session.project, session.project.sweep
    values = resolve_all(config.space, project.tune, ground.lr)
    prices: Prices = project.costs
    return Sweeping(
        store=store,
        config=config,
        plan=ground.plan,
        options=options_of(config.space, values),
        today=project.tune,
        work=_Work(session, ground),
        lock=_lock(session.workspace),
        higher=ground.higher,
        rate=usd_per_s(prices, ground.device),
        full_run_s=ground.full_run_s,
        progress=session.progress,
    )


def _lock(workspace: Workspace) -> Callable[[str, Callable[[], None]], None]:
    """Pieces are jobs: whoever holds one renews its lease, and a dead holder's is free again."""

    def run(key: str, work: Callable[[], None]) -> None:
        workspace.jobs.run_inline(KIND, {"piece": key}, lambda _: work(), exclusive=key)

    return run


class _Work:
    """Trains and measures the trials of one sweep in this process."""

    def __init__(self, session: Session, ground: _Ground) -> None:
        self._session, self._ground = session, ground

    def train(self, trial: Trial, share: float) -> TuneRun:
        """Train a trial on to a share of its steps."""
        from metier.tune.run import Conditions, tune
        from metier.tune.sweep.space import with_settings

        session, ground = self._session, self._ground
        if trial.run is not None:
            before = ledger.get_run(session.workspace, trial.run)
            if before.state == "done":  # it stopped early: it is at its end
                return before
        return tune(
            with_settings(session.project.tune, trial.settings),
            ground.version,
            session.workspace,
            ground.base,
            session.project.objective,
            system=session.project.project.system,
            progress=session.progress,
            resume=trial.run or True,
            under=Conditions(pause_at=share if share < 1 else None, part_of=ground.name),
        )

    def measure(self, trial: Trial, run: TuneRun) -> Value:
        """Let the run, as far as it is, answer the validation sample."""
        from metier.evaluate.bench import Contender
        from metier.evaluate.evaluate import evaluate
        from metier.models import prompt
        from metier.models.adapters import is_adapter
        from metier.models.base import load_base
        from metier.models.engines.local import LocalCompleter
        from metier.tune.sweep.run import Value
        from metier.tune.sweep.snapshot import weights_of
        from metier.tune.sweep.space import with_settings

        session, ground = self._session, self._ground
        config = with_settings(session.project.tune, trial.settings)
        with tempfile.TemporaryDirectory(dir=session.workspace.work_dir) as made:
            weights = weights_of(session.workspace, run, ground.base, config, Path(made))
            name = f"{run.base} + {run.id}"
            completer = (
                LocalCompleter(ground.base, weights, name)
                if is_adapter(weights)
                else LocalCompleter(load_base(str(weights)), None, name)
            )
            contender = Contender(
                f"trial {trial.bracket}.{trial.place}",
                completer,
                variant=prompt.TUNED,
                system=str(run.config.get("system", "")),
                run_id=run.id,
                device=ground.device,
            )
            report = evaluate(ground.bench, contender, split=SPLIT)
        return Value(report.metrics[ground.metric], report.id)

    def forget(self, trial: Trial) -> None:
        """Delete a loser's checkpoints."""
        from metier.tune.sweep.snapshot import forget

        found = trial.run or self._begun(trial)
        if found is not None:
            forget(self._session.workspace, found)

    def _begun(self, trial: Trial) -> str | None:
        """The run of a trial that failed before its first rung."""
        from metier.tune.sweep.space import with_settings

        workspace, ground = self._session.workspace, self._ground
        config = with_settings(self._session.project.tune, trial.settings).model_dump(mode="json")
        for run in reversed(ledger.list_runs(workspace, ground.version.id)):
            same = run.config.get(ledger.TRIAL_OF) == ground.name
            if same and all(run.config.get(key) == value for key, value in config.items()):
                return run.id
        return None


__all__ = ["Outline", "outline_sweep", "run_sweep", "write_page"]
