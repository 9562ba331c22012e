"""How to ask is chosen on validation rows, and never on test."""

from __future__ import annotations

import pytest

from evaluate_fakes import (
    PAIRS,
    ROUTING,
    FakeCompleter,
    bench_of,
    fields_row,
    labelled,
    right,
)
from metier.core.workspace import Workspace
from metier.evaluate.bench import Contender, sample
from metier.evaluate.choose import choice_rows, choose, fields_that_matter
from metier.models.prompt import PromptVariant

GOOD = PromptVariant("good", "{system}", "{input}")


def biased(text: str, label: str) -> float:
    """Knows the answer, but likes "billing" whatever it is asked."""
    return (1.0 if label == right(text) else 0.0) + (3.0 if label == "billing" else 0.0)


def test_the_best_option_on_validation_wins(workspace: Workspace) -> None:
    bench = bench_of(workspace)
    options = [
        Contender("few_shot", FakeCompleter(lambda text: "billing", "flat"), chosen={"k": 1}),
        Contender("few_shot", FakeCompleter(right, "good"), chosen={"k": 4}),
        Contender("few_shot", FakeCompleter(right, "as good"), chosen={"k": 8}),
    ]
    found = choose(bench, options, choice_rows(bench))
    assert found.completer.name == "good"
    assert found.chosen == {
        "k": 4,
        "options_tried": 3,
        "validation_rows": 8,
        "validation_f1_macro": 1.0,
    }
    assert found.warnings == ()


def test_test_rows_are_never_asked(workspace: Workspace) -> None:
    bench = bench_of(workspace)
    completer = FakeCompleter(right)
    choose(bench, [Contender("zero_shot", completer)], choice_rows(bench))
    asked = {conversation.last_user for conversation in completer.asked}
    assert asked == {e.conversation.last_user for e in bench.examples("validation")}


def test_prior_correction_is_kept_where_it_helps(workspace: Workspace) -> None:
    bench = bench_of(workspace)
    option = Contender("zero_shot", FakeCompleter(right, score=biased), variant=GOOD)
    found = choose(bench, [option], choice_rows(bench))
    assert found.chosen["prior_correction"] is True
    assert found.priors is not None
    assert found.priors[""]["billing"] > found.priors[""]["delivery"]
    assert found.chosen["validation_f1_macro"] == 1.0


def test_prior_correction_is_left_where_it_does_not(workspace: Workspace) -> None:
    bench = bench_of(workspace)

    def fair(text: str, label: str) -> float:
        return 9.0 if label == right(text) else 0.0

    option = Contender("zero_shot", FakeCompleter(right, score=fair), variant=GOOD)
    found = choose(bench, [option], choice_rows(bench))
    assert found.chosen["prior_correction"] is False
    assert found.priors is None


def test_a_choice_is_remembered(workspace: Workspace) -> None:
    bench = bench_of(workspace)
    completer = FakeCompleter(right, score=biased)
    options = [Contender("zero_shot", completer, variant=GOOD)]
    first = choose(bench, options, choice_rows(bench))
    calls = completer.calls
    again = choose(bench, options, choice_rows(bench))
    assert completer.calls == calls
    assert (again.priors, again.chosen, again.fingerprint) == (
        first.priors,
        first.chosen,
        first.fingerprint,
    )


def test_a_torn_memory_is_made_again(workspace: Workspace) -> None:
    bench = bench_of(workspace)
    options = [Contender("zero_shot", FakeCompleter(right))]
    choose(bench, options, choice_rows(bench))
    (stored,) = (workspace.work_dir / "evaluate" / "choices").glob("*.json")
    stored.write_text('{"option": 0')
    assert choose(bench, options, choice_rows(bench)).chosen["options_tried"] == 1


def test_without_validation_some_training_rows_are_held_out_and_it_is_said(
    workspace: Workspace,
) -> None:
    bench = bench_of(workspace, train=labelled(0, PAIRS, 5), test=labelled(90, PAIRS))
    rows = choice_rows(bench)
    assert (len(rows.tried_on), len(rows.shown)) == (4, 16)
    assert not {e.id for e in rows.tried_on} & {e.id for e in rows.shown}
    found = choose(bench, [Contender("zero_shot", FakeCompleter(right))], rows)
    assert found.warnings == (
        "there are no validation rows: prompts were chosen on 4 training rows",
    )


def test_without_any_rows_the_first_option_is_taken_and_it_is_said(workspace: Workspace) -> None:
    bench = bench_of(workspace, test=labelled(90, PAIRS))
    completer = FakeCompleter(right)
    found = choose(bench, [Contender("zero_shot", completer)], choice_rows(bench))
    assert completer.calls == 0
    assert found.warnings == (
        "there are no validation rows: prompts were not chosen but taken as they come",
    )


def test_fields_after_the_one_compared_on_are_not_written() -> None:
    cut = fields_that_matter(ROUTING)
    assert cut.fields is not None
    assert list(cut.fields["properties"]) == ["route"]
    assert fields_that_matter(cut) == cut


def test_structured_options_are_compared_on_their_closed_field(workspace: Workspace) -> None:
    rows = [fields_row(i, f"parcel {i}", "delivery", "It comes.") for i in range(4)]
    rows += [fields_row(10 + i, f"charged {i}", "billing", "We pay.") for i in range(4)]
    bench = bench_of(workspace, ROUTING, validation=rows)

    def reply(text: str) -> str:
        return f'{{"route": "{right(text)}"}}'

    option = Contender("zero_shot", FakeCompleter(reply))
    found = choose(bench, [option], choice_rows(bench))
    assert found.chosen["validation_route.f1_macro"] == 1.0


@pytest.mark.parametrize("size", [0, 4, 99])
def test_a_sample_keeps_order_and_does_not_hang_on_it(size: int) -> None:
    rows = labelled(0, PAIRS, 4)
    found = sample(rows, size, seed=1)
    assert len(found) == (size if 0 < size < len(rows) else len(rows))
    assert [rows.index(one) for one in found] == sorted(rows.index(one) for one in found)
    turned = sample(rows[::-1], size, seed=1)
    assert {one.id for one in turned} == {one.id for one in found}
