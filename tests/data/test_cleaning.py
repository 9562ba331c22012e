"""Cleaning: what each rule changes, what it leaves alone, and what goes to quarantine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.core.steps import Drop, Keep
from metier.core.types import (
    CompletionTarget,
    Conversation,
    Example,
    FieldsTarget,
    Image,
    LabelsTarget,
    LabelTarget,
    Message,
    PreferenceTarget,
    Provenance,
    Span,
    SpansTarget,
)
from metier.data.cleaning.characters import tidy_label
from metier.data.cleaning.clean import Clean, repairs
from metier.data.cleaning.config import CleanConfig
from metier.data.cleaning.rewrite import result_of
from metier.data.cleaning.rules import clean_text
from metier.data.config import DataConfig

ALL = repairs(CleanConfig())


A = LabelTarget("a")


def example(prompt, target=A):
    return Example("ex_1", Conversation.of(("user", prompt)), target, Provenance("s", "d", "1"))


def cleaned(text):
    stages = clean_text(text, ALL)
    return result_of(text, stages), tuple(dict.fromkeys(rule for rule, _ in stages))


def applied(given, **config):
    (outcome,) = Clean(DataConfig(**config), frozenset({"route"})).apply([given], None)
    return outcome


@pytest.mark.parametrize(
    ("before", "after", "rules"),
    [
        ("plain text, 5 < 6 & so on", "plain text, 5 < 6 & so on", ()),
        ("the cafÃ© doesnâ€™t open", "the café doesn’t open", ("mojibake",)),
        ("<p>Hello</p><br/>there", "Hello\n\nthere", ("html", "white_space")),
        ("fish &amp; chips", "fish & chips", ("html",)),
        ("fish &amp;amp; chips", "fish & chips", ("html",)),
        ("AT&T; R&D", "AT&T; R&D", ()),
        ("if a <b> c and <i like it", "if a <b> c and <i like it", ()),
        ("a <b>bold</b> word", "a bold word", ("html",)),
        ('<a href="x.html">link</a>', "link", ("html",)),
        ("<script>alert(1)</script>Hi", "Hi", ("html", "white_space")),
        ("List<String> x; vector<int> y", "List<String> x; vector<int> y", ()),
        ("be\x00ll\x07 and zero\u200bwidth", "bell and zerowidth", ("control_characters",)),
        ("a\r\nb\rc\u2028d\x0ce", "a\nb\nc\nd\ne", ("line_ends",)),
        ("cafe\u0301", "café", ("unicode",)),
        ("lone \ud800 half", "lone \ufffd half", ("unicode",)),
        ("  two   spaces\u00a0here ", "two spaces here", ("white_space",)),
        (
            "code:\n    indented  line\n\n\n\nend",
            "code:\n    indented line\n\nend",
            ("white_space",),
        ),
        ("日本語のテキスト", "日本語のテキスト", ()),
        ("naïve “quotes” stay", "naïve “quotes” stay", ()),
    ],
)
def test_each_rule(before, after, rules):
    assert cleaned(before) == (after, rules)


@given(st.text(alphabet=st.sampled_from("ab<>/&;p \n\t\r\u00a0Ã©â€™\x00;#1"), max_size=40))
def test_cleaning_twice_changes_nothing(text):
    once, _ = cleaned(text)
    assert cleaned(once) == (once, ())


@given(st.text(max_size=60))
def test_what_is_cleaned_can_be_stored(text):
    cleaned(text)[0].encode("utf-8")


def test_a_rule_that_is_off_does_nothing():
    off = repairs(CleanConfig(html=False))
    assert clean_text("fish &amp; chips", off) == []


def test_unstorable_text_is_repaired_even_when_cleaning_is_off():
    outcome = applied(example("half \ud800"), clean=False)
    assert outcome.example.conversation.text == "half \ufffd"


def test_each_rule_that_changes_a_text_is_a_change_of_its_own():
    outcome = applied(example("fish  &amp;amp;  chips"))
    assert [(change.rule, change.before, change.after) for change in outcome.changes] == [
        ("html", "fish  &amp;amp;  chips", "fish  &  chips"),
        ("white_space", "fish  &  chips", "fish & chips"),
    ]


def test_changes_carry_before_and_after():
    outcome = applied(example("fish &amp; chips"))
    assert isinstance(outcome, Keep)
    (change,) = outcome.changes
    assert (change.rule, change.before, change.after) == (
        "html",
        "fish &amp; chips",
        "fish & chips",
    )
    assert outcome.example.id == "ex_1"
    assert outcome.example.provenance.steps == ("clean",)


@pytest.mark.parametrize(
    ("given", "config", "reason", "evidence"),
    [
        (example("   \u200b "), {}, "empty", {"what": "no text is left in the prompt"}),
        (example("<br>"), {}, "empty", {"what": "no text is left in the prompt"}),
        (example("abc"), {"min_chars": 4}, "too_short", {"chars": 3, "min_chars": 4}),
        (example("abcd"), {"max_chars": 3}, "too_long", {"chars": 4, "max_chars": 3}),
        (example("q", CompletionTarget(" ")), {}, "empty_target", None),
        (example("q", LabelTarget("\u00a0")), {}, "empty_target", None),
        (example("q", PreferenceTarget("good", " ")), {}, "empty_target", None),
    ],
)
def test_unfit_rows_go_to_quarantine_as_they_came(given, config, reason, evidence):
    outcome = applied(given, **config)
    assert isinstance(outcome, Drop)
    assert outcome.reason == reason
    assert outcome.example == given
    if evidence:
        assert outcome.evidence == evidence


def test_an_image_alone_is_not_empty():
    message = Message("user", (Image("artifact"),))
    given = Example("e", Conversation((message,)), LabelTarget("a"), Provenance("s", "d", "1"))
    assert isinstance(applied(given), Keep)


def test_every_text_of_the_target_is_cleaned_and_closed_fields_only_tidied():
    fields = FieldsTarget(
        {"route": " a&amp;b ", "reply": "fish &amp; chips", "n": 3, "l": ["&lt;"]}
    )
    outcome = applied(example("q", fields))
    assert outcome.example.target == FieldsTarget(
        {"route": "a&amp;b", "reply": "fish & chips", "n": 3, "l": ["<"]}
    )
    assert {change.rule for change in outcome.changes} == {"html", "label_spacing"}


def test_labels_are_compared_without_stray_spaces():
    assert tidy_label("  card \u00a0 arrival ") == "card arrival"
    outcome = applied(example("q", LabelTarget(" card  arrival")))
    assert outcome.example.target == LabelTarget("card arrival")
    assert outcome.changes[0].rule == "label_spacing"
    outcome = applied(example("q", LabelsTarget(("b ", "a", "b"))))
    assert outcome.example.target == LabelsTarget(("a", "b"))


def test_spans_follow_the_text():
    target = SpansTarget((Span(14, 17, "drug"),))
    outcome = applied(example("take  &amp;   xyz today", target))
    text = outcome.example.conversation.last_user
    (span,) = outcome.example.target.spans
    assert text == "take & xyz today"
    assert text[span.start : span.end] == "xyz"


def test_a_text_whose_spans_cannot_follow_stays():
    given = example("a &amp; b", SpansTarget((Span(4, 6, "odd"),)))
    outcome = applied(given)
    assert outcome.example == given
    assert outcome.changes == ()
