"""Which metrics may serve in a gate: a proxy only once it was shown to follow people's ratings.

``validity`` measures that and stores it as a Probe of the kind "validity"; this reads it back.
"""

from __future__ import annotations

import math

from metier.core import ledger
from metier.core.objective import Objective
from metier.core.records import Probe
from metier.core.workspace import Workspace
from metier.evaluate.judge.config import JudgeConfig
from metier.journey.judged import gates, judge_doubts
from metier.scoring import metric_info
from metier.scoring.tasks import possible_metrics

VALIDITY = "validity"
SPEARMAN, PEARSON = "spearman", "pearson"


def trust_of(
    ws: Workspace, objective: Objective, judges: JudgeConfig | None = None
) -> dict[str, str]:
    """Return, for every metric that targets name and that may not gate yet, the reason in words.

    ``judges`` are those configured; a target on what they say needs their agreement with people.
    """
    named = [one.metric for one in (*objective.target, *objective.constraint)]
    judged = [name for name in named if name not in possible_metrics(objective) and gates(name)]
    found = judge_doubts(ws, judges or JudgeConfig(), judged)
    for target in (*objective.target, *objective.constraint):
        if target.stage != "evaluate" or target.metric not in possible_metrics(objective):
            continue
        if metric_info(target.metric, objective).proxy:
            least = objective.proxy_min_correlation
            why = doubt(ledger.latest_probe(ws, VALIDITY, target.metric), least)
            if why:
                command = f"metier metrics validate {target.metric} --ratings FILE"
                found[target.metric] = f"proxy not validated: {why}; run `{command}`"
    return found


def doubt(probe: Probe | None, least: float) -> str:
    """Return why a proxy may not gate; "" when the lower bound reaches ``least``."""
    if probe is None:
        return "nobody has held it against people's ratings"
    found = probe.metrics[SPEARMAN]
    if math.isfinite(found.low) and found.low >= least:
        return ""
    shown = f"correlation {found.value:.2f} [{found.low:.2f}, {found.high:.2f}] n={found.n}"
    if not math.isfinite(found.low):
        return f"its correlation with ratings has no interval ({'; '.join(found.warnings)})"
    return f"{shown}, lower bound below {least:g}"
