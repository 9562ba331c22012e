"""Measure candidates and honest baselines on the same frozen test set, and judge the gain.

    bench = Bench(ws, version, objective, config)
    reports = run_baselines(bench, base) + [evaluate(bench, tuned_contender(bench, run, base))]
    comparison = Comparison(bench)
    verdict(objective, reports, compare_all(comparison, reports[-1], reports), comparison)

Names that need numpy or a model are loaded on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from metier.evaluate.config import EvaluateConfig
from metier.evaluate.targets import TargetResult, judge
from metier.evaluate.verdict import Verdict, verdict

if TYPE_CHECKING:
    from metier.evaluate.baselines import baseline, run_baselines, tuned_contender
    from metier.evaluate.bench import Bench, Contender
    from metier.evaluate.comparison import Comparison, compare, compare_all
    from metier.evaluate.evaluation import evaluate
    from metier.evaluate.worst import WorstExample, worst_examples

_HOME = {
    "Bench": "bench",
    "Comparison": "comparison",
    "Contender": "bench",
    "WorstExample": "worst",
    "baseline": "baselines",
    "compare": "comparison",
    "compare_all": "comparison",
    "evaluate": "evaluation",
    "run_baselines": "baselines",
    "tuned_contender": "baselines",
    "worst_examples": "worst",
}

__all__ = [
    "Bench",
    "Comparison",
    "Contender",
    "EvaluateConfig",
    "TargetResult",
    "Verdict",
    "WorstExample",
    "baseline",
    "compare",
    "compare_all",
    "evaluate",
    "judge",
    "run_baselines",
    "tuned_contender",
    "verdict",
    "worst_examples",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
