"""The section ``[privacy]``: what may leave the machine, to whom; and who finds names."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from metier.core.objective import Section


class EgressEntry(Section):
    """One permission for text to leave the machine."""

    host: Annotated[str, Field(min_length=1)]
    """Host name or address as in the URL, e.g. api.example.com; with :port it holds for that port
    only."""
    purpose: Annotated[str, Field(min_length=1)]
    """What the text is sent for, e.g. "baseline"; a refusal names the purpose to write here."""
    agreement: Annotated[str, Field(min_length=1)]
    """Reference of the contract that allows it, e.g. "DPA 2026-03"; it goes into the audit log."""


Language = Annotated[str, Field(pattern=r"^([a-z]{2,3}|\*)$")]


class BundledNames(Section):
    """The tagger and lists that come with metier: English, no download, no torch."""

    type: Literal["bundled"] = "bundled"
    """The one that comes with metier."""
    caution: Annotated[float, Field(ge=-5, le=10)] = 1.0
    """How far to lean towards finding, in nats: more finds more names and takes more words for
    names."""


class TransformersNames(Section):
    """A token-classification model; code of others is never run."""

    type: Literal["transformers"] = "transformers"
    """A token classifier."""
    model: Annotated[str, Field(min_length=1)]
    """Folder, or hub name of a model that is on this machine already."""
    labels: dict[str, str] = Field(default_factory=dict)
    """The model's label (without B- and I-) -> kind, e.g. PER -> person; empty: the usual labels
    (PER, PERSON, LOC, GPE, ORG, NORP)."""
    languages: Annotated[tuple[Language, ...], Field(min_length=1)] = ("en",)
    """ISO 639-1 codes of the languages the model reads: text in others is quarantined."""
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Least probability of a finding; 0: all."""


class GlinerNames(Section):
    """A GLiNER model (pip install gliner)."""

    type: Literal["gliner"] = "gliner"
    """A GLiNER model."""
    model: Annotated[str, Field(min_length=1)]
    """Folder, or hub name of a model that is on this machine already."""
    labels: dict[str, str] = Field(default_factory=dict)
    """What the model is asked for, in words -> kind; empty: person, city, organization, street
    address and the like."""
    languages: Annotated[tuple[Language, ...], Field(min_length=1)] = ("en",)
    """ISO 639-1 codes of the languages the model reads."""
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.3
    """Least score of a finding."""


NamesConfig = Annotated[BundledNames | TransformersNames | GlinerNames, Field(discriminator="type")]


Days = Annotated[float, Field(ge=1, le=36_500)]


class RetentionConfig(Section):
    """For how many days each kind of data is kept; absent: for ever. `metier gc` forgets."""

    views: Days | None = None
    """Who looked at which page; actions stay in the audit log."""
    logins: Days | None = None
    """Logins, counted from their end."""
    login_failures: Days | None = 30
    """Wrong logins, which are keyed hashes."""
    invitations: Days | None = None
    """Invitations that were used, have ended or were taken back."""
    drafts: Days | None = None
    """Answers that nobody finished, counted from when the item was free again."""
    interactions: Days | None = None
    """Texts of served replies and of what was said of them; numbers stay."""


class PrivacyConfig(Section):
    """What may leave the machine (empty: nothing), who finds names, and what is kept how long."""

    egress: list[EgressEntry] = Field(default_factory=list)
    """Permissions, each an [[privacy.egress]] table."""
    names: NamesConfig = Field(default_factory=BundledNames)
    """Who finds people, places and organisations where the profile asks for them."""
    retention: RetentionConfig = Field(default_factory=RetentionConfig)
    """For how many days what is kept."""
