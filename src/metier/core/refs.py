"""Refs: how lineage names things, the edges between them, and the nodes of a trace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Direction = Literal["up", "down"]


@dataclass(frozen=True, slots=True)
class Ref:
    """One thing in the workspace: its kind (source, example, version, run, …) and id."""

    kind: str
    id: str


@dataclass(frozen=True, slots=True)
class Node:
    """One thing met on a trace. ``depth`` 0 is where it began; ``relation`` says how the thing
    is tied to ``via``, the node it was reached from; ``label`` describes it for people."""

    ref: Ref
    depth: int
    relation: str
    label: str
    via: Ref | None = None


@dataclass(frozen=True, slots=True)
class Edge:
    """``child`` was made from ``parent``; ``relation`` reads "child relation parent"."""

    child: Ref
    parent: Ref
    relation: str
