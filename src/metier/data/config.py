"""The ``[data]`` section: where rows come from, what is done to them, how they are split."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from metier.core.objective import Section
from metier.data.augment.config import AugmentConfig
from metier.data.challenge.config import ChallengeConfig
from metier.data.cleaning.config import CleanConfig as CleanConfig
from metier.data.quality.config import QualityConfig, RebalanceConfig
from metier.privacy.settings import DeidentifyConfig as DeidentifyConfig
from metier.sources.config import SourceConfig

Size = Annotated[int, Field(ge=0)] | Annotated[float, Field(ge=0, lt=1)]
"""A number of rows (integer), or a fraction of the rows there are to split (0.2)."""


class DuplicatesConfig(Section):
    """When two rows count as the same."""

    exact: bool = True
    """Keep one of the rows whose prompt and target are equal but for case and spacing."""
    near: Annotated[float, Field(ge=0.5, le=1)] | Literal["off"] = 0.9
    """Jaccard similarity of prompts from which rows of one target are near duplicates; off: keep
    them (they still stay on one side of the split)."""
    slips: bool = False
    """Whether short texts that differ by one slip (a typing error, one word more at an end, only
    punctuation) are near duplicates, and leaks on different sides, too: at a similarity of 0.9 a
    text must have about 120 characters to afford one."""
    semantic: Annotated[float, Field(ge=0.5, le=1)] | Literal["off"] = "off"
    """Cosine similarity of embeddings from which rows count as near duplicates, and as leaks on
    different sides."""
    embedder: str = "hashed"
    """What makes the embeddings: hashed (words and spellings), minilm (meaning, English), or
    base:MODEL."""


class CanariesConfig(Section):
    """Made-up secrets planted in training rows, to measure what a tune memorises."""

    count: Annotated[int, Field(ge=2, le=1000)] = 20
    """Canaries per number of repetitions."""
    repetitions: tuple[Annotated[int, Field(ge=1, le=1000)], ...] = (1, 5, 20)
    """In how many training rows each of a group's canaries stands."""


class DataConfig(Section):
    """Where the data comes from and what is done to it."""

    sources: list[SourceConfig] = Field(default_factory=list)
    """Files to import, each with its columns mapped; relative to metier.toml."""
    clean: CleanConfig | bool = CleanConfig()
    """Text repairs; false: none (empty rows and those of a wrong length still go)."""
    min_chars: Annotated[int, Field(ge=1)] = 1
    """Shortest prompt kept, in characters after cleaning."""
    max_chars: Annotated[int, Field(ge=1)] = 100_000
    """Longest prompt kept, in characters after cleaning."""
    deidentify: DeidentifyConfig | Literal["none"] = DeidentifyConfig()
    """De-identification profile."""
    duplicates: DuplicatesConfig | Literal["keep"] = DuplicatesConfig()
    """Duplicate rows; keep: none is removed."""
    labels: Literal["frozen", "renew"] = "frozen"
    """With labels from data: keep those of the first version, or take this build's anew."""
    test: Size | Literal["planned"] = 0.2
    """Test rows: a count, a fraction of the rows no source has put in a split, or planned: as many
    as the objective's targets need to be told from chance (`metier objective needs`)."""
    validation: Size = 0.1
    """Validation rows: a count, or a fraction of the same rows, carved from training."""
    seed: int = 0
    """Seed of the split; rows and groups keep their side when the file is reordered."""
    newest: str = ""
    """A slice that says when a row came to be (ISO 8601 dates or numbers): the newest rows are
    measured, as in use, where the model meets what comes later; empty: drawn by chance."""
    leakage: Literal["refuse", "quarantine"] = "refuse"
    """What happens when training shares a text or group with test: refuse to freeze, or move
    the training side to quarantine."""
    near_leakage: Annotated[float, Field(ge=0.5, le=1)] = 0.9
    """Jaccard similarity from which two prompts on different sides count as a leak."""
    earlier: Literal["every", "same", "none"] = "every"
    """Whose test sets, challenges and held-back cases stay out of training: of every earlier
    version, of those with the same test, validation and seed, or of none."""
    canaries: CanariesConfig | Literal["none"] = "none"
    """Made-up secrets to plant in train (`metier probe memorisation` looks for them); none: no
    row is added."""
    augment: AugmentConfig = AugmentConfig()
    """More training rows: how `metier data augment` makes them, and which files of them join."""
    challenge: ChallengeConfig | Literal["none"] = "none"
    """Adversarial and contrast rows in a split of their own; none: none are made."""
    rebalance: RebalanceConfig | Literal["none"] = "none"
    """What is evened out among the training rows, after the split; none: they stay as they are."""
    quality: QualityConfig = QualityConfig()
    """How `metier data quality` looks for suspects."""
    looks: Annotated[int, Field(ge=1, le=1000)] = 5
    """Tuned models that may be measured on one frozen test set; the gate judges each at a level so
    much higher that all together are wrong at most 5% of the time. Fixed when it is frozen."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Processes for the steps; 0: one per core. The result is the same whatever the number."""
    executor: Literal["local", "ray"] = "local"
    """Where steps run: local, in processes of this machine; ray, on Ray Data. The result is the
    same."""
    memory_rows: Annotated[int, Field(ge=0)] = 50_000
    """Rows that a pass holds in memory; where there are more, they lie encrypted in a temporary
    file under .metier while a build runs. The result is the same."""

    @property
    def cleaning(self) -> CleanConfig:
        """The repairs to make, with on and off written out."""
        if isinstance(self.clean, CleanConfig):
            return self.clean
        on = self.clean
        return CleanConfig(mojibake=on, html=on, control_characters=on, white_space=on)

    @property
    def redacts(self) -> bool:
        """Whether texts are de-identified."""
        return self.deidentification.profile != "none"

    @property
    def deidentification(self) -> DeidentifyConfig:
        """How texts are de-identified, with none written out."""
        if isinstance(self.deidentify, DeidentifyConfig):
            return self.deidentify
        return DeidentifyConfig(profile="none")

    @property
    def duplicate_rules(self) -> DuplicatesConfig:
        """When two rows count as the same, with keep written out."""
        if isinstance(self.duplicates, DuplicatesConfig):
            return self.duplicates
        return DuplicatesConfig(exact=False, near="off")
