"""More training rows, as a verb: made as a job, written to a file, checked by people on a sample.

    augment(session, Wish())                               make rows, write augmented/made.jsonl
    augment(session, Wish(sample=50, sheet=Path("c.csv"))) a sheet for people
    augment(session, Wish(checked=Path("c.csv")))          what they said, kept as a Probe

Rows are made from the training rows of the latest version, de-identified as they were frozen. Any
model may write, the one that is tuned, too: what lets a row pass is a classical filter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from metier.core import ledger
from metier.core.errors import InputError
from metier.core.ids import new_id
from metier.core.records import Probe
from metier.core.types import Estimate, Example
from metier.data.augment.config import (
    AugmentConfig,
    BackTranslation,
    Endpoint,
    Local,
    Paraphrase,
    Seq2Seq,
)
from metier.data.augment.join import MadeFile, digest_of
from metier.data.augment.made import read_made, write_made
from metier.data.augment.make import Making, Way, chosen_counts, make_rows
from metier.data.augment.rewriting import PARAPHRASE, TRANSLATE, Rewrite, by_completer, chained
from metier.data.augment.sheet import KIND, METRIC, precision, read_sheet, sample_of, write_sheet
from metier.journey.session import Session, load_named_base
from metier.journey.verbs import as_job
from metier.privacy.egress import Egress

if TYPE_CHECKING:
    from metier.core.completer import Completer

PURPOSE = "augment"
FILE = Path("augmented/made.jsonl")
Writer = Local | Endpoint | Seq2Seq


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for; ``out`` and the sheets are relative to the project.

    Args:
        out: file of made rows, written or (with a sheet) read.
        limit: training rows to make others from, at most.
        dry_run: say what would be asked of whom; make nothing.
        replace: put new rows in place of a file that is there.
        sample: rows for ``sheet``; 0: none.
        checked: a sheet that people filled in.
    """

    out: Path = FILE
    limit: int | None = None
    dry_run: bool = False
    replace: bool = False
    sample: int = 0
    sheet: Path | None = None
    checked: Path | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class PlannedWay:
    """What a way would be tried on (templates: 0 rows), with which models, at which addresses."""

    type: str
    rows: int
    models: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Augmented:
    """What was done; what was not asked for is empty. ``joins``: [data.augment] files names the
    file, so that the next build takes it."""

    version_id: str
    file: str
    planned: tuple[PlannedWay, ...] = ()
    rows: int | None = None
    ways: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    joins: bool = False
    sheet: str = ""
    precision: Estimate | None = None


def augment(session: Session, wish: Wish) -> Augmented:
    """Make rows, or have the filter checked.

    Raises:
        NotFound: no version was built yet, or no sheet is there.
        ConfigError: no way is configured, or one cannot be used.
        InputError: the file is there already, or a sheet or file cannot be read.
        ModelUnavailable, EgressRefused: a model that writes cannot be had.
    """
    version = ledger.get_version(session.workspace).id
    if wish.checked is not None:
        return _take(session, wish, wish.checked, version)
    if wish.sample or wish.sheet is not None:
        return _hand_out(session, wish, version)
    if wish.dry_run:
        return Augmented(version, wish.out.as_posix(), _planned(session, wish, version))
    return _make(session, wish, version)


def _planned(session: Session, wish: Wish, version: str) -> tuple[PlannedWay, ...]:
    config = session.project.data.augment
    rows = ledger.load_split(session.workspace, version, "train")
    counts = chosen_counts(config, session.project.objective, rows, wish.limit)
    found = []
    for way, count in zip(config.ways, counts, strict=True):
        writers = _writers_of(way)
        urls = tuple(one.url for one in writers if isinstance(one, Endpoint))
        found.append(PlannedWay(way.type, count, tuple(map(_name, writers)), urls))
    return tuple(found)


