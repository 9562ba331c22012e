"""A run that pauses at a step goes on as if it had not."""

from __future__ import annotations

import pytest
from cases import OBJECTIVE, settings, version

from metier.core import ledger
from metier.core.errors import NotFound
from metier.core.workspace import Workspace
from metier.tune.loop import checkpoints
from metier.tune.run import Conditions, tune
from tiny_models import tiny_base


def losses(ws: Workspace, run_id: str) -> list[float]:
    return [one.value for one in ledger.metric_points(ws, run_id) if one.name == "train_loss"]


def test_a_paused_run_ends_like_one_that_was_not(workspace: Workspace) -> None:
    found, base = version(workspace), tiny_base()
    whole = tune(settings(), found, workspace, base, OBJECTIVE)
    paused = tune(settings(), found, workspace, base, OBJECTIVE, under=Conditions(pause_at=3))
    assert (paused.state, paused.adapter) == ("interrupted", None)
    assert paused.summary["paused_at"] == 3
    assert paused.summary["validation_loss"] > 0
    assert len(losses(workspace, paused.id)) == 3
    later = tune(
        settings(),
        found,
        workspace,
        base,
        OBJECTIVE,
        resume=paused.id,
        under=Conditions(pause_at=0.5),
    )
    assert later.summary["paused_at"] == later.summary["planned_steps"] // 2
    ended = tune(settings(), found, workspace, base, OBJECTIVE, resume=paused.id)
    assert ended.id == paused.id
    assert ended.state == "done"
    assert losses(workspace, ended.id) == pytest.approx(losses(workspace, whole.id), rel=1e-6)
    assert ended.summary["validation_loss"] == pytest.approx(whole.summary["validation_loss"])


def test_a_run_that_is_past_the_pause_is_left_as_it_is(workspace: Workspace) -> None:
    found, base = version(workspace), tiny_base()
    first = tune(settings(), found, workspace, base, OBJECTIVE, under=Conditions(pause_at=4))
    again = tune(
        settings(), found, workspace, base, OBJECTIVE, resume=first.id, under=Conditions(pause_at=2)
    )
    assert again.summary["paused_at"] == 4
    newest = checkpoints.newest(workspace.work_dir / "tune" / first.id).path
    assert newest is not None
    assert checkpoints.step_of(newest) == 4


def test_a_pause_at_or_past_the_end_is_none(workspace: Workspace) -> None:
    run = tune(
        settings(),
        version(workspace),
        workspace,
        tiny_base(),
        OBJECTIVE,
        under=Conditions(pause_at=10_000),
    )
    assert run.state == "done"


def test_a_trial_is_never_the_latest_run(workspace: Workspace) -> None:
    found, base = version(workspace), tiny_base()
    trial = tune(
        settings(),
        found,
        workspace,
        base,
        OBJECTIVE,
        under=Conditions(pause_at=2, part_of="sweep_1"),
    )
    with pytest.raises(NotFound):
        ledger.get_run(workspace)
    assert ledger.get_run(workspace, trial.id).config[ledger.TRIAL_OF] == "sweep_1"
