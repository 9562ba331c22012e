"""``metier data``: build, look at, clean and restore data; one module per group of commands.

The order of the imports is the order in `metier data --help`.
"""

from metier.apps.cli.data import (  # isort: skip  # each adds its commands to app
    look as look,
    build as build,
    versions as versions,
    quarantine as quarantine,
    leaks as leaks,
    changes as changes,
    sign as sign,
    quality as quality,
    augment as augment,
    diff as diff,
    publish as publish,
    erase as erase,
    coverage as coverage,
)
from metier.apps.cli.data.app import app

__all__ = ["app"]
