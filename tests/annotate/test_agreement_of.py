"""Agreement of a queue and adjudication, over real queues on both databases."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from metier.annotate.adjudicate import (
    Decision,
    MayNotDecide,
    adjudicate,
    case_of,
    cases_of,
    propose,
    settle_agreed,
    settle_proposed,
)
from metier.annotate.agreement import agreement_of, reading_of, report_of
from metier.annotate.guidelines import get_guideline, write_guideline
from metier.core.errors import Busy, InputError
from metier.core.types import Estimate
from metier.core.workspace import Workspace
from metier.people import Person
from metier.queue import (
    Assignment,
    Given,
    Item,
    NewItem,
    NewQueue,
    Queue,
    change_queue,
    get_item,
    list_items,
    make_queue,
    pass_on,
    submit,
    take_next,
)
from metier.queue.forms import Form, FormField, form_json
from metier.scoring import Resampling

FAST = Resampling(100)
LABELS = ("refund", "delivery", "damage")
LABEL = Form((FormField("answer", "label", "Topic", options=LABELS),))
CARA = Person("cara", "Cara", "reviewer")
OWNER = Person("olga", "Olga", "owner")


def fill(
    ws: Workspace, said: list[dict[str, object]], form: Form = LABEL, **queue: object
) -> Queue:
    """A queue in which each item gets these answers, by person; None: they could not tell."""
    wanted = max(map(len, said))
    items = [
        NewItem("example", f"ex{n}", shown={"turns": [{"role": "user", "text": f"Text {n}"}]})
        for n in range(len(said))
    ]
    new = NewQueue("round", "label", wanted=wanted, form=form_json(form), **queue)
    made = make_queue(ws, new, items, "olga")
    for person in sorted({one for given in said for one in given}):
        while (pair := take_next(ws, "round", person)) is not None:
            item, held = pair
            given = said[int(item.subject_id[2:])]
            if person not in given:
                pass_on(ws, held.id, person, "not asked")
                continue
            value = given[person]
            flags = () if value is not None else ("cannot_tell",)
            submit(ws, held.id, person, Given(value, 2.0, flags=flags))
    return made


AGREE = {"ana": "refund", "ben": "refund"}
APART = {"ana": "refund", "ben": "delivery"}


def test_the_value_by_hand_and_who_said_how_much(any_workspace):
    said = [AGREE, AGREE, APART, {"ana": "damage", "ben": "damage"}]
    fill(any_workspace, said)
    report = agreement_of(any_workspace, "round", resampling=FAST)
    assert report.people == {"ana": 4, "ben": 4} and (report.items, report.answers) == (4, 8)
    one = report.questions[0]
    # refund 5, delivery 1, damage 2 of 8; one disagreeing item: alpha = 1 - 7 * 2 / (64 - 30)
    assert one.headline.value == pytest.approx(1 - 7 * 2 / 34)
    assert one.more["Percent agreement"].value == 0.75
    assert one.pairs[0].estimate.value == pytest.approx(1 - 0.25 / (1 - (3 * 2 + 1) / 16))
    assert {o.label: o.given for o in one.labels} == {"refund": 5, "delivery": 1, "damage": 2}
    assert one.confusion is not None and one.confusion.most_confused() == [
        ("refund", "delivery", 1)
    ]
    assert one.reading.reliance == "unclear" and one.units == 4


def test_an_empty_queue_and_one_person_are_told_in_words(workspace):
    fill(workspace, [{"ana": "refund"}, {"ana": "damage"}])
    report = agreement_of(workspace, "round")
    assert report.questions[0].reading.words.startswith("only one person has answered")
    assert report.questions[0].drift.windows == ()


def test_cannot_tell_is_counted_and_is_no_answer(workspace):
    fill(workspace, [AGREE, {"ana": None, "ben": "refund"}, APART])
    one = agreement_of(workspace, "round", resampling=FAST).questions[0]
    assert (one.unsaid, one.answers, one.units) == (1, 5, 2)


def pairs_of(form: Form, kind: str, given) -> tuple[Queue, list[tuple[Item, Assignment]]]:
    """Answers (subject, person, value, twin of) as a queue's pairs, without a database."""
    at = datetime(2026, 3, 2, tzinfo=UTC)
    queue = Queue("round", kind, form=form_json(form))
    pairs = []
    for n, (subject, person, value, twin) in enumerate(given):
        item = Item(
            f"item {subject}", at, "round", "example", subject, (), 0, "done",
            role="duplicate" if twin else "work", twin_of=twin,
        )  # fmt: skip
        one = Assignment(
            f"a{n}", item.id, "round", person, 0, "done", at,
            answer=value, answered_at=at + timedelta(days=n // 12),
        )  # fmt: skip
        pairs.append((item, one))
    return queue, pairs


def test_every_kind_of_question_has_its_coefficient():
    stretch = {"start": 0, "end": 4, "label": "name"}
    kinds = {
        "rating": (3, 4, "Krippendorff's alpha, ordinal"),
        "number": (3.5, 4, "Krippendorff's alpha, interval"),
        "labels": (["refund"], ["refund", "damage"], "Krippendorff's alpha, MASI distance"),
        "spans": ([stretch], [{**stretch, "end": 6}], "F1 between people, characters"),
        "text": ("send it back", "send it on", "F1 between people, words"),
        "json": ({"a": 1}, {"a": 2}, "Exactly the same answer"),
        "comparison": ("a", "tie", "Krippendorff's alpha, nominal"),
        "label": (True, False, "Krippendorff's alpha, nominal"),
    }
    for kind, (first, second, name) in kinds.items():
        form = Form((FormField("answer", kind, "Question", options=LABELS),))
        given = [(f"ex{n}", who, first if n % 3 or who == "ana" else second, None)
                 for n in range(12) for who in ("ana", "ben", "eve")]  # fmt: skip
        queue, pairs = pairs_of(form, "label", given)
        one = report_of(queue, pairs, resampling=FAST).questions[0]
        assert one.coefficient == name and len(one.pairs) == 3, kind
        assert not math.isnan(one.headline.value) or kind == "label", kind
        assert one.answers == 36 and one.units == 12


def test_panels_are_read_by_dimension_and_by_reply_and_twice_by_duplicates():
    form = Form((FormField("accuracy", "rating", "Accuracy"), FormField("tone", "rating", "Tone")))
    plain = [
        (f"c1:ex{n}", who, {"ratings": {"accuracy": 1 + (n + (who == "ben")) % 5, "tone": 3}}, None)
        for n in range(12)
        for who in ("ana", "ben")
    ]
    again = [
        (f"c1:ex{n}#2", "ana", {"ratings": {"accuracy": 1 + n % 4}}, f"c1:ex{n}") for n in range(6)
    ]
    queue, pairs = pairs_of(form, "review", [*plain, *again])
    report = report_of(queue, pairs, resampling=FAST)
    accuracy, tone = report.questions
    assert (accuracy.units, accuracy.answers) == (12, 24) and tone.reading.reliance == "undefined"
    assert "everybody gave every item the same answer, 3" in tone.reading.words
    assert [(o.person, o.n) for o in accuracy.retest] == [("ana", 6)]
    assert accuracy.retest[0].exact.value == pytest.approx(4 / 6)
    two = [(f"c1+c2:ex{n}", who, {"ratings": {"a": {"accuracy": 4}, "b": {"accuracy": 1 + n % 5}},
            "preferred": "a"}, None) for n in range(4) for who in ("ana", "ben")]  # fmt: skip
    queue, pairs = pairs_of(form, "review", two)
    queue = replace(queue, settings={"mode": "compare"})
    names = {o.question.name: o.units for o in report_of(queue, pairs, resampling=FAST).questions}
    assert names == {"accuracy": 8, "tone": 0, "preferred": 4}


def test_what_a_coefficient_means_goes_by_its_interval():
    def one(value, low, high):
        return reading_of(Estimate(value, low, high, 100, 100)).reliance

    assert one(0.9, 0.82, 0.95) == "good" and one(0.82, 0.7, 0.9) == "tentative"
    assert one(0.5, 0.4, 0.6) == "poor" and one(0.7, 0.5, 0.85) == "unclear"
    assert one(0.9, math.nan, math.nan) == "unclear"


# -- adjudication ----------------------------------------------------------------------------------


def test_the_farthest_apart_come_first_and_nobody_is_named(any_workspace):
    ws = any_workspace
    split = {"ana": "refund", "ben": "delivery", "eve": "damage"}
    some = {"ana": "refund", "ben": "refund", "eve": "damage"}
    fill(ws, [dict.fromkeys(["ana", "ben", "eve"], "refund"), some, split, some])
    cases = cases_of(ws, "round")
    assert [round(one.apart, 2) for one in cases] == [1.0, 0.67, 0.67]
    assert cases[0].item.subject_id == "ex2" and set(cases[0].people) == {"ana", "ben", "eve"}
    # who is A differs between items
    orders = {case_of(ws, item.id).people for item in list_items(ws, "round")}
    assert len(orders) > 1


def test_a_decision_and_its_reason_become_the_label_and_an_example(any_workspace):
    ws = any_workspace
    write_guideline(ws, "topics", "# Topics", "olga")
    fill(ws, [APART, AGREE], guideline="topics")
    item = cases_of(ws, "round")[0].item
    decision = Decision("delivery", "The parcel never came.", as_example=True)
    adjudicate(ws, item.id, decision, CARA)
    adjudicate(ws, item.id, decision, CARA)  # a second click changes nothing
    settled = get_item(ws, item.id)
    assert settled.answer == "delivery" and settled.answered_by == "cara"
    example = get_guideline(ws, "topics").examples[0]
    assert (example.text, example.answer, example.item_id) == ("Text 0", "delivery", item.id)
    assert get_guideline(ws, "topics").number == 2
    assert cases_of(ws, "round") == []
    assert [one.settled for one in cases_of(ws, "round", settled=True)] == ["person"]
    assert settle_agreed(ws, "round", "olga", dry_run=True) == 1
    assert settle_agreed(ws, "round", "olga") == 1 and settle_agreed(ws, "round", "olga") == 0


def test_who_may_not_decide(workspace):
    fill(workspace, [APART])
    item = cases_of(workspace, "round")[0].item
    decision = Decision("refund", "because")
    for who, why in (
        (Person("ana", "Ana", "reviewer"), "you answered this item yourself"),
        (Person("dan", "Dan", "annotator"), "annotators do not adjudicate"),
    ):
        with pytest.raises(MayNotDecide, match=why):
            adjudicate(workspace, item.id, replace(decision, insists=True), who)
    ana = Person("ana", "Ana", "owner")
    with pytest.raises(MayNotDecide, match="an owner may insist"):
        adjudicate(workspace, item.id, decision, ana)
    assert adjudicate(workspace, item.id, replace(decision, insists=True), ana).answer == "refund"


def test_what_a_decision_needs(workspace):
    fill(workspace, [APART])
    item = cases_of(workspace, "round")[0].item
    with pytest.raises(InputError, match="a reason in words"):
        adjudicate(workspace, item.id, Decision("refund", "  "), CARA)
    with pytest.raises(InputError, match="Topic"):
        adjudicate(workspace, item.id, Decision("nonsense", "because"), CARA)
    with pytest.raises(InputError, match="a queue with a guideline"):
        adjudicate(workspace, item.id, Decision("refund", "because", as_example=True), CARA)
    assert cases_of(workspace, "round")[0].settled is None  # nothing was stored by half


def test_items_that_wait_for_answers_are_no_cases_until_the_queue_is_closed(workspace):
    fill(workspace, [APART, {**APART, "eve": "refund"}])
    waiting = next(i for i in list_items(workspace, "round") if i.subject_id == "ex0")
    assert [one.item.subject_id for one in cases_of(workspace, "round")] == ["ex1"]
    with pytest.raises(Busy, match="all its answers"):
        case_of(workspace, waiting.id)
    change_queue(workspace, "round", "olga", state="closed")
    assert len(cases_of(workspace, "round")) == 2


def test_blind_work_comes_before_adjudicating(workspace):
    fill(workspace, [APART, {"ana": "refund"}], people=("ana", "ben", "cara"))
    item = next(i for i in list_items(workspace, "round") if i.subject_id == "ex0")
    with pytest.raises(MayNotDecide, match="you still have items to answer"):
        adjudicate(workspace, item.id, Decision("refund", "because"), CARA)


def test_automatic_proposals_show_how_sure_they_are_and_write_nothing(any_workspace):
    ws = any_workspace
    said = [
        {"ana": v, "ben": v, "eve": v} for v in ("refund", "delivery", "damage") for _ in range(6)
    ]
    said += [{"ana": "refund", "ben": "refund", "eve": "damage"},
             {"ana": "refund", "ben": "delivery", "eve": "damage"}]  # fmt: skip
    fill(ws, said)
    by_count = propose(ws, "round", "majority", at_least=0.6)
    assert len(by_count.found) == 19 and by_count.left == 1  # the tie stays
    model = propose(ws, "round", "dawid_skene")
    assert set(model.reliability) == {"ana", "ben", "eve"}
    assert all(0.95 <= one.share <= 1 for one in model.found) and cases_of(ws, "round")
    assert settle_proposed(ws, by_count, "olga") == 19
    assert [one.item.subject_id for one in cases_of(ws, "round")] == ["ex19"]
    assert propose(ws, "round", "majority").found == ()


def test_proposals_need_a_closed_choice(workspace):
    form = Form((FormField("answer", "text", "Reply"),))
    fill(workspace, [{"ana": "one", "ben": "two"}], form)
    with pytest.raises(InputError, match="one closed choice"):
        propose(workspace, "round")


def test_two_who_could_not_tell_need_a_decision(workspace):
    fill(workspace, [{"ana": None, "ben": None}, {"ana": None, "ben": "refund"}])
    assert [one.apart for one in cases_of(workspace, "round")] == [1.0, 1.0]


def test_on_the_command_line(tmp_path, capsys):
    import json

    from metier.apps.cli import main

    (tmp_path / "metier.toml").write_text(
        '[project]\nname = "Topics"\n[objective]\ntask = "classify"\n'
        'labels = ["refund", "damage"]\n'
        '[[objective.target]]\nmetric = "f1_macro"\nat_least = 0.8\n'
    )
    with Workspace.create(tmp_path) as ws:
        fill(ws, [AGREE, APART, AGREE])

    def run(*words: str) -> str:
        with pytest.raises(SystemExit) as left:
            main(["annotate", *words, "--project", str(tmp_path)])
        assert left.value.code == 0
        return capsys.readouterr().out

    told = run("agreement", "round")
    assert "Krippendorff's alpha, nominal" in told and "ana and ben" in told
    found = json.loads(run("agreement", "round", "--json"))
    assert found["people"] == {"ana": 3, "ben": 3}
    assert "2 items would be settled by agreed; 1 wait" in run("settle", "round", "--dry-run")
    assert "2 items settled by agreed" in run("settle", "round", "--by", "agreed")
