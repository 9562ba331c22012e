"""The command line: one module per verb, each imported only when its verb is called.

``metier --help`` must stay light, so this module knows names and one-line summaries only; a verb's
module is loaded when it is invoked.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from metier import __version__

if TYPE_CHECKING:
    # typer carries its own copy of click; only the types are needed from it.
    from typer._click import Command, Context, HelpFormatter

VERBS: dict[str, str] = {
    "init": "Make a project here, from a recipe or from your data file.",
    "recipes": "List the specialists that ship as recipes.",
    "doctor": "Check this machine, the base model and the workspace.",
    "objective": "Check targets: items needed, value needed, expert hours.",
    "data": "Build, inspect and restore data versions.",
    "decide": "Is tuning worth it here? All the options on one page.",
    "curve": "Learning curve: what more data would bring.",
    "baseline": "Measure the untuned baselines on the frozen test set.",
    "inspect": "Show examples as the model sees them, supervised tokens marked.",
    "forecast": "What a tune takes: memory, time, money; which base to take.",
    "tune": "Fine-tune the base model on a data version.",
    "sweep": "Search settings: learning rate, rank, epochs, batch.",
    "evaluate": "Measure a tuned run, or score a file of existing predictions.",
    "retrieve": "Search the project's documents; measure how much is found.",
    "probe": "Side effects of a tune: forgetting, leaks, calibration.",
    "judge": "Model judges of replies, and checks of the judges.",
    "metrics": "List what can be measured; say what a metric means.",
    "compare": "Paired differences between evaluations.",
    "failures": "Where it fails, and what data to collect next.",
    "report": "Write the report: one self-contained HTML page.",
    "export": "Write a tuned model for vLLM, transformers, llama.cpp or Ollama.",
    "parity": "Is what is exported or served the model that was tuned?",
    "review": "Blind panels: plan, make, results, harms.",
    "release": "Gate, promote, roll back, export and verify model versions.",
    "serve": "Serve the API and the pages.",
    "preferences": "What panels said, as pairs (DPO) and wanted replies (KTO).",
    "people": "Who works here: accounts, roles, invitations, logins.",
    "keys": "Make, list and revoke keys of the API.",
    "annotate": "Rows that people label: queues, guidelines, agreement, labels.",
    "feedback": "What users say of replies; the queue of corrections.",
    "lineage": "What was made from what, asked in both directions.",
    "cycle": "Run the whole cycle: data, baselines, tune, evaluate, report.",
    "jobs": "List queued and running jobs; cancel one.",
    "worker": "Run queued jobs.",
    "vault": "What surrogates stand for: count, show, restore.",
    "gc": "Forget what [privacy.retention] no longer keeps.",
    "audit": "Show or verify the log of who did what.",
    "demo": "Two cycles on made data, with a served pilot between.",
}


class LazyGroup(TyperGroup):
    """A group that imports a verb's module when the verb is called."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = dict.fromkeys(VERBS)  # type: ignore[assignment]  # names for suggestions

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        """Import the verb's module and return its command; None for an unknown verb."""
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"metier.apps.cli.{cmd_name}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        """List the verbs from their summaries alone."""
        with formatter.section("Commands, in the order of the journey"):
            formatter.write_dl(list(VERBS.items()))


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Turn a general language model into a specialist, and prove it.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"metier {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Turn a general language model into a specialist, and prove it."""


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line. What a user can fix is told without traceback, exit code 2."""
    from metier.apps.cli.frame import guarded

    return guarded(lambda: typer.main.get_command(app)(arguments, prog_name="metier"))


__all__ = ["VERBS", "LazyGroup", "app", "main"]
