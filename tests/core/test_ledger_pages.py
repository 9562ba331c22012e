"""Rows, replies, quarantine and suspects a page at a time, on both databases."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from data_examples import labelled
from metier.core import ledger
from metier.core.errors import NotFound
from metier.core.records import Interaction
from metier.core.steps import Drop, Suspect
from metier.core.types import Conversation


def version_of(ws, count=30):
    train = [
        replace(labelled(n, f'Message {n} "é"', "ab"[n % 2]), slices={"length": "so"[n % 3 == 0]})
        for n in range(count)
    ]
    return ledger.save_version(
        ws, {"train": train, "test": [labelled(900, "kept apart", "a")]},
        labels=["a", "b"], config={}, card={}, sources=[],
    )  # fmt: skip


def reply(number, confidence=0.9):
    return Interaction(
        id=f"chatcmpl-{number:04}", created_at=datetime.now(UTC), model="m", release_id=None,
        state="done", asked=Conversation.of(("user", f"Order {number}")), replies=(f"No {number}",),
        settings={}, input_tokens=1, output_tokens=1, total_s=0.1, confidence=confidence,
    )  # fmt: skip


def walk(page, key):
    found, at = [], ""
    while rows := page(at):
        found += rows
        at = key(rows[-1])
    return found


def test_rows_by_words_label_and_slice(any_workspace):
    ws = any_workspace
    version = version_of(ws)
    every = ledger.load_split(ws, version, "train")
    for sought, wanted in (
        (ledger.Sought(), lambda one: True),
        (ledger.Sought("mESSAGE 1"), lambda one: "Message 1" in one.conversation.text),
        (ledger.Sought('"É"'), lambda one: True),
        (ledger.Sought(label="b"), lambda one: one.target.label == "b"),
        (ledger.Sought(part=("length", "o")), lambda one: one.slices["length"] == "o"),
        (ledger.Sought("2", "a", ("length", "s")), lambda one: one.target.label == "a"
         and "2" in one.conversation.text + one.id and one.slices["length"] == "s"),
    ):  # fmt: skip
        found, at = [], 0
        while at is not None:
            page = ledger.page_rows(ws, version, "train", sought, start=at, limit=4)
            found += [one for _, one in page.rows]
            at = page.after
        assert found == [one for one in every if wanted(one)], sought
    assert ledger.page_rows(ws, version, "train", start=99).rows == ()
    with pytest.raises(NotFound):
        ledger.page_rows(ws, version, "nothing")
    both = ledger.find_rows(ws, version, ["ex_3", "ex_900", "ex_none"])
    assert {one: split for one, (split, _) in both.items()} == {"ex_3": "train", "ex_900": "test"}


def test_a_search_says_where_to_go_on(any_workspace, monkeypatch):
    from metier.core import codec
    from metier.core.ledger import rows

    monkeypatch.setattr(codec, "ROW_GROUP_ROWS", 10)
    monkeypatch.setattr(rows, "MOST_SEARCHED", 20)
    version = version_of(any_workspace)
    first = ledger.page_rows(any_workspace, version, "train", ledger.Sought("Message 29"))
    assert (first.rows, first.after, first.searched) == ((), 20, 20)
    last = ledger.page_rows(any_workspace, version, "train", ledger.Sought("Message 29"), start=20)
    assert [at for at, _ in last.rows] == [29] and last.after is None


def test_replies_by_filter(any_workspace):
    ws = any_workspace
    ledger.save_interactions(ws, [reply(n, 0.1 if n % 5 == 0 else 0.9) for n in range(23)], {})
    for number, value in ((3, False), (7, 2), (8, True), (9, 5.0)):
        metric = "helpful" if isinstance(value, bool) else "rating"
        key = f"chatcmpl-{number:04}"
        ledger.add_feedback(ws, key, metric, value, tags={}, actor="x")
    ledger.add_feedback(ws, "chatcmpl-0003", "comment", "no", tags={}, actor="x")
    ledger.add_feedback(ws, "chatcmpl-0008", "helpful", False, tags={}, actor="x")
    ledger.add_feedback(ws, "chatcmpl-0007", "rating", 4, tags={}, actor="x")  # it changed its mind
    bad = {"helpful": 0.0, "rating": 2.0}
    for wanted, numbers in (
        (ledger.ReplyFilter(), range(23)),
        (ledger.ReplyFilter(confidence_below=0.5), range(0, 23, 5)),
        (ledger.ReplyFilter(said=True), (3, 7, 8, 9)),
        (ledger.ReplyFilter(bad_when=bad), (3, 8)),
        (ledger.ReplyFilter(bad_when={}), ()),
    ):
        found, before = [], ""
        while True:
            page = ledger.page_interactions(ws, wanted, before=before, limit=4)
            found += [one.id for one in page.rows]
            if page.before is None:
                break
            before = page.before
        assert found == [f"chatcmpl-{n:04}" for n in reversed(numbers)], wanted
        assert ledger.count_replies(ws, wanted) == len(numbers)
    words = ledger.page_interactions(ws, ledger.ReplyFilter(words="ORDER 1"), limit=3)
    assert [one.id[-2:] for one in words.rows] == ["19", "18", "17"] and words.before


def test_quarantine_and_suspects(any_workspace):
    ws = any_workspace
    version = version_of(ws)
    out = [labelled(n, f"Out {n}") for n in range(100, 107)]
    ledger.add_quarantine(ws, "near", [Drop(one, "twin" if n % 2 else "odd")
                                       for n, one in enumerate(out)])  # fmt: skip
    ledger.add_quarantine(ws, "near", [Drop(out[0], "twin")])  # once more, for another reason
    kept = ledger.load_split(ws, version, "train")
    ledger.add_quarantine(ws, "near", [Drop(kept[0], "twin")])  # it is in the version again
    found = walk(lambda at: ledger.page_quarantine(ws, version, ["d"], after=at, limit=2),
                 lambda one: one.id)  # fmt: skip
    assert [one.example_id for one in found] == [*(f"ex_{n}" for n in range(101, 107)), "ex_100"]
    assert ledger.count_out(ws, version, ["d"]) == {("near", "twin"): 4, ("near", "odd"): 3}
    assert ledger.count_out(ws, version, ["another source"]) == {}
    assert len(ledger.page_quarantine(ws, version, ["d"], reason="odd")) == 3
    ledger.add_suspects(ws, "labels", [Suspect(kept[n], "label") for n in (5, 2, 9)])
    ledger.add_suspects(ws, "length", [Suspect(kept[2], "long"), Suspect(out[1], "long")])
    rows = walk(lambda at: ledger.page_suspects(ws, version, after=at, limit=2),
                lambda one: one[2][0].id)  # fmt: skip
    assert [one for one, _, _ in rows] == ["ex_5", "ex_2", "ex_9"]
    assert [one.why for one in rows[1][2]] == ["label", "long"]
    assert [one for one, _, _ in ledger.page_suspects(ws, version, reason="long")] == ["ex_2"]
    assert ledger.count_doubted(ws, version) == (3, {"label": 3, "long": 1})
    ledger.close_suspects(ws, ledger.suspect_ids(ws, "ex_2"))
    assert ledger.count_doubted(ws, version) == (2, {"label": 2})
