"""Where scorers and metrics are found by name; third parties add theirs through the entry points
``metier.scorers`` and ``metier.metrics``. ``builtin`` fills both with metier's own."""

from __future__ import annotations

from metier.core.plugins import Registry
from metier.scoring.types import Metric, Scorer

scorers: Registry[Scorer] = Registry("scorers")
metrics: Registry[Metric] = Registry("metrics")
