"""Baselines without a language model learn what is there, repeat exactly, and can be read."""

from __future__ import annotations

import json
import math

import pytest

from metier.core.completer import Completer, Sampling
from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.core.types import (
    CompletionTarget,
    Conversation,
    Example,
    ExampleTarget,
    FieldsTarget,
    LabelsTarget,
    LabelTarget,
    Provenance,
    Span,
    SpansTarget,
)
from metier.models.classical import (
    ClassicalCompleter,
    first_sentences,
    keyword,
    lead,
    nearest,
    tfidf,
)
from metier.models.classifiers import neighbour_ranks
from metier.models.prompt import parse_reply

CLASSIFY = Objective(task="classify")
MULTI = Objective(task="multilabel")
FORM = Objective(
    task="structured",
    fields={
        "type": "object",
        "properties": {"route": {"enum": ["billing", "parcel"]}, "reply": {"type": "string"}},
    },
)
NOTHING = Sampling()
TEXTS = {
    "billing": ["my invoice is wrong", "the invoice was charged twice", "invoice please"],
    "parcel": ["where is my parcel", "parcel is late", "the parcel never came"],
}


def example(number: int, text: str, target: ExampleTarget | None) -> Example:
    asked = Conversation.of(("system", "Route."), ("user", text))
    return Example(f"ex_{number}", asked, target, Provenance("t", "t", str(number)))


def labelled() -> list[Example]:
    pairs = [(text, label) for label, texts in TEXTS.items() for text in texts]
    return [example(n, text, LabelTarget(label)) for n, (text, label) in enumerate(pairs)]


def ask(completer: ClassicalCompleter, *texts: str) -> list[str]:
    asked = [Conversation.of(("user", text)) for text in texts]
    return [completion.text for completion in completer.complete(asked, NOTHING)]


@pytest.mark.parametrize("fit", [keyword, tfidf, nearest])
def test_they_tell_labels_apart(fit: object) -> None:
    completer = fit(labelled(), CLASSIFY)
    assert isinstance(completer, Completer)
    assert ask(completer, "about an INVOICE", "parcel?") == ["billing", "parcel"]
    assert len(ask(completer, "", "!!")) == 2, "a message without words gets an answer too"
    assert ask(completer) == []


def test_rules_can_be_read() -> None:
    rules = keyword(labelled(), CLASSIFY).rules
    best = {label: next(r for r in rules if r.label == label) for label in TEXTS}
    assert (best["billing"].word, best["billing"].count) == ("invoice", 3)
    assert best["parcel"].word == "parcel"
    assert best["parcel"].weight == pytest.approx(math.log(3.5 / 4) - math.log(0.5), abs=1e-3)


def test_without_a_match_the_most_frequent_label_wins() -> None:
    examples = [*labelled(), example(9, "a parcel again", LabelTarget("parcel"))]
    assert ask(keyword(examples, CLASSIFY), "zzz") == ["parcel"]


def test_scores_are_log_probabilities() -> None:
    completer = tfidf(labelled(), CLASSIFY)
    assert completer.capabilities.scores
    rows = completer.score(
        [Conversation.of(("user", "invoice"))], ["billing", "parcel", "never seen"]
    )
    assert sum(math.exp(value) for value in rows[0]) == pytest.approx(1.0)
    assert rows[0][0] > rows[0][1] > rows[0][2] == float("-inf")
    with pytest.raises(NotImplementedError, match="nearest does not give probabilities"):
        nearest(labelled(), CLASSIFY).score([], [])


def test_scores_find_labels_by_their_words() -> None:
    examples = [
        example(0, "a b", LabelTarget("top_up")),
        example(1, "c d", LabelTarget("no")),
    ]
    ((by_word, by_name),) = tfidf(examples, CLASSIFY).score(
        [Conversation.of(("user", "a b"))], ["top up", "top_up"]
    )
    assert by_word == by_name > math.log(0.5)


def test_one_label_alone_is_always_given() -> None:
    only = [example(n, text, LabelTarget("billing")) for n, text in enumerate(TEXTS["billing"])]
    assert ask(tfidf(only, CLASSIFY), "anything") == ["billing"]


@pytest.mark.parametrize("fit", [keyword, tfidf])
def test_several_labels_at_once(fit: object) -> None:
    examples = [
        *(example(n, t, LabelsTarget(("billing",))) for n, t in enumerate(TEXTS["billing"])),
        *(example(n + 10, t, LabelsTarget(("parcel",))) for n, t in enumerate(TEXTS["parcel"])),
        example(20, "invoice for my parcel", LabelsTarget(("billing", "parcel"))),
        example(21, "hello there", LabelsTarget(())),
    ]
    replies = ask(fit(examples, MULTI), "an invoice", "parcel late invoice", "hello there")
    found = [parse_reply(reply, MULTI, ["billing", "parcel"]) for reply in replies]
    assert found[0] == ["billing"]
    assert found[1] == ["billing", "parcel"]
    assert found[2] == []


def test_a_label_on_every_example_is_given_to_all() -> None:
    examples = [example(n, t, LabelsTarget(("all",))) for n, t in enumerate(["a b", "c d"])]
    both = [*examples, example(3, "e f", LabelsTarget(("all", "some")))]
    assert parse_reply(ask(tfidf(both, MULTI), "c d")[0], MULTI, ["all", "some"]) == ["all"]
    none = [example(n, t, LabelsTarget(())) for n, t in enumerate(["a b", "c d"])]
    assert ask(tfidf(none, MULTI), "x") == ask(keyword(none, MULTI), "x") == ["none"]


