import random
from collections import Counter
from dataclasses import replace

import pytest

from data_examples import CLASSIFY, GOOD, labelled, settings_of, write
from metier.core import ledger
from metier.core.errors import InputError
from metier.core.progress import Progress
from metier.core.records import LOSS_WEIGHT
from metier.data.build import build
from metier.data.quality.config import RebalanceConfig
from metier.data.quality.rebalance import even_out, is_copy, rebalance

ROWS = [labelled(n, f"text {n}", "rare" if n < 10 else "common") for n in range(50)]


def labels(rows):
    return Counter(row.target.label for row in rows)


def test_oversampling_copies_what_is_rare_up_to_the_cap():
    found = rebalance(RebalanceConfig(cap=3), ROWS)
    assert labels(found.rows) == {"common": 40, "rare": 30}
    assert found.account["gap"] == {"before": 4.0, "after": 1.333}
    copies = [row for row in found.rows if is_copy(row)]
    assert len({row.id for row in found.rows}) == len(found.rows) == 70
    assert {row.provenance.parent for row in copies} == {f"ex_{n}" for n in range(10)}
    assert labels(rebalance(RebalanceConfig(cap=9), ROWS).rows) == {"common": 40, "rare": 40}


def test_undersampling_leaves_out_what_is_frequent():
    found = rebalance(RebalanceConfig(method="undersample", cap=2), ROWS)
    assert labels(found.rows)["rare"] == 10
    assert 12 <= labels(found.rows)["common"] <= 28
    assert not any(is_copy(row) for row in found.rows)


def test_weights_change_no_row_but_the_loss():
    found = rebalance(RebalanceConfig(method="weight", cap=3), ROWS)
    assert len(found.rows) == 50
    assert {row.slices.get(LOSS_WEIGHT) for row in found.rows} == {None, "3"}
    assert found.account["parts"] == {"common": [40, 40.0], "rare": [10, 30.0]}


def test_by_a_slice():
    rows = [replace(row, slices={"site": "a" if n < 5 else "b"}) for n, row in enumerate(ROWS)]
    found = rebalance(RebalanceConfig(by="site", cap=20), rows)
    assert Counter(row.slices["site"] for row in found.rows) == {"a": 45, "b": 45}


def test_fractions_are_drawn_by_content():
    config = RebalanceConfig(cap=1.5)
    found, shuffled = rebalance(config, ROWS), list(ROWS)
    random.Random(3).shuffle(shuffled)
    again = rebalance(config, shuffled)
    assert sorted(row.id for row in again.rows) == sorted(row.id for row in found.rows)
    assert 10 <= labels(found.rows)["rare"] <= 20


def test_what_is_not_there_cannot_be_evened_out():
    with pytest.raises(InputError, match="two parts or more"):
        rebalance(RebalanceConfig(by="sight"), ROWS)


def test_only_train_is_touched():
    splits = {"train": ROWS, "test": ROWS[:4]}
    found, account = even_out(RebalanceConfig(), splits, ())
    assert found["test"] is splits["test"]
    assert account is not None
    assert even_out("none", splits, ()) == (splits, None)


def test_a_build_evens_out_train_and_says_so(workspace, tmp_path):
    rows = [row for row in GOOD if row[1] == "money" or "parcel" in row[0]]
    folder = write(tmp_path / "data", rows)
    plain = build(settings_of(), CLASSIFY, workspace, folder, Progress())
    config = settings_of(rebalance={"by": "label", "cap": 5})
    evened = build(config, CLASSIFY, workspace, folder, Progress())
    account = evened.card["rebalance"]
    assert account["gap"]["after"] < account["gap"]["before"]
    assert evened.counts["train"] == account["rows"]["after"] > plain.counts["train"]
    assert evened.counts["test"] == plain.counts["test"]
    test = [
        {row.id for row in ledger.load_split(workspace, one.version, "test")}
        for one in (plain, evened)
    ]
    assert test[0] == test[1]
