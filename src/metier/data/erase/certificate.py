"""The certificate of an erasure, for a person to read and file. It holds no text of the rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from metier.core.ledger.erasures import Erasure
from metier.core.types import Json

NOT_COVERED = (
    "backups and copies made before this moment",
    "weights that learned from the rows (listed above): they can only be retired",
    "files outside the workspace (listed below, where they stand in the project folder)",
    "old versions of objects, where artifacts lie in a store that keeps them",
)


def certificate_markdown(erasure: Erasure) -> str:
    """Return the certificate as Markdown."""
    return "\n".join(_lines(erasure)) + "\n"


def _lines(erasure: Erasure) -> Iterator[str]:
    found = erasure.certificate
    scan, removed = found["scan"], found["removed"]
    yield f"# Certificate of erasure {erasure.id}\n"
    yield f"- when: {erasure.created_at:%Y-%m-%d %H:%M} UTC"
    yield f"- by: {erasure.actor or 'unnamed'}"
    yield f"- reason: {found['reason']}"
    yield f"- group: `{found['group']}` (keyed hash; the name is not kept)"
    yield f"- rows: {found['rows']}\n"
    yield "## What went"
    yield f"- sealed values, with the key that opened them: {removed['sealed_values']}"
    yield f"- predictions about the rows, or that repeated them: {removed['predictions']}"
    yield f"- replies served to the group: {removed['replies']}"
    yield f"- what people said of the rows in queues: {removed['answers']}"
    tables = ", ".join(f"{name} {count}" for name, count in removed["table_rows"].items())
    yield f"- rows of tables that repeated them: {tables or 'none'}"
    yield f"- files that are made again when needed: {removed['files']}"
    yield f"- artifacts: {removed['artifacts']}\n"
    yield "## Versions and their successors"
    for one in found["versions"]:
        counts = ", ".join(f"{split} {rows}" for split, rows in one["rows"].items())
        yield f"- {one['version']} -> {one['successor'] or 'emptied before'}: without {counts}"
    if not found["versions"]:
        yield "- none held a row"
    yield "\n## Adapters that learned from the rows"
    for one in found["adapters"]:
        releases = ", ".join(one["releases"]) or "never released"
        yield f"- run {one['run']} on {one['version']} ({releases}): may not be promoted again"
    if not found["adapters"]:
        yield "- none"
    yield "\n## What was looked through afterwards"
    yield (
        f"- {scan['files']:,} files, {scan['bytes']:,} bytes, for {scan['needles']:,} values: "
        f"{_result(scan)}\n"
    )
    yield "## Yours to remove"
    for path, rows in found["sources"].items():
        shown = ", ".join(rows[:20]) + (f" and {len(rows) - 20} more" if len(rows) > 20 else "")
        yield f"- {path}: rows {shown}"
    for path in found["beside"]:
        yield f"- {path}: a value of the group stands in it"
    for one in found.get("exports", []):
        yield f"- {one['folder']}: {one['version']} was written to it on {one['at']} by {one['by']}"
    if not found["sources"] and not found["beside"] and not found.get("exports"):
        yield "- nothing"
    yield "\n## Not covered"
    yield from (f"- {words}" for words in NOT_COVERED)


def _result(scan: Mapping[str, Json]) -> str:
    if not scan["needles"]:
        return "the rows say nothing that no other row says, so nothing could be looked for"
    return f"found in {', '.join(scan['found'])}" if scan["found"] else "none found"
