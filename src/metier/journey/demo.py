"""The demo: two cycles of a recipe, with a served pilot between them.

    cycle 1 -> release -> serve -> simulated customers -> collect -> simulated experts -> cycle 2

The people are simulated by the recipe's own ``simulate_users.py``, a separate program that talks
to the served model over HTTP and knows only its table of truth. Stopped anywhere, it goes on.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from metier.core import ledger
from metier.core.errors import BoundaryError
from metier.core.records import Release
from metier.core.types import Json
from metier.feedback.collect import Collected, collect
from metier.feedback.labels import current_labels
from metier.journey.cycles import CycleResult, cycle_status, run_cycle
from metier.journey.session import Session
from metier.registry.releases import aliases, get_release
from metier.release.promote import promote

SIMULATION = "simulate_users.py"
CYCLES = 2
PILOT = "pilot with simulated customers, to learn from what it gets wrong"
STOP_S = 60.0


@dataclass(frozen=True)
class Pilot:
    """What the time between the cycles brought; None where an earlier run of the demo did it."""

    release: Release
    users: Json
    collected: Collected
    experts: Json


@dataclass(frozen=True)
class DemoResult:
    """What the demo left: the last cycle, and the pilot before it if it was run just now."""

    cycle: CycleResult
    pilot: Pilot | None
    champion: Release


def run_demo(session: Session) -> DemoResult:
    """Run what is missing of two cycles and the pilot between them."""
    result = _cycle(session)
    pilot = None
    if result.cycle.number < CYCLES and (session.root / SIMULATION).exists():
        _make_champion(session, result.release)
        pilot = _pilot(session)
        result = _cycle(session)
    if result.release.gate.get("state") == "passed":
        _make_champion(session, result.release)
    result = replace(result, waits=cycle_status(session).waits)
    champion = aliases(session.workspace).get("champion", result.release)
    return DemoResult(result, pilot, champion)


def _cycle(session: Session) -> CycleResult:
    number = len(ledger.list_cycles(session.workspace)) or 1
    session.progress.note(f"cycle {number}")
    result = run_cycle(session)
    if not isinstance(result, CycleResult):
        raise BoundaryError(f"demo: still waiting for {result[0].who}: {result[0].what}")
    return result


def _make_champion(session: Session, release: Release) -> None:
    """Promote through the gate, or, for the pilot, past it: with its reason, in the audit log."""
    champion = aliases(session.workspace).get("champion")
    if champion is not None and champion.number >= release.number:
        return
    passed = release.gate.get("state") == "passed"
    promote(session.workspace, release.id, override=None if passed else PILOT)
    how = "through the gate" if passed else f"past the gate, which it did not pass: {PILOT}"
    session.progress.note(f"{release.name} is champion, {how}")


def _pilot(session: Session) -> Pilot:
    with _served(session) as url:
        session.progress.note(f"serving on {url}; 200 simulated customers write to it")
        users = _simulate(session.root, "users", url)
        collected = _collect(session)
        session.progress.note(f"{collected.new} replies collected; simulated experts correct them")
        experts = _simulate(session.root, "experts", url)
    release = get_release(session.workspace, "champion")
    return Pilot(release, users, collected, experts)


def _collect(session: Session) -> Collected:
    project, workspace = session.project, session.workspace
    labels = current_labels(workspace, project.objective)
    return collect(
        workspace, project.feedback, project.objective, labels, progress=session.progress
    )


@contextmanager
def _served(session: Session) -> Iterator[str]:
    """Run ``metier serve`` beside this process on a free port; stop it as an operator would."""
    command = [sys.executable, "-m", "metier", "serve", "--port", "0", "--json", "--project"]
    log = (session.workspace.logs_dir / "serve.log").open("ab")
    with (
        log,
        subprocess.Popen(
            [*command, str(session.root)], stdout=subprocess.PIPE, stderr=log, text=True
        ) as server,
    ):
        try:
            line = server.stdout.readline() if server.stdout else ""
            if not line:
                raise BoundaryError(f"metier serve did not start; see {log.name}")
            yield str(json.loads(line)["url"])
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(STOP_S)
            except subprocess.TimeoutExpired:
                server.kill()


def _simulate(root: Path, who: str, url: str) -> Json:
    command = [sys.executable, SIMULATION, who, "--url", url]
    done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise BoundaryError(f"{SIMULATION} {who} ended with {done.returncode}")
    return json.loads(done.stdout)
