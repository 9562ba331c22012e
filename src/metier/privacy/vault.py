"""The vault: which surrogate stands for whom, sealed.

A page holds what one scope assigned for one group, under that group's key: erasing the group's key
erases its pages, and no other group's. A scope wider than a group (the project) has a page for
each group that uses it. Every opening of pages is audited.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, cast

from sqlalchemy import Select, select

from metier.core.codec import dumps, loads
from metier.core.ids import new_id
from metier.core.ledger.find import record
from metier.core.sealed import hash_group
from metier.core.store.tables import SealedRow, VaultPageRow
from metier.core.workspace import Workspace
from metier.privacy.book import Assigned, Book

Scope = Literal["record", "group", "project"]
PROJECT = "project"
Key = tuple[str, str]
"""Keyed hash of a scope, and of the group that a page is for."""


@dataclass(frozen=True, slots=True)
class Page:
    """What is known of a page without opening it."""

    id: str
    created_at: datetime
    scope: Scope
    scope_hash: str
    group_hash: str
    kinds: Mapping[str, int]
    sealed_id: str


@dataclass(slots=True)
class Shelf:
    """Books by scope, and who holds which assignment; what steps carry from process to process."""

    books: dict[str, Book] = field(default_factory=dict)
    held: dict[Key, set[tuple[str, str]]] = field(default_factory=lambda: defaultdict(set))

    def book(self, scope_hash: str) -> Book:
        """Return the book of a scope, an empty one at first."""
        return self.books.setdefault(scope_hash, Book())


class Vault:
    """The vault of one workspace."""

    def __init__(self, ws: Workspace, scope: Scope = "group", *, actor: str | None = None) -> None:
        self._ws, self.scope, self._actor = ws, scope, actor

    def scope_hash(self, example_id: str, group: str | None) -> str:
        """Return the keyed hash of the scope that an example is in."""
        return scope_hash(self._ws.sealed.group_key, self.scope, example_id, group)

    def open(self, purpose: str, scopes: Iterable[str] | None = None) -> Shelf:
        """Open the pages of some scopes (None: of all scopes of this width), under one audit
        entry. Raises IntegrityError when a page was sealed with another key."""
        wanted = None if scopes is None else set(scopes)
        pages = [
            page
            for page in list_pages(self._ws, self.scope)
            if wanted is None or page.scope_hash in wanted
        ]
        shelf = Shelf()
        for page, entries in open_pages(self._ws, pages, self._actor, purpose):
            book, held = shelf.book(page.scope_hash), shelf.held[page.scope_hash, page.group_hash]
            for one in entries:
                book.put(one)
                held.add((one.kind, one.original))
        return shelf

    def save(self, used: Mapping[Key, Iterable[tuple[str, str]]], shelf: Shelf) -> int:
        """Seal what each group uses and has no page for yet; return how many assignments."""
        pages: list[tuple[Key, list[Assigned]]] = []
        for (scope, group), keys in sorted(used.items()):
            book, held = shelf.book(scope), shelf.held[scope, group]
            new = sorted(set(keys) - held)
            entries = [Assigned(*key, book.forward[key]) for key in new if key in book.forward]
            if entries:
                pages.append(((scope, group), entries))
                held.update(new)
        self._write(pages)
        return sum(len(entries) for _, entries in pages)

    def _write(self, pages: Sequence[tuple[Key, list[Assigned]]]) -> None:
        now = datetime.now(UTC)
        with self._ws.db.session() as session:
            boxes = [(group, dumps(entries).encode()) for (_, group), entries in pages]
            sealed = self._ws.sealed.seal_many(boxes, session=session)
            rows = [
                {
                    "id": new_id("page"),
                    "created_at": now,
                    "scope": self.scope,
                    "scope_hash": scope,
                    "group_hash": group,
                    "kinds": dict(sorted(Counter(one.kind for one in entries).items())),
                    "sealed_id": sealed_id,
                }
                for ((scope, group), entries), sealed_id in zip(pages, sealed, strict=True)
            ]
            self._ws.db.insert_new(session, VaultPageRow, rows)


def scope_hash(group_key: bytes, scope: Scope, example_id: str, group: str | None) -> str:
    """Return the keyed hash of the scope that an example is in."""
    if scope == "group":
        return hash_group(group_key, group or example_id)
    return hash_group(group_key, PROJECT if scope == "project" else f"record {example_id}")


def list_pages(ws: Workspace, scope: Scope | None = None) -> list[Page]:
    """Return the pages whose group was not erased, oldest first; nothing is opened."""
    query: Select[VaultPageRow] = (
        select(VaultPageRow)
        .join(SealedRow, SealedRow.id == VaultPageRow.sealed_id)
        .where(SealedRow.box.is_not(None))
        .order_by(VaultPageRow.id)
    )
    if scope is not None:
        query = query.where(VaultPageRow.scope == scope)
    with ws.db.reading() as session:
        return [record(Page, row, scope=cast(Scope, row.scope)) for row in session.scalars(query)]


def open_pages(
    ws: Workspace, pages: Sequence[Page], actor: str | None, purpose: str
) -> list[tuple[Page, list[Assigned]]]:
    """Open pages under one audit entry."""
    if not pages:
        return []
    boxes = ws.sealed.open_many([one.sealed_id for one in pages], actor=actor, purpose=purpose)
    return [(page, loads(list[Assigned], boxes[page.sealed_id])) for page in pages]


def count_vault(ws: Workspace) -> dict[str, dict[str, int]]:
    """Count assignments by scope and kind, without opening any."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for page in list_pages(ws):
        counts[page.scope].update(page.kinds)
    return {scope: dict(sorted(kinds.items())) for scope, kinds in sorted(counts.items())}


def show_vault(ws: Workspace, group: str, *, actor: str | None = None) -> list[Assigned]:
    """Open what the vault holds for one group (its name, or its keyed hash); audited."""
    wanted = ws.sealed.group_hash(group)
    pages = [page for page in list_pages(ws) if page.group_hash == wanted]
    opened = open_pages(ws, pages, actor, "vault show")
    return list(dict.fromkeys(one for _, entries in opened for one in entries))


def restore_text(ws: Workspace, text: str, group: str, *, actor: str | None = None) -> str:
    """Put the originals of one group back into a text; audited."""
    book = Book()
    wanted = ws.sealed.group_hash(group)
    pages = [page for page in list_pages(ws) if page.group_hash == wanted]
    for _, entries in open_pages(ws, pages, actor, "vault restore"):
        for one in entries:
            book.put(one)
    return book.restore(text)
