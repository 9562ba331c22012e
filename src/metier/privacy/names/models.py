"""A model the user names, as a recogniser: a token classifier of transformers, or GLiNER.

Text goes to the model in pieces that end at a blank, so that no length limit cuts anything off;
the code of a model's repository is never run, and nothing is downloaded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from metier.core.errors import ConfigError, ModelUnavailable
from metier.privacy.config import (
    BundledNames,
    GlinerNames,
    NamesConfig,
    TransformersNames,
)
from metier.privacy.names.recogniser import NameRecogniser
from metier.privacy.types import Finding, Recogniser

USUAL_LABELS = {
    "PER": "person",
    "PERSON": "person",
    "NAME": "person",
    "LOC": "place",
    "LOCATION": "place",
    "GPE": "place",
    "FAC": "place",
    "CITY": "place",
    "ORG": "organisation",
    "ORGANIZATION": "organisation",
    "NORP": "nationality",
    "NRP": "nationality",
    "ADDRESS": "street_address",
    "STREET_ADDRESS": "street_address",
}
ASKED_OF_GLINER = {
    "person": "person",
    "city": "place",
    "country": "place",
    "state": "place",
    "organization": "organisation",
    "street address": "street_address",
}
MOST_CHARACTERS = 1_000
_LABEL = re.compile(r"^[BIESLU][-_]")
Predict = Callable[[str], Iterable[tuple[int, int, str, float]]]


@dataclass(frozen=True, slots=True)
class ModelRecogniser:
    """What a model finds. ``predict`` yields (start, end, label, score) of one piece of text."""

    name: str
    labels: Mapping[str, str]
    languages: frozenset[str]
    threshold: float
    predict: Predict

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds it may find."""
        return frozenset(self.labels.values())

    def find(self, text: str) -> Iterator[Finding]:
        """Yield findings in order."""
        for start, piece in pieces(text):
            for low, high, label, score in self.predict(piece):
                kind = self.labels.get(label)
                if kind and score >= self.threshold and low < high:
                    yield Finding(*_trimmed(text, start + low, start + high), kind)


def names_recogniser(config: NamesConfig | None = None) -> Recogniser:
    """Return the recogniser a project asks for; None: the bundled one.

    Raises ModelUnavailable where a model or its library is not on this machine, ConfigError where
    its labels and those of the config have nothing in common.
    """
    if config is None or isinstance(config, BundledNames):
        return NameRecogniser(**({"caution": config.caution} if config else {}))
    if isinstance(config, TransformersNames):
        return _transformers(config)
    return _gliner(config)


def pieces(text: str, most: int = MOST_CHARACTERS) -> Iterator[tuple[int, str]]:
    """Yield (offset, piece) of at most ``most`` characters, cut at the end of a line or sentence
    where there is one, else at a blank, else anywhere."""
    start = 0
    while start < len(text):
        end = min(len(text), start + most)
        if end < len(text):
            for mark in ("\n", ". ", " "):
                cut = text.rfind(mark, start + most // 2, end)
                if cut > 0:
                    end = cut + len(mark)
                    break
        yield start, text[start:end]
        start = end


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """Cut blanks off the ends: some tokenizers count the one before a word as its own."""
    while start < end - 1 and text[start].isspace():
        start += 1
    while end > start + 1 and text[end - 1].isspace():
        end -= 1
    return start, end


def _transformers(config: TransformersNames) -> Recogniser:
    from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

    options = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(config.model, use_fast=True, **options)
        model = AutoModelForTokenClassification.from_pretrained(config.model, **options)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise _unavailable(config.model, error) from error
    if not tokenizer.is_fast:
        raise ModelUnavailable(
            "a model with a fast tokenizer, which tells where each token stands",
            got=f"{config.model}: {type(tokenizer).__name__}",
            remedy="choose another model",
        )
    own = {_LABEL.sub("", label) for label in model.config.id2label.values()}
    labels = _shared(config.model, own, config.labels or USUAL_LABELS)
    classify = pipeline(
        "token-classification", model=model, tokenizer=tokenizer, aggregation_strategy="simple"
    )

    def predict(text: str) -> Iterator[tuple[int, int, str, float]]:
        for found in classify(text):
            label = _LABEL.sub("", found["entity_group"])
            yield found["start"], found["end"], label, float(found["score"])

    languages = frozenset(config.languages)
    return ModelRecogniser("names.transformers", labels, languages, config.threshold, predict)


def _shared(model: str, own: set[str], wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the wanted labels the model has, spelt its way."""
    by_upper = {label.upper(): kind for label, kind in wanted.items()}
    shared = {label: by_upper[label.upper()] for label in own if label.upper() in by_upper}
    if not shared:
        raise ConfigError(
            f"labels of {model} that stand for people, places or organisations",
            got=", ".join(sorted(own)),
            remedy='say what they mean: names = { ..., labels = { LABEL = "person" } }',
        )
    return shared


def _gliner(config: GlinerNames) -> Recogniser:
    try:
        from gliner import GLiNER
    except ImportError as error:
        raise ModelUnavailable(
            "the library gliner", got=str(error), remedy="pip install gliner"
        ) from error
    labels = config.labels or ASKED_OF_GLINER
    try:
        model: Any = GLiNER.from_pretrained(config.model, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise _unavailable(config.model, error) from error

    def predict(text: str) -> Iterator[tuple[int, int, str, float]]:
        for found in model.predict_entities(text, list(labels), threshold=config.threshold):
            yield found["start"], found["end"], found["label"], float(found["score"])

    languages = frozenset(config.languages)
    return ModelRecogniser("names.gliner", labels, languages, config.threshold, predict)


def _unavailable(model: str, error: Exception) -> ModelUnavailable:
    return ModelUnavailable(
        "a token-classification model on this machine",
        got=f"{model}: {str(error).splitlines()[0][:300] if str(error) else type(error).__name__}",
        remedy="give its folder, or download it first; code of others is not run",
    )
