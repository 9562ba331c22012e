"""Sign-off: people read a sample of their own de-identified rows, and put their name under it.

    draw a sample -> two people read it -> somebody signs -> a version can be frozen

A signature holds for exactly the settings it was given under: profile, operators, and the code and
lists of the recognisers. With anything else the next build asks for another one. What is stored of
a reading are counts and keyed hashes; texts are sealed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sqlalchemy import select

from metier.core.codec import from_json, to_json
from metier.core.errors import InputError
from metier.core.ids import new_id
from metier.core.ledger.find import find, record
from metier.core.store.tables import SignatureRow, SignOffReadingRow, SignOffSampleRow
from metier.core.types import Json, digest
from metier.core.workspace import Workspace
from metier.privacy.profiles import profile
from metier.privacy.settings import DeidentifyConfig

SAMPLE = ("sign-off sample", "metier data sign-off draw")
READERS = 2
"""People who have to read every row of a sample before it can be signed."""
NEITHER = frozenset(
    {"config.py", "egress.py", "incidents.py", "sign_off.py", "vault.py", "coverage.py"}
)
"""Files of this package that do not decide what is found or put in its place."""
LIBRARIES = ("phonenumbers", "python-stdnum")


@dataclass(frozen=True, slots=True)
class SampleRow:
    """One row of a sample: identifiers found in it by kind, and where its texts are sealed."""

    id: str
    group: str
    found: Mapping[str, int]
    sealed_id: str


@dataclass(frozen=True, slots=True)
class SampleDetail:
    """What a sample consists of; ``sources`` are the digests of the files it was drawn from."""

    rows: tuple[SampleRow, ...]
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows to be read by people. ``drawn_from`` counts the rows there were to draw from."""

    id: str
    created_at: datetime
    settings_hash: str
    seed: int
    drawn_from: int
    drawn_by: str
    detail: SampleDetail


@dataclass(frozen=True, slots=True)
class Mark:
    """What one reader says of one row: keyed hashes of missed identifiers by kind, and how many
    replaced stretches were no identifiers."""

    missed: Mapping[str, tuple[str, ...]]
    wrong: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """One sheet that came back. Of one reader's sheets the newest counts, row by row."""

    id: str
    created_at: datetime
    sample_id: str
    reader: str
    marks: Mapping[str, Mark]


@dataclass(frozen=True, slots=True)
class Signature:
    """A name under de-identification with exactly these settings."""

    id: str
    created_at: datetime
    profile: str
    settings_hash: str
    signer: str
    role: str
    sample_id: str | None
    statement: str | None
    result: Json


def settings_hash(config: DeidentifyConfig) -> str:
    """Return the hash of everything that decides what is found and what is put in its place."""
    names = [one.name for one in profile(config.profile).recognisers()]
    return digest([config.model_dump(mode="json"), names, code_hash()])


@cache
def code_hash() -> str:
    """Return the hash of the recognisers' and operators' code, lists and libraries."""
    folder = Path(__file__).parent
    found = sha256()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in NEITHER and "__pycache__" not in name:
            found.update(name.encode() + b"\0" + sha256(path.read_bytes()).digest())
    for library in LIBRARIES:
        found.update(f"{library} {_installed(library)}".encode())
    return found.hexdigest()[:32]


