"""The loop of a sweep over both databases, with runs that are only pretended."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from metier.core.errors import InputError, IntegrityError, NotFound
from metier.core.records import TuneRun
from metier.core.types import Estimate, Json
from metier.core.workspace import Workspace
from metier.tune.config import TuneConfig
from metier.tune.sweep.config import SweepConfig
from metier.tune.sweep.halving import Trial, best
from metier.tune.sweep.planning import make_plan
from metier.tune.sweep.run import Ended, Sweeping, Value, sweep
from metier.tune.sweep.space import resolve_all
from metier.tune.sweep.store import SweepStore, newest, options_of

TODAY = TuneConfig()
STEPS = 64
GRID = {"space": {"lr": {"values": [1e-4, 2e-4, 4e-4, 8e-4]}}, "order": "together"}


@dataclass
class Pretended:
    """Runs whose worth is a curve of the settings; counts what it was asked to do."""

    worth: Callable[[Mapping[str, Json]], float]
    fails: Callable[[Mapping[str, Json]], bool] = lambda _: False
    trained: Counter[tuple[int, float]] = field(default_factory=Counter)
    forgotten: list[int] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def train(self, trial: Trial, share: float) -> TuneRun:
        with self.lock:
            self.trained[trial.number, share] += 1
        if self.fails(trial.settings):
            raise InputError("a finite training loss", got="NaN at step 3")
        state: Any = "done" if share >= 1 else "interrupted"
        summary: dict[str, Json] = {"planned_steps": STEPS, "paused_at": round(share * STEPS)}
        now = datetime.now(UTC)
        return TuneRun(f"run_{trial.number}", "v", "base", state, now, None, {}, None, summary)

    def measure(self, trial: Trial, run: TuneRun) -> Value:
        value = self.worth(trial.settings)
        return Value(Estimate(value, value - 0.1, value + 0.1, 50, 50), f"eval_{run.id}")

    def forget(self, trial: Trial) -> None:
        self.forgotten.append(trial.number)


def by_rate(settings: Mapping[str, Json]) -> float:
    return float(settings["lr"])


def sweeping(
    ws: Workspace, store: SweepStore, work: Pretended, config: SweepConfig, rate: float = 0.0
) -> Sweeping:
    plan = make_plan(config, TODAY, 2e-4, 8)
    options = options_of(config.space, resolve_all(config.space, TODAY, 2e-4))

    def lock(key: str, do: Callable[[], None]) -> None:
        ws.jobs.run_inline("sweep", {}, lambda _: do(), exclusive=key)

    return Sweeping(store, config, plan, options, TODAY, work, lock, rate=rate)


def run(ws: Workspace, work: Pretended, given: Mapping[str, Any], rate: float = 0.0) -> Ended:
    config = SweepConfig.model_validate(given)
    with SweepStore.open(ws.db, "one", {"sweep": dict(given)}) as store:
        return sweep(sweeping(ws, store, work, config, rate), poll_s=0.01)


def test_the_best_goes_on_and_the_others_are_cleared_away(any_workspace: Workspace) -> None:
    work = Pretended(by_rate)
    ended = run(any_workspace, work, GRID | {"finalists": 1})
    found = best(ended.trials)
    assert found is not None
    assert found.settings == {"lr": 8e-4}
    assert found.state == "finished"
    assert sorted(work.forgotten) == [0, 1, 2]
    assert {one.state for one in ended.trials if one is not found} == {"dropped"}
    assert newest(any_workspace.db) == "one"


def test_a_second_call_trains_nothing(any_workspace: Workspace) -> None:
    first = run(any_workspace, Pretended(by_rate), GRID)
    again = Pretended(by_rate)
    assert run(any_workspace, again, GRID).trials == first.trials
    assert not again.trained


def test_what_was_measured_before_a_stop_is_not_measured_again(any_workspace: Workspace) -> None:
    whole = Pretended(by_rate)
    stopped = Pretended(by_rate)

    def stops(settings: Mapping[str, Json]) -> float:
        if sum(stopped.trained.values()) == 4:
            raise KeyboardInterrupt
        return by_rate(settings)

    stopped.worth = stops
    with pytest.raises(KeyboardInterrupt):
        run(any_workspace, stopped, GRID)
    run(any_workspace, whole, GRID)
    cut_off = (set(stopped.trained) & set(whole.trained)).pop()
    assert set(stopped.trained) & set(whole.trained) == {cut_off}  # the one piece it was on
    assert max(whole.trained.values()) == 1


def test_workers_share_the_pieces(any_workspace: Workspace) -> None:
    space = {"lr": {"type": "log", "low": 1e-4, "high": 1e-2, "points": 12}}
    given = {"space": space, "order": "together"}
    works = [Pretended(by_rate) for _ in range(3)]
    endings: list[Ended] = []
    errors: list[BaseException] = []

    def worker(work: Pretended) -> None:
        try:
            endings.append(run(any_workspace, work, given))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=worker, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    done = sum((work.trained for work in works), Counter())
    assert set(done.values()) == {1}  # every piece once, whoever did it
    pieces = sum(len(one.measured) for one in endings[0].trials)
    assert len(done) == pieces
    assert all(one.trials == endings[0].trials for one in endings)
    assert len(endings[0].trials) == 12


def test_a_trial_that_fails_is_no_end_unless_all_do(any_workspace: Workspace) -> None:
    ended = run(any_workspace, Pretended(by_rate, lambda one: one["lr"] == 8e-4), GRID)
    failed = [one for one in ended.trials if one.failed]
    assert [one.settings for one in failed] == [{"lr": 8e-4}]
    assert "NaN at step 3" in str(failed[0].failed)
    found = best(ended.trials)
    assert found is not None
    assert found.settings == {"lr": 4e-4}


def test_all_trials_failing_is_told(workspace: Workspace) -> None:
    with pytest.raises(InputError, match="all 4 trials failed"):
        run(workspace, Pretended(by_rate, lambda _: True), GRID)


def test_settings_in_turn_build_on_the_best_before(workspace: Workspace) -> None:
    space = {"lr": {"values": [1e-4, 4e-4]}, "r": {"values": [4, 8, 16]}}
    worth = Pretended(lambda one: by_rate(one) * (2 if one.get("method.r") == 16 else 1))
    ended = run(workspace, worth, {"space": space})
    later = [dict(one.settings) for one in ended.trials if one.bracket == 1]
    assert later == [{"lr": 4e-4, "method.r": 4}, {"lr": 4e-4, "method.r": 16}]
    found = best(ended.trials)
    assert found is not None
    assert found.settings == {"lr": 4e-4, "method.r": 16}


def test_later_brackets_are_suggested_by_optuna(any_workspace: Workspace) -> None:
    space = {"lr": {"type": "log", "low": 1e-4, "high": 1e-1}, "r": {"values": [4, 8]}}
    given = {"space": space, "order": "together", "trials": 8, "brackets": 2}
    ended = run(any_workspace, Pretended(lambda one: -abs(float(one["lr"]) - 3e-3)), given)
    assert [one.bracket for one in ended.trials] == [0] * 4 + [1] * 4
    settings = [dict(one.settings) for one in ended.trials]
    assert all(settings.count(one) == 1 for one in settings)
    assert all(1e-4 <= float(one["lr"]) <= 1e-1 for one in settings)


def test_a_grid_is_gone_through_without_repeats(workspace: Workspace) -> None:
    space = {"lr": {"values": [1e-4, 2e-4, 4e-4]}, "r": {"values": [4, 8]}}
    given = {"space": space, "order": "together", "trials": 5, "brackets": 2}
    ended = run(workspace, Pretended(by_rate), given)
    settings = [dict(one.settings) for one in ended.trials]
    assert all(settings.count(one) == 1 for one in settings)


def test_time_that_is_used_up_ends_it_with_what_was_found(workspace: Workspace) -> None:
    budget = {"type": "time", "hours": 1e-9}
    ended = run(workspace, Pretended(by_rate), GRID | {"budget": budget})
    assert ended.stopped is not None
    assert sum(len(one.measured) for one in ended.trials) == 1


def test_metiers_own_tables_are_left_alone(any_workspace: Workspace) -> None:
    before = any_workspace.db.revision()
    run(any_workspace, Pretended(by_rate), GRID)
    assert any_workspace.db.revision() == before
    any_workspace.db.migrate()


def test_tables_of_another_optuna_are_refused(workspace: Workspace) -> None:
    run(workspace, Pretended(by_rate), GRID)
    with workspace.db.session() as session:
        session.execute(text("ALTER TABLE trials RENAME COLUMN state TO condition"))
    with pytest.raises(IntegrityError, match="table trials without state"):
        newest(workspace.db)


def test_a_sweep_that_is_not_there(workspace: Workspace) -> None:
    assert newest(workspace.db) is None
    with pytest.raises(NotFound, match="metier sweep"):
        SweepStore.open(workspace.db, "none")


def test_optuna_reads_it_as_its_own(workspace: Workspace) -> None:
    import optuna

    run(workspace, Pretended(by_rate), GRID | {"finalists": 1})
    url = workspace.db.url.render_as_string(hide_password=False)
    storage = optuna.storages.RDBStorage(url, skip_compatibility_check=True)
    study = optuna.load_study(study_name="metier:one", storage=storage)
    assert study.best_params == {"lr": 8e-4}
    states = Counter(one.state.name for one in study.trials)
    assert states == {"COMPLETE": 1, "PRUNED": 3}
    assert json.loads(json.dumps(study.user_attrs["plan"]))["sweep"]["order"] == "together"
    storage.remove_session()
    storage.engine.dispose()
