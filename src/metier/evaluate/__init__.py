"""Measure candidates and honest baselines on the same frozen test set, and judge the gain.

bench = Bench(ws, version, objective, config)
reports = [*run_baselines(bench, base), evaluate(bench, tuned_contender(bench, run, base))]
comparison = Comparison(bench)
verdict(objective, reports, compare_all(comparison, reports[-1], reports), comparison)
"""

from metier.evaluate.baselines import baseline, run_baselines, tuned_contender
from metier.evaluate.bench import Bench, Contender
from metier.evaluate.compare import Comparison, compare, compare_all
from metier.evaluate.config import EvaluateConfig
from metier.evaluate.evaluate import evaluate
from metier.evaluate.recurrence import Recurrence, recurrence
from metier.evaluate.verdict import Verdict, verdict
from metier.evaluate.worst import WorstExample, worst_examples

__all__ = [
    "Bench",
    "Comparison",
    "Contender",
    "EvaluateConfig",
    "Recurrence",
    "Verdict",
    "WorstExample",
    "baseline",
    "compare",
    "compare_all",
    "evaluate",
    "recurrence",
    "run_baselines",
    "tuned_contender",
    "verdict",
    "worst_examples",
]
