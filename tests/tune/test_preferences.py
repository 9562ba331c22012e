"""Preference tuning end to end: what is read, kept, measured and left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from cases import example
from preference_cases import CHAT, GOOD, ground, pairs, preferring, version

from metier.core import ledger
from metier.core.errors import InputError
from metier.core.progress import Event, Progress
from metier.core.records import TuneRun
from metier.core.types import (
    CompletionTarget,
    Conversation,
    Example,
    PreferenceTarget,
)
from metier.core.workspace import Workspace
from metier.models.adapters import load_adapter
from metier.models.reward import FILE, load_reward_model, reply_tokens
from metier.tune.algorithms import make, reference, replies
from metier.tune.algorithms.kto import crossed
from metier.tune.config import TuneConfig
from metier.tune.packing.prefix import Tree
from metier.tune.run import tune
from tiny_models import tiny_base, tiny_tokenizer


def one_reply(number: int, text: str, verdict: str = "") -> Example:
    row = example(number, f"where is my card {number}", CompletionTarget(text))
    return replace(row, slices={"thumb": verdict}) if verdict else row


def tuned(ws: Workspace, kind: str, **changes: Any) -> TuneRun:
    return tune(preferring(kind, **changes), version(ws), ws, tiny_base(), CHAT)


@pytest.mark.parametrize("kind", ["dpo", "kto", "reward"])
def test_held_out_pairs_come_out_the_right_way_round(workspace: Workspace, kind: str) -> None:
    run = tuned(workspace, kind, lr=2e-2)
    summary = run.summary
    assert summary["validation_loss"] < summary["validation_loss_before"]
    assert summary["validation_pair_accuracy"] == 1.0
    assert 0.6 < summary["validation_pair_accuracy_low"] < 1.0
    assert summary["shared_prompts"] is True
    assert (summary["pairs"], summary["validation_examples"]) == (24, 8)
    told = {point.name for point in ledger.metric_points(workspace, run.id)}
    margin = "reward_in_direction" if kind == "kto" else "reward_margin"
    assert {"train_loss", margin, "validation_pair_accuracy"} <= told


def test_before_the_first_step_a_pair_is_a_coin_toss(workspace: Workspace) -> None:
    run = tuned(workspace, "dpo", epochs=1)
    assert run.summary["validation_loss_before"] == pytest.approx(0.693147, abs=1e-5)
    assert tuned(workspace, "kto", epochs=1).summary["validation_loss_before"] == 0.5


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_full_tune_stays_near_its_start_as_well(workspace: Workspace, method: str) -> None:
    run = tuned(workspace, "dpo", method={"type": method}, lr=2e-3, epochs=1)
    assert run.summary["validation_loss_before"] == pytest.approx(0.693147, abs=1e-5)
    assert run.summary["validation_loss"] < 0.6931


def test_the_reference_is_computed_once(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    algorithm: Any = make(ground("dpo", pairs(4), pairs(2, 50)))
    model = tiny_base().model
    algorithm.prepare(model, "padded", tmp_path)
    first = algorithm.validate(model)
    monkeypatch.setattr(reference, "replies_log_probs", None)
    algorithm.prepare(model, "padded", tmp_path)
    assert algorithm.validate(model) == first


def test_with_the_base_as_reference_the_adapter_is_off(tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    settings = LoraConfig(target_modules=["q_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    model = get_peft_model(tiny_base().model, settings)
    losses = {}
    for which in ("start", "base"):
        made: Any = make(ground("dpo", pairs(4), pairs(2, 50), algorithm={"reference": which}))
        made.prepare(model, "padded", tmp_path / which)
        losses[which] = made.validate(model)["loss"]
    assert losses["start"] == pytest.approx(0.693147, abs=1e-5)
    assert abs(losses["base"] - 0.6931) > 0.01


# --- what is read -----------------------------------------------------------------------------


def test_a_version_without_preferences_is_refused_in_words(workspace: Workspace) -> None:
    held = version(workspace, {"train": [one_reply(n, "yes") for n in range(5)]})
    for kind, says in (("dpo", "as dpo learns from"), ("reward", "as reward learns from")):
        with pytest.raises(InputError, match=says) as refused:
            tune(preferring(kind), held, workspace, tiny_base(), CHAT)
        assert "5 rows: no preference: one reply only" in str(refused.value)
        assert 'target = { chosen = "...", rejected = "..." }' in str(refused.value)
    assert ledger.list_runs(workspace, held.id) == []


def test_rows_that_are_no_pair_are_left_out_by_name(workspace: Workspace) -> None:
    rows = [*pairs(6), one_reply(90, "yes"), example(91, "my card", None)]
    held = version(workspace, {"train": rows})
    said: list[str] = []

    def hear(event: Event) -> None:
        said.append(event.text)

    run = tune(
        preferring("dpo", epochs=1), held, workspace, tiny_base(), CHAT, progress=Progress(hear)
    )
    left_out = [rows[6].id, rows[7].id]
    assert run.summary["excluded"] == 2
    assert sorted(run.summary["excluded_examples"]) == sorted(left_out)
    assert any("2 of 8 training examples left out" in text for text in said)
    assert run.summary["validation_examples"] == 0


def test_both_replies_stand_after_the_same_prompt() -> None:
    long = "where is the parcel " * 60
    rows = [
        example(1, long, PreferenceTarget("yes", "no please because of the late loans " * 6)),
        example(2, "card", PreferenceTarget("yes " * 200 + "a", "yes " * 200 + "b")),
        example(3, "card", PreferenceTarget("yes", "no")),
    ]
    train, held_out = replies.read_pairs(ground("dpo", rows, max_tokens=128))
    assert held_out is None
    first, second = train.items
    assert [first.tree.example_id, second.tree.example_id] == [rows[0].id, rows[2].id]
    for sequence in first.tree.sequences():
        assert len(sequence.input_ids) <= 128
        assert list(sequence.input_ids[: len(first.tree.prompt)]) == list(first.tree.prompt)
    assert train.excluded == {rows[1].id: replies.SAME}
    assert (train.truncated, train.cut_replies) == (1, 0)


def test_single_replies_count_where_a_slice_judges_them() -> None:
    rows = [
        one_reply(1, "yes please", "up"),
        one_reply(2, "no", "DOWN"),
        one_reply(3, "yes", "perhaps"),
        one_reply(4, "yes"),
        *pairs(1, 50),
    ]
    made = ground("kto", rows, algorithm={"verdict": "thumb"})
    train, _ = replies.read_verdicts(made, "thumb")
    assert [item.wanted for item in train.items] == [(True,), (False,), (True, False)]
    assert set(train.excluded.values()) == {replies.NO_VERDICT}
    for bad, what in ((rows[:1], "all of them wanted"), (rows[1:2], "none of them wanted")):
        with pytest.raises(InputError, match=what):
            make(ground("kto", bad, algorithm={"verdict": "thumb"}))
    with pytest.raises(InputError, match="says yes or no"):
        make(ground("kto", rows[2:3], algorithm={"verdict": "thumb"}))


def test_kto_learns_from_single_replies(workspace: Workspace) -> None:
    rows = [
        one_reply(n, GOOD[0] if n % 3 else "none of it", "yes" if n % 3 else "no")
        for n in range(39)
    ]
    held = version(workspace, {"train": rows[:30], "validation": rows[30:]})
    said: list[str] = []
    run = tune(
        preferring("kto", algorithm={"verdict": "thumb"}, epochs=4),
        held,
        workspace,
        tiny_base(),
        CHAT,
        progress=Progress(lambda event: said.append(event.text)),
    )
    assert (run.summary["wanted_replies"], run.summary["unwanted_replies"]) == (20, 10)
    assert run.summary["validation_loss"] < 0.4
    assert "validation_pair_accuracy" not in run.summary
    assert any("undesirable_weight = 2 would balance it" in text for text in said)


def test_a_prompt_is_crossed_with_the_replies_of_another() -> None:
    asked = [[1, 2], [1, 2], [3], [4]]
    trees = [Tree(str(n), ids, ([10 * n, 7, 8],)) for n, ids in enumerate(asked)]
    found = [list(tree.replies[0]) for tree in crossed(trees, 4)]
    assert found == [[30, 7], [30, 7], [10, 7, 8], [20, 7, 8]]


def test_smoothing_goes_with_the_sigmoid_loss_only() -> None:
    with pytest.raises(ValueError, match="label_smoothing goes with"):
        TuneConfig.model_validate(
            {"algorithm": {"type": "dpo", "loss": "ipo", "label_smoothing": 0.1}}
        )
    with pytest.raises(ValueError, match="beta"):
        TuneConfig.model_validate({"algorithm": {"type": "reward", "beta": 0.1}})


# --- reward models ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_reward_model_scores_as_it_was_validated(workspace: Workspace, method: str) -> None:
    base = tiny_base()
    changes = {"method": {"type": method}, "lr": 2e-2 if method == "lora" else 5e-3}
    held = version(workspace)
    run = tune(preferring("reward", **changes), held, workspace, base, CHAT)
    model = load_reward_model(workspace, base, run.id)
    rows = ledger.load_split(workspace, held, "validation")
    right = 0
    for row in rows:
        assert isinstance(row.target, PreferenceTarget)
        asked = Conversation.of(("system", CHAT.instruction), ("user", row.conversation.text))
        chosen, rejected = model.score(
            [asked.then("assistant", text) for text in (row.target.chosen, row.target.rejected)]
        )
        right += chosen > rejected
    assert right == len(rows) * run.summary["validation_pair_accuracy"]
    assert right >= 7


def test_scores_are_those_of_training_and_do_not_depend_on_company(
    workspace: Workspace,
) -> None:
    base = tiny_base()
    run = tune(preferring("reward", lr=2e-2), version(workspace), workspace, base, CHAT)
    model = load_reward_model(workspace, base, run.id)
    algorithm: Any = make(ground("reward", pairs(5)))
    algorithm.prepare(model.model, "padded", Path())
    model.model.reward_head.load_state_dict(model.head.state_dict())
    (one,) = algorithm.step(model.model, (0, 1, 2, 3, 4), 0).passes
    trained = algorithm._scores(model.model, one)
    from metier.models.prompt import TUNED, render_prompt

    said = []
    for index in one.items:
        row = pairs(5)[index]
        asked = render_prompt(row.conversation, CHAT, (), TUNED, "")
        assert isinstance(row.target, PreferenceTarget)
        said += [asked.then("assistant", text) for text in (row.target.chosen, row.target.rejected)]
    scores = torch.tensor(model.score(said))
    torch.testing.assert_close(scores, trained.detach().flatten(), atol=1e-5, rtol=1e-5)
    alone = torch.tensor([model.score([one])[0] for one in said])
    torch.testing.assert_close(scores, alone, atol=1e-5, rtol=1e-5)


def test_tokens_of_a_reply_are_those_trained_on() -> None:
    tokenizer = tiny_tokenizer()
    rows = pairs(6)
    algorithm: Any = make(ground("dpo", rows))
    for row, tree in zip(rows, algorithm.train.trees, strict=True):
        assert isinstance(row.target, PreferenceTarget)
        said = row.conversation.then("assistant", row.target.chosen)
        assert reply_tokens(tokenizer, said) == list(tree.replies[0])


def test_the_adapter_of_a_reward_model_is_an_adapter(workspace: Workspace) -> None:
    base = tiny_base()
    before = {name: value.clone() for name, value in base.model.state_dict().items()}
    run = tune(preferring("reward"), version(workspace), workspace, base, CHAT)
    folder = workspace.artifacts.checkout(str(run.adapter))
    assert (folder / FILE).is_file()
    assert load_adapter(base, folder).config.vocab_size == base.model.config.vocab_size
    after = base.model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_a_run_without_a_head_is_no_reward_model(workspace: Workspace) -> None:
    run = tuned(workspace, "dpo", epochs=1)
    with pytest.raises(InputError, match="and no head that scores replies"):
        load_reward_model(workspace, tiny_base(), run.id)


def test_only_a_reply_can_be_scored(workspace: Workspace) -> None:
    base = tiny_base()
    run = tune(preferring("reward", epochs=1), version(workspace), workspace, base, CHAT)
    model = load_reward_model(workspace, base, run.id)
    with pytest.raises(InputError, match="ends in the assistant's reply"):
        model.score([Conversation.of(("user", "card"))])
    long = Conversation.of(("user", "card " * 900), ("assistant", "yes " * 900))
    assert len(model.tokens(long)) <= base.max_tokens
    assert model.score([]) == []


# --- killed and taken up again ----------------------------------------------------------------

CHILD = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = sys.argv[4:]
from preference_cases import CHAT, preferring, version
from tiny_models import tiny_base
from metier.core.progress import Progress
from metier.core.workspace import Workspace
from metier.tune.run import tune
at, kind = int(sys.argv[2]), sys.argv[3]
def sink(event):
    if event.step == at and "train_loss" in event.values: os.kill(os.getpid(), signal.SIGKILL)
with Workspace.create(Path(sys.argv[1])) as ws:
    config = preferring(kind, checkpoint_every=2)
    tune(config, version(ws), ws, tiny_base(), CHAT, progress=Progress(sink))
"""
HERE = Path(__file__).parent


