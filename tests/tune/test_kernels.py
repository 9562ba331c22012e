"""Which kernels a machine gets, from made records; Flex equals plain attention where it runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from test_parity import encoded, shaped

from metier.core.errors import ConfigError
from metier.tune.kernels.applied import applied
from metier.tune.kernels.choice import Choice, Seen, choose, this_machine
from metier.tune.kernels.packed import works
from metier.tune.packing import attention, parity, passes

# A processor computes FlexAttention unfused, which torch warns of: here it is meant.
pytestmark = pytest.mark.filterwarnings("ignore:flex_attention called without")
BOTH = frozenset({"flash_attn", "liger_kernel"})
FLASH = frozenset({"flash_attn"})
CPU = Seen()
HOPPER = Seen("cuda", (9, 0), (2, 13), frozenset(), triton=True)
CASES: list[tuple[Seen, tuple[str, bool, bool, bool]]] = [
    (CPU, ("sdpa", True, False, False)),
    (
        replace(CPU, packages=BOTH),
        ("sdpa", True, False, False),
    ),
    (HOPPER, ("varlen", False, False, True)),
    (replace(HOPPER, packages=frozenset({"liger_kernel"})), ("varlen", False, True, False)),
    (
        replace(HOPPER, torch=(2, 9), packages=FLASH),
        ("flash", False, False, True),
    ),
    (replace(HOPPER, torch=(2, 9)), ("flex", False, False, True)),
    (replace(HOPPER, capability=(7, 5)), ("flex", False, False, True)),
    (replace(HOPPER, capability=(7, 5), triton=False), ("sdpa", False, False, False)),
]


@pytest.mark.parametrize(("seen", "wanted"), CASES)
def test_every_machine_gets_what_it_has(seen: Seen, wanted: tuple[str, bool, bool, bool]) -> None:
    found = choose(seen)
    assert (found.attention, found.low_rank, found.liger, found.compiled) == wanted
    assert list(found.why) == ["attention", "adapter", "liger", "compile"]
    assert all(found.why.values())


def test_what_was_passed_over_is_said() -> None:
    assert choose(replace(HOPPER, torch=(2, 9))).why["attention"] == (
        "flex (varlen needs torch 2.10 or newer, flash flash_attn is not installed)"
    )
    assert "a processor has no varlen kernel" in choose(CPU).sentence


@pytest.mark.parametrize("kind", ["varlen", "flash", "flex"])
def test_a_kernel_that_cannot_run_is_refused_when_asked_for(kind: Any) -> None:
    with pytest.raises(ConfigError, match="needs a GPU"):
        choose(CPU, kind)


def test_this_machine_can_be_looked_at() -> None:
    assert choose(this_machine()).attention in ("sdpa", "varlen", "flash", "flex")


@pytest.mark.parametrize("kind", ["llama", "mistral-window"])
def test_flex_gives_the_logits_of_plain_attention(kind: str) -> None:
    attention.register()
    model, examples = shaped(kind), encoded()
    passes.use(model, "segments", "sdpa")
    with torch.no_grad():
        plain = passes.logits(model, passes.lay_out(examples, "segments"))
        attention.use_kernel("flex")
        try:
            flex = passes.logits(model, passes.lay_out(examples, "segments"))
            found = parity.check(model, examples, "sdpa")
        finally:
            attention.use_kernel("sdpa")
    assert plain.shape[1] > 40
    torch.testing.assert_close(flex, plain, atol=1e-5, rtol=0)
    assert found.mode == "segments"


def test_a_chosen_kernel_that_fails_here_gives_way_and_says_so() -> None:
    assert works("flex", torch.device("cpu"), torch.float32) == ""
    assert works("varlen", torch.device("cpu"), torch.float32).startswith("failed: ")
    model = shaped("llama")
    why = {"attention": "varlen", "adapter": "", "liger": "", "compile": ""}
    with applied(Choice("varlen", False, False, False, why), model) as used:
        assert str(used["attention"]).startswith("sdpa (varlen failed: ")


def test_the_adapter_and_the_norms_are_taken_over_for_the_block_only() -> None:
    model = shaped("llama").requires_grad_(False)
    with applied(choose(CPU), model) as used:
        assert used["fused_parts"] == 5
        assert any("forward" in vars(part) for part in model.modules())
    assert not any("forward" in vars(part) for part in model.modules())
