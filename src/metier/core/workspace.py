"""Workspace: one project's folder, and everything stored for it.

metier.toml          in git
.metier/metier.db    SQLite, unless the store URL names PostgreSQL
.metier/artifacts/   content-addressed files, unless the artifacts URL names another place
.metier/key          master key of the sealed rows, mode 0600, unless METIER_KEY is set
.metier/work/        checkpoints and checkouts: can be made again
.metier/logs/        progress of jobs
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from metier.core.artifacts import Artifact, ArtifactStore
from metier.core.audit import Audit
from metier.core.errors import IntegrityError, NotFound
from metier.core.jobs import JobQueue
from metier.core.lineage import Lineage
from metier.core.sealed import KEY_VARIABLE, SealedStore, has_key_check, load_key, make_key
from metier.core.store.database import Database
from metier.core.store.tables import ArtifactRow

FOLDER = ".metier"


class Workspace:
    """What one project has stored. Make one with ``create`` or ``open``; close it after use."""

    def __init__(self, root: Path, db: Database, artifacts_url: str | None, key: bytes) -> None:
        self.root = root
        self.folder = root / FOLDER
        self.work_dir = self.folder / "work"
        self.logs_dir = self.folder / "logs"
        for folder in (self.work_dir, self.logs_dir):
            folder.mkdir(parents=True, exist_ok=True)
        self.db = db
        self.audit = Audit(db)
        self.sealed = SealedStore(db, key, self.audit)
        self.lineage = Lineage(db)
        self.jobs = JobQueue(db)
        self.artifacts = ArtifactStore(
            artifacts_url or str(self.folder / "artifacts"),
            self.work_dir / "checkout",
            self._note_artifacts,
        )

    @classmethod
    def create(
        cls,
        root: Path | str,
        *,
        store_url: str | None = None,
        artifacts_url: str | None = None,
    ) -> Workspace:
        """Make a workspace in ``root``, or complete and open the one that is there.

        Raises IntegrityError when the store at ``store_url`` is in use with a key that is not
        here.
        """
        root = Path(root).resolve()
        folder = root / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")
        db = _database(root, store_url)
        try:
            db.migrate()
            used = has_key_check(db)  # asked first: whoever made the check had made the key before
            key = load_key(folder / "key")
            if key is None and used:
                raise _key_missing(folder / "key")
            return cls(root, db, artifacts_url, key or make_key(folder / "key"))
        except BaseException:
            db.close()
            raise

    @classmethod
    def open(
        cls,
        root: Path | str,
        *,
        store_url: str | None = None,
        artifacts_url: str | None = None,
    ) -> Workspace:
        """Open the workspace in ``root``, migrating its tables when they are older.

        Raises NotFound when there is none, IntegrityError when its key is missing or wrong.
        """
        root = Path(root).resolve()
        folder = root / FOLDER
        if not (folder.is_dir() if store_url else (folder / "metier.db").is_file()):
            raise _no_workspace(root, "no .metier folder with a database")
        db = _database(root, store_url)
        try:
            db.migrate()
            used = has_key_check(db)
            key = load_key(folder / "key")
            if key is None:
                if used:
                    raise _key_missing(folder / "key")
                raise _no_workspace(root, "one that was not made to its end")
            return cls(root, db, artifacts_url, key)
        except BaseException:
            db.close()
            raise

    @classmethod
    def open_or_create(
        cls,
        root: Path | str,
        *,
        store_url: str | None = None,
        artifacts_url: str | None = None,
    ) -> Workspace:
        """Open the workspace in ``root``; make it where there is none."""
        try:
            return cls.open(root, store_url=store_url, artifacts_url=artifacts_url)
        except NotFound:
            return cls.create(root, store_url=store_url, artifacts_url=artifacts_url)

    def close(self) -> None:
        """Close the database connections."""
        self.db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _note_artifacts(self, artifacts: Sequence[Artifact]) -> None:
        now = datetime.now(UTC)
        rows = [
            {
                "digest": one.digest,
                "media_type": one.media_type,
                "size_bytes": one.size_bytes,
                "created_at": now,
            }
            for one in artifacts
        ]
        with self.db.session() as session:
            self.db.insert_new(session, ArtifactRow, rows)


def _database(root: Path, store_url: str | None) -> Database:
    return Database(store_url or f"sqlite:///{root / FOLDER / 'metier.db'}")


def _no_workspace(root: Path, got: str) -> NotFound:
    return NotFound(
        f"a workspace in {root}",
        got=got,
        remedy="run metier init there, or go to the folder that holds metier.toml",
    )


def _key_missing(path: Path) -> IntegrityError:
    return IntegrityError(
        "the workspace's key",
        got=f"no file {path} and no {KEY_VARIABLE}",
        remedy="copy it from where the workspace was made; without it the sealed rows stay closed",
    )
