"""``metier export``: a tuned model as a folder that other engines load."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table

if TYPE_CHECKING:
    from metier.journey.exporting import Exported

app = typer.Typer()
FORMS = "adapter, merged, quantised, gguf or ollama"
NEXT = {
    "adapter": "vllm serve BASE --enable-lora --lora-modules {name}={folder}",
    "merged": "vllm serve {folder}",
    "quantised": "vllm serve {folder}",
    "gguf": "llama-server -m {folder}/*.gguf",
    "ollama": "ollama create {name} -f {folder}/Modelfile",
}
MISSED = 1


@app.command()
def export(
    key: Annotated[str, typer.Argument(metavar="RUN|RELEASE", help="latest, v3, champion, an id.")],
    folder: Annotated[Path, typer.Argument(help="Folder to make; it must be empty or not there.")],
    to: Annotated[str, typer.Option("--to", help=FORMS)] = "merged",
    bits: Annotated[int, typer.Option(help="quantised: 8 or 4.")] = 8,
    precision: Annotated[str, typer.Option(help="gguf, ollama: f32, f16 or q8_0.")] = "q8_0",
    check: Annotated[bool, typer.Option("--check", help="Hold it to the tuned model.")] = False,
    dry_run: Annotated[
        bool, typer.Option(help="Say what would be written; write nothing.")
    ] = False,
    directory: Directory = HERE,
    as_json: AsJson = False,
) -> None:
    """Write a tuned run or a release for other engines; nothing leaves this machine."""
    from metier.journey.exporting import export_model, plan_export, wanted
    from metier.journey.parity import run_parity

    asked = wanted(to, bits, precision)
    with session(directory) as opened:
        if dry_run:
            plan = plan_export(opened, key, asked, folder)
            show(plan, as_json, lambda: say(f"would write {plan.form} of {plan.key} to {folder}"))
            return
        done = export_model(opened, key, asked, folder)
        found = run_parity(opened, key, (), folder=folder) if check else None
    show({"export": done, "parity": found}, as_json, lambda: _show(done, to, folder))
    if found is not None:
        from metier.apps.cli.parity import finish

        finish(found, as_json)


def _show(done: Exported, to: str, folder: Path) -> None:
    rows = [(name, f"{size:,}") for name, size in done.files.items()]
    table(["file", "bytes"], rows, f"{done.form} of {done.key} in {folder}")
    verified = done.detail.get("verified")
    if verified:
        say(
            f"read back: {verified['tensors']} tensors, {verified['values']:,} weights, at most "
            f"{verified['largest']:.2g} from the model's own"
        )
    say(f"next: {NEXT[to].format(folder=folder, name=folder.name)}")
