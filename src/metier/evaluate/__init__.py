"""Measure candidates and honest baselines on the same frozen test set, and judge the gain.

    bench = Bench(ws, version, objective, config)
    reports = [*run_baselines(bench, base), evaluate(bench, tuned_contender(bench, run, base))]
    comparison = Comparison(bench)
    verdict(objective, reports, compare_all(comparison, reports[-1], reports), comparison)

Import from the module that owns the name (``bench``, ``baselines``, ``evaluate``, ``compare``,
``verdict``): reading a config must not load models.
"""

from metier.evaluate.config import EvaluateConfig

__all__ = ["EvaluateConfig"]
