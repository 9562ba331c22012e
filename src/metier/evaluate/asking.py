"""What the ways of asking a language model share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metier.core.completer import Completer
from metier.core.types import Conversation
from metier.evaluate.bench import Bench
from metier.models.few_shot import Frame
from metier.models.prompt import PromptVariant, render_prompt

if TYPE_CHECKING:
    from metier.models.base import Base

_MARK = "\x00"


def as_completer(model: Base | Completer) -> Completer:
    """Return a loaded base as a Completer of this machine; a Completer as it is."""
    if isinstance(model, Completer):
        return model
    from metier.models.engines.local import LocalCompleter

    return LocalCompleter(model)


def device_of(completer: Completer) -> str:
    """Return what a completer's time costs: "gpu" for a local model on one, else "cpu"."""
    model = getattr(completer, "model", None)
    return "gpu" if getattr(getattr(model, "device", None), "type", "cpu") != "cpu" else "cpu"


def frame_of(bench: Bench, variant: PromptVariant, system: str) -> Frame:
    """Return what puts a bare conversation into a variant."""

    def frame(conversation: Conversation) -> Conversation:
        return render_prompt(conversation, bench.objective, bench.labels, variant, system)

    return frame


def around_question(frame: Frame) -> tuple[str, str]:
    """Return what a frame writes before and after the question in the last user turn."""
    before, _, after = frame(Conversation.of(("user", _MARK))).last_user.partition(_MARK)
    return before, after
