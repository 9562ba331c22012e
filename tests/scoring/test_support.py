"""Groundedness by rule: words, numbers, names, negation."""

import pytest

from metier.core.types import Json, Score
from metier.scoring.builtin import make_metric
from metier.scoring.statistics.bootstrap import clusters_of
from metier.scoring.truth.entities import codes, names
from metier.scoring.truth.supported import (
    Rarity,
    Source,
    Strictness,
    claims,
    record_support,
    support,
    support_by,
)

LEAFLET = (
    "Adults take 10 mg of Zarolin once a day. The drug must not be taken with alcohol. "
    "A trial of a health maintenance organization in North Carolina found that 71% of 1,099 women "
    "kept to the schedule. Treatment increased survival. Order code AB-1234."
)


def why(reply: str, text: str = LEAFLET) -> str:
    (found,) = support(reply, Source(text))
    return found.why


def record(reply: Json, number: int = 0, error: str | None = None, **detail: Json) -> Score:
    extra = {"error": error} if error else {}
    return Score(f"ex{number}", None, None, reply, detail={"raw": reply, **extra, **detail})


@pytest.mark.parametrize(
    "reply",
    [
        "Adults take 10 mg of Zarolin a day.",
        "Adults take 0.01 g of Zarolin once a day.",
        "You shouldn't take the drug with alcohol.",
        "The HMO trial in North Carolina found 71 percent of 1099 women kept the schedule.",
        "The order code is AB-1234.",
        "About 70% of women kept to the schedule [2].",
    ],
)
def test_what_the_source_says_is_supported(reply: str) -> None:
    assert why(reply) == ""


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("Adults take 20 mg of Zarolin once a day.", "numbers not in the source: 20 mg"),
        ("Adults take 10 ml of Zarolin once a day.", "numbers not in the source: 10 ml"),
        ("The drug must be taken with alcohol.", "the source says the opposite"),
        ("Treatment decreased survival.", "the source says the opposite"),
        ("The trial was in South Dakota.", "names not in the source: South Dakota"),
        ("The order code is AB-1243.", "names not in the source: AB-1243"),
        ("Zarolin cures migraine quickly and forever.", "only 20% of its words"),
    ],
)
def test_what_it_does_not_say_has_its_reason(reply: str, reason: str) -> None:
    assert reason in why(reply)


def test_rare_words_weigh_more_with_a_corpus() -> None:
    source = Source("The capital city of the country is Lima.")
    rarity = Rarity.of(["the capital city of a country", "a city and a country", "Lima", "Quito"])
    plain = support("quito: capital city of the country", source)[0]
    weighed = support("quito: capital city of the country", source, rarity)[0]
    assert plain.share == 0.75
    assert weighed.share < plain.share
    assert not support("quito: capital", source, rarity, Strictness(least=0.6))[0].supported


def test_only_sentences_that_claim_count() -> None:
    text = "Hello! Thank you. I don't know. Is it late? Yes. It is 5 km. Paris."
    assert claims(text) == ["It is 5 km.", "Paris."]


def test_names_and_codes() -> None:
    assert names("Ada Lovelace wrote to Charles Babbage at NASA in March") == [
        "Ada Lovelace",
        "Charles Babbage",
        "NASA",
    ]
    assert names("Where is iPhone sold?") == ["iPhone"]
    assert names("") == []
    assert codes("E11.9 and AB-123, 5mg, 2nd, COVID-19") == ["E11.9", "AB-123", "COVID-19"]


def test_a_model_decides_but_numbers_are_still_looked_up() -> None:
    source = Source("The dose is 10 mg.")
    sure = support_by(lambda pairs: [0.9] * len(pairs), "One swallows ten mg.", source)
    assert sure[0].supported
    wrong = support_by(lambda pairs: [0.99] * len(pairs), "The dose is 20 mg.", source)
    assert "20 mg" in wrong[0].why
    unsure = support_by(lambda pairs: [0.1] * len(pairs), "The dose is 10 mg.", source)
    assert "not supported" in unsure[0].why


@pytest.mark.parametrize("verdicts", [[None], [float("nan")], [], [1.0, 1.0]])
def test_a_missing_verdict_is_no_support(verdicts: list[float | None]) -> None:
    found = support_by(lambda pairs: verdicts, "The dose is 10 mg.", Source("The dose is 10 mg."))
    assert [one.why for one in found] == ["no verdict"]


