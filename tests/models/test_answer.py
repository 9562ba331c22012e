"""Replies have the task's shape: closed sets stay closed, forms are valid JSON, priors correct."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.core.completer import Capabilities, Sampling
from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.core.types import Completion, Conversation, Timing, Usage
from metier.models.answer import answer, estimate_priors
from metier.models.base import Base
from metier.models.choosing import corrected_best, joined, mean_log_prior
from metier.models.engines.local import LocalCompleter
from metier.models.filling import (
    FieldSpec,
    as_json_inner,
    closing_quote,
    field_specs,
)
from metier.models.listing import MOST_LABELS, LabelList
from metier.models.prompt import parse_reply

CLASSIFY = Objective(task="classify")
MULTI = Objective(task="multilabel")
FORM = Objective(
    task="structured",
    fields={
        "type": "object",
        "properties": {
            "route": {"enum": ["billing", "top_up", 'a "quoted" one']},
            "level": {"enum": [1, 2, None]},
            "urgent": {"type": ["boolean", "null"]},
            "days": {"type": "integer"},
            "amount": {"type": "number"},
            "parts": {"type": "array"},
            "reply": {"type": "string"},
        },
    },
)
LABELS = ["card_arrival", "no", "yes"]
ASKED = [Conversation.of(("user", text)) for text in ("where is my card", "risk?", "label " * 9)]
BRIEF = Sampling(max_tokens=10)


class Scores:
    """Scores choices from a table; can do nothing else."""

    name, fingerprint = "scores", "f"

    def __init__(self, rows: Sequence[Sequence[float]], scores: bool = True) -> None:
        self.rows, self.asked_for = rows, []
        self.capabilities = Capabilities(scores=scores)

    def complete(
        self, conversations: Sequence[Conversation], sampling: Sampling
    ) -> list[Completion]:
        return [Completion(f"free text {sampling.max_tokens}") for _ in conversations]

    def score(
        self, conversations: Sequence[Conversation], choices: Sequence[str]
    ) -> list[list[float]]:
        self.asked_for = list(choices)
        return [list(row) for row in self.rows[: len(conversations)]]


def test_the_likeliest_label_wins() -> None:
    completer = Scores([[-1.0, -2.0, -3.0], [-5.0, -4.0, -9.0]])
    found = answer(completer, ASKED[:2], CLASSIFY, LABELS, BRIEF)
    assert [c.text for c in found] == ["card_arrival", "no"]
    assert completer.asked_for == ["card arrival", "no", "yes"], "labels are scored as words"
    assert found[0].choice_logprobs == {"card_arrival": -1.0, "no": -2.0, "yes": -3.0}


def test_a_reply_is_as_sure_as_its_least_certain_closed_choice(llama: Base) -> None:
    first, second = answer(
        Scores([[-1.0, -2.0, -3.0], [-5.0, -5.0, -5.0]]), ASKED[:2], CLASSIFY, LABELS, BRIEF
    )
    whole = sum(math.exp(-n) for n in (1, 2, 3))
    assert first.confidence == pytest.approx(math.exp(-1) / whole)
    assert second.confidence == pytest.approx(1 / 3)
    completer = LocalCompleter(llama)
    for form in (
        answer(completer, ASKED, FORM, (), BRIEF),
        answer(completer, ASKED, MULTI, LABELS, BRIEF),
    ):
        assert all(one.confidence is not None and 0 < one.confidence <= 1 for one in form)
    text = FORM.model_copy(update={"fields": {"type": "object", "properties": {"reply": {}}}})
    assert answer(completer, ASKED[:1], text, (), BRIEF)[0].confidence is None


def test_a_label_the_model_always_prefers_is_discounted() -> None:
    completer = Scores([[-1.0, -1.2, -9.0], [-1.0, -6.0, -9.0], [-1.0, -6.0, -9.0]])
    priors = estimate_priors(completer, ASKED, CLASSIFY, LABELS)
    assert sum(math.exp(value) for value in priors[""].values()) == pytest.approx(1.0)
    found = answer(completer, ASKED, CLASSIFY, LABELS, BRIEF, priors)
    assert [c.text for c in found] == ["no", "card_arrival", "card_arrival"]
    assert found[0].choice_logprobs == {"card_arrival": -1.0, "no": -1.2, "yes": -9.0}


@given(st.lists(st.lists(st.floats(-50, 0), min_size=3, max_size=3), min_size=1, max_size=6))
def test_correction_leaves_no_label_preferred_on_average(rows: list[list[float]]) -> None:
    prior = mean_log_prior(LABELS, rows)
    assert all(math.isfinite(value) and value <= 1e-9 for value in prior.values())
    assert 0 <= corrected_best(LABELS, rows[0], prior) < 3
    alone = mean_log_prior(LABELS, rows[:1])
    if min(alone.values()) > math.log(1e-12):
        corrected = [value - alone[label] for label, value in zip(LABELS, rows[0], strict=True)]
        assert max(corrected) - min(corrected) == pytest.approx(0, abs=1e-6)


def test_labels_that_read_the_same_are_refused_before_scoring() -> None:
    with pytest.raises(InputError, match="both written as 'a b'"):
        answer(Scores([]), ASKED, CLASSIFY, ["a b", "a_b"], BRIEF)


def test_without_scores_the_reply_is_free_text() -> None:
    found = answer(Scores([], scores=False), ASKED, CLASSIFY, LABELS, BRIEF)
    assert [c.text for c in found] == ["free text 10"] * 3
    assert estimate_priors(Scores([], scores=False), ASKED, CLASSIFY, LABELS) == {}
    assert answer(Scores([]), [], CLASSIFY, LABELS, BRIEF) == []


@pytest.mark.parametrize("task", ["answer", "summarize", "compose", "chat", "extract"])
def test_other_tasks_are_generated(task: str) -> None:
    found = answer(Scores([]), ASKED[:1], Objective(task=task), LABELS, BRIEF)
    assert found[0].text == "free text 10"
    assert estimate_priors(Scores([]), ASKED, Objective(task=task), LABELS) == {}


def test_a_language_model_says_known_labels_only(llama: Base) -> None:
    completer = LocalCompleter(llama)
    for completion in answer(completer, ASKED, CLASSIFY, LABELS, BRIEF):
        assert completion.text in LABELS
        assert completion.usage.input_tokens > 0


def test_label_lists_hold_known_labels_once(random_base: Base) -> None:
    completer = LocalCompleter(random_base)
    for completion in answer(completer, ASKED, MULTI, LABELS, BRIEF):
        found = parse_reply(completion.text, MULTI, LABELS)
        assert found is not None and set(found) <= set(LABELS)
        assert len(found) == len(set(found))


MANY = [f"{letter}{number}" for letter in "abcdef" for number in range(100)]


def test_lists_of_very_many_labels_are_written_not_scored(random_base: Base) -> None:
    completer = LocalCompleter(random_base)
    found = answer(completer, ASKED, MULTI, MANY, BRIEF)
    for one in found:
        read = parse_reply(one.text, MULTI, MANY)
        assert one.error is None and isinstance(read, list)
        assert len(set(read)) == len(read) <= MOST_LABELS and set(read) <= set(MANY)
    assert [one.text for one in answer(completer, ASKED[:1], MULTI, MANY, BRIEF)] == [found[0].text]


@pytest.mark.parametrize(
    ("text", "fits", "whole"),
    [
        ("", True, False),
        ("no", True, False),
        ("none", True, True),
        ("none;", False, False),
        ("m5", True, True),
        ("m54", True, True),
        ("m54.", True, False),
        ("m54.5;", True, False),
        ("m54.5; m54", True, True),
        ("m54.5; m54.5", False, False),
        ("m54.5; none", False, False),
        ("m6", False, False),
        ("m54.5, m5", False, False),
    ],
)
def test_the_grammar_of_a_list(text: str, fits: bool, whole: bool) -> None:
    grammar = LabelList(("m5", "m54", "m54.5", "n1"))
    assert (grammar.fits(text), grammar.whole(text)) == (fits, whole)


def test_a_list_that_was_cut_short_keeps_what_was_said() -> None:
    grammar = LabelList(("m5", "m54", "n1"))
    assert grammar.said("n1; m54; m") == ["n1", "m54"]
    assert grammar.said("none") == [] and grammar.said("") == []


def test_label_lists_stop_when_all_are_said_or_the_model_stops() -> None:
    class Greedy(Scores):
        def choose(
            self,
            conversations: Sequence[Conversation],
            choices: Sequence[str],
            closing: Sequence[str | None],
        ) -> list[tuple[list[float], Completion]]:
            assert closing == [";", ";", ";", None, None, None, None]
            assert choices[-1] == "none"
            part = Completion("", usage=Usage(5, 2), timing=Timing(0.5, None, 3))
            return [(self.row_for(asked), part) for asked in conversations]

        def row_for(self, asked: Conversation) -> list[float]:
            if asked.last_user == "risk?":
                return [-9.0] * 6 + [-1.0]
            if asked.messages[-1].text == "no; ":
                return [-9.0, -1.0, -9.0, -2.0, -9.0, -9.0, -1.0]
            goes_on = asked.last_user == "where is my card"
            return [-9.0, -1.0, -9.0, *([-9.0] * 4)] if goes_on else [-2.0, -3.0, -4.0] + [-9.0] * 4

        def fill(self, *given: object) -> list[Completion]:
            raise AssertionError("labels are chosen, not written")

    found = answer(Greedy([]), ASKED, MULTI, LABELS, BRIEF)
    assert [c.text for c in found] == ["card arrival; no", "none", "card arrival; no; yes"]
    assert found[0].usage == Usage(5, 4)
    assert found[0].timing.total_s == 1.0


def test_forms_are_valid_and_complete(random_base: Base) -> None:
    completer = LocalCompleter(random_base)
    priors = estimate_priors(completer, ASKED, FORM, [])
    assert set(priors) == {"route", "level", "urgent"}
    assert set(priors["level"]) == {"1", "2", "null"}
    for completion in answer(completer, ASKED, FORM, [], BRIEF, priors):
        form = json.loads(completion.text)
        assert list(form) == list(FORM.fields["properties"])
        assert form["route"] in FORM.enum_fields["route"]
        assert form["level"] in (1, 2, None) and form["urgent"] in (True, False, None)
        assert form["days"] is None or isinstance(form["days"], int)
        assert form["amount"] is None or isinstance(form["amount"], int | float)
        assert form["parts"] is None or isinstance(form["parts"], list | dict)
        assert isinstance(form["reply"], str)
        assert completion.usage.output_tokens > 7


def test_forms_filled_together_equal_forms_filled_alone(llama: Base) -> None:
    completer = LocalCompleter(llama)
    together = [c.text for c in answer(completer, ASKED, FORM, [], BRIEF)]
    assert together == [answer(completer, [a], FORM, [], BRIEF)[0].text for a in ASKED]


def test_schemas_become_fields() -> None:
    kinds = [(spec.name, spec.kind, spec.quoted) for spec in field_specs(FORM)]
    assert kinds == [
        ("route", "closed", True),
        ("level", "closed", False),
        ("urgent", "closed", False),
        ("days", "number", False),
        ("amount", "number", False),
        ("parts", "json", False),
        ("reply", "text", True),
    ]
    assert field_specs(CLASSIFY) == []
    assert FieldSpec("x", "closed", ("a", 1)).quoted is False


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_written_string_ends_at_its_own_quote(value: str) -> None:
    inner = json.dumps(value, ensure_ascii=False)[1:-1]
    assert closing_quote(inner + '", "next": "x"') == len(inner)
    assert closing_quote(inner) is None
    assert as_json_inner(inner) == inner


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_whatever_is_written_becomes_a_valid_string(text: str) -> None:
    end = closing_quote(text)
    json.loads(f'"{as_json_inner(text[:end])}"')


def test_passes_add_up() -> None:
    parts = [
        Completion("", "length", Usage(7, 2, 3), Timing(0.5, 0.1, 4)),
        Completion("", "stop", Usage(9, 1, 0), Timing(0.25, 0.2, 4)),
    ]
    assert joined("x", parts) == Completion("x", "length", Usage(7, 3, 3), Timing(0.75, 0.1, 4))


def test_label_lists_tell_how_likely_each_label_comes_first(llama: Base) -> None:
    completer = LocalCompleter(llama)
    written = ["card arrival", "no", "yes"]
    found = answer(completer, ASKED, MULTI, LABELS, BRIEF)
    for asked, completion in zip(ASKED, found, strict=True):
        ((row, _),) = completer.choose([asked], [*written, *written], [";"] * 3 + [None] * 3)
        first = [math.log(math.exp(a) + math.exp(b)) for a, b in zip(row, row[3:], strict=False)]
        assert completion.choice_logprobs == pytest.approx(
            dict(zip(LABELS, first, strict=True)), abs=1e-4
        )
