"""A table of facts held against replies: right, outdated, wrong, missing."""

import json
from datetime import date
from pathlib import Path

import pytest

from metier.core.checks import FactsCheck
from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.core.types import Score
from metier.scoring.builtin import make_metric
from metier.scoring.checks import graded
from metier.scoring.materials import Materials
from metier.scoring.tasks import check_targets
from metier.scoring.truth.facts import FactTable, read_facts

TABLE = """subject,attribute,value,unit,valid_from,valid_until
Basic plan|Basic,price|costs|cost,20,USD,2024-01-01,2025-12-31
Basic plan|Basic,price|costs|cost,25,USD,2026-01-01,
Basic plan|Basic,free returns,no,,,
Basic plan|Basic,support language|support in,German|Deutsch,,,
Pro plan|Pro,price|costs|cost,40,USD,,
Pro plan|Pro,storage,1,TB,,
Pro plan|Pro,support language|support in,English,,,
Legacy plan,price|costs,10,USD,,2020-01-01
"""
TODAY = date(2026, 11, 1)


def table(text: str = TABLE, as_of: date | None = TODAY) -> FactTable:
    return FactTable(read_facts(text, "facts.csv"), as_of)


def verdicts(reply: str | None, asked: str | None = None) -> list[tuple[str, str, str]]:
    return [(s.subject, s.attribute, s.verdict) for s in table().statements(reply, asked)]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("The Basic plan costs $25.", [("Basic plan", "price", "right")]),
        ("Basic costs 25 dollars per month.", [("Basic plan", "price", "right")]),
        ("The Basic plan costs $20.", [("Basic plan", "price", "outdated")]),
        ("The Basic plan costs $30.", [("Basic plan", "price", "wrong")]),
        ("The Basic plan cost $20 until last year.", []),
        ("The price was $20, the Basic plan costs $25 now.", [("Basic plan", "price", "right")]),
        ("Does the Basic plan cost $30?", []),
        ("The Pro plan does not cost $40.", [("Pro plan", "price", "wrong")]),
        ("The Pro plan does not cost $50.", []),
        ("Pro comes with 1000 GB of storage.", [("Pro plan", "storage", "right")]),
        ("Basic includes free returns.", [("Basic plan", "free returns", "wrong")]),
        ("Basic does not include free returns.", [("Basic plan", "free returns", "right")]),
        ("Pro has support in German.", [("Pro plan", "support language", "wrong")]),
        ("Basic has support in Deutsch.", [("Basic plan", "support language", "right")]),
        ("The Legacy plan costs $10.", [("Legacy plan", "price", "outdated")]),
        ("The price of the Legacy plan was $10.", [("Legacy plan", "price", "right")]),
        ("Professional costs rise by $30.", []),
        ("", []),
    ],
)
def test_one_statement(reply: str, expected: list[tuple[str, str, str]]) -> None:
    assert verdicts(reply) == expected


def test_two_subjects_in_one_sentence() -> None:
    assert verdicts("The price of Basic is $25 and of Pro $45.") == [
        ("Basic plan", "price", "right"),
        ("Pro plan", "price", "wrong"),
    ]


def test_two_attributes_in_one_sentence() -> None:
    assert verdicts("Pro costs $40 and has 2 TB storage.") == [
        ("Pro plan", "price", "right"),
        ("Pro plan", "storage", "wrong"),
    ]


def test_a_sentence_goes_on_about_the_subject_named_last() -> None:
    assert verdicts("Take the Pro plan. It costs $45.") == [("Pro plan", "price", "wrong")]
    assert verdicts("It costs $45.") == []
    assert verdicts("It costs $45.", "Tell me about Pro") == []
    assert verdicts("It costs $45.", "What does Pro cost?") == [("Pro plan", "price", "wrong")]


@pytest.mark.parametrize("reply", ["I don't know.", "", None, "It is cheap."])
def test_a_fact_asked_for_and_not_given_is_missing(reply: str | None) -> None:
    assert verdicts(reply, "What does the Pro plan cost?") == [("Pro plan", "price", "missing")]


def test_a_fact_that_no_longer_exists_is_not_missed() -> None:
    assert verdicts("There is none.", "What is the price of the Legacy plan?") == []


def test_the_day_decides() -> None:
    then = table(as_of=date(2025, 6, 1))
    for day_value, verdict in (("$20", "right"), ("$25", "wrong")):
        (found,) = then.statements(f"Basic costs {day_value}.")
        assert (found.verdict, found.valid) == (verdict, "20 USD")
    for last in (date(2025, 12, 31), date(2026, 1, 1)):
        (found,) = table(as_of=last).statements("Basic costs $20.")
        assert found.verdict == ("right" if last.year == 2025 else "outdated")