def _installed(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "none"


def save_sample(ws: Workspace, sample: Sample) -> Sample:
    """Store a sample that was drawn; audited."""
    fields = {name: getattr(sample, name) for name in Sample.__dataclass_fields__}
    detail = {"rows": len(sample.detail.rows), "of": sample.drawn_from, "seed": sample.seed}
    with ws.db.session() as session:
        session.add(SignOffSampleRow(**fields | {"detail": to_json(sample.detail)}))
        ws.audit.append(sample.drawn_by, "sign_off.draw", sample.id, detail, session=session)
    return sample


def get_sample(ws: Workspace, key: str) -> Sample:
    """Find a sample. Raises NotFound."""
    with ws.db.reading() as session:
        return _sample(find(session, SignOffSampleRow, key, *SAMPLE))


def list_samples(ws: Workspace) -> list[Sample]:
    """Return all samples, oldest first."""
    with ws.db.reading() as session:
        rows = session.scalars(select(SignOffSampleRow).order_by(SignOffSampleRow.id))
        return [_sample(row) for row in rows]


def samples_under(ws: Workspace, hashed: str) -> list[Sample]:
    """Return the samples drawn under these settings, oldest first."""
    return [one for one in list_samples(ws) if one.settings_hash == hashed]


def save_reading(ws: Workspace, sample: Sample, reader: str, marks: Mapping[str, Mark]) -> Reading:
    """Store what one person marked; audited."""
    with ws.db.session() as session:
        row = SignOffReadingRow(
            id=new_id("read"), created_at=datetime.now(UTC), sample_id=sample.id, reader=reader,
            marks=to_json(marks),
        )  # fmt: skip
        detail = {"rows": len(marks), "reading": row.id}
        ws.audit.append(reader, "sign_off.read", sample.id, detail, session=session)
        session.add(row)
        session.flush()
        return _reading(row)


def list_readings(ws: Workspace, sample_id: str) -> list[Reading]:
    """Return the readings of a sample, oldest first."""
    query = select(SignOffReadingRow).where(SignOffReadingRow.sample_id == sample_id)
    with ws.db.reading() as session:
        return [_reading(row) for row in session.scalars(query.order_by(SignOffReadingRow.id))]


def save_signature(ws: Workspace, signature: Signature) -> Signature:
    """Store a signature; audited under the signer's name."""
    fields = {name: getattr(signature, name) for name in Signature.__dataclass_fields__}
    detail = {
        "profile": signature.profile,
        "settings": signature.settings_hash,
        "role": signature.role,
        "sample": signature.sample_id,
        "statement": signature.statement,
    }
    with ws.db.session() as session:
        session.add(SignatureRow(**fields))
        ws.audit.append(signature.signer, "sign_off.sign", signature.id, detail, session=session)
    return signature


def list_signatures(ws: Workspace) -> list[Signature]:
    """Return all signatures, oldest first."""
    with ws.db.reading() as session:
        rows = session.scalars(select(SignatureRow).order_by(SignatureRow.id))
        return [record(Signature, row) for row in rows]


def signature_for(ws: Workspace, config: DeidentifyConfig) -> Signature | None:
    """Return the newest signature that freezing under these settings may rest on.

    None where the profile needs none. Raises InputError where one is needed and missing: the
    message says what to do next.
    """
    needs = profile(config.profile).needs
    if needs == "nothing":
        return None
    hashed, signed = settings_hash(config), list_signatures(ws)
    fitting = [one for one in signed if one.settings_hash == hashed and _serves(one, needs)]
    if fitting:
        return fitting[-1]
    older = [one for one in signed if one.profile == config.profile]
    got = "none"
    if older:
        got = (
            f"{len(older)} of other settings, the newest by {older[-1].signer}: recognisers, "
            "operators or metier itself have changed since"
        )
    what = "a named expert's statement" if needs == "expert" else "a signed check of a sample"
    raise InputError(
        f"{what}, which freezing under {config.profile} rests on",
        got=got,
        remedy=_next_command(ws, needs, hashed),
    )


def signed_by(signature: Signature) -> dict[str, Json]:
    """Return what a version's card says of the signature it rests on."""
    return {
        "signature": signature.id,
        "signer": signature.signer,
        "role": signature.role,
        "signed_at": signature.created_at.isoformat(),
        "settings": signature.settings_hash,
        "statement": signature.statement,
        "result": signature.result,
    }


def other_sources(
    ws: Workspace, signature: Signature | None, digests: Sequence[str]
) -> tuple[str, ...]:
    """Say how many sources of a build were not there when the signed sample was drawn."""
    if signature is None or signature.sample_id is None:
        return ()
    drawn = set(get_sample(ws, signature.sample_id).detail.sources)
    new = [one for one in digests if one not in drawn]
    if not new:
        return ()
    return (
        f"{len(new)} of {len(digests)} sources came or changed after the signed sample was drawn: "
        "nobody has read rows of them (`metier data sign-off draw`)",
    )


def _serves(signature: Signature, needs: str) -> bool:
    return signature.statement is not None if needs == "expert" else signature.sample_id is not None


def _next_command(ws: Workspace, needs: str, hashed: str) -> str:
    if needs == "expert":
        return (
            "metier data sign-off sign --by NAME --role 'expert, 45 CFR 164.514(b)(1)' "
            "--statement FILE"
        )
    drawn = samples_under(ws, hashed)
    if not drawn:
        return "metier data sign-off draw --n 200"
    missing = unread(drawn[-1], list_readings(ws, drawn[-1].id))
    if missing:
        return f"metier data sign-off read FILE --by NAME ({missing} readings of rows are missing)"
    return "metier data sign-off sign --by NAME --role ROLE"


def marks_by_row(sample: Sample, readings: Sequence[Reading]) -> dict[str, dict[str, Mark]]:
    """Return row -> reader -> mark, the newest of each reader."""
    rows: dict[str, dict[str, Mark]] = {row.id: {} for row in sample.detail.rows}
    for reading in readings:
        for row_id, mark in reading.marks.items():
            if row_id in rows:
                rows[row_id][_person(reading.reader)] = mark
    return rows


def _person(reader: str) -> str:
    """Two spellings of a name that differ in case or blanks are one person."""
    return " ".join(reader.casefold().split())


def unread(sample: Sample, readings: Sequence[Reading]) -> int:
    """Return how many readings are missing until every row was read by two people."""
    rows = marks_by_row(sample, readings)
    return sum(max(0, READERS - len(marks)) for marks in rows.values())


def _sample(row: SignOffSampleRow) -> Sample:
    return record(Sample, row, detail=from_json(SampleDetail, row.detail))


def _reading(row: SignOffReadingRow) -> Reading:
    return record(Reading, row, marks=from_json(dict[str, Mark], row.marks))
