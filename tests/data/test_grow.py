"""Made rows join training, and only training; what may not join is counted on the card."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from desk import rows
from evaluate_fakes import CLASSIFY
from metier.core import ledger
from metier.core.errors import InputError
from metier.core.ids import new_id
from metier.core.objective import Objective
from metier.core.progress import Progress
from metier.core.records import DataVersion, Probe
from metier.core.types import Conversation, Estimate, Example, LabelTarget
from metier.core.workspace import Workspace
from metier.data import DataConfig
from metier.data.augment.join import digest_of
from metier.data.augment.made import Made, child, read_made, reworded, write_made
from metier.data.augment.make import Making, make_rows
from metier.data.build import BuildResult, build
from metier.data.erase import erase

SOURCE = {"path": "rows.jsonl", "prompt": "message", "target": "queue", "group": "who"}
FILE = "augmented/made.jsonl"
NOISE = {"type": "noise", "share": 1.0}
JOIN: dict[str, Any] = {"augment": {"files": ["augmented/*.jsonl"], "ways": [NOISE]}}
Build = Callable[..., BuildResult]


def write(folder: Path, count: int) -> None:
    lines = [json.dumps({**row, "who": f"who {n // 2}"}) for n, row in enumerate(rows(count))]
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n")


@pytest.fixture
def grown(workspace: Workspace, tmp_path: Path) -> Build:
    """Build sixty rows with some settings of [data]."""
    write(tmp_path, 60)

    def make(**settings: Any) -> BuildResult:
        config = DataConfig.model_validate({"sources": [SOURCE], "test": 0.3, **settings})
        return build(config, CLASSIFY, workspace, tmp_path, Progress())

    return make


def frozen(built: BuildResult) -> DataVersion:
    assert built.version is not None
    return built.version


def split(ws: Workspace, built: BuildResult, name: str) -> list[Example]:
    return ledger.load_split(ws, frozen(built), name)


def make_file(ws: Workspace, folder: Path, built: BuildResult) -> list[Made]:
    config = DataConfig.model_validate(JOIN).augment
    train = split(ws, built, "train")
    made = make_rows(config, train, Making(CLASSIFY, folder, no_writers, Progress())).rows
    write_made(folder / FILE, made)
    return list(made)


def no_writers(way: object) -> Any:
    raise AssertionError("no way needs a model")


def test_made_rows_join_train_and_nothing_else_moves(
    grown: Build, workspace: Workspace, tmp_path: Path
) -> None:
    before = grown()
    made = make_file(workspace, tmp_path, before)
    after = grown(**JOIN)
    for side in ("test", "validation"):
        assert frozen(after).splits[side] == frozen(before).splits[side]
    train = split(workspace, after, "train")
    own = {row.id: row for row in split(workspace, before, "train")}
    children = [row for row in train if row.id not in own]
    account = after.card["augment"]
    assert len(children) == account["rows"] == sum(account["ways"].values())
    assert len(made) == account["rows"] + sum(account["left"].values()) > 20
    for row in children:
        parent = own[row.provenance.parent or ""]
        assert (row.target, row.group) == (parent.target, parent.group)
        assert row.provenance.steps[0] == "augment"
        assert row.provenance.source == FILE
    assert frozen(after).hash != frozen(before).hash
    assert frozen(grown(**JOIN)).hash == frozen(after).hash


def test_without_files_or_challenge_a_version_is_what_it_was(grown: Build) -> None:
    plain = grown()
    assert frozen(grown(augment={"ways": [NOISE], "seed": 7})).hash == frozen(plain).hash
    assert {"augment", "challenge"}.isdisjoint(plain.card)


def test_made_rows_find_their_parents_when_the_source_has_grown(
    grown: Build, workspace: Workspace, tmp_path: Path
) -> None:
    make_file(workspace, tmp_path, grown())
    joined = grown(**JOIN).card["augment"]["rows"]
    write(tmp_path, 70)
    assert grown(**JOIN).card["augment"]["rows"] == joined


def test_made_rows_are_no_parents_of_the_next(
    grown: Build, workspace: Workspace, tmp_path: Path
) -> None:
    made = make_file(workspace, tmp_path, grown())
    after = grown(**JOIN)
    assert [one.id for one in make_file(workspace, tmp_path, after)] == [one.id for one in made]


def one_row(parent: Example, text: str, **changes: Any) -> Made:
    assert parent.target is not None
    made = child(parent, "paraphrase", reworded(parent, text), parent.target)
    return replace(made, **{"sure": 1.0, **changes})


NEW = "Something entirely different about {} that nobody wrote before in this file"


def joined(grown: Build, folder: Path, *made: Made, **settings: Any) -> dict[str, Any]:
    write_made(folder / FILE, made)
    found: dict[str, Any] = grown(**{**JOIN, **settings}).card["augment"]
    return found


def test_children_of_measured_rows_are_refused(
    grown: Build, workspace: Workspace, tmp_path: Path
) -> None:
    before = grown()
    for side in ("test", "validation"):
        parent = split(workspace, before, side)[0]
        found = joined(grown, tmp_path, one_row(parent, NEW.format("it")))
        assert (found["rows"], found["left"]) == (0, {"parent not in training": 1})


def test_what_is_nearly_measured_is_left_out_and_counted(
    grown: Build, workspace: Workspace, tmp_path: Path
) -> None:
    before = grown()
    parent = split(workspace, before, "train")[0]
    made = [
        one_row(parent, split(workspace, before, side)[0].conversation.text + "!")
        for side in ("test", "validation")
    ]
    found = joined(grown, tmp_path, *made, one_row(parent, NEW.format("x")), **{
        "augment": {**JOIN["augment"], "most_per_parent": 5}
    })  # fmt: skip
    assert (found["rows"], found["left"]) == (1, {"nearly what is measured": 2})


def test_what_an_earlier_version_measured_on_is_left_out_too(
    grown: Build, workspace: Workspace, tmp_path: Path
) -> None:
    asked = split(workspace, grown(), "test")[0].conversation.text
    lines = (tmp_path / "rows.jsonl").read_text().splitlines()
    (tmp_path / "rows.jsonl").write_text("\n".join(x for x in lines if asked not in x) + "\n")
    parent = split(workspace, grown(), "train")[0]
    found = joined(grown, tmp_path, one_row(parent, asked + "!"))
    assert found["left"] == {"nearly what is measured": 1}


def test_each_reason_to_leave_a_row_out_is_counted(
    grown: Build, workspace: Workspace, tmp_path: Path
) -> None:
    parent, other = split(workspace, grown(), "train")[:2]
    fine = [one_row(parent, NEW.format(word)) for word in ("one thing", "two things", "threes")]
    free = Made(None, "templates", Conversation.of(("user", "Fire!")), LabelTarget("parcels"), 1)
    found = joined(
        grown, tmp_path, fine[0], fine[0], fine[1], fine[2], free,
        one_row(other, NEW.format("doubt"), sure=0.4),
        one_row(other, NEW.format("label"), target=LabelTarget("nobody knows it")),
        one_row(other, "write to jane.roe@mail.example about this"),
        one_row(other, "  "),
    )  # fmt: skip
    assert found["ways"] == {"paraphrase": 2, "templates": 1}
    assert found["left"] == {
        "empty": 1,
        "enough of one parent": 1,
        "identifier its parent has not": 1,
        "target in doubt": 1,
        "target not known": 1,
        "twice": 1,
    }


def test_a_parent_that_was_relabelled_loses_its_children(
    grown: Build, workspace: Workspace, tmp_path: Path
) -> None:
    parent = split(workspace, grown(), "train")[0]
    made = one_row(parent, NEW.format("it"))
    text = (tmp_path / "rows.jsonl").read_text().splitlines()
    lines = [json.loads(line) for line in text]
    for line in lines:
        if line["message"] == parent.conversation.text:
            line["queue"] = "machines" if line["queue"] == "parcels" else "parcels"
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    assert joined(grown, tmp_path, made)["left"] == {"parent not in training": 1}


def test_children_of_an_erased_group_do_not_come_back(
    grown: Build, workspace: Workspace, tmp_path: Path
) -> None:
    make_file(workspace, tmp_path, grown())
    after = grown(**JOIN)
    child_row = next(row for row in after.splits["train"] if "augment" in row.provenance.steps)
    group = child_row.group
    assert group is not None
    hashed = workspace.sealed.group_hash(group)
    assert any(row.group == hashed for row in split(workspace, after, "train"))
    erase(workspace, group, reason="asked for")
    latest = ledger.load_split(workspace, ledger.get_version(workspace), "train")
    assert latest and all(row.group != hashed for row in latest)
    again = grown(**JOIN)
    assert all(row.group != hashed for row in split(workspace, again, "train"))
    assert again.card["augment"]["left"]["parent not in training"] >= 1


def test_files_that_are_missing_or_bad_are_named(grown: Build, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"made\.jsonl"):
        grown(augment={"files": [FILE]})
    for outside in ("/tmp/*.jsonl", "../*.jsonl"):
        with pytest.raises(InputError, match="in the project"):
            grown(augment={"files": [outside]})
    first = grown(**JOIN)
    assert first.card["augment"]["rows"] == 0
    assert any("no file fits 'augmented/*.jsonl'" in one for one in first.warnings)
    (tmp_path / "augmented").mkdir()
    (tmp_path / FILE).write_text("{\n")
    with pytest.raises(InputError, match=r"made\.jsonl:1"):
        grown(**JOIN)


def test_the_card_shows_the_precision_that_people_found(
    grown: Build, workspace: Workspace, tmp_path: Path
) -> None:
    make_file(workspace, tmp_path, grown())
    (told,) = grown(**JOIN).card["augment"]["files"]
    digest = digest_of(tmp_path / FILE)
    rows_there = len(list(read_made(tmp_path / FILE)))
    assert told == {"file": FILE, "digest": digest, "rows": rows_there}
    found = {"augment_precision": Estimate(0.9, 0.8, 0.95, 50, 40)}
    kind, now = "augment_precision", datetime.now(UTC)
    ledger.save_probe(workspace, Probe(new_id("probe"), now, kind, digest, None, None, found, {}))
    (told,) = grown(**JOIN).card["augment"]["files"]
    assert told["precision"] == {"value": 0.9, "low": 0.8, "high": 0.95, "n": 50}


def test_labels_from_the_objective_may_be_rare(workspace: Workspace, tmp_path: Path) -> None:
    write(tmp_path, 40)
    free = Made(None, "templates", Conversation.of(("user", "Fire!")), LabelTarget("safety"), 1)
    write_made(tmp_path / FILE, [free])
    config = DataConfig.model_validate({"sources": [SOURCE], **JOIN})
    objective = Objective(task="classify", labels=["parcels", "machines", "safety"])
    built = build(config, objective, workspace, tmp_path, Progress())
    assert built.card["augment"]["ways"] == {"templates": 1}
