"""The data stage: import, clean, de-identify, find duplicates, split, freeze.

    result = build(project.data, project.objective, workspace, root, Progress())
    result.version.counts, result.steps

Nothing is lost: what a step drops is in quarantine with its reason, and can be restored.
"""

import typing as _typing
from importlib import import_module

from metier.data.config import DataConfig

if _typing.TYPE_CHECKING:
    from metier.data.build import BuildResult, build
    from metier.data.card import card_markdown
    from metier.data.pipeline import Frame, StepReport, run_steps
    from metier.data.preview import Sample, preview

# The config must load without the database and the array libraries that building needs.
_HOMES = {
    "BuildResult": "build",
    "Frame": "pipeline",
    "Sample": "preview",
    "StepReport": "pipeline",
    "build": "build",
    "card_markdown": "card",
    "preview": "preview",
    "run_steps": "pipeline",
}

__all__ = [
    "BuildResult",
    "DataConfig",
    "Frame",
    "Sample",
    "StepReport",
    "build",
    "card_markdown",
    "preview",
    "run_steps",
]


def __getattr__(name: str) -> _typing.Any:
    if name in _HOMES:
        return getattr(import_module(f"metier.data.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
