"""``metier parity``: is what is exported or served the model that was tuned?"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table
from metier.apps.cli.tables import interval

if TYPE_CHECKING:
    from metier.evaluate.parity_forms import FormParity
    from metier.journey.parity import ParityFound

app = typer.Typer()
FORMS = "Form to make and compare (repeat): merged, int8, int4, gguf f32, gguf f16, gguf q8_0."
MISSED = 1


@app.command()
def parity(
    key: Annotated[
        str, typer.Argument(metavar="RUN|RELEASE", help="latest, v3, champion, an id.")
    ] = "latest",
    form: Annotated[list[str] | None, typer.Option(help=FORMS)] = None,
    folder: Annotated[Path | None, typer.Option(help="An export to compare as well.")] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Serve the release, and compare.")] = False,
    url: Annotated[str, typer.Option(help="A served model's API, e.g. http://host:8000/v1.")] = "",
    model: Annotated[str, typer.Option(help="The model's name there.")] = "champion",
    plain: Annotated[bool, typer.Option("--plain", help="Another engine than metier's.")] = False,
    directory: Directory = HERE,
    as_json: AsJson = False,
) -> None:
    """Hold every form of a tuned model to the model as it was tuned; exit code 1 on a miss."""
    from metier.journey.parity import DEFAULT, ServedAt, run_parity

    only_these = () if (folder or url or serve) else DEFAULT
    with session(directory) as opened, ExitStack() as stack:
        served = ServedAt(url, model, plain=plain) if url else None
        if serve:
            from metier.apps.http.own import serving

            served = stack.enter_context(serving(opened, key))
        found = run_parity(opened, key, form or only_these, folder=folder, served=served)
    show({"passed": found.passed, "parity": found}, as_json, lambda: None)
    finish(found, as_json)


def finish(found: ParityFound, as_json: bool) -> None:
    """Show the table, and end with exit code 1 where a bar was missed."""
    if not as_json:
        _show(found)
    if found.missed:
        raise typer.Exit(MISSED)


def _show(found: ParityFound) -> None:
    headers = ["form", "log-prob max", "mean", "tokens", "same replies", "n", "task metric", ""]
    title = f"{found.key} beside the model as tuned, {found.rows} {found.split} rows, 95% intervals"
    if found.forms:
        table(headers, [_row(form) for form in found.forms], title)
    for form in found.forms:
        for words in (*form.failed, *form.unsettled):
            say(f"  {form.form}: {words}")
    for name, why in found.not_run.items():
        say(f"  {name} was not run: {why}")
    if not found.forms:
        say("nothing was compared")
    say(f"kept as {found.probe}")


def _row(form: FormParity) -> list[str]:
    gaps = [form.logprob_max, form.logprob_mean]
    return [
        form.form,
        *("–" if gap is None else f"{gap:.2g}" for gap in gaps),
        f"{form.tokens:,}",
        interval(form.same),
        str(form.same.n),
        "–" if form.difference is None else f"{form.metric} {interval(form.difference)}",
        "passed" if form.passed else "MISSED" if form.failed else "unsettled",
    ]
