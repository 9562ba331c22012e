"""Earlier test sets, challenges and held-back cases stay out of training."""

from dataclasses import replace

import pytest

from data_examples import CLASSIFY, GOOD, labelled, settings_of, write
from metier.core import ledger
from metier.core.errors import InputError
from metier.core.progress import Progress
from metier.data.build import build
from metier.data.leakage import Gate, Leaking, Side, describe, find_leaks, leaks_of_added
from metier.data.measured import measured_before

LONG = "my parcel has not arrived although it was sent two weeks ago from the warehouse in town"
CONFIG = settings_of()


def freeze(workspace, config=CONFIG, **splits):
    dumped = config.model_dump(mode="json")
    return ledger.save_version(workspace, splits, labels=[], config=dumped, card={}, sources=[])


def run(folder, workspace, config=CONFIG):
    return build(config, CLASSIFY, workspace, folder, Progress())


def test_any_split_that_is_not_learned_from_is_measured():
    row, trap = labelled(1, LONG), labelled(2, LONG + " x")
    (leak,) = find_leaks({"train": [row], "challenge": [trap]}, 0.9)
    assert (leak.kind, leak.sides, leak.yields) == ("near", ("challenge", "train"), row)
    assert find_leaks({"test": [row], "challenge": [trap]}, 0.9) == []


def test_a_learned_case_may_stand_in_training_and_a_held_back_one_may_not():
    case = labelled(1, LONG, group="g")
    train = {"train": [labelled(2, LONG, group="g")], "validation": [labelled(3, LONG)]}
    learned, held = (replace(case, slices={"case": side}) for side in ("learned", "held_back"))
    kinds = [leak.sides for leak in find_leaks({"regression": [learned], **train}, 0.9)]
    assert kinds == [("validation", "train")]
    found = find_leaks({"regression": [held], "train": train["train"]}, 0.9)
    assert [(leak.kind, leak.sides) for leak in found] == [("exact", ("regression", "train"))]


def test_a_leak_from_an_earlier_version_says_which():
    before = Side("test", [labelled(1, LONG)], "ver_1")
    (leak,) = find_leaks({"train": [labelled(2, LONG)]}, Gate(0.9, before=(before,)))
    assert leak.version == "ver_1"
    assert "test of ver_1 ex_1" in describe(leak)
    assert LONG not in describe(leak)


def test_groups_of_earlier_versions_are_known_by_their_hashes(workspace):
    version = freeze(workspace, test=[labelled(1, "one thing", group="ann")])
    (row,) = ledger.load_split(workspace, version, "test")
    gate = Gate(0.9, (Side("test", [row], version.id),), group_of=workspace.sealed.group_hash)
    (leak,) = find_leaks({"train": [labelled(2, "another", group="ann")]}, gate)
    assert leak.kind == "group"


@pytest.mark.parametrize(("earlier", "found"), [("every", 2), ("same", 1), ("none", 0)])
def test_whose_test_sets_bind(workspace, earlier, found):
    shared = labelled(1, "one")
    freeze(workspace, settings_of(seed=5), test=[shared], train=[labelled(2, "x")])
    freeze(workspace, test=[shared, labelled(3, "three")])
    ledger.save_version(
        workspace, {"test": [labelled(4, "y")]}, labels=[], config={}, card={}, sources=[]
    )
    sides = list(measured_before(workspace, settings_of(earlier=earlier)))
    assert len(sides) == found
    texts = [row.conversation.text for side in sides for row in side.rows]
    assert len(texts) == len(set(texts)), "rows that versions share come once"


def test_a_retired_test_row_goes_to_quarantine_and_is_told(tmp_path, workspace):
    folder = write(tmp_path, GOOD)
    text, label, group = GOOD[0]
    freeze(workspace, settings_of(seed=5), test=[labelled(1, text, label, group=group)])
    result = run(folder, workspace)
    leaks = {leak.yields.conversation.text for leak in result.leaks if leak.version}
    learned = {
        row.conversation.text for name in ("train", "validation") for row in result.splits[name]
    }
    assert text not in learned
    assert {drop.reason for drop in result.drops} >= ({"exact_leak"} if leaks else set())
    free = run(folder, workspace, settings_of(earlier="none"))
    assert sum(free.counts.values()) > sum(result.counts.values()) or not leaks


def test_a_source_that_says_train_is_refused(tmp_path, workspace):
    folder = write(tmp_path, GOOD)
    text, label, _ = GOOD[0]
    freeze(workspace, test=[labelled(1, text, label)])
    sources = [{**CONFIG.model_dump(exclude_unset=True)["sources"][0], "split": "train"}]
    config = settings_of(sources=sources, test=0)
    with pytest.raises(Leaking, match=r"test of ver_.*ex_1") as refused:
        run(folder, workspace, config)
    assert isinstance(refused.value, InputError)
    assert 'earlier = "none"' in str(refused.value)
    assert text not in str(refused.value)


def test_semantic_leaks_and_slips_are_found_where_asked():
    from metier.similarity.embeddings import make_embedder

    test, train = labelled(1, "where is my parcel now"), labelled(2, "where is my parcell now")
    splits = {"test": [test], "train": [train]}
    assert find_leaks(splits, 0.9) == []
    (leak,) = find_leaks(splits, Gate(0.9, slips=True))
    assert leak.kind == "near"
    gate = Gate(0.9, semantic=0.6, embedder=make_embedder("hashed"))
    (leak,) = find_leaks(splits, gate)
    assert leak.kind == "semantic"


def test_what_grows_after_the_gate_passes_it_too():
    test, train, other = labelled(1, LONG), labelled(2, "something else"), labelled(3, "a third")
    before = {"test": [test], "validation": [other], "train": [train]}
    assert leaks_of_added(before, before, 0.9) == []
    grown = labelled(4, LONG + " x")
    (leak,) = leaks_of_added(before, {**before, "train": [train, grown]}, 0.9)
    assert (leak.taints, leak.yields) == (test, grown)
    (leak,) = leaks_of_added(before, {**before, "challenge": [labelled(5, "a third!")]}, 0.9)
    assert (leak.sides, leak.yields) == (("challenge", "validation"), other)
    assert leaks_of_added(before, {**before, "challenge": [grown]}, 0.9) == []
