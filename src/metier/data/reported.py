"""Rows in which somebody met an identifier stay out of builds while their incident is open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from metier.core.sealed import hash_group
from metier.core.steps import Drop, Keep, Outcome, Step
from metier.core.types import Example, Json
from metier.core.workspace import Workspace
from metier.privacy.incidents import REASON, STEP, left_out


@dataclass(frozen=True, slots=True)
class LeaveOutReported:
    """The last step: rows by id, or by content once their source has changed."""

    by_id: Mapping[str, str]
    by_content: Mapping[str, str]
    group_key: bytes
    name: str = STEP

    def apply(self, batch: Sequence[Example], state: Json) -> Iterator[Outcome]:
        """Drop the rows that have an incident."""
        for example in batch:
            incident = self.by_id.get(example.id) or self.by_content.get(self._frozen(example))
            if incident is None:
                yield Keep(example)
            else:
                yield Drop(example, REASON, {"incident": incident})

    def _frozen(self, example: Example) -> str:
        """The content hash that the example has in a version."""
        if example.group is None:
            return example.content_hash
        return replace(example, group=hash_group(self.group_key, example.group)).content_hash


def reported_steps(ws: Workspace) -> list[Step]:
    """Return the step that leaves out reported rows; none where none was reported."""
    incidents = left_out(ws)
    if not incidents:
        return []
    by_id = {one.example_id: one.id for one in incidents}
    by_content = {one.content_hash: one.id for one in incidents if one.content_hash}
    return [LeaveOutReported(by_id, by_content, ws.sealed.group_key)]
