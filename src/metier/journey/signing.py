"""Sign-off and incidents of a project, as the command line and pages ask for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from metier.core import ledger
from metier.core.errors import InputError, NotFound, nearest
from metier.journey.session import Session
from metier.privacy.book import Assigned
from metier.privacy.incidents import (
    Incident,
    close_incident,
    list_incidents,
    open_incident,
)
from metier.privacy.sign_off import Sample, get_sample, samples_under, settings_hash
from metier.privacy.vault import restore_text, show_vault

if TYPE_CHECKING:
    from metier.data.sign import SignOff
    from metier.data.sign_sheet import Texts

ACTIONS = ("list", "show", "close")


def draw_sheet(
    session: Session,
    out: Path,
    *,
    n: int = 200,
    seed: int = 0,
    originals: bool = False,
    actor: str = "",
) -> tuple[Sample, int]:
    """Draw a sample as a build would de-identify it, and write a sheet; return both."""
    from metier.data.sign import Draw, draw_sample
    from metier.data.sign_sheet import check_place, write_sheet

    check_place(out)  # before minutes of de-identification
    project, ws = session.project, session.workspace
    who = actor or None
    drawn = draw_sample(
        project.data, project.objective, ws, session.root, session.progress, Draw(n, seed, who)
    )
    return drawn, write_sheet(ws, drawn, out, originals=originals, actor=who)


def sign_off_result(session: Session, sample: str | None = None) -> SignOff:
    """Return what the readers of a sample found (None: the newest under the settings of now)."""
    from metier.data.sign import sign_off

    return sign_off(session.workspace, _sample(session, sample))


def sign_off_row(session: Session, row: str, sample: str | None = None) -> Texts:
    """Open the texts of one row of a sample; audited."""
    from metier.data.sign_sheet import show_row

    return show_row(session.workspace, _sample(session, sample), row)


def _sample(session: Session, key: str | None) -> Sample:
    ws = session.workspace
    if key is not None:
        return get_sample(ws, key)
    drawn = samples_under(ws, settings_hash(session.project.data.deidentification))
    if not drawn:
        raise NotFound(
            "a sample drawn under the settings of now",
            got="none",
            remedy="metier data sign-off draw --n 200",
        )
    return drawn[-1]


def work_incidents(
    session: Session, action: str, key: str, resolution: str, actor: str | None
) -> tuple[list[Incident], str]:
    """List incidents, or show or close one; return them and, of one that is shown, what was said
    (opened under the audit log)."""
    ws = session.workspace
    if action not in ACTIONS:
        raise InputError("list, show or close", got=repr(action), remedy=nearest(action, ACTIONS))
    if action == "list":
        return list_incidents(ws), ""
    if not key:
        raise InputError("the id of an incident", got="none", remedy="metier data incidents")
    if action == "close":
        return [close_incident(ws, key, resolution, actor=actor)], ""
    found = [one for one in list_incidents(ws) if one.id.startswith(key)]
    return found, open_incident(ws, key, actor=actor)


def vault_of(session: Session, row: str, actor: str | None = None) -> list[Assigned]:
    """Return what the vault holds for the group of a row (its id), or for a group by name."""
    ws = session.workspace
    return show_vault(ws, _group_of(session, row), actor=actor)


def restored_row(session: Session, row: str, actor: str | None = None) -> dict[str, str]:
    """Return the texts of a row as they were before de-identification, by place; audited.

    They come from the sealed changes, so every operator can be undone, also one that has no vault.
    Raises NotFound when nothing was changed, or it was erased.
    """
    ws = session.workspace
    changes = [
        one for one in ledger.list_changes(ws) if one.example_id == row and one.step == "deidentify"
    ]
    if not changes:
        raise NotFound(
            "a row in which something was replaced",
            got=f"{row}, in which nothing was",
            remedy="`metier data changes` lists those in which something was",
        )
    texts: dict[str, str] = {}
    for one in changes:
        change = ledger.open_change(ws, one, actor=actor, purpose="vault restore")
        texts.setdefault(change.place or "text", change.before)
    return texts


def restored_file(
    session: Session, row: str, path: Path, actor: str | None = None
) -> dict[str, str]:
    """Put the originals of a row's group back into a text file; return the text by file name."""
    if not path.is_file():
        raise NotFound("a text file", got=f"no file {path}", remedy="check the name")
    text = path.read_text(encoding="utf-8", errors="replace")
    group = _group_of(session, row)
    return {path.name: restore_text(session.workspace, text, group, actor=actor)}


def _group_of(session: Session, key: str) -> str:
    """Return the group of a row; anything that is no row's id is the name of a group."""
    if not key.startswith("ex_"):
        return key
    ws = session.workspace
    seen = any(one.example_id == key for one in ledger.list_changes(ws))
    for version in reversed(ledger.list_versions(ws)):
        for member in ledger.list_members(ws, version):
            if member.example_id == key:
                rows = ledger.load_split(ws, version, member.split)
                found = next(one for one in rows if one.id == key)
                return found.group or found.id
    if not seen:
        raise NotFound(
            "the id of a row of a version, or the name of a group",
            got=repr(key),
            remedy="`metier data changes` shows ids; or give the group as the sources name it",
        )
    return key
