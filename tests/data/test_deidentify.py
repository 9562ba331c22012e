"""De-identification: prompts and replies are redacted, keys and labels are not."""

from data_examples import example, labelled, replied
from metier.core.types import Conversation, FieldsTarget, PreferenceTarget, Span, SpansTarget
from metier.data.deidentify import Deidentify


def redacted(row):
    (outcome,) = Deidentify(frozenset({"route"})).apply([row], None)
    return outcome


def test_prompts_are_redacted_and_kinds_counted():
    row = labelled(
        1, "write to ann@example.org or bo@example.org", "ann@example.org", group="a@b.org"
    )
    outcome = redacted(row)
    assert outcome.example.conversation.text == "write to [EMAIL] or [EMAIL]"
    assert [change.rule for change in outcome.changes] == ["email"]
    assert outcome.changes[0].before == row.conversation.text
    assert outcome.example.group == "a@b.org"
    assert outcome.example.target == row.target
    assert outcome.example.provenance.steps == ("deidentify",)


def test_each_kind_is_a_change_of_its_own():
    outcome = redacted(labelled(1, "ann@example.org, order 12345678, bo@example.org"))
    assert [(change.rule, change.after) for change in outcome.changes] == [
        ("email", "[EMAIL], order 12345678, [EMAIL]"),
        ("order_number", "[EMAIL], order [ORDER_NUMBER], [EMAIL]"),
    ]


def test_every_turn_and_reply_is_redacted():
    row = replied(1, "q", "call ann@example.org")
    turns = Conversation.of(("system", "s@example.org"), ("user", "u@example.org"))
    outcome = redacted(row.changed("x", conversation=turns))
    assert outcome.example.conversation.text == "[EMAIL]\n[EMAIL]"
    assert outcome.example.target.text == "call [EMAIL]"
    preference = redacted(example(1, "q", PreferenceTarget("a@b.org", "c@d.org")))
    assert preference.example.target == PreferenceTarget("[EMAIL]", "[EMAIL]")


def test_text_fields_are_redacted_and_closed_ones_not():
    fields = FieldsTarget({"route": "to@example.org", "reply": "to@example.org", "score": 3})
    outcome = redacted(example(1, "q", fields))
    assert outcome.example.target.fields == {
        "route": "to@example.org",
        "reply": "[EMAIL]",
        "score": 3,
    }


def test_spans_move_with_the_text():
    text = "ann@example.org takes aspirin"
    outcome = redacted(example(1, text, SpansTarget((Span(22, 29, "drug"),))))
    after = outcome.example.conversation.last_user
    (span,) = outcome.example.target.spans
    assert after == "[EMAIL] takes aspirin"
    assert after[span.start : span.end] == "aspirin"


def test_a_span_that_is_redacted_covers_its_placeholder():
    text = "write to ann@example.org today"
    outcome = redacted(example(1, text, SpansTarget((Span(9, 24, "address"),))))
    after = outcome.example.conversation.last_user
    (span,) = outcome.example.target.spans
    assert after[span.start : span.end] == "[EMAIL]"


def test_text_without_identifiers_is_the_same_object():
    row = labelled(1, "nothing here")
    outcome = redacted(row)
    assert outcome.example is row
    assert outcome.changes == ()
