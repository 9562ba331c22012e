"""``metier retrieve``: search the project's documents, or measure how much is found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table

if TYPE_CHECKING:
    from metier.core.types import Estimate
    from metier.journey.retrieving import RetrievalCheck
    from metier.retrieval.types import Hit, Method

app = typer.Typer()
SHOWN_CHARACTERS = 160


@app.command()
def retrieve(
    question: Annotated[str, typer.Argument(help="What to search for.")] = "",
    k: Annotated[int, typer.Option("-k", min=1, help="Passages to show; recall@k to measure.")] = 5,
    method: Annotated[
        str | None, typer.Option(help="bm25, embeddings or hybrid (default: as configured).")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Measure recall@k, MRR and nDCG on validation.")
    ] = False,
    directory: Directory = HERE,
    as_json: AsJson = False,
) -> None:
    """Show the passages that are found for a question, with source, place and score."""
    from metier.journey import retrieving

    how = _method(method)
    if check:
        with session(directory) as opened:
            found = retrieving.check_retrieval(opened, k, [how] if how else [])
        return show(found, as_json, lambda: _measured(found))
    with session(directory) as opened:
        hits = retrieving.retrieve(opened, _asked(question), k, how)
    show(hits, as_json, lambda: _hits(hits))


def _method(name: str | None) -> Method | None:
    from metier.core.errors import InputError, nearest
    from metier.retrieval.types import METHODS

    if name is not None and name not in METHODS:
        raise InputError("a way of searching", got=repr(name), remedy=nearest(name, METHODS))
    return name


def _asked(question: str) -> str:
    from metier.core.errors import InputError

    if not question.strip():
        raise InputError(
            "a question",
            got="none",
            remedy='write it behind the verb: metier retrieve "…"; or measure with --check',
        )
    return question


def _hits(hits: list[Hit]) -> None:
    if not hits:
        return say("Nothing in the documents shares a word with this question.")
    rows = [
        (
            hit.rank,
            f"{hit.score:.3f}",
            hit.chunk.document,
            f"{hit.chunk.start}-{hit.chunk.end}",
            _short(hit.chunk.text),
        )
        for hit in hits
    ]
    table(("rank", "score", "document", "characters", "text"), rows)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARACTERS else line[: SHOWN_CHARACTERS - 1] + "…"


def _measured(found: RetrievalCheck) -> None:
    names = list(next(iter(found.metrics.values())))
    rows = [(how, *(_cell(each[name]) for name in names)) for how, each in found.metrics.items()]
    table(("search", *names), rows)
    say(f"{found.questions} validation questions with a known document")
    if found.without:
        say(f"{found.without} have none in the index and were left out")


def _cell(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"
