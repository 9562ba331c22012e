"""The frame that runs Steps: counting, order, restored rows, the pool."""

import time
from dataclasses import dataclass

import pytest

from metier.core.errors import BoundaryError, InputError
from metier.core.progress import Progress
from metier.core.steps import Add, Change, Drop, Keep, Suspect
from metier.core.types import Conversation, Example, LabelTarget, Provenance
from metier.data.pipeline import Frame, run_steps


def example(number, text="hello"):
    where = Provenance("s.csv", "d", str(number))
    return Example(f"ex_{number}", Conversation.of(("user", text)), LabelTarget("a"), where)


EXAMPLES = [example(number) for number in range(10)]


@dataclass
class Threes:
    """Drops every third, suspects number 1, changes number 2, keeps the rest."""

    name: str = "threes"
    pause_s: float = 0.0

    def apply(self, batch, state):
        for one in batch:
            time.sleep(self.pause_s)
            number = int(one.id[3:])
            if number % 3 == 0:
                yield Drop(one, "multiple_of_three", {"number": number})
            elif number == 1:
                yield Suspect(one, "is_one")
            elif number == 2:
                yield Keep(one.changed(self.name, group="g"), (Change("rule", "a", "b"),))
            else:
                yield Keep(one)


@dataclass
class Longest:
    """A fitted step: learns from the whole view, drops what is short of it."""

    name: str = "longest"

    def fit(self, view):
        return max(len(one.conversation.text) for one in view)

    def apply(self, batch, state):
        for one in batch:
            short = len(one.conversation.text) < state
            yield Drop(one, "short", {"longest": state}) if short else Keep(one)


def test_outcomes_are_counted_by_reason_and_kept_in_order():
    events = []
    outcomes = run_steps([Threes()], EXAMPLES, Frame(Progress(events.append), batch_rows=4))
    assert [one.id for one in outcomes.examples] == [f"ex_{n}" for n in (1, 2, 4, 5, 7, 8)]
    (report,) = outcomes.reports
    assert (report.seen, report.kept, report.changed, report.added) == (10, 6, 1, 0)
    assert report.dropped == {"multiple_of_three": 4}
    assert report.suspected == {"is_one": 1}
    assert report.changes == {"rule": 1}
    assert report.seconds >= 0
    dropped = outcomes.drops[1]
    assert (dropped.step, dropped.reason) == ("threes", "multiple_of_three")
    assert (dropped.example.id, dropped.evidence) == ("ex_3", {"number": 3})
    assert outcomes.suspects[0].reason == "is_one"
    assert outcomes.changes[0].change == Change("rule", "a", "b")
    assert [event.kind for event in events] == ["start", "advance", "advance", "advance", "end"]
    assert events[-1].done == 10


def test_a_fitted_step_sees_everything_that_is_left():
    rows = [example(1, "aa"), example(2, "a"), example(3, "aaaaa")]
    outcomes = run_steps([Threes(), Longest()], rows, Frame(Progress(), batch_rows=1))
    # The longest row was dropped before; the rest is measured against what is left.
    assert [one.id for one in outcomes.examples] == ["ex_1"]
    assert outcomes.states == {"longest": 2}
    assert outcomes.drops[-1].evidence == {"longest": 2}


def test_a_restored_row_passes_the_step_that_dropped_it():
    frame = Frame(Progress(), restored=frozenset({("threes", "ex_3"), ("other", "ex_6")}))
    outcomes = run_steps([Threes()], EXAMPLES, frame)
    assert "ex_3" in {one.id for one in outcomes.examples}
    assert "ex_6" not in {one.id for one in outcomes.examples}
    assert outcomes.reports[0].restored == 1
    assert outcomes.reports[0].dropped == {"multiple_of_three": 3}


@pytest.mark.parametrize("batch_rows", [1, 3, 100])
@pytest.mark.parametrize("workers", [1, 2])
def test_workers_and_batches_do_not_change_the_result(batch_rows, workers):
    slow = Threes(pause_s=0.001)
    frame = Frame(Progress(), workers=workers, batch_rows=batch_rows, pool_pays_from_s=0.0)
    outcomes = run_steps([slow], EXAMPLES, frame)
    assert [one.id for one in outcomes.examples] == [f"ex_{n}" for n in (1, 2, 4, 5, 7, 8)]
    assert [drop.example.id for drop in outcomes.drops] == [f"ex_{n}" for n in (0, 3, 6, 9)]


@dataclass
class Adds:
    name: str = "adds"

    def apply(self, batch, state):
        for one in batch:
            yield Keep(one)
            yield Add(one.id, example(100 + int(one.id[3:])))


def test_added_examples_follow_their_parent_and_are_counted():
    outcomes = run_steps([Adds()], EXAMPLES[:2], Frame(Progress()))
    assert [one.id for one in outcomes.examples] == ["ex_0", "ex_100", "ex_1", "ex_101"]
    assert outcomes.reports[0].added == 2


@dataclass
class Forgets:
    name: str = "forgets"

    def apply(self, batch, state):
        yield from (Keep(one) for one in batch[1:])


@dataclass
class Fails:
    error: Exception
    name: str = "fails"

    def apply(self, batch, state):
        raise self.error


def test_a_step_that_loses_a_row_is_named():
    with pytest.raises(BoundaryError, match=r"step forgets: .*10 went in, 9 came out"):
        run_steps([Forgets()], EXAMPLES, Frame(Progress()))


def test_a_step_that_fails_is_named_and_user_errors_pass():
    with pytest.raises(BoundaryError, match="step fails: KeyError: 'x'"):
        run_steps([Fails(KeyError("x"))], EXAMPLES, Frame(Progress()))
    with pytest.raises(InputError, match="a thing"):
        run_steps([Fails(InputError("a thing"))], EXAMPLES, Frame(Progress()))


def test_nothing_in_nothing_out():
    outcomes = run_steps([Threes()], [], Frame(Progress()))
    assert (outcomes.examples, outcomes.reports[0].seen) == ([], 0)