def test_the_source_is_the_context_or_else_the_question() -> None:
    by_context = record_support(record("It is 5 km.", context=["It is", "5 km"], asked="?"))
    by_question = record_support(record("It is 5 km.", asked="How far is 5 km?"))
    assert by_context and by_context[0].supported
    assert by_question and by_question[0].supported
    assert record_support(record("It is 5 km.")) is None


def test_an_empty_context_supports_nothing() -> None:
    found = record_support(record("It is 5 km.", context=[], asked="Is it 5 km?"))
    assert found and not found[0].supported


def test_groundedness_is_a_mean_share_of_sentences() -> None:
    records = [
        record("It is 5 km. It costs 3 EUR.", 1, context="It is 5 km."),
        record("It is 5 km.", 2, context="It is 5 km."),
        record("I don't know.", 3, context="It is 5 km."),
    ]
    found = make_metric("groundedness")(records)
    assert found.value == pytest.approx(3 / 4)
    assert found.n == 2
    assert "1 of 3 items" in found.warnings[0]


def test_failed_and_empty_replies_count_against() -> None:
    records = [
        record("It is 5 km.", 1, context="It is 5 km."),
        record("", 2, error="timed out", context="It is 5 km."),
        record("  ", 3, context="It is 5 km."),
    ]
    assert make_metric("groundedness")(records).value == pytest.approx(1 / 3)
    for name in ("unsupported_numbers_rate", "unsupported_names_rate", "hallucination_rate"):
        assert make_metric(name)(records).value == pytest.approx(2 / 3), name


def test_passages_that_are_not_at_hand_are_not_replaced_by_the_question() -> None:
    assert record_support(record("It is 5 km.", asked="Is it 5 km?", sources=["c1"])) is None


def test_no_sources_at_all_is_undefined_and_says_so() -> None:
    found = make_metric("groundedness")([record("It is 5 km.")])
    assert found.method == "undefined"
    assert any("no source" in note for note in found.warnings)


def test_rates_of_numbers_and_names() -> None:
    records = [
        record("It is 6 km.", 1, context="It is 5 km."),
        record("It is near Oslo Fjord.", 2, context="It is near."),
        record("It is near.", 3, context="It is near."),
        record("I don't know.", 4, context="It is near."),
    ]
    assert make_metric("unsupported_numbers_rate")(records).value == 0.25
    assert make_metric("unsupported_names_rate")(records).value == 0.25


def test_hallucination_of_answerable_and_unanswerable_questions() -> None:
    no = {"answerable": "no"}
    records = [
        Score("a", None, None, "It is 5 km.", detail={"asked": "x"}, slices=no),
        Score("b", None, None, "I don't know.", detail={"asked": "x"}, slices=no),
        Score("c", None, "I don't know.", "It is 5 km.", detail={"asked": "x"}),
        record("It is 5 km.", 4, context="It is 5 km."),
        record("It is 6 km.", 5, context="It is 5 km."),
        record("I don't know.", 6, context="It is 5 km."),
    ]
    assert make_metric("hallucination_rate")(records).value == pytest.approx(3 / 6)
    answered = make_metric("answered_unanswerable_rate")(records)
    assert (answered.value, answered.n) == (pytest.approx(2 / 3), 3)
    refused = make_metric("over_refusal_rate")(records)
    assert (refused.value, refused.n) == (pytest.approx(1 / 3), 3)


def test_intervals_go_by_cluster() -> None:
    records = [
        Score(f"{i}", None, None, "It is 5 km.", f"doc{i // 5}", detail={"context": "It is 5 km."})
        for i in range(40)
    ]
    found = make_metric("groundedness")(records)
    assert (found.n, found.clusters) == (40, len(clusters_of(records)[0])) == (40, 8)


def test_other_scripts_and_halves_of_characters_do_not_break_it() -> None:
    for text in ("東京は日本の首都です。", "المسافة خمسة كيلومترات", "😀 10 mg 😀", "\ud800 5 km"):
        assert support(text, Source(text)) == [] or support(text, Source(text))[0].why == ""
