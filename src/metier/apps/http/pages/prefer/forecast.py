"""What a tune on preferences would take, for the page."""

from __future__ import annotations

from metier.apps.http.pages.frame import Row, span
from metier.core.errors import UserError
from metier.core.records import DataVersion
from metier.journey.forecasting import Wanted, forecast_tunes
from metier.journey.preferring import Start, tuning_session
from metier.journey.session import Session

GIB = 2**30


def told_forecast(session: Session, version: DataVersion, kind: str) -> Row:
    """Time and memory in words, or why they cannot be told. Nothing is stored."""
    try:
        asked = tuning_session(session, Start("kto" if kind == "kto" else "dpo"))
        (found,) = forecast_tunes(asked, Wanted(version.id, probe_seconds=0.0, keep=False))
    except UserError as error:
        return {"problem": error, "rows": []}
    seconds, peak = found.seconds.total, found.peak
    return {
        "problem": None,
        "rows": [
            ("Time", f"{span(seconds.value)} [{span(seconds.low)}, {span(seconds.high)}]"),
            ("Memory", f"{peak.value / GIB:.2f} [{peak.low / GIB:.2f}, {peak.high / GIB:.2f}] GiB"),
            ("Steps", f"{found.work.steps:,}"),
            ("Fits here", "yes" if found.fits else "no"),
        ],
    }
