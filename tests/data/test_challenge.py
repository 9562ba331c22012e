"""Hard siblings: what each kind does, which side it stands on, and that sides stay apart."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from desk import rows
from evaluate_fakes import CLASSIFY, ROUTING, FakeCompleter, bench_of, right, row
from metier.core import ledger
from metier.core.objective import Objective
from metier.core.progress import Progress
from metier.core.types import (
    CompletionTarget,
    Example,
    ExampleTarget,
    FieldsTarget,
    LabelsTarget,
    LabelTarget,
    Span,
    SpansTarget,
)
from metier.core.workspace import Workspace
from metier.data import DataConfig
from metier.data.build import BuildResult, build
from metier.data.challenge.config import KINDS, ChallengeConfig, Kind
from metier.data.challenge.kinds import Setting, sibling
from metier.data.challenge.make import Challenge, make_challenge, setting_of
from metier.data.challenge.part import parted
from metier.data.leakage import Gate
from metier.evaluate.bench import Contender
from metier.evaluate.effects.robustness import robustness

REFUSAL = "I cannot answer that from what I know."
CLASSES = Setting(["card_lost", "card_stolen", "transfer", "refund"], (), REFUSAL)
FREE = Setting((), (), REFUSAL)
LOST = LabelTarget("card_lost")


def siblings(
    kind: Kind, text: str, target: ExampleTarget, setting: Setting = FREE, draws: int = 40
) -> list[tuple[str, ExampleTarget]]:
    """The siblings of a row over many draws."""
    parent = row(1, text, target)
    found = [sibling(kind, parent, setting, random.Random(seed)) for seed in range(draws)]
    return [one for one in found if one is not None]


@pytest.mark.parametrize("kind", ["negation", "near_miss"])
def test_another_class_is_named_and_turned_down(kind: Kind) -> None:
    found = siblings(kind, "My card is gone", LOST, CLASSES)
    for text, target in found:
        assert target == LOST and "My card is gone" in text
        assert any(name in text for name in ("card stolen", "transfer", "refund"))
        assert "card lost" not in text
    assert any("card stolen" in text for text, _ in found), "what sounds most like it is named"


@pytest.mark.parametrize("kind", ["negation", "near_miss"])
def test_without_another_class_nothing_is_turned_down(kind: Kind) -> None:
    assert not siblings(kind, "My card is gone", LOST, Setting(["card_lost"]))
    assert not siblings(kind, "Why is it so?", CompletionTarget("So it is."))
    many = siblings(kind, "Card and money", LabelsTarget(("card_lost", "refund")), CLASSES)
    assert all("card lost" not in text and "refund" not in text for text, _ in many) and many


def test_of_several_closed_fields_the_first_names_the_classes() -> None:
    objective = Objective.model_validate(
        {"task": "structured", "fields": {"type": "object", "properties": {
            "route": {"enum": ["billing", "delivery"]}, "urgency": {"enum": ["high", "low"]},
            "reply": {"type": "string"}}}}
    )  # fmt: skip
    target = FieldsTarget({"route": "billing", "urgency": "low", "reply": "ok"})
    other = FieldsTarget({"route": "delivery", "urgency": "high", "reply": "ok"})
    train = [row(1, "a", target), row(2, "b", other)]
    setting = setting_of(ChallengeConfig(), objective, train)
    assert (setting.labels, setting.closed) == (["billing", "delivery"], ("route", "urgency"))
    for text, _ in siblings("near_miss", "a", target, setting):
        assert "delivery" in text and "high" not in text


def test_numbers_change_in_question_and_answer_alike() -> None:
    asked = "I ordered 12 plates and 3 cups on order ORD-12, at 10:30"
    found = siblings("numbers", asked, CompletionTarget("12 plates and 3 cups, noted."))
    for text, target in found:
        assert isinstance(target, CompletionTarget)
        plates, cups = target.text.split()[0], target.text.split()[3]
        assert f"{plates} plates and {cups} cups" in text
        assert len({plates, cups, "12", "3"}) == 4 and (len(plates), len(cups)) == (2, 1)
        assert "ORD-12" in text and "10:30" in text
    assert len(found) == 40


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("I pay 2 tickets at 10 each", "That makes 20."),
        ("I pay 2 tickets", "2 tickets are 19.50"),
        ("Call me", "At once"),
        ("I have 5 apples", "Fine"),
        ("Order ORD-77", "ORD-77 is on its way"),
        ("I took 5 pills", "5 pills, so 5mg"),
    ],
)
def test_numbers_that_may_have_been_worked_out_are_left_alone(asked: str, answer: str) -> None:
    assert not siblings("numbers", asked, CompletionTarget(answer))


def test_numbers_change_in_fields_but_not_in_closed_ones() -> None:
    setting = Setting(["1", "2"], ("level",))
    before = {"level": "2", "amount": 40, "share": 0.5, "reply": "40 it is", "ok": True}
    target = FieldsTarget(before)
    found = siblings("numbers", "Send 40 of level 2, 0.5 at a time", target, setting)
    assert len(found) == 40
    for text, made in found:
        assert isinstance(made, FieldsTarget)
        fields = made.fields
        assert fields["level"] == "2" and fields["ok"] is True
        assert isinstance(fields["amount"], int) and fields["amount"] != 40
        assert f"Send {fields['amount']} of level 2, {fields['share']} at" in text
        assert fields["reply"] == f"{fields['amount']} it is"


def test_units_change_in_question_and_answer_alike() -> None:
    found = siblings("numbers", "Is 20 mg too much?", CompletionTarget("No, 20 mg is fine."))
    units = set()
    for text, target in found:
        assert isinstance(target, CompletionTarget)
        said = target.text.split()
        assert text == f"Is {said[1]} {said[2]} too much?"
        units.add(said[2])
    assert units == {"mg", "g"}


def test_no_number_is_found_twice_and_none_forever() -> None:
    crowd = " ".join(str(n) for n in range(1, 10))
    assert not siblings("numbers", crowd, CompletionTarget("7"), draws=3)


def test_what_does_not_matter_is_added_and_the_rest_stays() -> None:
    for text, target in siblings("distractor", "My card is gone", LOST):
        assert target == LOST and "My card is gone" in text and len(text) > 30


def test_an_order_changes_no_target() -> None:
    for text, target in siblings("injection", "My card is gone", LOST, CLASSES):
        assert target == LOST and "My card is gone" in text
        assert any(one in text for one in ("card stolen", "transfer", "refund"))
    free = siblings("injection", "Why?", CompletionTarget("So."))
    assert all(target == CompletionTarget("So.") for _, target in free)


def test_formatting_and_typos_change_the_looks() -> None:
    for text, target in siblings("formatting", 'My "card" is gone. Help', LOST):
        assert target == LOST
        letters = [c for c in text.casefold() if c.isalpha()]
        assert "".join(letters).replace("message", "") == "mycardisgonehelp"
    for text, target in siblings("typos", "My card ORD-55 is gone", LOST):
        assert target == LOST and "ORD-55" in text


def test_what_nobody_has_heard_of_gets_the_refusal() -> None:
    asked = "Tell Anna, what does Glaucoma do to the eye?"
    found = siblings("unanswerable", asked, CompletionTarget("Glaucoma harms the nerve."))
    for text, target in found:
        assert target == CompletionTarget(REFUSAL)
        assert (
            "Glaucoma" not in text and "Anna" in text and text.startswith("Tell Anna, what does ")
        )
    assert len(found) == 40
    unknown = CompletionTarget("It harms the nerve.")
    assert not siblings("unanswerable", asked, unknown), "the answer is not about the name"
    silent = Setting((), (), "")
    known = CompletionTarget("Glaucoma harms.")
    assert not siblings("unanswerable", asked, known, silent)
    assert not siblings("unanswerable", asked, LOST, CLASSES)


@pytest.mark.parametrize("kind", KINDS)
def test_marked_stretches_stay_where_they_are(kind: Kind) -> None:
    target = SpansTarget((Span(3, 7, "thing"),))
    for text, made in siblings(kind, "My card is gone", target, CLASSES):
        assert made == target and text.startswith("My card is gone")


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_that_gives_nothing_gives_none(kind: Kind) -> None:
    assert sibling(kind, row(1, " ", LOST), CLASSES, random.Random(0)) is None


TOPICS = ("parcel", "invoice", "password", "printer", "battery", "contract", "window", "garden")


def many(start: int, count: int) -> list[Example]:
    """Rows that no other row is like."""
    words = [f"{a}{b}{c}" for c in "aeioubdfg" for a in TOPICS for b in TOPICS]
    chosen = random.Random(start).sample(words, 6 * count)
    return [
        row(
            start + n,
            " ".join(chosen[6 * n : 6 * n + 6]),
            LabelTarget(("a", "b", "c")[n % 3]),
            f"g{start + n}",
        )
        for n in range(count)
    ]


TEST, TRAIN = many(1000, 30), many(0, 60)
LEARN = ChallengeConfig(per_kind=7, train_share=0.5, kinds=("negation", "injection", "typos"))


def made_of(config: ChallengeConfig, test: list[Example], train: list[Example]) -> Challenge:
    return make_challenge(config, test, train, setting_of(config, CLASSIFY, train))


def test_there_are_so_many_of_each_kind_and_each_names_its_kind_and_parent() -> None:
    made = made_of(LEARN, TEST, TRAIN)
    assert Counter(one.slices["challenge"] for one in made.split) == dict.fromkeys(LEARN.kinds, 7)
    test, train = ({one.id: one for one in rows_} for rows_ in (TEST, TRAIN))
    assert {one.provenance.parent for one in made.split} <= set(test)
    assert {one.provenance.parent for one in made.train} <= set(train)
    assert 15 < len(made.train) < 45
    parents = Counter(one.provenance.parent for one in made.train)
    assert set(parents.values()) == {1}
    assert all(one.group == test[one.provenance.parent or ""].group for one in made.split)
    assert len({one.id for one in (*made.split, *made.train)}) == 21 + len(made.train)
    assert made_of(ChallengeConfig(per_kind=7), TEST, TRAIN).train == ()


def test_the_order_of_rows_does_not_matter() -> None:
    once, again = made_of(LEARN, TEST, TRAIN), made_of(LEARN, TEST[::-1], TRAIN[::-1])
    for one, other in ((once.split, again.split), (once.train, again.train)):
        assert {row_.content_hash for row_ in one} == {row_.content_hash for row_ in other}
    other_seed = made_of(LEARN.model_copy(update={"seed": 1}), TEST, TRAIN)
    assert {r.id for r in other_seed.split} != {r.id for r in once.split}


def test_a_challenge_that_was_learned_is_left_out_and_so_is_a_lesson_that_is_measured() -> None:
    made = made_of(LEARN, TEST, TRAIN)
    copy, lesson = made.split[0], made.train[0]
    splits = {
        "train": [*TRAIN, row(5000, copy.conversation.text, LabelTarget("a"))],
        "validation": [row(5001, lesson.conversation.text, LabelTarget("a"))],
        "test": TEST,
    }
    kept = parted(made, splits, Gate(0.9))
    assert copy not in kept.split and len(kept.split) == len(made.split) - 1
    assert lesson not in kept.train and len(kept.train) == len(made.train) - 1
    assert kept.account()["left_out"] == {
        "nearly what is learned": 1,
        "nearly what is measured": 1,
    }


def test_several_challenges_like_one_learned_row_all_go() -> None:
    text = TEST[0].conversation.text
    said = [text + "!" * n for n in range(3)]
    twins = [row(6000 + n, one, LabelTarget("a"), challenge="x") for n, one in enumerate(said)]
    splits = {"train": [row(1, text, LabelTarget("a"))], "test": TEST}
    assert parted(Challenge(tuple(twins), ()), splits, Gate(0.9)).split == ()


SOURCE = {"path": "rows.jsonl", "prompt": "message", "target": "queue"}
HARD: dict[str, Any] = {"challenge": {"per_kind": 5, "train_share": 0.3}}


def built(ws: Workspace, folder: Path, count: int = 60, **settings: Any) -> BuildResult:
    lines = [json.dumps(one) for one in rows(count)]
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n")
    config = DataConfig.model_validate({"sources": [SOURCE], **settings})
    return build(config, CLASSIFY, ws, folder, Progress())


def ids(ws: Workspace, result: BuildResult, name: str) -> set[str]:
    assert result.version is not None
    return {one.id for one in ledger.load_split(ws, result.version, name)}


def test_a_build_measures_test_siblings_and_learns_training_siblings(
    workspace: Workspace, tmp_path: Path
) -> None:
    plain = built(workspace, tmp_path)
    hard = built(workspace, tmp_path, **HARD)
    assert hard.version is not None and plain.version is not None
    for side in ("test", "validation"):
        assert hard.version.splits[side] == plain.version.splits[side]
    split = ledger.load_split(workspace, hard.version, "challenge")
    train = ledger.load_split(workspace, hard.version, "train")
    lessons = [one for one in train if "challenge" in one.slices]
    assert split and lessons and len(train) == plain.version.counts["train"] + len(lessons)
    assert {one.provenance.parent for one in split} <= ids(workspace, plain, "test")
    assert {one.provenance.parent for one in lessons} <= ids(workspace, plain, "train")
    account = hard.card["challenge"]
    assert sum(account["kinds"].values()) == len(split)
    assert sum(account["train"].values()) == len(lessons)
    assert max(account["kinds"].values()) == 5
    assert hard.card["splits"]["challenge"]["rows"] == len(split)


def test_a_project_with_challenges_is_built_again_and_grows(
    any_workspace: Workspace, tmp_path: Path
) -> None:
    first = built(any_workspace, tmp_path, **HARD)
    again = built(any_workspace, tmp_path, **HARD)
    more = built(any_workspace, tmp_path, 90, **HARD)
    last = built(any_workspace, tmp_path, 90, **HARD)
    versions = [one.version for one in (first, again, more, last)]
    assert all(versions)
    hashes = [one.hash for one in versions if one]
    assert hashes[0] == hashes[1] != hashes[2] == hashes[3]
    other = {**HARD, "challenge": {**HARD["challenge"], "seed": 5}}
    assert built(any_workspace, tmp_path, 90, **other).version


def test_the_challenge_split_is_measured_beside_the_validation_rows(workspace: Workspace) -> None:
    asked = [row(n, f"where is my parcel {n}", LabelTarget("delivery")) for n in range(40)]
    paid = [row(100 + n, f"wrong invoice sum {n}", LabelTarget("billing")) for n in range(40)]
    config = ChallengeConfig(per_kind=5, kinds=("distractor", "injection"))
    split = make_challenge(config, [asked[0], paid[0]], [], Setting(["delivery", "billing"])).split
    bench = bench_of(
        workspace, train=asked[1:20] + paid[1:20], validation=asked[20:30] + paid[20:30],
        test=asked[30:] + paid[30:], challenge=list(split),
    )  # fmt: skip
    found = robustness(bench, Contender("fake", FakeCompleter(right)))
    assert found.challenge is not None and found.challenge.n == len(split) == 4


def test_structured_rows_have_challenges_too() -> None:
    parent = row(1, "my parcel 77 is late", FieldsTarget({"route": "delivery", "reply": "77, ok"}))
    other = row(2, "x", FieldsTarget({"route": "billing", "reply": "y"}))
    setting = setting_of(ChallengeConfig(), ROUTING, [parent, other])
    config = ChallengeConfig(kinds=("negation", "numbers"))
    made = make_challenge(config, [parent], [], setting).split
    assert [one.slices["challenge"] for one in made] == ["negation", "numbers"]
    assert "billing" in made[0].conversation.text
    assert isinstance(made[1].target, FieldsTarget) and "77" not in made[1].target.fields["reply"]