def test_what_is_said_is_told_in_words() -> None:
    (found,) = table().statements("Basic costs $30.")
    assert found.words == "price of Basic plan: says $30, valid is 25 USD"


def test_a_pattern_reads_values_the_table_has_never_seen() -> None:
    text = "subject,attribute,value,pattern\nOffice,phone,555-0100,(\\d{3}-\\d{4})\n"
    facts = FactTable(read_facts(text, "f.csv"))
    assert [s.verdict for s in facts.statements("The phone of the Office is 555-0199.")] == [
        "wrong"
    ]
    assert [s.verdict for s in facts.statements("Office phone: 555-0100")] == ["right"]


def test_json_lines_read_the_same() -> None:
    lines = [
        {"subject": "Pro", "attribute": "price", "value": 40, "unit": "USD"},
        {"subject": "Pro", "attribute": "trial", "value": True},
    ]
    text = "\n".join(json.dumps(line) for line in lines)
    facts = FactTable(read_facts(text, "f.jsonl"))
    found = facts.statements("Pro has no trial. Its price is $41.")
    assert [(s.attribute, s.verdict) for s in found] == [("trial", "wrong"), ("price", "wrong")]


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        ("", "f.csv", "column 'subject'"),
        ("subject,attribute\nA,b\n", "f.csv", "column 'value'"),
        ("subject,attribute,value\n", "f.csv", "facts in f.csv"),
        ("subject,attribute,value\nA,,3\n", "f.csv", "attribute"),
        ("subject,attribute,value,valid_until\nA,b,3,soon\n", "f.csv", "f.csv:2"),
        ("subject,attribute,value,pattern\nA,b,3,(\n", "f.csv", "regular expression"),
        ("subject,attribute,value,units\nA,b,3,mg\n", "f.csv", "unit"),
        ('{"subject": "A"', "f.jsonl", "f.jsonl:1"),
        (
            "subject,attribute,value,valid_from,valid_until\nA,b,3,2026-02-01,2026-01-01\n",
            "f.csv",
            "before",
        ),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(text: str, name: str, words: str) -> None:
    with pytest.raises(InputError, match="expected") as caught:
        read_facts(text, name)
    assert words in str(caught.value)


def test_dates_need_a_day() -> None:
    with pytest.raises(InputError, match="as_of"):
        table(as_of=None)


def project(tmp_path: Path, **changes: object) -> tuple[Objective, Materials]:
    (tmp_path / "facts.csv").write_text(TABLE)
    check = {"type": "facts", "name": "prices", "file": "facts.csv", "as_of": "2026-11-01"}
    objective = Objective.model_validate(
        {"task": "answer", "check": [{**check, **changes}], "metrics": ["fact_accuracy"]}
    )
    return objective, Materials(tmp_path)


REPLIES = [
    ("Basic costs $25.", ""),  # right, changed
    ("Basic costs $20.", ""),  # outdated
    ("Pro costs $40.", ""),  # right
    ("Pro costs $41.", ""),  # wrong
    ("I don't know.", "What does the Pro plan cost?"),  # missing
    (None, "hello"),  # failed
]


def replies() -> list[Score]:
    return [
        Score(str(i), None, None, text, detail={"raw": text or "", "asked": asked})
        for i, (text, asked) in enumerate(REPLIES)
    ]


@pytest.mark.parametrize(
    ("name", "value", "n"),
    [
        ("prices", 3 / 6, 6),
        ("fact_accuracy", 1 / 3, 3),
        ("fact_accuracy_expired", 1 / 2, 2),
        ("contradiction_rate", 2 / 6, 6),
        ("outdated_rate", 2 / 6, 6),
    ],
)
def test_check_and_metrics(tmp_path: Path, name: str, value: float, n: int) -> None:
    objective, materials = project(tmp_path)
    check_targets(objective)
    found = make_metric(name, objective=objective, materials=materials)(replies())
    assert (found.value, found.n) == (pytest.approx(value), n)
    assert found.low <= found.value <= found.high


def test_required_facts_fail_the_check_when_left_out(tmp_path: Path) -> None:
    objective, materials = project(tmp_path, required=True)
    check = objective.check[0]
    assert isinstance(check, FactsCheck)
    found = graded(check, replies(), materials)
    assert [one.value for one in found] == [1, 0, 1, 0, 0, 0]
    assert "asked for and not given" in found[4].detail["why"]
    assert "says $20, valid is 25 USD" in found[1].detail["why"]


def test_metrics_on_facts_need_a_table() -> None:
    with pytest.raises(InputError, match='type = "facts"'):
        make_metric("fact_accuracy", objective=Objective(task="answer"))
