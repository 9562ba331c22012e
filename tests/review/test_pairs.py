"""A panel's answers as preferences: hand-computed margins, votes, weights, and what is left out."""

from __future__ import annotations

from typing import Any

import pytest

from metier.core.errors import InputError
from metier.review import pairs
from metier.review.evidence import Judged, leanings, scaled, weigh
from metier.review.pairs import Terms, edge, pairs_of, verdicts_of

SCALES = {"accuracy": (1.0, 5.0), "tone": (1.0, 5.0)}
LOOSE = Terms(severity=False)
TEXTS = {"x": "the good reply", "y": "the poor reply", "z": "another reply"}


def rated(person: str, reply: str, points: dict[str, int], **more: Any) -> Judged:
    example = more.pop("example", "ex_1")
    value = {"ratings": points} | more.pop("value", {})
    replies = ((reply, TEXTS[reply]),)
    return Judged(f"asg {person} {reply} {example}", "p", person, example, replies, value, **more)


def compared(person: str, preferred: str, **more: Any) -> Judged:
    replies = (("x", TEXTS["x"]), ("y", TEXTS["y"]))
    value = {"preferred": preferred} | more.pop("value", {})
    return Judged(f"asg {person}", "p", person, "ex_1", replies, value, **more)


def made(*judged: Judged, terms: Terms = LOOSE) -> tuple[list[pairs.Pair], list[str]]:
    found, left = pairs_of(weigh(judged, SCALES, terms.severity), terms)
    return found, [one.why for one in left]


def test_ratings_of_the_same_people_make_a_pair() -> None:
    (pair,), left = made(
        rated("anna", "x", {"accuracy": 5, "tone": 4}),
        rated("anna", "y", {"accuracy": 2, "tone": 3}),
        rated("ben", "x", {"accuracy": 4}),
        rated("ben", "y", {"accuracy": 3}),
    )
    assert (pair.chosen, pair.rejected) == (TEXTS["x"], TEXTS["y"])
    assert pair.margin == pytest.approx(((4.5 - 2.5) + (4 - 3)) / 2)
    assert (pair.raters, pair.disagreement, pair.by) == (2, 0.0, "ratings")
    assert len(pair.assignments) == 4
    assert not left


def test_choices_make_a_pair_with_the_share_as_margin() -> None:
    (pair,), _ = made(*(compared(f"p{n}", "a" if n < 3 else "b") for n in range(4)))
    assert (pair.raters, pair.margin, pair.disagreement) == (4, 0.5, 0.5)
    assert pair.by == "choices"


def test_edge_is_the_rule_of_succession() -> None:
    assert [edge(1, 1), edge(2, 2), edge(3, 3)] == pytest.approx([1 / 3, 1 / 2, 3 / 5])
    assert edge(1, 2) == 0


def test_weights_keep_margin_and_disagreement_and_are_one_on_average() -> None:
    judged = [
        *(rated(who, "x", {"accuracy": 5}) for who in ("anna", "ben")),
        *(rated(who, "y", {"accuracy": 1}) for who in ("anna", "ben")),
        *(rated(who, "x", {"accuracy": 4}, example="ex_2") for who in ("anna", "ben")),
        *(rated(who, "y", {"accuracy": 3}, example="ex_2") for who in ("anna", "ben")),
    ]
    found, _ = made(*judged)
    weights = {one.example: one.weight for one in found}
    assert weights == pytest.approx({"ex_1": 4 / 3, "ex_2": 2 / 3})  # 4 points count as 2


@pytest.mark.parametrize(
    ("judged", "why"),
    [
        ([compared("anna", "a")], pairs.FEW),
        ([compared("anna", "a"), compared("ben", "b")], pairs.TIED),
        ([compared("anna", "tie"), compared("ben", "tie")], pairs.TIED),
        ([compared("anna", "a"), compared("ben", "a"), compared("cleo", "b")], pairs.SPLIT),
        ([rated("anna", "x", {"tone": 4}), rated("anna", "y", {"tone": 3}),
          rated("ben", "x", {"tone": 4}), rated("ben", "y", {"tone": 4})], pairs.CLOSE),
        ([compared("anna", "a", harmed=frozenset({"x"})), compared("ben", "a")], pairs.HARM),
    ],
)  # fmt: skip
def test_what_is_no_preference_says_why(judged: list[Judged], why: str) -> None:
    terms = Terms(severity=False, least_margin=0.6)
    found, left = made(*judged, terms=terms)
    assert not found
    assert left == [why]


def test_ratings_against_choices_are_left_out() -> None:
    both = {"ratings": {"a": {"tone": 2}, "b": {"tone": 4}}}
    found, left = made(compared("anna", "a", value=both), compared("ben", "a", value=both))
    assert not found
    assert left == [pairs.AGAINST]


def test_a_harmful_reply_may_be_the_rejected_one() -> None:
    found, _ = made(compared("anna", "a", harmed=frozenset({"y"})), compared("ben", "a"))
    assert [one.rejected for one in found] == [TEXTS["y"]]


