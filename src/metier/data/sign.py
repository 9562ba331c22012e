"""Sign-off: draw a sample of the project's own rows, say what its readers found, sign.

drawn = draw_sample(config, objective, ws, root, progress, Draw(n=200))
...                               # the sheet goes out and comes back: data/sign_sheet.py
result = sign_off(ws, drawn)      # recall by kind, documents with a missed identifier
sign(ws, config.deidentification, "Mara Lind", "privacy officer")
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from metier.core.audit import current_actor
from metier.core.codec import dumps, to_json
from metier.core.errors import InputError
from metier.core.ids import new_id
from metier.core.objective import Objective
from metier.core.progress import Progress
from metier.core.types import Estimate, Example, Score, digest
from metier.core.workspace import Workspace
from metier.data.build import known_labels, make_steps
from metier.data.cleaning.rewrite import texts_of
from metier.data.cleaning.steps import cleaning_steps
from metier.data.cleaning.undo import undone_rules
from metier.data.config import DataConfig
from metier.data.deidentify import NAME, Deidentification, Deidentify, DeidentifyWithVault
from metier.data.intake import read_sources
from metier.data.pipeline import Frame, Outcomes, run_step, run_steps
from metier.data.sign_sheet import Texts
from metier.privacy.profiles import profile
from metier.privacy.settings import DeidentifyConfig
from metier.privacy.sign_off import (
    READERS,
    Mark,
    Sample,
    SampleDetail,
    SampleRow,
    Signature,
    get_sample,
    list_readings,
    marks_by_row,
    samples_under,
    save_sample,
    save_signature,
    settings_hash,
    unread,
)

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Draw:
    """How many rows are drawn, with which seed, and by whom."""

    n: int = 200
    seed: int = 0
    actor: str | None = None


@dataclass(frozen=True, slots=True)
class SignOff:
    """What the readings of a sample show.

    ``recall`` maps kinds to found / (found + missed); ``documents_missed`` is the share of rows
    with at least one missed identifier, ``high`` its one-sided upper 95% bound; ``double_checked``
    the share of rows that two people read, ``disagreements`` those of them on which they differ.
    """

    sample_id: str
    n: int
    read: int
    readers: tuple[str, ...]
    double_checked: float
    disagreements: int
    missing_readings: int
    recall: Mapping[str, Estimate]
    documents_missed: Estimate
    wrong: int
    warnings: tuple[str, ...] = field(default=())


def draw_sample(
    config: DataConfig,
    objective: Objective,
    ws: Workspace,
    root: Path,
    progress: Progress,
    draw: Draw,
) -> Sample:
    """Draw rows of the sources as a build would de-identify them; their texts are sealed.

    The same rows, settings and seed give the same sample. Surrogates that were assigned on the way
    are kept: people read what will be frozen. Raises InputError when nothing is de-identified.
    """
    settings = config.deidentification
    if settings.profile == "none":
        raise InputError("a profile that takes something out", got='profile = "none"')
    imported = read_sources(config.sources, objective, root, progress)
    identifying = Deidentification(ws, settings, config.workers, purpose="sign-off")
    known = known_labels(config, objective, ws)
    undone = undone_rules(ws, imported.examples)
    steps = [
        *cleaning_steps(config, frozenset(objective.enum_fields), root, undone),
        *make_steps(config, objective, known, identifying=identifying),
    ]
    place = next(at for at, step in enumerate(steps) if step.name == NAME)
    outcomes = run_steps(steps[:place], imported.examples, Frame(progress, config.workers))
    chosen = _chosen(outcomes.examples, draw)
    before = {row.id: row for row in outcomes.examples if row.id in chosen}
    after = Outcomes(outcomes.examples)
    run_step(steps[place], after, Frame(progress, config.workers))
    identifying.save()
    step = steps[place]
    inner = step.inner if isinstance(step, DeidentifyWithVault) else step
    assert isinstance(inner, Deidentify)
    pairs = [(before[row.id], row) for row in after.examples if row.id in chosen]
    return _stored(ws, inner, pairs, draw, len(outcomes.examples), imported.sources)


def _chosen(rows: Sequence[Example], draw: Draw) -> frozenset[str]:
    """Return the ids of a simple random sample that the order of rows does not change."""
    ids = sorted((row.id for row in rows), key=lambda one: digest([draw.seed, one]))
    return frozenset(ids[: draw.n])


def _stored(
    ws: Workspace,
    step: Deidentify,
    pairs: Sequence[tuple[Example, Example]],
    draw: Draw,
    drawn_from: int,
    sources: Sequence[object],
) -> Sample:
    if not pairs:
        raise InputError("rows to draw from", got="none that de-identification keeps")
    closed = step.closed
    boxes = [
        (old.group or old.id, dumps(Texts(_shown(old, closed), _shown(new, closed))).encode())
        for old, new in pairs
    ]
    sealed = ws.sealed.seal_many(boxes)
    rows = tuple(
        SampleRow(old.id, ws.sealed.group_hash(old.group or old.id), _found(step, old), box)
        for (old, _), box in zip(pairs, sealed, strict=True)
    )
    digests = tuple(str(getattr(source, "digest", "")) for source in sources)
    actor = draw.actor or current_actor()
    return save_sample(
        ws,
        Sample(
            new_id("sample"), datetime.now(UTC), settings_hash(step.config), draw.seed, drawn_from,
            actor, SampleDetail(rows, digests),
        ),
    )  # fmt: skip


def _shown(example: Example, closed: frozenset[str]) -> str:
    return "\n".join(texts_of(example, closed))


def _found(step: Deidentify, example: Example) -> dict[str, int]:
    looked = [one.kind for text in texts_of(example, step.closed) for one in step.find(text)]
    return dict(sorted(Counter(looked).items()))


def sign_off(ws: Workspace, sample: Sample) -> SignOff:
    """Return what the readings of a sample show so far."""
    readings = list_readings(ws, sample.id)
    rows = marks_by_row(sample, readings)
    read = [row for row in sample.detail.rows if rows[row.id]]
    double = [row for row in read if len(rows[row.id]) >= READERS]
    missed = {row.id: _union(rows[row.id]) for row in read}
    return SignOff(
        sample_id=sample.id,
        n=len(sample.detail.rows),
        read=len(read),
        readers=tuple(sorted({one.reader for one in readings})),
        double_checked=len(double) / len(sample.detail.rows),
        disagreements=sum(_differ(rows[row.id]) for row in double),
        missing_readings=unread(sample, readings),
        recall=_recalls(read, missed),
        documents_missed=_documents(read, missed),
        wrong=sum(max(mark.wrong for mark in rows[row.id].values()) for row in read),
    )


def _union(marks: Mapping[str, Mark]) -> dict[str, set[str]]:
    """What at least one reader says was missed."""
    missed: dict[str, set[str]] = {}
    for mark in marks.values():
        for kind, values in mark.missed.items():
            missed.setdefault(kind, set()).update(values)
    return missed


def _differ(marks: Mapping[str, Mark]) -> bool:
    said = [{value for values in mark.missed.values() for value in values}
            for mark in marks.values()]  # fmt: skip
    return any(one != said[0] for one in said)


def _recalls(
    read: Sequence[SampleRow], missed: Mapping[str, Mapping[str, set[str]]]
) -> dict[str, Estimate]:
    """Return recall by kind, and of all kinds together under ``all``."""
    from metier.scoring.statistics.agreement import share_estimate

    records: dict[str, list[Score]] = {}
    for row in read:
        lost = {kind: len(values) for kind, values in missed[row.id].items()}
        for value, counts in ((1.0, row.found), (0.0, lost)):
            for kind, count in counts.items():
                score = Score(row.id, value, cluster=row.group)
                records.setdefault(kind, []).extend([score] * count)
                records.setdefault("all", []).extend([score] * count)
    return {kind: share_estimate(some) for kind, some in sorted(records.items())}


def _documents(read: Sequence[SampleRow], missed: Mapping[str, Mapping[str, set[str]]]) -> Estimate:
    """Return the share of rows with a missed identifier, ``high`` its one-sided upper bound.

    Source: Clopper and Pearson (1934), Biometrika 26(4). With several rows of one group the
    effective number of rows counts (Korn and Graubard 1998, Survey Methodology 24(2)).
    """
    from metier.scoring.statistics.intervals import effective_n

    if not read:
        return Estimate(float("nan"), float("nan"), float("nan"), 0, 0, LEVEL)
    sums: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for row in read:
        sizes[row.group] += 1
        sums[row.group] += bool(missed[row.id])
    bad, n = sum(sums.values()), len(read)
    worth = effective_n([sums[one] for one in sizes], list(sizes.values()))
    high = upper_bound(bad / n * worth, worth)
    method = "Clopper-Pearson, one-sided upper bound"
    return Estimate(bad / n, 0.0, high, n, len(sizes), LEVEL, method)


def upper_bound(events: float, n: float, level: float = LEVEL) -> float:
    """Return the one-sided upper confidence bound of a proportion; ``events`` may be fractional."""
    from scipy.special import betaincinv

    return 1.0 if events >= n else float(betaincinv(events + 1, n - events, level))


def sign(
    ws: Workspace,
    config: DeidentifyConfig,
    signer: str,
    role: str,
    *,
    sample: str | None = None,
    statement: Path | None = None,
) -> Signature:
    """Put a name under the settings; audited.

    Under ``safe-harbor`` a sample must have been read, every row by two people; under
    ``expert-determination`` the expert's statement is attached. Raises InputError otherwise.
    """
    found = profile(config.profile)
    if found.needs == "nothing":
        raise InputError("a profile that asks for a signature", got=config.profile)
    if not signer.strip() or not role.strip():
        raise InputError("a name and a role", got="an empty one", remedy="--by NAME --role ROLE")
    hashed = settings_hash(config)
    read = _read_through(ws, hashed, sample) if found.needs == "signature" or sample else None
    kept = _statement(ws, statement) if statement else None
    if found.needs == "expert" and kept is None:
        raise InputError(
            "the expert's statement", got="no file", remedy="add --statement FILE (PDF or text)"
        )
    result = to_json(sign_off(ws, read)) if read else {}
    return save_signature(
        ws,
        Signature(
            new_id("sig"), datetime.now(UTC), config.profile, hashed, signer.strip(), role.strip(),
            read.id if read else None, kept, result,
        ),
    )  # fmt: skip


def _read_through(ws: Workspace, hashed: str, key: str | None) -> Sample:
    """Return the sample that is signed. Raises InputError when it is not read through."""
    drawn = samples_under(ws, hashed)
    sample = get_sample(ws, key) if key else (drawn[-1] if drawn else None)
    if sample is None or sample.settings_hash != hashed:
        raise InputError(
            "a sample drawn under the settings of now",
            got="none" if sample is None else f"{sample.id}, drawn under others",
            remedy="metier data sign-off draw --n 200",
        )
    missing = unread(sample, list_readings(ws, sample.id))
    if missing:
        raise InputError(
            f"every row of {sample.id} read by {READERS} people",
            got=f"{missing} readings missing",
            remedy="metier data sign-off read FILE --by NAME",
        )
    return sample


def _statement(ws: Workspace, path: Path) -> str:
    if not path.is_file() or not path.stat().st_size:
        raise InputError("a file with the statement", got=str(path), remedy="check the name")
    return ws.artifacts.put_file(path)
