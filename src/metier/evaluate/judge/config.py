"""The ``[evaluate.judge]`` section: which models judge replies, and on what. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from metier.core.section import Section


class Dimension(Section):
    """One thing a judge rates from 1 (worst) to 5 (best)."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
    """Name; the metric is judge.<name>."""
    description: Annotated[str, Field(min_length=1, max_length=1000)]
    """What a 5 is, in words the judge is shown."""


class LocalJudge(Section):
    """A model on this machine."""

    type: Literal["local"]
    """A model on this machine."""
    name: Annotated[str, Field(min_length=1)]
    """Name in tables; its agreement with people is kept under it."""
    base: Annotated[str, Field(min_length=1)]
    """Base model: metier/tiny, a local folder, or a hub name of any causal LM."""


class EndpointJudge(Section):
    """A model behind an OpenAI-compatible server."""

    type: Literal["endpoint"]
    """A model behind an OpenAI-compatible server."""
    name: Annotated[str, Field(min_length=1)]
    """Name in tables; its agreement with people is kept under it."""
    url: Annotated[str, Field(min_length=1)]
    """Address up to and including /v1; [privacy.egress] must permit its host for the purpose
    "judge"."""
    model: Annotated[str, Field(min_length=1)]
    """The model's name at that server."""
    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the key for it."""


JudgeModel = Annotated[LocalJudge | EndpointJudge, Field(discriminator="type")]
USUAL = (
    Dimension(name="helpful", description="It does what was asked, completely and to the point."),
    Dimension(name="correct", description="Everything it says is true, given the material."),
)


class JudgeConfig(Section):
    """Models that judge replies."""

    model: tuple[JudgeModel, ...] = ()
    """The judges, each an [[evaluate.judge.model]] table; several are averaged."""
    dimension: tuple[Dimension, ...] = USUAL
    """What is rated, each an [[evaluate.judge.dimension]] table."""
    both_orders: bool = True
    """Whether each pair is judged in both orders; contradicting verdicts are a tie."""
    read: Literal["auto", "text", "scores"] = "auto"
    """How verdicts are read: from a written line, or from the log-probabilities of the possible
    verdicts; auto takes those where the judge gives them."""
    max_tokens: Annotated[int, Field(ge=16)] = 512
    """Longest answer of a judge, in tokens."""
    min_agreement: Annotated[float, Field(ge=-1, le=1)] = 0.4
    """A judge's metric gates only once the lower bound of its agreement with people is this."""

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        for kind, named in (("judge", self.model), ("dimension", self.dimension)):
            names = [one.name for one in named]
            if len(set(names)) != len(names):
                raise ValueError(f"each {kind} needs a name of its own")
        if not self.dimension:
            raise ValueError("dimension needs at least one entry")
        return self
