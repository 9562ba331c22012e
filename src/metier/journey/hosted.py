"""Hosted tuning within a project: what may leave, who is asked, and who answers afterwards.

Rows leave only to a host that ``[privacy.egress]`` lists for the purpose "tune", and only of a
version that was de-identified; questions of an evaluation go out for the purpose "evaluate".
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from metier.core import ledger
from metier.core.completer import Completer
from metier.core.errors import EgressRefused, InputError
from metier.core.records import DataVersion, TuneRun
from metier.core.types import Json
from metier.journey.session import Session, base_name
from metier.tune.config import Hosted

if TYPE_CHECKING:
    from metier.tune.methods.hosted import Host

EVALUATE = "evaluate"


def tuned_base_name(session: Session) -> str:
    """Return what a tune of this project starts from: the base, or the model at the host."""
    method = session.project.tune.method
    return method.model if isinstance(method, Hosted) else base_name(session)


def tune_at_host(session: Session, version: DataVersion, *, resume: bool = True) -> TuneRun:
    """Have the model tuned at the host of ``[tune] method``. Raises EgressRefused."""
    from metier.tune.methods.hosted import tune_hosted

    project = session.project
    refuse_identified(version)
    with _host(session) as host:
        return tune_hosted(
            project.tune,
            version,
            session.workspace,
            project.objective,
            host,
            system=project.project.system,
            progress=session.progress,
            resume=resume,
        )


def cancel_at_host(session: Session, key: str = ledger.LATEST) -> TuneRun:
    """Cancel the job of a hosted run that is under way."""
    from metier.tune.methods.hosted import cancel_hosted

    run = ledger.get_run(session.workspace, key)
    with _host(session) as host:
        found = cancel_hosted(session.workspace, run, host)
    session.workspace.audit.append(None, "tune.cancel", run.id, {})
    return found


def hosted_completer(session: Session, run: TuneRun) -> Completer | None:
    """Return the tuned model at its host, for a run that was hosted; None for any other."""
    from metier.models.engines.endpoint import EndpointCompleter, EndpointSettings
    from metier.privacy import Egress
    from metier.tune.methods.hosted import NOTE

    if run.adapter is None or "hosted" not in run.summary:
        return None
    path = session.workspace.artifacts.checkout(run.adapter) / NOTE
    note: dict[str, Json] = json.loads(path.read_text(encoding="utf-8"))
    egress = Egress(session.project.privacy, session.workspace.audit)

    def check(url: str, purpose: str, texts: int) -> None:
        egress.check(url, purpose, texts)

    settings = EndpointSettings(purpose=EVALUATE, api_key_env=str(note["key_env"]))
    return EndpointCompleter(str(note["url"]), str(note["model"]), check, settings)


def refuse_identified(version: DataVersion) -> None:
    """Raise EgressRefused unless the version's rows went through a de-identification profile."""
    if version.config.get("deidentify", "none") != "none":
        return
    raise EgressRefused(
        "a data version that was de-identified, before its rows leave this machine",
        got=f'{version.id}, made with deidentify = "none"',
        remedy="set [data] deidentify to a profile and run `metier data build`",
    )


def refuse_hosted(run: TuneRun) -> None:
    """Raise InputError for a run whose weights are at a host."""
    if "hosted" in run.summary:
        raise InputError(
            "a run whose weights are here",
            got=f"{run.id}, which was tuned at a host",
            remedy="a hosted model stays there: name it in [[serve.upstream]] to serve it",
        )


@contextmanager
def _host(session: Session) -> Iterator[Host]:
    from metier.privacy import Egress
    from metier.tune.methods.hosted import Host
    from metier.tune.methods.hosted_api import HostedApi

    method = session.project.tune.method
    if not isinstance(method, Hosted):
        raise InputError('[tune] method.type = "hosted"', got=f"method.type = {method.type!r}")
    egress = Egress(session.project.privacy, session.workspace.audit)
    api = HostedApi(method.url, method.key_env)
    try:
        yield Host(api, egress.check)
    finally:
        api.close()
