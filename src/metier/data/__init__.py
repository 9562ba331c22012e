"""The data stage: import, clean, de-identify, find duplicates, split, freeze.

    from metier.data.build import build

    result = build(project.data, project.objective, workspace, root, Progress())
    result.version.counts, result.steps

Nothing is lost: what a step drops is in ``quarantine`` with its reason, and can be restored;
``card`` describes a version, ``preview`` shows samples of what a build would do. Import from the
module that owns the name: reading a config must not load the database.
"""

from metier.data.config import DataConfig

__all__ = ["DataConfig"]
