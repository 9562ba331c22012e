"""Inspect: what a model is trained on, of this project's data or of another trainer's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path

from metier.core import ledger
from metier.core.artifacts import write_atomically
from metier.core.progress import Progress
from metier.journey.session import Session, load_project_base
from metier.sources.profile import Lengths
from metier.tune.inspect import Inspection
from metier.tune.inspect.checks import told
from metier.tune.inspect.choose import Choice

SILENT = Progress()
BAR = 40


def inspect_version(session: Session, version: str, choice: Choice) -> Inspection:
    """Encode and check the training split of a version as `tune` does, and show some of it.

    Raises InputError when not one example can be trained on.
    """
    from metier.tune.inspect.own import Own, inspect_all

    found = ledger.get_version(session.workspace, version)
    examples = ledger.load_split(session.workspace, found, "train")
    project = session.project
    own = Own(
        load_project_base(session),
        project.objective,
        project.tune,
        found.labels,
        project.project.system,
        f"training split of {found.id}",
    )
    with session.progress.task("encode", total=len(examples), unit="example") as task:
        return inspect_all(examples, own, choice, task)


def inspect_trainer(
    config: Path, choice: Choice, model: str | None = None, progress: Progress = SILENT
) -> Inspection:
    """Show the data of a LLaMA-Factory or Axolotl config as that trainer would; needs no project.

    Raises InputError for what cannot be read or shown.
    """
    from metier.tune.inspect.others import inspect_config

    return inspect_config(config, choice, model=model, progress=progress)


def write_page(inspection: Inspection, path: Path) -> None:
    """Write an inspection as one HTML page that loads nothing."""
    from metier.journey.report.inspected import inspection_page

    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, BytesIO(inspection_page(inspection).encode()))


def head_line(inspection: Inspection) -> str:
    """Say what is shown."""
    one = inspection
    shown = f"{len(one.shown)} of {one.kept:,} examples ({one.pick})"
    return f"{one.source}, as {one.trainer} trains {one.model} on it: {shown}"


def summary_lines(inspection: Inspection) -> Iterator[str]:
    """Counts, lengths, settings and findings in words; what stops a tune comes last."""
    one = inspection
    share = one.supervised_tokens / one.tokens if one.tokens else 0.0
    yield f"rows: {one.rows:,} read, {one.kept:,} trained on, {one.rows - one.kept:,} left out"
    yield from _counted(one.dropped)
    yield (
        f"shortened to {one.max_tokens:,} tokens: {one.cut_prompts + one.cut_replies:,} of "
        f"{one.kept:,}, {one.cut_replies:,} of them in the reply"
    )
    yield f"tokens: {one.tokens:,}, of which {one.supervised_tokens:,} ({share:.1%}) in the loss"
    yield from _lengths("tokens per example", one.lengths)
    yield from _lengths("tokens in the loss per example", one.supervised_lengths)
    for setting in one.settings:
        yield f"{setting.name} = {setting.value}: {setting.effect}"
    yield from (f"note: {note}" for note in one.notes)
    for finding in reversed(one.findings):
        yield f"{'REFUSED' if finding.severity == 'refuse' else 'note'}: {told(finding)}"
        yield f"  to fix: {finding.remedy}"
    if not one.findings:
        yield f"checks: nothing wrong found in {one.kept:,} examples"


def _counted(reasons: Mapping[str, int]) -> Iterator[str]:
    for reason, count in reasons.items():
        yield f"  {count:>9,}  {reason}"


def _lengths(title: str, found: Lengths) -> Iterator[str]:
    yield (
        f"{title}: median {found.median:,}, 95% at most {found.p95:,}, longest "
        f"{found.longest:,} (n = {found.n:,})"
    )
    most = max((count for *_, count in found.bins), default=1)
    for low, high, count in found.bins:
        bar = "█" * max(round(BAR * count / most), 1 if count else 0)
        yield f"  {low:>7,} - {high:<7,} {count:>9,} {bar}"
