"""Why each setting of ``[tune]`` is what it is in this project, and what a tune would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metier.config import FILE_NAME
from metier.core import ledger
from metier.core.config import load_toml
from metier.core.errors import UserError
from metier.core.types import Json
from metier.journey.session import Session, load_project_base, located_base
from metier.tune.devices.world import ALONE, World
from metier.tune.explain import AUTO, Explained, divided, explain

if TYPE_CHECKING:
    from metier.tune.dry_run import Planned


def explain_tune(session: Session, world: World = ALONE) -> list[Explained]:
    """Explain every setting in force, with the line that sets it and what auto comes to; on several
    devices (``world``) what each of them would hold, too."""
    file = session.root / FILE_NAME
    document = load_toml(file) if file.is_file() else None
    return explain(session.project.tune, document, _automatic(session)) + divided(world)


def plan_tune(session: Session, version: str = ledger.LATEST, world: World = ALONE) -> Planned:
    """Plan a tune of a version without training, on ``world``; nothing is recorded."""
    from metier.tune.dry_run import dry_run

    project = session.project
    return dry_run(
        project.tune,
        ledger.get_version(session.workspace, version),
        session.workspace,
        load_project_base(session),
        project.objective,
        system=project.project.system,
        progress=session.progress,
        world=world,
    )


def _automatic(session: Session) -> dict[str, Json]:
    """What the settings that say auto come to; left out where the base cannot be looked at."""
    from metier.models.base import find_base
    from metier.models.footprint import Shape
    from metier.tune.methods.trainable import learning_rate

    tune = session.project.tune
    if tune.lr != AUTO:
        return {}
    try:
        shape = Shape.read(find_base(located_base(session, session.project.project.base)))
    except (UserError, OSError):
        return {}
    return {"lr": learning_rate(tune, shape.parameters)}
