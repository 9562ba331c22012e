"""Searching a project's documents, and measuring how much is found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath

from metier.core import ledger
from metier.core.errors import InputError
from metier.core.ids import new_id
from metier.core.records import Probe
from metier.core.types import Estimate, Example
from metier.evaluate.bench import Bench
from metier.evaluate.passages import Library, library
from metier.journey.session import Session, make_bench
from metier.retrieval.knowledge import Knowledge, stored_index
from metier.retrieval.metrics import Judged, documents_of, retrieval_metrics
from metier.retrieval.types import Document, Hit, Method

KIND = "retrieval"
DEPTH = 100
"""Chunks looked at for the documents of one question."""


@dataclass(frozen=True, slots=True)
class RetrievalCheck:
    """How much each way of searching finds. ``questions`` are those with a known document,
    ``without`` those of the validation split that have none in the index."""

    k: int
    questions: int
    without: int
    metrics: Mapping[Method, Mapping[str, Estimate]]


def retrieve(
    session: Session, question: str, k: int = 5, method: Method | None = None
) -> list[Hit]:
    """Return what the project's index finds for a question, best first.

    ``method`` None: the first configured. Raises InputError when no documents are configured, and
    NotFound when they come from training rows and no data version is frozen.
    """
    config = session.project.retrieval
    how = method or config.method[0]
    documents = _documents(session)
    index = stored_index(documents, config, session.workspace, [how])
    return index.search([question], k, how)[0]


def check_retrieval(session: Session, k: int = 5, methods: Sequence[Method] = ()) -> RetrievalCheck:
    """Measure recall@k, MRR and nDCG@k on validation questions, and keep it as a probe.

    Which document answers a question must be known: the slice that ``[retrieval] relevant`` names
    holds its id, title or file name; with documents from-train, the rows with the same value of
    that slice count as relevant. Raises InputError when nothing says so.
    """
    bench = make_bench(session)
    shelf, config = library(bench), session.project.retrieval
    asked = [one for one in bench.examples("validation")]
    slice_name = _relevant_slice(config.relevant, asked)
    how = tuple(methods) or config.method
    index = stored_index(shelf.documents, config, session.workspace, how)
    names = _names(shelf, slice_name)
    questions = [one.conversation.last_user for one in asked]
    found: dict[Method, dict[str, Estimate]] = {}
    judged: list[Judged] = []
    for each in how:
        hits = index.search(questions, max(DEPTH, k), each)
        judged = [
            Judged(
                one.id, names.get(_value(one, slice_name), frozenset()), documents_of(h), _of(one)
            )
            for one, h in zip(asked, hits, strict=True)
        ]
        found[each] = retrieval_metrics(judged, k, bench.resampling)
    known = sum(bool(one.relevant) for one in judged)
    check = RetrievalCheck(k, known, len(judged) - known, found)
    _keep(bench, index.fingerprint, check)
    return check


def _documents(session: Session) -> list[Document]:
    config = session.project.retrieval
    if config.documents == "from-train":
        return library(make_bench(session)).documents
    return Knowledge(config, session.root).documents([], session.project.objective)


def _relevant_slice(name: str | None, asked: Sequence[Example]) -> str:
    if not asked:
        raise InputError(
            "validation questions", got="a version without any", remedy="give [data] a share"
        )
    if name is None:
        raise InputError(
            "to know which document answers a question",
            got="no [retrieval] relevant",
            remedy="name the slice of the data that holds the document's id, title or file name "
            '(a column listed in the source\'s slices), e.g. relevant = "document"',
        )
    if not any(name in one.slices for one in asked):
        known = ", ".join(sorted({key for one in asked for key in one.slices})) or "none"
        raise InputError(
            f"a slice {name!r} on the validation questions",
            got=f"the slices {known}",
            remedy="add the column to slices of the data source, and build the data again",
        )
    return name


def _names(shelf: Library, slice_name: str) -> dict[str, frozenset[str]]:
    """Return the documents by what a question's slice may call them."""
    found: dict[str, set[str]] = {}
    if shelf.knowledge.config.documents == "from-train":
        for row in shelf.rows.shown:
            found.setdefault(_value(row, slice_name), set()).add(row.id)
    else:
        for one in shelf.documents:
            path = PurePosixPath(one.id)
            for name in {one.id, one.title, path.name, path.stem}:
                found.setdefault(name.strip(), set()).add(one.id)
    found.pop("", None)
    return {name: frozenset(ids) for name, ids in found.items()}


def _value(example: Example, slice_name: str) -> str:
    return example.slices.get(slice_name, "").strip()


def _of(example: Example) -> str:
    return example.group or ""


def _keep(bench: Bench, fingerprint: str, check: RetrievalCheck) -> None:
    metrics = {
        f"{method}.{name}": estimate
        for method, found in check.metrics.items()
        for name, estimate in found.items()
    }
    detail = {"k": check.k, "questions": check.questions, "without": check.without}
    probe = Probe(
        id=new_id("probe"),
        created_at=datetime.now(UTC),
        kind=KIND,
        subject=fingerprint,
        version_id=bench.version.id,
        run_id=None,
        metrics=metrics,
        detail=detail,
    )
    ledger.save_probe(bench.workspace, probe)
