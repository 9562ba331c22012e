"""Tasks of lm-evaluation-harness, run on a tuned model: for numbers that others publish too.

The harness (EleutherAI, https://github.com/EleutherAI/lm-evaluation-harness) is an extra. Its own
tasks load their data from a hub; a task file of yours beside ``metier.toml`` may name a local one.
Files with ``!function`` run Python: they are your own code, and are refused unless the project
allows code of others (``trust_remote_code``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from metier.core import ledger
from metier.core.errors import InputError, boundary
from metier.core.ids import new_id
from metier.core.records import Probe, TuneRun
from metier.core.types import Estimate
from metier.journey.session import Session, load_project_base, make_bench
from metier.journey.verbs import as_job
from metier.scoring import wilson

if TYPE_CHECKING:
    from metier.models.engines.local import LocalCompleter

KIND = "lm_eval"
Z95 = 1.959964
SHARES = ("acc", "acc_norm", "exact_match")
INSTALL = "pip install 'metier[lm-eval]'"


@dataclass(frozen=True, slots=True)
class HarnessResult:
    """Metrics by task, as the harness names them (``acc``, ``exact_match``, ...)."""

    run_id: str
    tasks: Mapping[str, Mapping[str, Estimate]]

    def rows(self) -> Iterator[tuple[str, str, Estimate]]:
        """Yield (task, metric, estimate)."""
        for task, metrics in self.tasks.items():
            for metric, estimate in metrics.items():
                yield task, metric, estimate


def run_harness(
    session: Session, tasks: Sequence[str], run: str = ledger.LATEST, *, limit: int | None = None
) -> HarnessResult:
    """Run tasks on a finished run; ``limit`` items of each (None: all). Stored as Probes.

    Raises InputError where the extra is missing, a task is unknown, or its data cannot be had.
    """
    found = ledger.get_run(session.workspace, run)
    manager, evaluate, wrap = _harness(session)
    known = set(manager.all_tasks)
    unknown = [task for task in tasks if task not in known]
    if unknown:
        raise InputError(
            "tasks that the harness knows, or task files beside metier.toml",
            got=", ".join(unknown),
            remedy="see `lm-eval ls tasks`",
        )

    def work(_: object) -> HarnessResult:
        model = wrap(_completer(session, found))
        with boundary(f"lm-evaluation-harness on {', '.join(tasks)}"):
            raw = evaluate(model, list(tasks), task_manager=manager, limit=limit)
        result = HarnessResult(found.id, {task: _metrics(raw, task) for task in tasks})
        for task, metrics in result.tasks.items():
            _keep(session, found, task, metrics)
        return result

    return as_job(session, "evaluate", {"lm_eval": list(tasks)}, work, lambda _: found.id)


def _harness(session: Session) -> tuple[Any, Any, Any]:
    try:
        from lm_eval import simple_evaluate
        from lm_eval.models.huggingface import HFLM
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise InputError("lm-evaluation-harness", got=str(error), remedy=INSTALL) from None
    if not session.project.project.trust_remote_code:
        _refuse_code(session)

    def wrap(completer: LocalCompleter) -> Any:
        device = str(next(completer.model.parameters()).device)
        tokenizer = completer.base.tokenizer
        return HFLM(pretrained=completer.model, tokenizer=tokenizer, device=device, batch_size=8)

    def evaluate(model: Any, tasks: list[str], **how: Any) -> Any:
        return simple_evaluate(model, tasks=tasks, log_samples=False, bootstrap_iters=1000, **how)

    return TaskManager(include_path=str(session.root)), evaluate, wrap


def _refuse_code(session: Session) -> None:
    for path in sorted(session.root.glob("*.y*ml")):
        if "!function" in path.read_text(encoding="utf-8", errors="replace"):
            raise InputError(
                "task files without code",
                got=f"!function in {path.name}",
                remedy="set trust_remote_code = true in [project] if you have read that code",
            )


def _completer(session: Session, run: TuneRun) -> LocalCompleter:
    from metier.evaluate.baselines import tuned_contender

    bench = make_bench(session, run.version_id)
    completer = tuned_contender(bench, run, load_project_base(session)).completer
    return cast("LocalCompleter", completer)


def _metrics(raw: Mapping[str, Any], task: str) -> dict[str, Estimate]:
    """Shares get Wilson's interval, others the normal one of the harness's standard error."""
    values = raw["results"][task]
    n = int(raw["n-samples"][task]["effective"])
    found = {}
    for key, value in values.items():
        name, _, rest = key.partition(",")
        if rest and isinstance(value, int | float) and not name.endswith("_stderr"):
            found[name] = _estimate(name, float(value), values.get(f"{name}_stderr,{rest}"), n)
    return found


def _estimate(name: str, value: float, error: Any, n: int) -> Estimate:
    if name in SHARES:
        low, high = wilson(value * n, n)
        return Estimate(value, low, high, n, n, method="lm-evaluation-harness, Wilson")
    arm = Z95 * float(error) if isinstance(error, int | float) else math.nan
    warnings = () if math.isfinite(arm) else ("the harness gives no standard error",)
    method = "lm-evaluation-harness, normal"
    return Estimate(value, value - arm, value + arm, n, n, method=method, warnings=warnings)


def _keep(session: Session, run: TuneRun, task: str, metrics: Mapping[str, Estimate]) -> None:
    probe = Probe(
        id=new_id("probe"),
        created_at=datetime.now(UTC),
        kind=KIND,
        subject=task,
        version_id=run.version_id,
        run_id=run.id,
        metrics={f"{task}.{name}": one for name, one in metrics.items()},
        detail={},
    )
    ledger.save_probe(session.workspace, probe)
