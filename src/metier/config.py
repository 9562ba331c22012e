"""The whole ``metier.toml``: each unit owns the model of its section, this composes them.

project = load_project(Path("metier.toml"))
project.objective.task, project.tune.lr
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from metier.annotate.config import AnnotateConfig
from metier.core.config import TomlDocument, load_toml, validate
from metier.core.costs import Prices
from metier.core.errors import ConfigError, NotFound
from metier.core.objective import Objective, Section
from metier.data.config import DataConfig
from metier.evaluate.config import EvaluateConfig
from metier.evaluate.decide_config import DecideConfig
from metier.feedback.config import FeedbackConfig
from metier.models.schema_reader import refusals
from metier.people.config import PeopleConfig
from metier.privacy.config import PrivacyConfig
from metier.retrieval.config import RetrievalConfig
from metier.review.config import ReviewConfig
from metier.scoring.tasks import objective_problems
from metier.serve.config import ServeConfig
from metier.tune.config import TuneConfig
from metier.tune.sweep.config import SweepConfig

FILE_NAME = "metier.toml"


class ProjectSection(Section):
    """What the project is called and what it starts from."""

    name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$")
    """Short name, used in reports and file names."""
    base: str = "metier/tiny"
    """Base model: metier/tiny (bundled), a local folder, or a hub name of any causal LM."""
    system: str = ""
    """System prompt of the specialist; versioned with the release."""
    trust_remote_code: bool = False
    """Allow the base model's own Python code to run. Leave false unless you have read that code."""


class Project(Section):
    """One ``metier.toml``."""

    project: ProjectSection
    """The project itself."""
    objective: Objective
    """What success is, in numbers."""
    data: DataConfig = DataConfig()
    """Where the data comes from and what is done to it."""
    tune: TuneConfig = TuneConfig()
    """How the base model is fine-tuned."""
    sweep: SweepConfig = SweepConfig()
    """Which settings of [tune] a sweep tries."""
    evaluate: EvaluateConfig = EvaluateConfig()
    """How candidates and baselines are measured."""
    decide: DecideConfig = DecideConfig()
    """The work as it is done today, to weigh options against."""
    retrieval: RetrievalConfig = RetrievalConfig()
    """Documents that answers may rest on, and how they are searched."""
    privacy: PrivacyConfig = PrivacyConfig()
    """What may leave the machine."""
    people: PeopleConfig = PeopleConfig()
    """How people log in, and for how long."""
    review: ReviewConfig = ReviewConfig()
    """What a panel of people rates, and by whom."""
    serve: ServeConfig = ServeConfig()
    """How replies are given, and to whom."""
    annotate: AnnotateConfig = AnnotateConfig()
    """How rows are labelled by people."""
    feedback: FeedbackConfig = FeedbackConfig()
    """What may be said of replies, and which of them people look at."""
    costs: Prices = Prices()
    """Prices that cost figures are computed from."""
    store: str | None = None
    """Database URL (SQLAlchemy); absent: SQLite in the workspace."""
    artifacts: str | None = None
    """Artifact store URL (fsspec); absent: a folder in the workspace."""

    @model_validator(mode="after")
    def _schema_can_be_followed(self) -> Self:
        problems = refusals(self.objective.fields) if self.objective.fields else []
        if problems:
            raise ValueError("replies cannot be made to follow fields: " + "; ".join(problems))
        return self


def load_project(path: Path) -> Project:
    """Read and check a ``metier.toml``.

    Raises:
        NotFound: there is no such file.
        ConfigError: a key or value is wrong; all problems are listed with their lines.
    """
    if not path.is_file():
        raise NotFound(
            f"a {FILE_NAME}",
            got=f"no file {path}",
            remedy="run `metier init` here, or go to the project's folder",
        )
    document = load_toml(path)
    project = validate(Project, document.data, document)
    _refuse_unknown_metrics(project.objective, document)
    return project


def _refuse_unknown_metrics(objective: Objective, document: TomlDocument) -> None:
    """Raise ConfigError for metrics that are listed and are none, and checks that cannot be meant.

    Targets are looked at by ``check_targets``, when they are about to be judged.
    """
    problems = [
        f"{document.path.name}:{document.line_of(place)}: {words}"
        for place, words in objective_problems(objective)
        if place[1] in ("metrics", "check")
    ]
    if problems:
        raise ConfigError(
            f"metrics and checks of {document.path} that can be computed",
            got="\n".join(problems),
            remedy="correct these lines; `metier metrics` lists what can be computed",
        )


def find_project(start: Path) -> Path:
    """Return the ``metier.toml`` in ``start`` or the nearest folder above it.

    Raises:
        NotFound: neither has one.
    """
    for folder in [start.resolve(), *start.resolve().parents]:
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    raise NotFound(
        f"a {FILE_NAME} here or in a folder above",
        got=f"none from {start.resolve()} upwards",
        remedy="run `metier init`, or `metier demo` to see a whole cycle first",
    )
