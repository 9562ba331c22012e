"""Which kernels a machine gets, and why. Pure: what the machine has goes in as a record.

On a processor: PyTorch's own causal attention, and the adapter in one pass (``fused``). On a GPU:
attention of packed rows in one kernel (PyTorch's varlen, FlashAttention, or FlexAttention), Liger's
norms and feed-forward blocks where it is installed, else torch.compile of the feed-forward blocks.
What is chosen is tried on the spot before it is used (``applied``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from metier.core.errors import ConfigError

Attention = Literal["sdpa", "varlen", "flash", "flex"]
AMPERE = (8, 0)
VARLEN_SINCE = (2, 10)
"""torch.nn.attention.varlen came with this release."""


@dataclass(frozen=True)
class Seen:
    """What a machine has: its device, the GPU's compute capability, torch's release, which of the
    optional packages are installed, and whether Triton is there to compile with."""

    device: Literal["cpu", "cuda"] = "cpu"
    capability: tuple[int, int] = (0, 0)
    torch: tuple[int, int] = (2, 13)
    packages: frozenset[str] = frozenset()
    triton: bool = False


@dataclass(frozen=True)
class Choice:
    """The kernels, and in ``why`` one clause for each."""

    attention: Attention
    low_rank: bool
    liger: bool
    compiled: bool
    why: Mapping[str, str]

    @property
    def sentence(self) -> str:
        """All of it in one line for people."""
        return "; ".join(f"{name}: {reason}" for name, reason in self.why.items())


def choose(seen: Seen, wanted: Attention | Literal["auto"] = "auto") -> Choice:
    """Choose kernels; ``wanted`` asks for an attention.

    Raises ConfigError where the machine has not what is asked for.
    """
    reasons = _missing(seen)
    if wanted != "auto" and reasons[wanted]:
        raise ConfigError(
            f'attention = "{wanted}" in [tune] where it can run',
            got=f"a machine where it cannot: {reasons[wanted]}",
            remedy='take attention = "auto"',
        )
    gpu = seen.device == "cuda"
    attention: Attention = "sdpa" if wanted == "auto" else wanted
    if wanted == "auto" and gpu:
        order: tuple[Attention, ...] = ("varlen", "flash", "flex", "sdpa")
        attention = next(kind for kind in order if not reasons[kind])
    liger = gpu and "liger_kernel" in seen.packages
    compiled = gpu and seen.triton and not liger
    why = {
        "attention": _said(attention, wanted, reasons, gpu),
        "adapter": "in one pass with its layer (float32)" if not gpu else "PEFT's own",
        "liger": "norms and feed-forward blocks" if liger else _no_liger(gpu),
        "compile": "feed-forward blocks" if compiled else _no_compile(gpu, liger),
    }
    return Choice(attention, not gpu, liger, compiled, why)


def _missing(seen: Seen) -> dict[Attention, str]:
    """Say for each attention why it cannot run; empty where it can."""
    gpu = "" if seen.device == "cuda" else "needs a GPU"
    ampere = gpu or ("" if seen.capability >= AMPERE else "needs compute capability 8.0 or more")
    installed = "" if "flash_attn" in seen.packages else "flash_attn is not installed"
    release = "" if seen.torch >= VARLEN_SINCE else "needs torch 2.10 or newer"
    return {
        "sdpa": "",
        "varlen": ampere or release,
        "flash": ampere or installed,
        # PyTorch 2.13 computes FlexAttention's gradients on a GPU only, and compiles it by Triton.
        "flex": gpu or ("" if seen.triton else "needs Triton to be compiled"),
    }


def _said(attention: Attention, wanted: str, reasons: Mapping[Attention, str], gpu: bool) -> str:
    if wanted != "auto":
        return f"{attention}, asked for"
    if not gpu:
        return "sdpa, example by example (a processor has no varlen kernel)"
    passed = [f"{kind} {reasons[kind]}" for kind in ("varlen", "flash", "flex") if reasons[kind]]
    return attention + (f" ({', '.join(passed)})" if passed else "")


def _no_liger(gpu: bool) -> str:
    return "not installed" if gpu else "off (needs a GPU)"


def _no_compile(gpu: bool, liger: bool) -> str:
    if liger:
        return "off (Liger's kernels are in use)"
    return "off (no Triton)" if gpu else "off (packed rows differ in length: it would start anew)"


def this_machine() -> Seen:
    """Look at the machine; imports torch."""
    from importlib.util import find_spec

    import torch

    gpu = torch.cuda.is_available()
    major, minor = torch.__version__.split(".")[:2]
    return Seen(
        "cuda" if gpu else "cpu",
        torch.cuda.get_device_capability() if gpu else (0, 0),
        (int(major), int(minor)),
        frozenset(name for name in ("flash_attn", "liger_kernel") if find_spec(name)),
        find_spec("triton") is not None,
    )