def _make(session: Session, wish: Wish, version: str) -> Augmented:
    path = session.root / wish.out
    if path.exists() and not wish.replace:
        raise InputError(
            "a file that is not there yet (lines may have been cut out of this one)",
            got=wish.out.as_posix(),
            remedy="--out another file, or --replace",
        )
    rows = ledger.load_split(session.workspace, version, "train")

    def work(_: object) -> Augmented:
        desk = _Desk(session)
        making = Making(session.project.objective, session.root, desk.rewriter, session.progress)
        made = make_rows(session.project.data.augment, rows, making, wish.limit)
        count = write_made(path, made.rows)
        return Augmented(
            version,
            wish.out.as_posix(),
            rows=count,
            ways=dict(sorted(Counter(one.way for one in made.rows).items())),
            left_out=made.left_out,
            joins=_joins(session.project.data.augment, session.root, path),
        )

    asked = {"version": version, "limit": wish.limit, "file": path.name}
    return as_job(session, "augment", asked, work, lambda found: found.version_id)


def _joins(config: AugmentConfig, root: Path, path: Path) -> bool:
    return any(path in root.glob(pattern) for pattern in config.files)


def _hand_out(session: Session, wish: Wish, version: str) -> Augmented:
    if not wish.sample or wish.sheet is None:
        raise InputError(
            "both --sample and --sheet", got="one of them", remedy="--sample 50 --sheet check.csv"
        )
    file = _file(session, wish.out)
    parents: list[Example] = ledger.load_split(session.workspace, version, "train")
    rows = sample_of(file.rows, wish.sample, wish.seed)
    count = write_sheet(session.root / wish.sheet, rows, parents)
    detail = {"file": file.name, "rows": count}
    session.workspace.audit.append(None, "augment.sheet", version, detail)
    return Augmented(version, file.name, rows=count, sheet=wish.sheet.as_posix())


def _take(session: Session, wish: Wish, sheet: Path, version: str) -> Augmented:
    file = _file(session, wish.out)
    found = precision(read_sheet(session.root / sheet, file), file)
    now = datetime.now(UTC)
    detail = {"file": file.name, "rows": len(file.rows)}
    probe = Probe(new_id("probe"), now, KIND, file.digest, version, None, {METRIC: found}, detail)
    ledger.save_probe(session.workspace, probe)
    session.workspace.audit.append(None, "augment.checked", probe.subject, detail)
    return Augmented(version, file.name, sheet=sheet.as_posix(), precision=found)


def _file(session: Session, out: Path) -> MadeFile:
    path = session.root / out
    rows = tuple(read_made(path))
    return MadeFile(out.as_posix(), digest_of(path), rows)


def _writers_of(way: object) -> tuple[Writer, ...]:
    match way:
        case Paraphrase():
            return (way.writer,)
        case BackTranslation():
            return way.there, way.back
        case _:
            return ()


def _name(writer: Writer) -> str:
    return writer.base if isinstance(writer, Local) else writer.model


class _Desk:
    """Loads the models that write, each once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: dict[Writer, Completer] = {}

    def rewriter(self, way: Way) -> Rewrite:
        """Return what rewrites for a way."""
        seed = self._session.project.data.augment.seed
        if isinstance(way, Paraphrase):
            return self._by(way.writer, PARAPHRASE, seed)
        there = self._by(way.there, TRANSLATE.format(language=way.through), seed)
        return chained(there, self._by(way.back, TRANSLATE.format(language=way.language), seed))

    def _by(self, writer: Writer, instruction: str, seed: int) -> Rewrite:
        if isinstance(writer, Seq2Seq):
            from metier.data.augment.rewriting import by_seq2seq

            local = self._session.root / writer.model
            return by_seq2seq(str(local) if local.is_dir() else writer.model, writer.prefix)
        if writer not in self._known:
            self._known[writer] = self._completer(writer)
        return by_completer(self._known[writer], instruction, seed)

    def _completer(self, writer: Local | Endpoint) -> Completer:
        if isinstance(writer, Local):
            from metier.models.engines.local import LocalCompleter

            return LocalCompleter(load_named_base(self._session, writer.base))
        from metier.models.engines.endpoint import EndpointCompleter, EndpointSettings

        egress = Egress(self._session.project.privacy, self._session.workspace.audit)

        def check(url: str, purpose: str, texts: int) -> None:
            egress.check(url, purpose, texts)

        settings = EndpointSettings(purpose=PURPOSE, api_key_env=writer.api_key_env)
        return EndpointCompleter(writer.url, writer.model, check, settings)