def test_a_written_reply_beats_both() -> None:
    value = {"better": "what should have been said"}
    judged = [compared("anna", "tie", value=value)]
    found, _ = made(*judged)
    assert {(one.chosen, one.rejected) for one in found} == {
        ("what should have been said", TEXTS["x"]),
        ("what should have been said", TEXTS["y"]),
    }
    assert {(one.by, one.raters, one.margin) for one in found} == {("written", 1, 1.0)}
    assert made(*judged, terms=Terms(severity=False, written=False))[0] == []


def test_a_written_reply_has_the_margin_to_the_top() -> None:
    found, _ = made(rated("anna", "y", {"tone": 2}, value={"better": "better words"}))
    assert [one.margin for one in found] == [3.0]


@pytest.mark.parametrize("flag", ["not_my_field", "cannot_tell"])
def test_who_could_not_judge_has_no_vote(flag: str) -> None:
    evidence = weigh([compared("anna", "a", flags=(flag,)), compared("ben", "b")], SCALES)
    assert (evidence.answers, evidence.aside) == (1, 1)
    votes = evidence.votes(("ex_1", "x"), ("ex_1", "y"))
    assert votes is not None
    assert (votes.n, votes.wins) == (1, 0.0)


def test_what_is_not_applicable_is_no_part_of_a_score() -> None:
    value = {"not_applicable": ["tone"]}
    evidence = weigh([rated("anna", "x", {"accuracy": 5, "tone": 1}, value=value)], SCALES, False)
    assert evidence.scores["ex_1", "x"].mean == 5.0


def test_hidden_duplicates_count_once() -> None:
    again = compared("anna", "b", twin=True)
    evidence = weigh([compared("anna", "a"), again], SCALES, False)
    assert evidence.answers == 1


def test_scales_are_put_on_one() -> None:
    assert [scaled(0, (0, 10)), scaled(5, (0, 10)), scaled(3, (1, 3))] == [1.0, 3.0, 5.0]


def test_severity_turns_a_comparison_of_different_raters() -> None:
    """Strict Ben saw reply x only, lenient Anna reply y; on the other items both rated both."""
    judged = []
    for number in range(12):
        for reply in ("x", "y"):
            points = 4 if reply == "x" else 3
            example = f"ex_{number + 10}"
            judged.append(rated("ben", reply, {"tone": points - 2}, example=example))
            judged.append(rated("anna", reply, {"tone": points + 1}, example=example))
            judged.append(rated("cleo", reply, {"tone": points}, example=example))
    judged += [rated("ben", "x", {"tone": 2}), rated("anna", "y", {"tone": 4})]
    terms = Terms(least_raters=1, least_margin=0.1)
    raw, _ = pairs_of(weigh(judged, SCALES, False), terms)
    corrected, _ = pairs_of(weigh(judged, SCALES, True), terms)
    assert [one.chosen for one in raw if one.example == "ex_1"] == [TEXTS["y"]]
    assert [one.chosen for one in corrected if one.example == "ex_1"] == [TEXTS["x"]]
    assert leanings(judged, SCALES)["tone", "ben"] < -1


def test_single_replies_are_wanted_or_not() -> None:
    judged = [
        *(rated(who, "x", {"tone": 5}) for who in ("anna", "ben")),
        *(rated(who, "y", {"tone": 2}) for who in ("anna", "ben")),
        *(rated(who, "z", {"tone": 3}) for who in ("anna", "ben")),
    ]
    found, left = verdicts_of(weigh(judged, SCALES, False), LOOSE)
    assert {(one.text, one.wanted, one.score) for one in found} == {
        (TEXTS["x"], True, 5.0), (TEXTS["y"], False, 2.0),
    }  # fmt: skip
    assert [one.why for one in left] == [pairs.BETWEEN]
    assert all(one.weight == 1.0 for one in found)


def test_open_harm_is_unwanted_and_resolved_harm_never_wanted() -> None:
    open_harm = rated("anna", "x", {"tone": 5}, harmed=frozenset("x"), open_harm=frozenset("x"))
    found, _ = verdicts_of(weigh([open_harm], SCALES, False), LOOSE)
    assert [one.wanted for one in found] == [False]
    resolved = rated("anna", "x", {"tone": 5}, harmed=frozenset("x"))
    found, left = verdicts_of(weigh([resolved], SCALES, False), LOOSE)
    assert (found, [one.why for one in left]) == ([], [pairs.HARM])


def test_choices_alone_say_what_was_wanted() -> None:
    judged = [compared("anna", "a"), compared("ben", "a")]
    found, _ = verdicts_of(weigh(judged, SCALES, False), LOOSE)
    assert {(one.text, one.wanted) for one in found} == {(TEXTS["x"], True), (TEXTS["y"], False)}


@pytest.mark.parametrize(
    "terms", [Terms(least_margin=-1), Terms(most_disagreement=2), Terms(wanted_at=2.0)]
)
def test_terms_out_of_range_are_refused(terms: Terms) -> None:
    with pytest.raises(InputError):
        pairs_of(weigh([], SCALES), terms)
