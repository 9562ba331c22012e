"""The ``[data.augment]`` section: ways to make more training rows from those there are."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from metier.core.section import Section

Share = Annotated[float, Field(gt=0, le=1)]
NoiseKind = Literal["keyboard", "ocr", "case", "abbreviations"]
NOISES: tuple[NoiseKind, ...] = ("keyboard", "ocr", "case", "abbreviations")


class Noise(Section):
    """Misspells the way people and scanners do."""

    type: Literal["noise"]
    """Misspells the way people and scanners do."""
    kinds: Annotated[tuple[NoiseKind, ...], Field(min_length=1)] = (
        "keyboard",
        "ocr",
        "case",
        "abbreviations",
    )
    """keyboard: a neighbouring, missing, doubled or swapped letter; ocr: letters that look alike;
    case: all small or all capitals; abbreviations: as in chat (please, pls)."""
    rate: Share = 0.1
    """Share of the words of a row that change (keyboard and ocr)."""
    share: Share = 0.2
    """Share of the training rows that get such a variant."""


class Swap(Section):
    """Puts one value of a list for another, in question and answer alike."""

    type: Literal["swap"]
    """Puts one value of a list for another, in question and answer alike."""
    values: Annotated[
        dict[str, Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=2)]],
        Field(min_length=1),
    ]
    """Lists of values that may stand for one another, e.g. product = ["X1", "X2"]."""
    share: Share = 1.0
    """Share of the rows with such a value that get a variant."""


class Templates(Section):
    """Fills templates for edge cases that the data lacks; such rows have no parent."""

    type: Literal["templates"]
    """Fills templates for edge cases that the data lacks; such rows have no parent."""
    path: Annotated[str, Field(min_length=1)]
    """TOML file beside metier.toml with [slots] and [[template]] prompt, target, count."""


class Local(Section):
    """A causal language model on this machine."""

    type: Literal["local"]
    """A causal language model on this machine."""
    base: Annotated[str, Field(min_length=1)]
    """metier/tiny, a local folder, or a hub name; it may be the base that is tuned, for the filter
    is another model."""


class Endpoint(Section):
    """A model behind an OpenAI-compatible server."""

    type: Literal["endpoint"]
    """A model behind an OpenAI-compatible server."""
    url: Annotated[str, Field(min_length=1)]
    """Address up to and including /v1; [privacy.egress] must permit its host for "augment"."""
    model: Annotated[str, Field(min_length=1)]
    """The model's name at that server."""
    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the key for it."""


class Seq2Seq(Section):
    """An encoder-decoder model (T5, BART, Marian) on this machine."""

    type: Literal["seq2seq"]
    """An encoder-decoder model (T5, BART, Marian) on this machine."""
    model: Annotated[str, Field(min_length=1)]
    """Local folder or hub name."""
    prefix: str = ""
    """Text put before every input, where the model was trained with one."""


Writer = Annotated[Local | Endpoint | Seq2Seq, Field(discriminator="type")]


class Paraphrase(Section):
    """Has a model say the question in other words."""

    type: Literal["paraphrase"]
    """Has a model say the question in other words."""
    writer: Writer
    """The model that writes."""
    share: Share = 0.2
    """Share of the training rows that get a variant."""


class BackTranslation(Section):
    """Translates the question to another language and back."""

    type: Literal["back_translation"]
    """Translates the question to another language and back."""
    there: Writer
    """The model that translates from the data's language."""
    back: Writer
    """The model that translates back."""
    through: str = "German"
    """The other language, as an instruction to a causal model names it."""
    language: str = "English"
    """The data's own language, as an instruction to a causal model names it."""
    share: Share = 0.2
    """Share of the training rows that get a variant."""


Way = Annotated[
    Noise | Swap | Templates | Paraphrase | BackTranslation, Field(discriminator="type")
]


class AugmentConfig(Section):
    """More training rows: how they are made, and which files of made rows take part."""

    ways: tuple[Way, ...] = ()
    """What `metier data augment` does, each an [[data.augment.ways]] table."""
    files: tuple[str, ...] = ()
    """Files of made rows (as `metier data augment` writes them) that join training."""
    most_per_parent: Annotated[int, Field(ge=1, le=100)] = 2
    """Made rows of one row that may join, at most."""
    least_sure: Annotated[float, Field(ge=0, le=1)] = 0.5
    """How sure the filter must be that a made row deserves its target: for labels the probability
    that a TF-IDF classifier gives it, for texts the share of words it has in common with its
    parent (0 where a number or a negation came or went)."""
    seed: int = 0
    """Seed of what is drawn."""