@pytest.mark.parametrize("fit", [keyword, tfidf, nearest])
def test_forms_mix_classes_and_the_nearest_words(fit: object) -> None:
    examples = [
        example(n, text, FieldsTarget({"route": label, "reply": f"about {text}"}))
        for label, texts in TEXTS.items()
        for n, text in enumerate(texts)
    ]
    (reply,) = ask(fit(examples, FORM), "parcel is late")
    assert json.loads(reply) == {"route": "parcel", "reply": "about parcel is late"}


def test_rules_of_forms_name_their_field() -> None:
    examples = [
        example(n, text, FieldsTarget({"route": label, "reply": "x"}))
        for label, texts in TEXTS.items()
        for n, text in enumerate(texts)
    ]
    labels = {rule.label for rule in keyword(examples, FORM).rules}
    assert labels == {"route=billing", "route=parcel"}


def test_marked_words_are_found_again() -> None:
    objective = Objective(task="extract")
    examples = [
        example(0, "take aspirin daily", SpansTarget((Span(5, 12, "drug"),))),
        example(1, "Aspirin forte helps", SpansTarget((Span(0, 13, "drug"), Span(14, 19, "verb")))),
    ]
    (reply,) = ask(keyword(examples, objective), "ASPIRIN forte and aspirin, not aspirins")
    assert json.loads(reply) == [
        {"label": "drug", "text": "ASPIRIN forte"},
        {"label": "drug", "text": "aspirin"},
    ]
    nothing = [example(0, "a", SpansTarget(()))]
    assert ask(keyword(nothing, objective), "aspirin") == ["[]"]


def test_written_replies_come_from_the_nearest_example() -> None:
    objective = Objective(task="answer")
    examples = [
        example(0, "how do I reset my password", CompletionTarget("Use the link.")),
        example(1, "where is the office", CompletionTarget("In town.")),
    ]
    for fit in (nearest, tfidf):
        assert ask(fit(examples, objective), "password reset?") == ["Use the link."]
    with pytest.raises(InputError, match=r"'answer', which writes text.*\n.*nearest or lead"):
        keyword(examples, objective)


def test_lead_takes_the_first_sentences() -> None:
    assert first_sentences("One. Two!  Three?\nFour", 3) == "One. Two! Three?"
    assert first_sentences("no end", 2) == "no end"
    assert ask(lead(1), "First one. Second.", "") == ["First one.", ""]
    assert lead(1).fingerprint != lead(2).fingerprint


def test_fits_repeat_and_fingerprints_follow_the_data() -> None:
    first, again = tfidf(labelled(), CLASSIFY), tfidf(labelled()[::-1], CLASSIFY)
    assert first.fingerprint == again.fingerprint
    assert first.fingerprint != tfidf(labelled()[1:], CLASSIFY).fingerprint
    assert first.fingerprint != keyword(labelled(), CLASSIFY).fingerprint
    asked = [Conversation.of(("user", "invoice parcel late"))]
    one, two = (
        first.score(asked, ["billing"]),
        tfidf(labelled(), CLASSIFY).score(asked, ["billing"]),
    )
    assert one == two


def test_usage_counts_words_and_leaves_the_system_turn_out() -> None:
    asked = Conversation.of(("system", "Route this."), ("user", "my invoice please"))
    completion = keyword(labelled(), CLASSIFY).complete([asked], NOTHING)[0]
    assert (completion.usage.input_tokens, completion.usage.output_tokens) == (3, 1)
    assert completion.timing.batch_size == 1


def test_training_without_targets_is_refused() -> None:
    for fit in (keyword, tfidf, nearest):
        with pytest.raises(InputError, match="1 examples, none with one"):
            fit([example(0, "x", None)], CLASSIFY)
    with pytest.raises(InputError, match="CompletionTarget in ex_0"):
        keyword([example(0, "x", CompletionTarget("y"))], CLASSIFY)


def test_ranks_put_the_most_similar_first_and_survive_wordless_texts() -> None:
    ranked = neighbour_ranks(["red apple", "green pear", "red apple pie"])
    assert ranked(["red apple pie"], 2) == [[2, 0]]
    assert neighbour_ranks(["!", "?"])(["x"], 1) == [[0]]


def test_tfidf_says_how_likely_each_label_is():
    asked = [Conversation.of(("user", "the invoice"))]
    (reply,) = tfidf(labelled(), CLASSIFY).complete(asked, NOTHING)
    assert reply.choice_logprobs is not None
    assert max(reply.choice_logprobs, key=reply.choice_logprobs.__getitem__) == reply.text
    assert sum(math.exp(v) for v in reply.choice_logprobs.values()) == pytest.approx(1.0)
    assert keyword(labelled(), CLASSIFY).complete(asked, NOTHING)[0].choice_logprobs is None


def test_labels_of_a_set_are_likely_each_on_its_own():
    pairs = [
        ("a x", ("a",)),
        ("b x", ("b",)),
        ("a b", ("a", "b")),
        ("c", ()),
        ("d a b", ("a", "b")),
    ]
    examples = [example(n, text, LabelsTarget(given)) for n, (text, given) in enumerate(pairs)]
    completer = tfidf(examples, MULTI)
    (reply,) = completer.complete([Conversation.of(("user", "a b"))], NOTHING)
    assert reply.choice_logprobs is not None and set(reply.choice_logprobs) == {"a", "b"}
    assert sum(math.exp(v) for v in reply.choice_logprobs.values()) > 1.0
    assert not completer.capabilities.scores  # they do not exclude each other
    with pytest.raises(NotImplementedError):
        completer.score([Conversation.of(("user", "a"))], ["a"])
