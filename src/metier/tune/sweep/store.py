"""Sweeps in the workspace's own database, as Optuna studies: any of its tools can read them.

A study is a sweep, a trial is one setting, an intermediate value is a measurement at a rung (its
step is the per mille of a full run). What Optuna has no field for lies in user attributes. Its
tables stand beside metier's, on SQLite and PostgreSQL alike; neither touches the other's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from metier.core.codec import dumps, loads, to_json
from metier.core.errors import IntegrityError, NotFound
from metier.core.store.database import LOCK_TIMEOUT_S, Database
from metier.core.types import Json
from metier.tune.sweep.config import LogRange, Range
from metier.tune.sweep.halving import Measured, State, Trial

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from optuna.study import Study

PREFIX = "metier:"
PLAN, RESULT = "plan", "result"
PER_MILLE = 1000
STATES: dict[str, State] = {
    "RUNNING": "open",
    "WAITING": "open",
    "COMPLETE": "finished",
    "PRUNED": "dropped",
    "FAIL": "failed",
}
TABLES_LOCK = 0x6F707475  # any constant: names the PostgreSQL advisory lock


class SweepStore:
    """One sweep's study. Used as a context manager, it closes its connections."""

    def __init__(self, db: Database, name: str, storage: RDBStorage, study: Study) -> None:
        self._db, self.name, self._storage, self._study = db, name, storage, study

    def __enter__(self) -> SweepStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._storage.remove_session()
        self._storage.engine.dispose()

    @classmethod
    def open(cls, db: Database, name: str, plan: Json = None, *, higher: bool = True) -> SweepStore:
        """Open a sweep by name; with a ``plan`` it is made where there is none.

        Raises NotFound where there is none and no plan.
        """
        import optuna

        storage = _storage(db)
        try:
            with db.errors("opening the sweep"):
                if plan is None:
                    study = optuna.load_study(study_name=PREFIX + name, storage=storage)
                else:
                    study = optuna.create_study(
                        study_name=PREFIX + name,
                        storage=storage,
                        direction="maximize" if higher else "minimize",
                        load_if_exists=True,
                    )
                    if PLAN not in study.user_attrs:
                        study.set_user_attr(PLAN, to_json(plan))
        except KeyError:
            _close(storage)
            raise NotFound(
                "a sweep", got=repr(name), remedy="start one with `metier sweep`"
            ) from None
        except BaseException:
            _close(storage)
            raise
        return cls(db, name, storage, study)

    @property
    def plan(self) -> Json:
        """What the sweep was started with."""
        return self._study.user_attrs[PLAN]

    @property
    def result(self) -> Json:
        """What it came to; None while it is not at its end."""
        return self._study.user_attrs.get(RESULT)

    def finish(self, result: Json) -> None:
        """Keep what the sweep came to."""
        with self._db.errors("keeping the sweep's result"):
            self._study.set_user_attr(RESULT, to_json(result))

    def trials(self) -> list[Trial]:
        """All trials in the order of their places."""
        with self._db.errors("reading the sweep"):
            found = self._study.get_trials(deepcopy=False)
        known = [_trial(one) for one in found if "place" in one.user_attrs]
        unique = {(one.bracket, one.place): one for one in reversed(known)}
        return [unique[place] for place in sorted(unique)]

    def add(
        self, bracket: int, place: int, settings: Mapping[str, Json], length: float,
        options: Mapping[str, Sequence[Json] | LogRange],
    ) -> None:  # fmt: skip
        """Add a trial of given settings."""
        from datetime import datetime

        from optuna.trial import FrozenTrial, TrialState

        named = {name: _distribution(options[name]) for name in settings}
        params = {name: _param(options[name], value) for name, value in settings.items()}
        with self._db.errors("adding a trial"):
            self._study.add_trial(
                FrozenTrial(
                    number=-1, trial_id=-1, state=TrialState.RUNNING, value=None,
                    datetime_start=datetime.now(), datetime_complete=None,
                    params=params, distributions=named,
                    user_attrs={
                        "bracket": bracket, "place": place, "length": length,
                        "settings": dict(settings),
                    },
                    system_attrs={}, intermediate_values={},
                )
            )  # fmt: skip

    def suggest(
        self, options: Mapping[str, Sequence[Json] | LogRange], seed: int
    ) -> dict[str, Json]:
        """Ask Optuna (TPE, Bergstra et al. 2011) for settings, given what has been measured."""
        import optuna

        with self._db.errors("asking Optuna"):
            self._study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=1)
            asked = self._study.ask({name: _distribution(one) for name, one in options.items()})
            # It is added again under its place, once it is known to be a new one.
            self._study.tell(asked, state=optuna.trial.TrialState.FAIL)
        return dict(asked.params)

    def measured(self, trial: Trial, run: str, found: Measured) -> None:
        """Keep a measurement: the value last, so that a trial that has it has all of it."""
        with self._db.errors("keeping a measurement"):
            number = self._id(trial)
            self._storage.set_trial_user_attr(number, "run", run)
            at = round(PER_MILLE * found.step / found.steps)
            self._storage.set_trial_intermediate_value(number, at, found.estimate.value)
            self._storage.set_trial_user_attr(number, f"rung:{found.rung}", dumps(found))

    def begun(self, trial: Trial, run: str) -> None:
        """Note which run a trial is."""
        with self._db.errors("keeping a trial's run"):
            self._storage.set_trial_user_attr(self._id(trial), "run", run)

    def end(self, trial: Trial, state: State, why: str | None = None) -> None:
        """Note how a trial ended: ``finished``, ``dropped`` at a rung, or ``failed`` with why.

        Another worker may have come to the same and noted it first.
        """
        from optuna.exceptions import UpdateFinishedTrialError

        last = trial.last
        values = [last.estimate.value] if last and state != "failed" else None
        if values and math.isnan(values[0]):  # Optuna takes no NaN as a trial's value
            state, values = "failed", None
        with self._db.errors("ending a trial"), suppress(UpdateFinishedTrialError):
            number = self._id(trial)
            if why is not None:
                self._storage.set_trial_user_attr(number, "failed", why)
            self._storage.set_trial_state_values(number, _optuna_state(state), values)

    def _id(self, trial: Trial) -> int:
        study = self._study._study_id
        return self._storage.get_trial_id_from_study_id_trial_number(study, trial.number)