def killed(root: Path, step: int, kind: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(root), str(step), kind, str(HERE), str(HERE.parent)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def same_end(tmp_path: Path, step: int, kind: str) -> None:
    ends = []
    killed(tmp_path / "killed", step, kind)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for name in ("killed", "whole"):
            root = tmp_path / name
            opened = Workspace.open(root) if name == "killed" else Workspace.create(root)
            with opened as ws:
                config = preferring(kind, checkpoint_every=2)
                run = tune(config, version(ws), ws, tiny_base(), CHAT)
                points = ledger.metric_points(ws, run.id)
                losses = [point.value for point in points if point.name == "train_loss"]
                ends.append([*losses, run.summary["validation_loss"]])
                assert run.summary["resumed_at"] == (0 if name == "whole" else (step - 1) // 2 * 2)
    finally:
        torch.set_num_threads(threads)
    assert ends[0] == pytest.approx(ends[1], rel=1e-6, abs=1e-6)


def test_a_killed_dpo_ends_with_the_same_loss(tmp_path: Path) -> None:
    same_end(tmp_path, 7, "dpo")


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 6, 8, 9, 10, 11])
def test_a_dpo_killed_at_any_step(tmp_path: Path, step: int) -> None:
    same_end(tmp_path, step, "dpo")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["kto", "reward"])
def test_a_killed_run_of_the_others(tmp_path: Path, kind: str) -> None:
    same_end(tmp_path, 7, kind)


def test_the_reference_pass_is_counted_and_made_once(tmp_path: Path) -> None:
    heard: list[Event] = []
    told = Progress(heard.append)
    algorithm = make(replace(ground("dpo", pairs(9), pairs(3, start=50)), progress=told))
    model = tiny_base().model
    algorithm.prepare(model, "padded", tmp_path)
    assert {event.task for event in heard} == {"reference"}
    assert (heard[0].total, heard[-1].done, heard[-1].unit) == (12, 12, "prompt")
    heard.clear()
    algorithm.prepare(model, "padded", tmp_path)
    assert not heard
