"""The two halves of presidio_research's templates: one to develop on, one for the figures.

A row's side is that of its template: bit 0 of a salted hash of the template's id. A wording that
stands under several ids is on the development side, so that none of it is measured on.

    from presidio_sides import rows
    develop_on = rows("development")

Look at the evaluation half rarely, and write down how often (benchmarks/privacy.py counts).
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

Side = Literal["development", "evaluation"]
_SALT = "metier-privacy"


def data_file() -> Path:
    """The data set, under ``$METIER_SHARED`` or ``../shared``."""
    root = Path(os.environ.get("METIER_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    return root / "data" / "presidio_research" / "synth_dataset_v2.json"


def hashed_side(template_id: int) -> Side:
    """Return the side of an id by its hash alone."""
    first = blake2b(f"{_SALT}:{template_id}".encode(), digest_size=8).digest()[0]
    return "evaluation" if first & 1 else "development"


def rows(side: Side | None = None) -> list[dict[str, Any]]:
    """Return the rows of one side (None: all), each with ``side`` added, in file order."""
    every: list[dict[str, Any]] = json.loads(data_file().read_text(encoding="utf-8"))
    ids = defaultdict(set)
    for row in every:
        ids[_wording(row)].add(row["template_id"])
    shared = {one for group in ids.values() if len(group) > 1 for one in group}
    for row in every:
        row["side"] = _side(row["template_id"], shared)
    return [row for row in every if side in (None, row["side"])]


def _side(template_id: int, shared: set[int]) -> Side:
    return "development" if template_id in shared else hashed_side(template_id)


def _wording(row: dict[str, Any]) -> str:
    return re.sub(r"\W+", " ", row["masked"].casefold()).strip()
