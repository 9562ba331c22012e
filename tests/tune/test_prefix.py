"""A prompt computed once for all its replies: logits, losses, gradients as with a prompt each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from preference_cases import ground, pairs
from test_parity import ForgetsPositions, shaped
from test_preference_losses import moved, ours, same, start
from transformers import AutoConfig, AutoModelForCausalLM

from metier.tune.algorithms import make
from metier.tune.packing import attention, passes, prefix
from metier.tune.packing.prefix import Manner, Tree
from metier.tune.types import PassMode

WITHIN = 1e-5
KINDS = ["llama", "qwen2", "mistral", "mistral-window"]


def trees(ends: bool = False, seed: int = 0) -> list[Tree]:
    """Prompts of 1 to 19 tokens with one to three replies of 1 to 11."""
    draw = torch.Generator().manual_seed(seed)

    def ids(count: int) -> list[int]:
        return torch.randint(4, 400, (count,), generator=draw).tolist()

    shapes = [(19, (5, 11)), (1, (3, 2)), (7, (1, 4, 9)), (12, (6,)), (4, (1, 1))]
    return [
        Tree(f"ex{number}", ids(prompt), tuple(ids(reply) for reply in replies), ends)
        for number, (prompt, replies) in enumerate(shapes)
    ]


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_logits_of_every_reply_token_equal_those_alone(kind: str, ends: bool) -> None:
    model, asked = start(kind), trees(ends)
    shared = passes.logits(model, prefix.lay_out(asked))[0]
    passes.use(model, "padded", "sdpa")
    alone = [
        passes.logits(model, passes.lay_out([sequence], "padded"))[0]
        for tree in asked
        for sequence in tree.sequences()
    ]
    torch.testing.assert_close(shared, torch.cat(alone), atol=WITHIN, rtol=0)


def test_the_prompt_is_read_once() -> None:
    asked = trees()
    one = prefix.lay_out(asked)
    shared = sum(len(t.prompt) + sum(len(r) - 1 for r in t.replies) for t in asked)
    assert one.tokens == shared == one.inputs["input_ids"].shape[1]
    assert sum(tree.tokens for tree in asked) == shared
    apart = Manner("segments", False, 999).lay_out(asked)
    assert apart.tokens == sum(Manner("segments", False, 999).tokens(tree) for tree in asked)
    assert one.example_ids == apart.example_ids
    assert one.owners.tolist() == apart.owners.tolist()
    assert one.targets.tolist() == apart.targets.tolist()


def test_what_one_reply_says_reaches_no_other() -> None:
    model, asked = start("llama"), trees()
    before = passes.logits(model, prefix.lay_out(asked))[0]
    other = Tree("ex0", asked[0].prompt, (trees(seed=1)[0].replies[0], asked[0].replies[1]))
    after = passes.logits(model, prefix.lay_out([other, *asked[1:]]))[0]
    own = len(asked[0].replies[0])
    assert torch.equal(before[0], after[0]), "the first token is predicted from the prompt"
    assert not torch.equal(before[1:own], after[1:own])
    assert torch.equal(before[own:], after[own:])


@pytest.mark.parametrize("mode", ["segments", "blocks", "padded"])
@pytest.mark.parametrize("kind", ["dpo", "kto", "reward"])
def test_steps_in_any_layout_and_many_passes_are_one_step(
    tmp_path: Path, kind: str, mode: PassMode
) -> None:
    whole: Any = make(ground(kind, pairs(7)))
    parts: Any = make(ground(kind, pairs(7), micro_batch_tokens=90))
    outcomes = []
    for algorithm, layout in ((whole, "segments"), (parts, mode)):
        model = start("llama")
        passes.use(model, layout, "sdpa")
        algorithm.prepare(model, layout, tmp_path / str(len(outcomes)))
        moved(model)
        outcomes.append(ours(algorithm, model, range(7)))
    assert len(parts.step(model, tuple(range(7)), 0).passes) > 2
    same(*outcomes)


def test_passes_hold_their_measure() -> None:
    asked = trees()
    for manner in (Manner("segments", True, 25), Manner("blocks", False, 40)):
        batches = manner.cut(asked, range(5))
        assert sorted(index for batch in batches for index in batch) == [0, 1, 2, 3, 4]
        sizes = [sum(manner.tokens(asked[index]) for index in batch) for batch in batches]
        alone = [len(batch) == 1 for batch in batches]
        assert all(
            size <= manner.most_tokens or one for size, one in zip(sizes, alone, strict=True)
        )


def test_common_shapes_share_prompts() -> None:
    for kind in KINDS:
        assert prefix.manner(start(kind), trees(), "segments", 512, 3).shared


def test_a_model_that_cannot_be_packed_reads_each_prompt_anew(tmp_path: Path) -> None:
    config = AutoConfig.for_model(
        "mamba", vocab_size=400, hidden_size=16, state_size=4, num_hidden_layers=2, pad_token_id=3
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    algorithm: Any = make(ground("dpo", pairs(4), pairs(2, 50)))
    algorithm.prepare(model, "padded", tmp_path)
    assert algorithm.summary()["shared_prompts"] is False
    assert algorithm.validate(model)["loss"] == pytest.approx(0.6931, abs=1e-4)


def test_a_model_whose_shared_logits_differ_is_given_each_prompt_anew() -> None:
    # Positions do not restart for it: a second reply would stand behind the first.
    attention.register()
    model = ForgetsPositions()
    assert not prefix.manner(model, trees(), "segments", 512, 3).shared


def test_attention_with_terms_of_its_own_is_not_shared() -> None:
    found = prefix.manner(shaped("llama"), trees(), "blocks", 512, 3)
    assert (found.mode, found.shared) == ("blocks", False)
