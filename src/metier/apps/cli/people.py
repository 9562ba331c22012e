"""``metier people``: who works here, and in which role."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table

if TYPE_CHECKING:
    from metier.journey.session import Session
    from metier.people import Role

app = typer.Typer(
    no_args_is_help=True, help="Add, invite, list and shut out people; roles, passwords, logins."
)
LOOPBACK = ("127.0.0.1", "localhost", "::1")
Who = Annotated[str, typer.Argument(help="Id or e-mail of the person.")]
RoleName = Annotated[
    str, typer.Option("--role", help="owner, engineer, reviewer, annotator, auditor or viewer.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; write nothing.")]
FromStdin = Annotated[
    bool, typer.Option("--stdin", help="Read the password from standard input, one line.")
]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="The person's name.")],
    email: Annotated[str, typer.Option(help="E-mail they log in with.")],
    role: RoleName = "annotator",
    stdin: FromStdin = False,
    directory: Directory = HERE,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Make an account; the password is asked for. The first one is an owner's."""
    from metier.people import NewPerson, add_person

    with perhaps(directory, dry_run) as opened:
        new = NewPerson(name, cast("Role", role), email, read_password(stdin))
        made = add_person(opened.workspace, new, None)
    would = f"{made.name} would be {made.role}; nothing is written"
    done = f"{made.name} is {made.role}  {made.id}"
    show(made, as_json, lambda: say(would if dry_run else done))


@app.command("list")
def list_all(directory: Directory = HERE, as_json: AsJson = False) -> None:
    """List everybody, with role and last activity."""
    from metier.people import list_people

    with session(directory) as opened:
        people, seen = list_people(opened.workspace), _seen(opened)
    rows = [
        (p.id, p.name, p.email or "–", "shut out" if p.disabled_at else p.role, seen.get(p.id, "–"))
        for p in people
    ]
    empty = "nobody has an account: whoever works at this machine owns the project"
    head = ["person", "name", "e-mail", "role", "active (UTC)"]
    show(people, as_json, lambda: table(head, rows) if rows else say(empty))


@app.command()
def invite(
    role: Annotated[str, typer.Argument(help="Role of whoever joins; guest: with --queue.")],
    email: Annotated[str | None, typer.Option(help="Then only this e-mail can join.")] = None,
    queue: Annotated[str | None, typer.Option(help="The panel of a guest.")] = None,
    days: Annotated[float | None, typer.Option(help="Days until the link ends.")] = None,
    directory: Directory = HERE,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Make a link by which one person joins, once."""
    from metier.core.audit import current_actor
    from metier.journey.inviting import invite_somebody
    from metier.people import NewInvitation

    with perhaps(directory, dry_run) as opened:
        lasts = opened.project.people.invitation_days if days is None else days
        new = NewInvitation(cast("Role", role), email, queue, lasts)
        made, secret = invite_somebody(opened, new, current_actor())
    _show_link(opened, made, "" if dry_run else secret, as_json)


@app.command()
def link(
    who: Who, directory: Directory = HERE, dry_run: DryRun = False, as_json: AsJson = False
) -> None:
    """Make a link by which somebody sets a new password, or a guest comes back."""
    from metier.core.audit import current_actor
    from metier.people import reset_link

    with perhaps(directory, dry_run) as opened:
        made, secret = reset_link(opened.workspace, who, current_actor())
    _show_link(opened, made, "" if dry_run else secret, as_json)


@app.command()
def role(
    who: Who,
    new: Annotated[str, typer.Argument(help="The new role.")],
    directory: Directory = HERE,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Change somebody's role, from their next request on."""
    from metier.people import change_role

    with perhaps(directory, dry_run) as opened:
        person = change_role(opened.workspace, who, cast("Role", new), None)
    be = "would be" if dry_run else "is"
    show(person, as_json, lambda: say(f"{person.name} {be} {person.role}"))


@app.command()
def disable(
    who: Who,
    again: Annotated[bool, typer.Option("--undo", help="Let them in again.")] = False,
    directory: Directory = HERE,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Shut somebody out at once; what they did stays."""
    from metier.people import disable_person, enable_person

    with perhaps(directory, dry_run) as opened:
        change = enable_person if again else disable_person
        person = change(opened.workspace, who, None)
    done = "may come in again" if again else "is shut out"
    if dry_run:
        done = "would be let in again" if again else "would be shut out"
    show(person, as_json, lambda: say(f"{person.name} {done}"))


@app.command()
def password(
    who: Who,
    stdin: FromStdin = False,
    directory: Directory = HERE,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Set somebody's password, which is asked for; their logins end."""
    from metier.people import set_password

    with perhaps(directory, dry_run) as opened:
        person = set_password(opened.workspace, who, read_password(stdin), None)
    done = "has a new password; their logins ended"
    if dry_run:
        done = "would have this password, and their logins would end"
    show(person, as_json, lambda: say(f"{person.name} {done}"))


@app.command()
def sessions(
    who: Annotated[str | None, typer.Argument(help="Id or e-mail (default: everybody).")] = None,
    end: Annotated[bool, typer.Option("--end", help="End theirs.")] = False,
    directory: Directory = HERE,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """List where people are logged in now, or end somebody's logins."""
    from metier.core.errors import InputError
    from metier.people import end_logins, get_person, list_logins

    if end and who is None:
        raise InputError("whose logins to end", got="nobody", remedy="metier people list")
    with perhaps(directory, dry_run) as opened:
        person = get_person(opened.workspace, who) if who else None
        chosen = None if person is None else person.id
        found = list_logins(opened.workspace, opened.project.people, chosen)
        if end and person is not None:
            end_logins(opened.workspace, person.id, None)
    rows = [(_at(one.created_at), _at(one.seen_at), one.person.name) for one in found]
    told = [{"person": o.person.id, "since": o.created_at, "seen": o.seen_at} for o in found]
    ended = "would end" if dry_run else "ended"
    head = ["since", "active (UTC)", ended if end else "who"]
    show(told, as_json, lambda: table(head, rows) if rows else say("nobody is logged in"))


@contextmanager
def perhaps(directory: Path, dry_run: bool) -> Iterator[Session]:
    """The open project; with ``dry_run`` everything is tried and taken back."""
    from metier.core.rehearsal import rehearsed

    with session(directory) as opened:
        yield replace(opened, workspace=rehearsed(opened.workspace)) if dry_run else opened


def read_password(stdin: bool) -> str:
    """Ask for a password twice, or read one line; never an argument, which others could see."""
    if stdin or not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))


def _show_link(opened: Session, made: Any, secret: str, as_json: bool) -> None:
    from metier.journey.inviting import JOIN

    serve = opened.project.serve
    base = serve.public_url or f"http://{serve.host}:{serve.port}"
    url = f"{base}{JOIN}{secret}"

    def text() -> None:
        if not secret:
            return say(f"a link would be made, for one {made.role}; nothing is written")
        say(url)
        if not serve.public_url and serve.host in LOOPBACK:
            typer.echo("this address works on this machine only: set [serve] public_url", err=True)
        typer.echo(f"shown once; it works once, until {_at(made.expires_at)} UTC", err=True)

    show({"invitation": made, "link": url if secret else None}, as_json, text)


def _seen(opened: Session) -> dict[str, str]:
    from metier.people import list_logins

    found = list_logins(opened.workspace, opened.project.people)
    return {one.person.id: _at(one.seen_at) for one in sorted(found, key=lambda o: o.seen_at)}


def _at(moment: Any) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
