"""Taking what a sweep found into the project: the settings into metier.toml, the run as its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from metier.config import FILE_NAME
from metier.core import ledger
from metier.core.artifacts import write_atomically
from metier.core.lineage import Ref
from metier.core.records import TuneRun
from metier.core.toml_edit import with_values
from metier.core.types import Json
from metier.journey.session import Session
from metier.tune.config import TuneConfig
from metier.tune.sweep.result import SweepResult
from metier.tune.sweep.space import setting


@dataclass(frozen=True, slots=True)
class Adopted:
    """The file that was changed, and the run that is now the project's latest (None: the winner
    was not trained to its end, and `metier tune` is still to be run)."""

    path: Path
    run: TuneRun | None


def fragment(config: TuneConfig, settings: Mapping[str, Json]) -> str:
    """Return the lines of metier.toml that say these settings."""
    return with_values("", _placed(config, settings, "")).strip() + "\n"


def adopt(session: Session, result: SweepResult) -> Adopted:
    """Write the winner's settings into metier.toml and make its run the project's latest.

    Raises ConfigError, and changes nothing, where the file cannot be edited safely.
    """
    path = session.root / FILE_NAME
    text = path.read_text(encoding="utf-8")
    changed = with_values(text, _placed(session.project.tune, result.settings, text))
    write_atomically(path, BytesIO(changed.encode()))
    run = _own_run(session, result.winner.run)
    session.workspace.audit.append(None, "sweep.adopt", result.sweep, {"file": path.name})
    return Adopted(path, run)


def _placed(
    config: TuneConfig, settings: Mapping[str, Json], text: str
) -> dict[tuple[str, ...], Json]:
    """A setting of a tagged table that the file does not have brings the table's tag along."""
    import tomllib

    there = tomllib.loads(text).get("tune", {})
    found: dict[tuple[str, ...], Json] = {}
    for name, value in settings.items():
        keys = name.split(".")
        if len(keys) > 1 and keys[0] not in there and hasattr(getattr(config, keys[0]), "type"):
            found[("tune", keys[0], "type")] = setting(config, f"{keys[0]}.type")
        found[("tune", *keys)] = value
    return found


def _own_run(session: Session, found: str | None) -> TuneRun | None:
    """A run of the project's own with what the trial left: it is the latest from now on."""
    workspace = session.workspace
    trial = ledger.get_run(workspace, found) if found else None
    if trial is None or trial.adapter is None:
        return None
    for run in ledger.list_runs(workspace, trial.version_id):
        if run.summary.get("adopted_from") == trial.id:
            return run
    config = {key: value for key, value in trial.config.items() if key != ledger.TRIAL_OF}
    own = ledger.start_run(workspace, trial.version_id, trial.base, config)
    workspace.lineage.record(Ref("run", own.id), [(Ref("run", trial.id), "adopted from")])
    summary = {**trial.summary, "adopted_from": trial.id}
    return ledger.finish_run(workspace, own.id, "done", trial.adapter, summary)
