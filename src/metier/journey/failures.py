"""The verb ``failures``: where a measured model fails, and what to collect for it.

found = failures(session)                     # the tuned model on the latest version
found = failures(session, rung="tfidf")
write_request(found, Path("request.md"))
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from metier.core import ledger
from metier.core.artifacts import write_atomically
from metier.core.errors import NotFound, nearest
from metier.core.records import EvaluationReport
from metier.journey.session import Session, make_bench

if TYPE_CHECKING:
    from metier.evaluate.failures.find import Failures
    from metier.evaluate.verdict import Verdict

TUNED = "tuned"


def failures(
    session: Session,
    rung: str | None = None,
    *,
    run: str | None = None,
    version: str = ledger.LATEST,
    split: str = "test",
) -> Failures:
    """Look through the newest stored answers of a rung; none is given again, no look is spent.

    ``rung`` defaults to the tuned model, or to the last rung measured where there is none; ``run``
    chooses among tuning runs. Raises NotFound when nothing fits.
    """
    from metier.evaluate.failures.find import find_failures

    bench = make_bench(session, version)
    report = _report(session, bench.version.id, (rung, run, split))
    with session.progress.task(f"failures of {report.rung}"):
        return find_failures(bench, report)


def failures_of(
    session: Session, judged: Verdict, reports: Sequence[EvaluationReport]
) -> Failures | None:
    """Look through the answers a verdict is about; None where nothing was measured."""
    from metier.evaluate.failures.find import find_failures

    wanted = judged.candidate or judged.best_baseline
    report = next((one for one in reports if one.id == wanted), None)
    if report is None:
        return None
    return find_failures(make_bench(session, report.version_id), report)


def _report(
    session: Session, version_id: str, wanted: tuple[str | None, str | None, str]
) -> EvaluationReport:
    rung, run, split = wanted
    found = [
        report
        for report in ledger.list_evaluations(session.workspace, version_id)
        if report.split == split and run in (None, report.run_id)
    ]
    if not found:
        raise NotFound(
            f"an evaluation on split {split!r}" + (f" of run {run}" if run else ""),
            got="none",
            remedy="run `metier evaluate` (or `metier baseline`) first",
        )
    rungs = [report.rung for report in found]
    chosen = rung or (TUNED if TUNED in rungs else rungs[-1])
    fitting = [report for report in found if report.rung == chosen]
    if not fitting:
        raise NotFound(
            f"a rung measured on split {split!r}",
            got=repr(chosen),
            remedy=nearest(chosen, dict.fromkeys(rungs)),
        )
    return fitting[-1]


def write_request(found: Failures, path: Path) -> Path:
    """Write the data request as .md, .csv or .json; return the file's full path.

    Raises InputError for another ending.
    """
    from metier.evaluate.failures.requests import written

    text = written(found.request, path)
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, BytesIO(text.encode()))
    return path