def newest(db: Database) -> str | None:
    """Return the name of the sweep that was begun last, None where there is none."""
    storage = _storage(db)
    try:
        with db.errors("looking for sweeps"):
            found = [one for one in storage.get_all_studies() if one.study_name.startswith(PREFIX)]
    finally:
        _close(storage)
    names = [one.study_name for one in sorted(found, key=lambda one: one._study_id)]
    return names[-1].removeprefix(PREFIX) if names else None


def options_of(
    space: Mapping[str, Range], values: Mapping[str, Sequence[Json]]
) -> dict[str, Sequence[Json] | LogRange]:
    """Return for each setting its values, or its range where any value between may be drawn."""
    return {
        name: one if isinstance(one, LogRange) and one.points == 0 else values[name]
        for name, one in space.items()
    }


def _trial(found: Any) -> Trial:
    kept = found.user_attrs
    measured = {}
    for key, text in kept.items():
        if key.startswith("rung:"):
            one = loads(Measured, text)
            measured[one.rung] = one
    return Trial(
        number=found.number,
        bracket=int(kept["bracket"]),
        place=int(kept["place"]),
        settings=dict(kept["settings"]),
        length=float(kept["length"]),
        run=kept.get("run"),
        measured=dict(sorted(measured.items())),
        failed=kept.get("failed"),
        state=STATES[found.state.name],
    )


def _optuna_state(state: State) -> Any:
    from optuna.trial import TrialState

    return next(TrialState[name] for name, ours in STATES.items() if ours == state)


def _distribution(options: Sequence[Json] | LogRange) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if isinstance(options, LogRange):
        return FloatDistribution(options.low, options.high, log=True)
    return CategoricalDistribution(tuple(options))


def _param(options: Sequence[Json] | LogRange, value: Json) -> Json:
    """A drawn value may lie past the range's end by its rounding."""
    if isinstance(options, LogRange):
        return min(max(float(value), options.low), options.high)
    return value


def _storage(db: Database) -> RDBStorage:
    """Optuna's tables in this database, made on first use."""
    import optuna
    from optuna.storages import RDBStorage

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    # Writers wait for one another, as metier's own do; "IMMEDIATE": from their first write on.
    sqlite = {"connect_args": {"timeout": LOCK_TIMEOUT_S, "isolation_level": "IMMEDIATE"}}
    how: dict[str, Any] = sqlite if db.is_sqlite else {"pool_pre_ping": True}
    _make_tables(db)
    with db.errors("opening Optuna's tables"):
        # Both use Alembic, whose table holds metier's revision: Optuna is to leave it alone.
        storage = RDBStorage(
            db.url.render_as_string(hide_password=False),
            engine_kwargs=how,
            skip_compatibility_check=True,
            skip_table_creation=True,
        )
    try:
        _check_tables(storage)
    except BaseException:
        _close(storage)
        raise
    return storage


def _make_tables(db: Database) -> None:
    """Make what is missing of Optuna's tables; workers that begin together wait for one."""
    from optuna.storages._rdb.models import BaseModel
    from sqlalchemy import inspect, text

    with db.errors("reading the database"), db.engine.connect() as connection:
        there = set(inspect(connection).get_table_names())
    if there >= set(BaseModel.metadata.tables):
        return
    with db.session() as session:  # on SQLite a writing session is alone
        if not db.is_sqlite:
            session.execute(text(f"SELECT pg_advisory_xact_lock({TABLES_LOCK})"))
        BaseModel.metadata.create_all(session.connection())


def _check_tables(storage: RDBStorage) -> None:
    """Raise IntegrityError where the tables are those of an Optuna that is not this one's."""
    from optuna.storages._rdb.models import BaseModel
    from optuna.version import __version__
    from sqlalchemy import inspect

    there = inspect(storage.engine)
    for table in BaseModel.metadata.sorted_tables:
        missing = {one.name for one in table.columns} - {
            one["name"] for one in there.get_columns(table.name)
        }
        if missing:
            raise IntegrityError(
                f"sweeps in the tables of Optuna {__version__}",
                got=f"table {table.name} without {', '.join(sorted(missing))}",
                remedy="install the Optuna they were made with, or drop Optuna's tables to begin "
                "anew; metier's own tables are not concerned",
            )


def _close(storage: RDBStorage) -> None:
    storage.remove_session()
    storage.engine.dispose()
