"""``metier data``: sign-off of de-identification, and identifiers that somebody met."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metier.apps.cli.data.app import app
from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table

if TYPE_CHECKING:
    from metier.core.types import Estimate, Json
    from metier.data.sign import SignOff
    from metier.privacy.incidents import Incident

sign_off = typer.Typer(no_args_is_help=True, help="Have people check de-identified rows, and sign.")
app.add_typer(sign_off, name="sign-off")
By = Annotated[str, typer.Option("--by", help="Who does this; it goes into the audit log.")]
Named = Annotated[str | None, typer.Option("--sample", help="Sample (default: the newest).")]


@sign_off.command()
def draw(
    out: Annotated[Path, typer.Argument(help="Sheet to write: .csv or .jsonl.")] = Path(
        "sign-off.csv"
    ),
    directory: Directory = HERE,
    n: Annotated[int, typer.Option("--n", min=1, help="Rows to draw.")] = 200,
    seed: int = typer.Option(0, help="Another seed draws other rows."),
    originals: bool = typer.Option(False, help="Show the texts before, too (audited)."),
    by: By = "",
    as_json: AsJson = False,
) -> None:
    """Draw de-identified rows for two people to read; write a sheet for one of them."""
    from metier.journey.signing import draw_sheet

    with session(directory) as opened:
        sample, rows = draw_sheet(opened, out, n=n, seed=seed, originals=originals, actor=by)
    found = {"sample": sample.id, "rows": rows, "drawn_from": sample.drawn_from, "file": str(out)}
    words = f"{rows} of {sample.drawn_from:,} rows in {out}: make a copy for each of two readers"
    show(found, as_json, lambda: _say(words, "next: metier data sign-off read FILE --by NAME"))


@sign_off.command()
def read(file: Path, by: By, directory: Directory = HERE, as_json: AsJson = False) -> None:
    """Take in the marks of one reader."""
    from metier.data.sign_sheet import read_sheet

    with session(directory) as opened:
        found = read_sheet(opened.workspace, file, by)
    words = f"{found.rows} rows read by {by}, {found.empty} left empty"
    show(found, as_json, lambda: _say(words, *found.bad, "next: metier data sign-off show"))


@sign_off.command("show")
def show_result(
    directory: Directory = HERE,
    sample: Named = None,
    row: Annotated[str | None, typer.Option(help="Open one row's texts (audited).")] = None,
    as_json: AsJson = False,
) -> None:
    """What the readers found so far: recall by kind, rows with a missed identifier."""
    from metier.journey.signing import sign_off_result, sign_off_row

    with session(directory) as opened:
        if row is not None:
            texts = sign_off_row(opened, row, sample)
            show(texts, as_json, lambda: _say(texts.before, "->", texts.after))
            return
        result = sign_off_result(opened, sample)
    show(result, as_json, lambda: _show_result(result))


@sign_off.command()
def sign(
    by: By,
    role: Annotated[str, typer.Option(help="Of whoever signs, e.g. privacy officer.")],
    directory: Directory = HERE,
    sample: Named = None,
    statement: Annotated[
        Path | None, typer.Option(help="The expert's statement (expert-determination).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put a name under de-identification as it is set now."""
    from metier.data.sign import sign as put_name

    with session(directory) as opened:
        config = opened.project.data.deidentification
        found = put_name(opened.workspace, config, by, role, sample=sample, statement=statement)
    words = f"signed by {found.signer} ({found.role}): {found.id}"
    rests = _rests_on(found.result)
    show(found, as_json, lambda: _say(words, *rests, "next: metier data build"))


def _rests_on(result: Mapping[str, Json]) -> list[str]:
    """Say what a signature rests on, so that a sample of five rows does not pass unseen."""
    if "documents_missed" not in result:
        return []
    bound, rows = result["documents_missed"]["high"], result["n"]
    return [
        f"it rests on {rows} rows read: up to {bound:.1%} of all rows may hold a missed "
        "identifier (one-sided 95% bound)"
    ]


@app.command("report-identifier")
def report_identifier(
    row: str,
    what: Annotated[str, typer.Option(help="What was met, and where; kept sealed.")],
    directory: Directory = HERE,
    by: By = "",
    as_json: AsJson = False,
) -> None:
    """Report an identifier in a row: leave the row out, list what had it."""
    from metier.privacy.incidents import report_identifier as report

    with session(directory) as opened:
        incident = report(opened.workspace, row, what, actor=by or None)
    show(incident, as_json, lambda: _show_incident(incident))


@app.command()
def incidents(
    action: Annotated[str, typer.Argument(help="list, show or close.")] = "list",
    key: Annotated[str, typer.Argument(help="The incident, for show and close.")] = "",
    directory: Directory = HERE,
    resolution: Annotated[str, typer.Option("--as", help="fixed or left_out.")] = "fixed",
    by: By = "",
    as_json: AsJson = False,
) -> None:
    """List, show and close reports of identifiers."""
    from metier.journey.signing import work_incidents

    with session(directory) as opened:
        found, said = work_incidents(opened, action, key, resolution, by or None)
    show({"incidents": found, "said": said}, as_json, lambda: _show_incidents(found, said))


def _say(*lines: str) -> None:
    for line in lines:
        say(line)


def _show_result(result: SignOff) -> None:
    say(
        f"{result.sample_id}: {result.read} of {result.n} rows read by "
        f"{', '.join(result.readers) or 'nobody'}; {result.double_checked:.0%} by two, "
        f"{result.disagreements} disagreements, {result.missing_readings} readings missing"
    )
    if result.recall:
        rows = [(kind, _interval(recall)) for kind, recall in result.recall.items()]
        table(["kind", "recall [95%]"], rows)
    documents = result.documents_missed
    if documents.n:
        say(
            f"rows with a missed identifier: {documents.value:.1%} of {documents.n}, "
            f"at most {documents.high:.1%} (one-sided 95% bound); {result.wrong} replaced wrongly"
        )


def _interval(recall: Estimate) -> str:
    if isnan(recall.low):
        return f"{recall.value:.3f} n={recall.n}, of one group: no interval"
    return str(recall)


def _show_incident(one: Incident) -> None:
    had = one.spread
    say(f"incident {one.id} about {one.example_id}, {one.resolution or 'open'}")
    for name, ids in (
        ("versions", had.versions), ("adapters (runs)", had.runs), ("releases", had.releases),
        ("evaluations", had.evaluations), ("rows made from it", had.copies),
    ):  # fmt: skip
        say(f"  {name}: {', '.join(ids) or 'none'}")
    for name, seen in (("exports", had.exports), ("openings of sealed text", had.viewers)):
        say(f"  {name}: {len(seen)}")
        for entry in seen:
            what = f"{entry.actor} {entry.action} {entry.purpose}".rstrip()
            say(f"    #{entry.seq} {entry.at:%Y-%m-%d %H:%M} {what}")
    if one.resolution is None:
        say(f"the next build leaves the row out; close: metier data incidents close {one.id}")


def _show_incidents(found: list[Incident], said: str) -> None:
    if said:
        say(said)
    if len(found) == 1:
        _show_incident(found[0])
        return
    rows = [
        (one.id, f"{one.created_at:%Y-%m-%d %H:%M}", one.example_id, one.opened_by,
         one.resolution or "open")
        for one in found
    ]  # fmt: skip
    headers = ["incident", "opened (UTC)", "row", "by", "state"]
    table(headers, rows) if rows else say("no identifier was reported")
