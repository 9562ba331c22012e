"""Cases join the next version: learned or measured, and never touching the sealed test set."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from case_examples import correct
from data_examples import CLASSIFY, GOOD, settings_of, write
from metier.core import ledger
from metier.core.progress import Progress
from metier.core.types import Example
from metier.data.build import build
from metier.data.card import card_markdown
from metier.data.config import DataConfig
from metier.data.quarantine import list_rows, restore

CARVED = settings_of(labels="renew")


@pytest.fixture
def folder(tmp_path):
    rows = [(f"Entirely different matter about the {word}", "money", word) for word in WORDS]
    write(tmp_path / "data", GOOD)
    return write(tmp_path / "data", rows, "test.csv")


WORDS = ["rent", "loan", "pension", "dividend", "insurance", "mortgage"]


def shipped() -> DataConfig:
    sources = [
        {"path": path, "prompt": "text", "target": "label", "group": "customer", "split": side}
        for path, side in (("rows.csv", "train"), ("test.csv", "test"))
    ]
    return DataConfig(sources=sources)


def run(folder, workspace, config=CARVED, **more):
    return build(config, CLASSIFY, workspace, folder, Progress(), **more)


def row_of(result, side, at=0) -> Example:
    return result.splits[side][at]


def sides(result, case):
    copy = Example.make_id("regression", case.example.id)
    found = {row.id: name for name, rows in result.splits.items() for row in rows}
    slices = {row.id: row.slices.get("case") for row in result.splits.get("regression", ())}
    return found.get(case.example.id), slices.get(copy)


def test_without_cases_nothing_is_other_than_before(folder, workspace):
    result = run(folder, workspace)
    assert set(result.version.splits) == {"train", "validation", "test"}
    assert "cases" not in result.card
    correct(workspace, "Is my parcel there?", "delivery", failed=False)
    again = run(folder, workspace)
    assert again.version.id == result.version.id
    assert again.version.splits == result.version.splits
    assert again.version.card["cases"]["confirmed_right"] == 1, "the card is the last build's"


def test_learned_cases_join_training_and_all_failures_are_measured(folder, workspace):
    first = run(folder, workspace)
    learned = correct(workspace, "¿Dónde está mi paquete?", "delivery", user="u1")
    held = correct(workspace, "Me han cobrado dos veces", "money", user="u2", held_back=True)
    right = correct(workspace, "Mi contraseña no sirve", "money", failed=False)
    result = run(folder, workspace)
    assert sides(result, learned) == ("train", "learned")
    assert sides(result, held) == (None, "held_back")
    assert sides(result, right) == (None, None)
    assert result.counts["regression"] == 2
    assert result.counts["train"] == first.counts["train"] + 1
    [copy] = [row for row in result.splits["regression"] if row.slices["case"] == "held_back"]
    assert (copy.provenance.parent, copy.provenance.source) == (held.example.id, "feedback")
    row = result.splits["train"][-1]
    assert (row.split, row.group) == ("train", workspace.sealed.group_hash("u1"))
    stored = ledger.load_split(workspace, result.version, "regression")
    assert [one.id for one in stored] == [one.id for one in result.splits["regression"]]


@pytest.mark.parametrize("config", [CARVED, shipped()], ids=["carved", "shipped"])
def test_the_sealed_test_set_stays_byte_for_byte_whatever_the_cases(folder, workspace, config):
    first = run(folder, workspace, config)
    test, validation = row_of(first, "test"), row_of(first, "validation")
    near = f"{test.conversation.text} now"
    cases = {
        "exact_leak": correct(workspace, test.conversation.text.upper(), "money"),
        "near_leak": correct(workspace, near, "money", held_back=True),
        "group_leak": correct(workspace, "Was anderes", "money", user=test.group),
    }
    of_validation = correct(workspace, validation.conversation.text, "money", user="u")
    result = run(folder, workspace, config.model_copy(update={"leakage": "refuse"}))
    for side in ("test", "validation"):
        assert result.version.splits[side] == first.version.splits[side]
    found = {drop.example.id: (drop.step, drop.reason) for drop in result.drops}
    for reason, case in cases.items():
        assert found[case.example.id] == ("leakage", reason)
        assert sides(result, case) == (None, None)
    assert found[of_validation.example.id] == ("leakage", "exact_leak")
    assert sides(result, of_validation) == (None, "held_back")  # it was never learned from
    quarantined = {row.example_id: row.source for row in list_rows(workspace, step="leakage")}
    assert set(quarantined.values()) == {"feedback"} and len(quarantined) == 4
    assert result.card["cases"]["refused_for_leakage"] == 4


def test_a_row_of_a_file_is_never_left_out_for_a_case(folder, workspace):
    first = run(folder, workspace)
    row = row_of(first, "train")
    text, label = row.conversation.text, row.target.label
    same = correct(workspace, f"  {text.upper()} ", label)
    nearly = correct(workspace, f"{text} {'x'}", label)
    other = correct(workspace, text, "money" if label == "delivery" else "delivery")
    result = run(folder, workspace)
    kept = [one.id for one in first.splits["train"]]
    assert [one.id for one in result.splits["train"]] == [*kept, other.example.id]
    reasons = {drop.example.id: (drop.step, drop.reason) for drop in result.drops}
    assert reasons[same.example.id] == ("exact_duplicates", "exact_duplicate")
    assert reasons[nearly.example.id] == ("near_duplicates", "near_duplicate")
    [suspect] = [one for one in result.suspects if one.example.id == other.example.id]
    assert suspect.evidence == {"same_prompt_as": [row.id]}
    assert {sides(result, case)[1] for case in (same, nearly, other)} == {"learned"}
    ids = [row.id for row in list_rows(workspace, reason="exact_duplicate")]
    restore(workspace, ids)
    assert sides(run(folder, workspace), same) == ("train", "learned")


def test_a_held_back_case_that_was_seen_counts_as_learned(folder, workspace):
    text = "¿Por qué no ha llegado todavía mi paquete de Navidad?"
    first = correct(workspace, text, "delivery", user="u1")
    again = correct(workspace, text + " Gracias", "delivery", user="u2", held_back=True)
    apart = correct(workspace, "Otra cosa muy distinta", "money", user="u3", held_back=True)
    result = run(folder, workspace, CARVED.model_copy(update={"near_leakage": 0.8}))
    assert [sides(result, case)[1] for case in (first, again, apart)] == [
        "learned",
        "learned",
        "held_back",
    ]
    assert [sides(result, case)[0] for case in (first, again, apart)] == ["train", None, None]


def test_of_cases_that_say_the_same_the_older_is_learned_and_both_are_measured(folder, workspace):
    cases = [correct(workspace, "¿Dónde está?", "delivery", user=u) for u in ("u1", "u2")]
    result = run(folder, workspace)
    assert [sides(result, case)[0] for case in cases] == ["train", None]
    assert result.counts["regression"] == 2


def test_cases_go_through_the_same_steps(folder, workspace):
    run(folder, workspace)
    mail = correct(workspace, "Write to ann@example.org about   the cafÃ©", "money")
    odd = correct(workspace, "Was kostet das?", "costs")
    result = run(folder, workspace, settings_of(), dry_run=True)
    [copy] = result.splits["regression"]
    assert copy.conversation.text == "Write to [EMAIL] about the café"
    assert copy.provenance.steps == ("clean", "deidentify")
    [drop] = result.drops
    assert (drop.example.id, drop.reason) == (odd.example.id, "unknown_label")
    assert {one.example.id for one in result.changes} == {mail.example.id}


def test_duplicates_that_are_kept_are_kept_among_cases_too(folder, workspace):
    cases = [correct(workspace, "¿Dónde está?", "delivery") for _ in range(2)]
    result = run(folder, workspace, settings_of(duplicates="keep"))
    assert [sides(result, case)[0] for case in cases] == ["train", "train"]


def test_the_card_tells_of_cases_and_lineage_of_their_source(folder, workspace):
    first = run(folder, workspace)
    correct(workspace, "¿Dónde está mi paquete?", "delivery")
    correct(workspace, "Me han cobrado", "money", held_back=True)
    correct(workspace, "Todo bien", "money", failed=False)
    correct(workspace, row_of(first, "test").conversation.text, "money")
    result = run(folder, workspace)
    assert result.card["cases"] == {
        "corrected": 4,
        "confirmed_right": 1,
        "failed": 3,
        "learned": 1,
        "held_back": 1,
        "left_out": {"exact_leak": 1},
        "refused_for_leakage": 1,
        "regression": {"learned": 1, "held_back": 1},
    }
    assert result.card["rows"] == first.card["rows"]
    text = card_markdown(result.version)
    assert "4 served replies were looked at: 1 were right, 3 were wrong" in text
    assert "paquete" not in json.dumps(result.card)
    sources = Counter(
        node.label
        for node in workspace.lineage.trace(result.version.id, "up")
        if node.ref.kind == "source"
    )
    assert sources == {f"rows.csv, {len(GOOD)} rows": 1, "feedback, 4 rows": 1}
    correct(workspace, "Otra vez", "money")
    later = run(folder, workspace)
    labels = [node.label for node in workspace.lineage.trace(later.version.id, "up")]
    assert "feedback, 5 rows" in labels


def test_building_again_with_cases_changes_nothing(folder, workspace):
    correct(workspace, "¿Dónde está mi paquete?", "delivery")
    correct(workspace, "Me han cobrado", "money", held_back=True)
    first = run(folder, workspace)
    stored = (list_rows(workspace), ledger.list_changes(workspace))
    again = run(folder, workspace)
    assert (again.version, again.card) == (first.version, first.card)
    assert stored == (list_rows(workspace), ledger.list_changes(workspace))
    assert len(ledger.list_versions(workspace)) == 1
