"""The tables. They index what the artifacts hold. Text of people is in clear only after it was
de-identified; what was taken out of it is only ever in ``sealed``.

``Document`` columns hold strict JSON as text, so that both databases store the same bytes.
A change here needs a migration in ``migrations/versions``; a test compares the two.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    TypeDecorator,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from metier.core.codec import dumps, from_json
from metier.core.types import Json


class Moment(TypeDecorator[datetime]):
    """An aware datetime in UTC; SQLite keeps no zone, so it is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Return an aware datetime."""
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


class Document(TypeDecorator[Json]):
    """A JSON value as text; NaN and lone surrogates survive (see ``metier.core.codec``)."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Json, dialect: Dialect) -> str | None:
        """Serialise."""
        return None if value is None else dumps(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Json:
        """Read back."""
        return None if value is None else from_json(Any, json.loads(value))


class Base(DeclarativeBase):
    """Root of the tables."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        str: String,
        datetime: Moment,
        bytes: LargeBinary,
        int: BigInteger,
        dict[str, Any]: Document,
        list[Any]: Document,
    }


class Setting(Base):
    """A fact about the workspace itself, e.g. the check value of its key."""

    __tablename__ = "settings"
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


class ArtifactRow(Base):
    """What is known of an artifact beside its bytes."""

    __tablename__ = "artifacts"
    digest: Mapped[str] = mapped_column(primary_key=True)
    media_type: Mapped[str]
    size_bytes: Mapped[int]
    created_at: Mapped[datetime]


class SourceRow(Base):
    """A file, folder or query that rows were read from; the digest tells versions of it apart."""

    __tablename__ = "sources"
    id: Mapped[str] = mapped_column(primary_key=True)
    path: Mapped[str]
    digest: Mapped[str] = mapped_column(index=True)
    rows: Mapped[int]
    created_at: Mapped[datetime]


class VersionRow(Base):
    """A frozen data version; ``splits`` maps to Parquet artifacts. ``built_at`` is when it was
    last the result of a build: the latest version is the one built last, not the newest one."""

    __tablename__ = "versions"
    id: Mapped[str] = mapped_column(primary_key=True)
    hash: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    built_at: Mapped[datetime]
    counts: Mapped[dict[str, Any]]
    splits: Mapped[dict[str, Any]]
    labels: Mapped[list[Any]]
    card: Mapped[dict[str, Any]]
    config: Mapped[dict[str, Any]]
    looks_used: Mapped[int] = mapped_column(default=0)
    looks_budget: Mapped[int] = mapped_column(default=5)


class VersionExampleRow(Base):
    """Membership of an example in a version: the index that lineage and erasure ask."""

    __tablename__ = "version_examples"
    version_id: Mapped[str] = mapped_column(ForeignKey("versions.id"), primary_key=True)
    example_id: Mapped[str] = mapped_column(primary_key=True)
    split: Mapped[str]
    content_hash: Mapped[str]
    group_hash: Mapped[str | None]
    source_digest: Mapped[str]
    locator: Mapped[str]
    parent_id: Mapped[str | None]
    __table_args__ = (
        Index("ix_version_examples_example", "example_id"),
        Index("ix_version_examples_group", "group_hash"),
        Index("ix_version_examples_parent", "parent_id"),
    )


class RunRow(Base):
    """A tuning run."""

    __tablename__ = "runs"
    id: Mapped[str] = mapped_column(primary_key=True)
    version_id: Mapped[str] = mapped_column(ForeignKey("versions.id"), index=True)
    base: Mapped[str]
    state: Mapped[str]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    config: Mapped[dict[str, Any]]
    adapter: Mapped[str | None]
    summary: Mapped[dict[str, Any]]


class MetricPointRow(Base):
    """One value of one series of a run. ``value`` is NULL where the number is not finite,
    and ``note`` then says which of nan, inf and -inf it was."""

    __tablename__ = "metric_points"
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[float | None]
    note: Mapped[str | None]


class EvaluationRow(Base):
    """An evaluation: what it is found by, and the whole report."""

    __tablename__ = "evaluations"
    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    version_id: Mapped[str] = mapped_column(ForeignKey("versions.id"), index=True)
    split: Mapped[str]
    rung: Mapped[str]
    completer: Mapped[str]
    fingerprint: Mapped[str] = mapped_column(index=True)
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"), index=True)
    report: Mapped[dict[str, Any]]


class PredictionRow(Base):
    """Where a prediction is: in which evaluation, on which example. The text is in Parquet."""

    __tablename__ = "predictions"
    id: Mapped[str] = mapped_column(primary_key=True)
    evaluation_id: Mapped[str] = mapped_column(ForeignKey("evaluations.id"), index=True)
    example_id: Mapped[str] = mapped_column(index=True)


class QuarantineRow(Base):
    """A row that was left out, and why; what it held is sealed."""

    __tablename__ = "quarantine"
    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    step: Mapped[str]
    reason: Mapped[str] = mapped_column(index=True)
    example_id: Mapped[str | None] = mapped_column(index=True)
    source: Mapped[str]
    source_digest: Mapped[str | None]
    locator: Mapped[str]
    sealed_id: Mapped[str] = mapped_column(ForeignKey("sealed_rows.id"))
    restored_at: Mapped[datetime | None]
    restored_by: Mapped[str | None]


class ChangeRow(Base):
    """An edit that a step made; the texts before and after are sealed."""

    __tablename__ = "changes"
    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    example_id: Mapped[str] = mapped_column(index=True)
    step: Mapped[str]
    rule: Mapped[str]
    sealed_id: Mapped[str] = mapped_column(ForeignKey("sealed_rows.id"))


class SuspectRow(Base):
    """An example that a person should look at; the evidence is sealed."""

    __tablename__ = "suspects"
    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    example_id: Mapped[str] = mapped_column(index=True)
    step: Mapped[str]
    reason: Mapped[str]
    sealed_id: Mapped[str] = mapped_column(ForeignKey("sealed_rows.id"))
    closed_at: Mapped[datetime | None]


class SealedKeyRow(Base):
    """The data key of one group, wrapped by the master key; ``wrapped`` NULL: erased."""

    __tablename__ = "sealed_keys"
    id: Mapped[str] = mapped_column(primary_key=True)
    group_hash: Mapped[str] = mapped_column(index=True)
    wrapped: Mapped[bytes | None]
    created_at: Mapped[datetime]
    erased_at: Mapped[datetime | None]
    __table_args__ = (
        Index(
            "uq_sealed_keys_live_group",
            "group_hash",
            unique=True,
            sqlite_where=text("erased_at IS NULL"),
            postgresql_where=text("erased_at IS NULL"),
        ),
    )


class SealedRow(Base):
    """One encrypted value; ``box`` is nonce and ciphertext, NULL once erased."""

    __tablename__ = "sealed_rows"
    id: Mapped[str] = mapped_column(primary_key=True)
    key_id: Mapped[str] = mapped_column(ForeignKey("sealed_keys.id"), index=True)
    box: Mapped[bytes | None]
    created_at: Mapped[datetime]


class EdgeRow(Base):
    """``child`` was made from ``parent``."""

    __tablename__ = "edges"
    child_id: Mapped[str] = mapped_column(primary_key=True)
    parent_id: Mapped[str] = mapped_column(primary_key=True)
    relation: Mapped[str] = mapped_column(primary_key=True)
    child_kind: Mapped[str]
    parent_kind: Mapped[str]
    created_at: Mapped[datetime]
    __table_args__ = (Index("ix_edges_parent", "parent_id"),)


class JobRow(Base):
    """A job: what is to be done, who is doing it, and until when the lease holds."""

    __tablename__ = "jobs"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    config: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(index=True)
    resources: Mapped[dict[str, Any]]
    exclusive: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int] = mapped_column(default=1)
    owner: Mapped[dict[str, Any] | None]
    lease_until: Mapped[datetime | None]
    not_before: Mapped[datetime | None]
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    error: Mapped[str | None]
    result: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    __table_args__ = (
        Index(
            "uq_jobs_running_exclusive",
            "exclusive",
            unique=True,
            sqlite_where=text("state = 'running'"),
            postgresql_where=text("state = 'running'"),
        ),
    )


class ReleaseRow(Base):
    """A model version: a run's adapter with all that shapes its answers, under a number that is
    never given twice. ``manifest`` is the artifact that holds everything; ``gate`` the decision."""

    __tablename__ = "releases"
    id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), index=True)
    version_id: Mapped[str] = mapped_column(ForeignKey("versions.id"))
    evaluation_id: Mapped[str] = mapped_column(ForeignKey("evaluations.id"))
    base: Mapped[str]
    base_fingerprint: Mapped[str]
    adapter: Mapped[str]
    manifest: Mapped[str]
    gate: Mapped[dict[str, Any]]


class AliasRow(Base):
    """A name that points to a release: champion, challenger, previous."""

    __tablename__ = "aliases"
    name: Mapped[str] = mapped_column(primary_key=True)
    release_id: Mapped[str] = mapped_column(ForeignKey("releases.id"))
    set_at: Mapped[datetime]
    set_by: Mapped[str]


class CycleRow(Base):
    """One round of the journey and what each of its stages left; ``finished_at`` NULL: it runs."""

    __tablename__ = "cycles"
    id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(unique=True)
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    asked: Mapped[str]
    version_id: Mapped[str | None] = mapped_column(ForeignKey("versions.id"))
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"))
    evaluation_id: Mapped[str | None] = mapped_column(ForeignKey("evaluations.id"))
    regression_id: Mapped[str | None] = mapped_column(ForeignKey("evaluations.id"))
    release_id: Mapped[str | None] = mapped_column(ForeignKey("releases.id"))


class InteractionRow(Base):
    """One served reply. ``asked`` and ``replies`` are de-identified; ``sealed_id`` holds what was
    taken out. ``user_hash`` is the keyed hash of who asked."""

    __tablename__ = "interactions"
    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(index=True)
    model: Mapped[str]
    release_id: Mapped[str | None] = mapped_column(ForeignKey("releases.id"), index=True)
    state: Mapped[str]
    asked: Mapped[list[Any]]
    replies: Mapped[list[Any]]
    settings: Mapped[dict[str, Any]]
    input_tokens: Mapped[int]
    output_tokens: Mapped[int]
    total_s: Mapped[float]
    first_token_s: Mapped[float | None]
    confidence: Mapped[float | None]
    guards: Mapped[list[Any]]
    user_hash: Mapped[str | None] = mapped_column(index=True)
    sealed_id: Mapped[str | None] = mapped_column(ForeignKey("sealed_rows.id"))


class FeedbackRow(Base):
    """One thing that was said about a reply. Of one metric the highest ``seq`` counts; what it
    replaced stays."""

    __tablename__ = "feedback"
    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    interaction_id: Mapped[str] = mapped_column(ForeignKey("interactions.id"))
    metric: Mapped[str] = mapped_column(index=True)
    seq: Mapped[int]
    value: Mapped[dict[str, Any]]
    tags: Mapped[dict[str, Any]]
    actor: Mapped[str]
    sealed_id: Mapped[str | None] = mapped_column(ForeignKey("sealed_rows.id"))
    __table_args__ = (Index("uq_feedback_seq", "interaction_id", "metric", "seq", unique=True),)


class QueueItemRow(Base):
    """One thing a person is asked to look at. ``subject_id`` comes once per queue.

    ``rank`` is minus the priority, so that one ascending index gives the order in which items are
    handed out. Where ``wanted`` people answer, ``taken`` places are held or answered; the state is
    "leased" while all are taken. ``twin_of`` is the subject that a hidden duplicate repeats.
    """

    __tablename__ = "queue_items"
    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    queue: Mapped[str]
    subject_kind: Mapped[str]
    subject_id: Mapped[str] = mapped_column(index=True)
    reasons: Mapped[list[Any]]
    priority: Mapped[int]
    state: Mapped[str] = mapped_column(index=True)
    leased_by: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    answer: Mapped[dict[str, Any] | None]
    answered_by: Mapped[str | None]
    answered_at: Mapped[datetime | None]
    seconds: Mapped[float | None]
    note: Mapped[str | None]
    sealed_id: Mapped[str | None] = mapped_column(ForeignKey("sealed_rows.id"))
    role: Mapped[str] = mapped_column(server_default="work")
    shown: Mapped[dict[str, Any] | None]
    expected: Mapped[dict[str, Any] | None]
    wanted: Mapped[int] = mapped_column(server_default="1")
    taken: Mapped[int] = mapped_column(server_default="0")
    rank: Mapped[int] = mapped_column(server_default="0")
    twin_of: Mapped[str | None]
    __table_args__ = (
        Index("uq_queue_items_subject", "queue", "subject_id", unique=True),
        Index("ix_queue_items_next", "queue", "role", "state", "rank", "id", "wanted"),
    )


class QueueRow(Base):
    """A queue, and how it was made."""

    __tablename__ = "queues"
    name: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    kind: Mapped[str]
    title: Mapped[str]
    state: Mapped[str]
    wanted: Mapped[int]
    blind: Mapped[bool]
    suggest: Mapped[bool]
    lease_s: Mapped[float]
    version_id: Mapped[str | None]
    guideline: Mapped[str | None]
    form: Mapped[dict[str, Any] | None]
    selection: Mapped[dict[str, Any] | None]
    settings: Mapped[dict[str, Any] | None]
    people: Mapped[list[Any]]


class AssignmentRow(Base):
    """One person's place at one item. The unique keys are what keeps an item from getting too many
    answers, or two of one person. Whoever gave a place back (by a lease that ended, or by passing
    the item on) keeps the row, under a place below 0."""

    __tablename__ = "assignments"
    id: Mapped[str] = mapped_column(primary_key=True)
    item_id: Mapped[str] = mapped_column(ForeignKey("queue_items.id"))
    queue: Mapped[str]
    person: Mapped[str]
    place: Mapped[int]
    state: Mapped[str]
    created_at: Mapped[datetime]
    lease_until: Mapped[datetime | None]
    draft: Mapped[dict[str, Any] | None]
    answer: Mapped[dict[str, Any] | None]
    answered_at: Mapped[datetime | None]
    seconds: Mapped[float | None]
    comment: Mapped[str]
    flags: Mapped[list[Any]]
    guideline_number: Mapped[int | None]
    counts: Mapped[bool]
    sealed_id: Mapped[str | None] = mapped_column(ForeignKey("sealed_rows.id"))
    __table_args__ = (
        Index("uq_assignments_place", "item_id", "place", unique=True),
        Index("uq_assignments_person", "item_id", "person", unique=True),
        Index("ix_assignments_mine", "queue", "person", "state", "answered_at", "counts"),
        Index("ix_assignments_leases", "queue", "state", "lease_until"),
    )


class GuidelineRow(Base):
    """One version of a guideline; an example in it may come from an adjudication."""

    __tablename__ = "guidelines"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    number: Mapped[int]
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    text: Mapped[str]
    examples: Mapped[list[Any]]
    __table_args__ = (Index("uq_guidelines_number", "name", "number", unique=True),)


class AdjudicationRow(Base):
    """The answer that holds for an item on which people disagreed, and why."""

    __tablename__ = "adjudications"
    item_id: Mapped[str] = mapped_column(ForeignKey("queue_items.id"), primary_key=True)
    queue: Mapped[str] = mapped_column(index=True)
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    method: Mapped[str]
    answer: Mapped[dict[str, Any]]
    reason: Mapped[str]


class HarmRow(Base):
    """A reply that a reviewer thinks could do harm. One that is not resolved blocks a release."""

    __tablename__ = "harms"
    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    queue: Mapped[str] = mapped_column(index=True)
    item_id: Mapped[str] = mapped_column(ForeignKey("queue_items.id"))
    assignment_id: Mapped[str] = mapped_column(ForeignKey("assignments.id"))
    candidate: Mapped[str]
    person: Mapped[str]
    words: Mapped[str]
    resolved_at: Mapped[datetime | None]
    resolved_by: Mapped[str | None]
    resolution: Mapped[str | None]


class PersonRow(Base):
    """Someone with an account, or a guest of one panel. ``password`` is an argon2 hash."""

    __tablename__ = "people"
    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    name: Mapped[str]
    role: Mapped[str]
    email: Mapped[str | None] = mapped_column(unique=True)
    password: Mapped[str | None]
    fields: Mapped[list[Any]]
    issuer: Mapped[str | None]
    subject: Mapped[str | None]
    queue: Mapped[str | None]
    disabled_at: Mapped[datetime | None]
    __table_args__ = (Index("uq_people_subject", "issuer", "subject", unique=True),)


class LoginRow(Base):
    """A session of a person in a browser; only the SHA-256 of its random secret is kept."""

    __tablename__ = "logins"
    hash: Mapped[str] = mapped_column(primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("people.id"), index=True)
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class LoginFailureRow(Base):
    """A login that failed; ``who`` is a keyed hash of the e-mail or the address it came from."""

    __tablename__ = "login_failures"
    id: Mapped[str] = mapped_column(primary_key=True)
    who: Mapped[str] = mapped_column(index=True)
    at: Mapped[datetime]


class InvitationRow(Base):
    """A link by which one person joins, once; only the SHA-256 of its secret is kept."""

    __tablename__ = "invitations"
    id: Mapped[str] = mapped_column(primary_key=True)
    hash: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    role: Mapped[str]
    email: Mapped[str | None]
    queue: Mapped[str | None]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    used_by: Mapped[str | None]
    revoked_at: Mapped[datetime | None]
    person_id: Mapped[str | None]


class CaseRow(Base):
    """A failure of a served model with the right answer: an example for the next versions.
    ``held_back``: it is measured on and never trained on."""

    __tablename__ = "cases"
    example_id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    interaction_id: Mapped[str] = mapped_column(ForeignKey("interactions.id"), index=True)
    item_id: Mapped[str] = mapped_column(ForeignKey("queue_items.id"))
    release_id: Mapped[str | None] = mapped_column(ForeignKey("releases.id"))
    held_back: Mapped[bool]
    failed: Mapped[bool]
    example: Mapped[dict[str, Any]]


class ProbeRow(Base):
    """What a measurement beside the test set found. ``probe`` is the record's JSON."""

    __tablename__ = "probes"
    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    kind: Mapped[str]
    subject: Mapped[str]
    version_id: Mapped[str | None] = mapped_column(ForeignKey("versions.id"))
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"), index=True)
    probe: Mapped[dict[str, Any]]
    __table_args__ = (Index("ix_probes_kind_subject", "kind", "subject"),)


class VaultPageRow(Base):
    """Surrogates that one scope assigned for one group, sealed with that group's key; ``kinds``
    counts them. Erasing the group's key erases the page."""

    __tablename__ = "vault_pages"
    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    scope: Mapped[str]
    scope_hash: Mapped[str] = mapped_column(index=True)
    group_hash: Mapped[str] = mapped_column(index=True)
    kinds: Mapped[dict[str, Any]]
    sealed_id: Mapped[str] = mapped_column(ForeignKey("sealed_rows.id"))


class SignOffSampleRow(Base):
    """Rows drawn to be read by people: their ids and what was found in each; no text."""

    __tablename__ = "sign_off_samples"
    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    settings_hash: Mapped[str] = mapped_column(index=True)
    seed: Mapped[int]
    drawn_from: Mapped[int]
    drawn_by: Mapped[str]
    detail: Mapped[dict[str, Any]]


class SignOffReadingRow(Base):
    """What one person marked in a sample; of one reader's the newest counts, row by row."""

    __tablename__ = "sign_off_readings"
    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    sample_id: Mapped[str] = mapped_column(ForeignKey("sign_off_samples.id"), index=True)
    reader: Mapped[str]
    marks: Mapped[dict[str, Any]]


class SignatureRow(Base):
    """A person's name under de-identification with exactly these settings; ``statement`` is the
    artifact of an expert's determination, ``result`` what the sample showed."""

    __tablename__ = "signatures"
    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    profile: Mapped[str]
    settings_hash: Mapped[str] = mapped_column(index=True)
    signer: Mapped[str]
    role: Mapped[str]
    sample_id: Mapped[str | None] = mapped_column(ForeignKey("sign_off_samples.id"))
    statement: Mapped[str | None]
    result: Mapped[dict[str, Any]]


class IncidentRow(Base):
    """An identifier that somebody met in a row. ``spread`` holds the ids of what had the row;
    what was said is sealed; ``resolution`` NULL: it is open."""

    __tablename__ = "incidents"
    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    example_id: Mapped[str] = mapped_column(index=True)
    content_hash: Mapped[str | None]
    opened_by: Mapped[str]
    spread: Mapped[dict[str, Any]]
    sealed_id: Mapped[str] = mapped_column(ForeignKey("sealed_rows.id"))
    resolution: Mapped[str | None]
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[str | None]


class ErasureRow(Base):
    """A group that was erased; rows of it are never taken in again. ``certificate`` is what is in
    the certificate: ids and numbers."""

    __tablename__ = "erasures"
    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    group_hash: Mapped[str] = mapped_column(index=True)
    actor: Mapped[str]
    certificate: Mapped[dict[str, Any]]


class ApiKeyRow(Base):
    """A key of the API; only the SHA-256 of its random secret is kept."""

    __tablename__ = "api_keys"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    hash: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    scopes: Mapped[list[Any] | None]
    created_by: Mapped[str | None]


class AuditRow(Base):
    """One link of the audit chain. ``hash`` covers the row and ``previous``."""

    __tablename__ = "audit"
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[str]
    actor: Mapped[str]
    action: Mapped[str]
    subject: Mapped[str]
    detail: Mapped[dict[str, Any]]
    previous: Mapped[str]
    hash: Mapped[str]
