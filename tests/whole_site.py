"""A project in which every page has something to show, for the tests that walk all of them.

    with whole(folder, words=EVIL) as site:
        site.tour()                        a path for every route that answers GET

``words`` are put into every text that a person, a model or a file may bring.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fastapi.routing import APIRoute

from browser.desk_site import FakeGateway, make_session, message, rows
from http_desk import IdleGateway
from metier.annotate.guidelines import GuidelineExample, write_guideline
from metier.annotate.make import QueuePlan, Selection
from metier.apps.http.app import make_app
from metier.core import ledger
from metier.core.records import DataVersion
from metier.core.steps import Change, Drop, Suspect
from metier.core.store.tables import VersionRow
from metier.core.types import Conversation, Example, FieldsTarget
from metier.data.card import describe
from metier.journey.annotating import make_labelling
from metier.journey.reviewing import PanelAsk, make_project_panel
from metier.journey.session import Session
from metier.people import NewInvitation, NewPerson, Person, Role, add_person, go_alone, invite
from metier.queue import (
    Given,
    NewItem,
    NewQueue,
    get_queue,
    list_items,
    make_queue,
    submit,
    take_next,
)
from metier.queue.forms import Form, FormField, form_json
from metier.review.answers import Said, give_answer
from metier.review.panel import panel_of
from people_site import PASSWORD, email_of

EVIL = "\"'><xss-probe onclick=alert(1)>x</xss-probe><script>alert('x')</script>"
"""Text that would become a tag, an attribute or a script where somebody forgot to escape it."""
ADDRESS = "me@example.org"
SOURCE = "digest of the export"
ROUTES = ("account", "billing", "damaged", "delivery")
STAFF: dict[str, Role] = {
    "mara": "owner", "eva": "engineer", "rita": "reviewer", "ann": "annotator", "ben": "annotator",
    "audi": "auditor", "vi": "viewer",
}  # fmt: skip


class WholeGateway(IdleGateway, FakeGateway):
    """Answers at once, and needs no model."""

    def ready(self) -> bool:
        return True


@dataclass
class Whole:
    """The project, its app, the people by first name, and the ids that paths are made of."""

    session: Session
    app: Any
    people: Mapping[str, Person]
    ids: dict[str, str]

    def tour(self) -> dict[str, list[str]]:
        """Return for every route of the pages that answers GET the paths to look at.

        Raises AssertionError for a route that nobody has named here: name it, so that it is
        walked by the tests of safety, contrast and errors.
        """
        asked = get_routes(make_app(self.session, "web"))
        missing = sorted(set(asked) - set(PATHS))
        assert not missing, f"name a path of each in tests/whole_site.py: {missing}"
        return {route: [one.format(**self.ids) for one in PATHS[route]] for route in asked}

    def paths(self) -> list[str]:
        """Return every path of the tour."""
        return [one for found in self.tour().values() for one in found]

    def pages(self) -> list[str]:
        """Return the paths of whole pages: not the parts that another page fetches."""
        return [one for one in self.paths() if not one.endswith(PARTS)]

    def named(self) -> dict[str, str]:
        """Return the paths of the tour by names that can be files'."""
        return {
            (
                re.sub(r"[^a-z0-9]+", "-", f"{route} {number or ''}".lower()).strip("-")
                or "overview"
            ): path
            for route, found in self.tour().items()
            for number, path in enumerate(found)
        }


def name_of(route: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", route.lower()).strip("-") or "overview"


# What is looked at of each route; a part of a page that htmx fetches is looked at, too.
PATHS: dict[str, list[str]] = {
    "/": ["/"],
    "/runs": ["/runs"],
    "/runs/jobs": ["/runs/jobs"],
    "/runs/{key}": ["/runs/{run}"],
    "/compare": ["/compare"],
    "/try": ["/try"],
    "/label": ["/label"],
    "/interactions": ["/interactions", "/interactions?which=bad"],
    "/interactions/{key}": ["/interactions/{reply}"],
    "/lineage/{key}": ["/lineage/{version}", "/lineage/{evaluation}"],
    "/data": ["/data"],
    "/data/{key}": ["/data/{version}"],
    "/data/{older}..{newer}": [
        "/data/{older}..{version}", "/data/{older}..{version}?which=added",
        "/data/{version}..{older}?which=removed",
    ],
    "/data/quarantine": ["/data/quarantine"],
    "/data/quarantine/{key}": ["/data/quarantine/{quarantined}"],
    "/data/changes": ["/data/changes"],
    "/data/suspects": ["/data/suspects"],
    "/queues": ["/queues"],
    "/queues/new": ["/queues/new"],
    "/queues/{name}": ["/queues/round-1", "/queues/round-3"],
    "/queues/{name}/freeze": ["/queues/round-3/freeze"],
    "/annotate/{queue}": ["/annotate/round-2", "/annotate/corrections"],
    "/annotate/{queue}/peek": ["/annotate/round-2/peek"],
    "/annotate/{queue}/guideline": ["/annotate/round-2/guideline"],
    "/guidelines": ["/guidelines"],
    "/guidelines/{name}": ["/guidelines/topics"],
    "/agreement": ["/agreement"],
    "/agreement/{queue}": ["/agreement/round-1"],
    "/adjudicate/{queue}": ["/adjudicate/round-1"],
    "/adjudicate/{queue}/automatic": ["/adjudicate/round-1/automatic"],
    "/review": ["/review"],
    "/review/{panel}": ["/review/spring", "/review/duel"],
    "/review/{panel}/peek": ["/review/spring/peek"],
    "/review/{panel}/results": ["/review/spring/results"],
    "/preferences": ["/preferences", "/preferences?kind=kto"],
    "/preferences/{version}": ["/preferences/{version}"],
    "/preferences/{version}/forecast": ["/preferences/{version}/forecast"],
    "/adjudicate": ["/adjudicate"],
    "/api": ["/api"],
    "/people": ["/people"],
    "/account": ["/account"],
    "/audit": ["/audit"],
    "/audit/verify": ["/audit/verify"],
}  # fmt: skip
PARTS = ("/peek", "/guideline", "/jobs", "/verify", "/forecast")
NO_PAGES = {
    "/health", "/ready", "/runs/{key}/events", "/annotate/{queue}/{key}/image/{digest}", "/alive",
    "/adjudicate/{queue}/{item_id}/image/{digest}",
    "/audit/entries.{kind}", "/oidc/login", "/oidc/callback", "/start", "/login", "/join",
    "/review/{panel}/{assignment}/image/{number}", "/openapi.json", "/api/openapi.json",
}  # fmt: skip
"""Streams, images and downloads; the pages of the way in, which have tests of their own."""


def get_routes(app: Any) -> list[str]:
    """Return the paths of all routes that answer GET with a page, those of included routers too."""
    return sorted({
        one.path for one in all_routes(app)
        if "GET" in (one.methods or ()) and one.path not in NO_PAGES
        and not one.path.startswith("/v1/")
    })  # fmt: skip


def all_routes(app: Any) -> list[APIRoute]:
    """Return all routes of an app, those of included routers too."""
    found: list[APIRoute] = []

    def walk(holder: Any) -> None:
        for one in getattr(holder, "routes", []):
            if isinstance(one, APIRoute):
                found.append(one)
            else:
                walk(getattr(one, "original_router", one))

    walk(app.router)
    return found


@contextmanager
def whole(folder: Path, words: str = "", *, accounts: bool = True) -> Iterator[Whole]:
    """Make the project. ``accounts`` False: it is one person's on one machine."""
    session = make_session(folder, "cycles")
    ws, say = session.workspace, (lambda text: f"{text} {words}".strip())
    try:
        people = staff(session, say) if accounts else {}
        if not accounts:
            go_alone(ws, "mara")
        owner = people.get("mara") or Person("mara", "Mara", "owner")
        ids = {"owner": owner.id, **data_asides(session, say), **served_words(session, say)}
        ids |= labelled_queues(session, people, say)
        ids |= panels(session, people, owner, say)
        app = make_app(session, gateway=WholeGateway(ws))  # type: ignore[arg-type]
        yield Whole(session, app, people, ids)
    finally:
        ws.close()


Say = Callable[[str], str]


def staff(session: Session, say: Say) -> dict[str, Person]:
    """Somebody for every role, and an invitation nobody has taken up."""
    ws = session.workspace
    made = {
        name: add_person(ws, NewPerson(say(name.title()), role, email_of(name), PASSWORD), "test")
        for name, role in STAFF.items()
    }
    invite(ws, NewInvitation("annotator", email="new@example.org"), "test")
    return made


def data_asides(session: Session, say: Say) -> dict[str, str]:
    """An older version, a card, and rows in quarantine, changed and under suspicion."""
    ws = session.workspace
    version = ledger.get_version(ws)
    older = ledger.save_version(
        ws, {"train": [evil_row(one, say) for one in rows(1, 20)], "test": rows(200, 48)},
        labels=[], config={"deidentify": "none"}, card={}, sources=[],
    )  # fmt: skip
    make_latest(ws, version, say)
    train, place = ledger.load_split(ws, version, "train"), "/messages/0/0"
    out = [Drop(evil_row(one, say), say("exact_duplicate"), {"same as": say("another")})
           for one in rows(400, 3)]  # fmt: skip
    kept = ledger.add_quarantine(ws, "exact_duplicates", [
        replace(one, example=replace(one.example, provenance=replace(
            one.example.provenance, digest=SOURCE))) for one in out])  # fmt: skip
    ledger.add_changes(ws, "clean", [
        (one, Change("html", say("a  b"), say("a b"), place)) for one in train[:3]])  # fmt: skip
    ledger.add_changes(ws, "deidentify", [
        (train[0], Change("email", say(f"to {ADDRESS}"), say("to [EMAIL]"), place))])  # fmt: skip
    ledger.add_suspects(ws, "labels", [
        Suspect(one, "label_error", {"suggested": say("billing"), "confidence": 0.2})
        for one in train[:4]])  # fmt: skip
    return {
        "version": version.id, "older": older.id, "quarantined": kept[0], "example": train[0].id,
        "run": ledger.get_run(ws).id, "evaluation": ledger.get_evaluation(ws).id,
    }  # fmt: skip


def evil_row(one: Example, say: Say) -> Example:
    target = one.target
    if isinstance(target, FieldsTarget):
        target = FieldsTarget({**target.fields, "reply": say(str(target.fields["reply"]))})
    asked = Conversation.of(("user", say(one.conversation.text)))
    return replace(one, conversation=asked, target=target, slices={"channel": say("mail")})


def make_latest(ws: Any, version: DataVersion, say: Say) -> None:
    """Give the version a card, and have it be the one built last."""
    splits = {name: describe(ledger.load_split(ws, version, name), ["route"])
              for name in version.splits}  # fmt: skip
    step = {"step": "clean", "seen": 119, "kept": 119, "changed": 3, "changes": {"html": 3},
            "dropped": {"exact_duplicate": 3}, "suspected": {}, "added": 0,
            "restored": 0}  # fmt: skip
    source = {"path": say("helpdesk_export.csv"), "digest": SOURCE, "rows": 119, "usable": 119,
              "unreadable": {}, "split": None, "licence": say("own data"),
              "origin": None}  # fmt: skip
    with ws.db.session() as session:
        row = session.get_one(VersionRow, version.id)
        row.card = {"sources": [source], "rows": {"read": 119, "kept": 116, "quarantined": 3},
                    "splits": splits, "steps": [step], "seed": 0}  # fmt: skip
        newest = max(one.built_at for one in session.query(VersionRow).all())
        row.built_at = newest.replace(year=newest.year + 1)


def served_words(session: Session, say: Say) -> dict[str, str]:
    """A served reply with all that can be said of one."""
    ws = session.workspace
    reply = ledger.list_interactions(ws)[0]
    odd = replace(reply, id=ledger.new_interaction_id(), asked=Conversation.of(("user", say("Hi"))),
                  replies=(say("Hello"),), guards=(say("too_long"),))  # fmt: skip
    ledger.save_interactions(ws, [odd], {})
    ledger.add_feedback(ws, odd.id, "helpful", False, tags={}, actor=say("customer"))
    ledger.add_feedback(ws, odd.id, "comment", say("Not so."), tags={}, actor="customer")
    right = {"route": "account", "reply": say("Better.")}
    ledger.add_feedback(ws, odd.id, "demonstration", right, tags={}, actor="customer")
    from metier.queue import add_items

    add_items(ws, "corrections", [NewItem("interaction", odd.id, (say("bad_helpful"),), 99)])
    return {"reply": odd.id}


def labelled_queues(session: Session, people: Mapping[str, Person], say: Say) -> dict[str, str]:
    """A queue that two people finished and disagreed in, and one in which all waits."""
    ws = session.workspace
    ann, ben = (people[one].id if people else one for one in ("ann", "ben"))
    example = GuidelineExample(say("My bill is wrong"), "billing", say("It is about money."))
    write_guideline(ws, "topics", say("# Topics\n\nSay what **they** want."), "mara", [example])
    form = Form((FormField("answer", "label", say("Topic"), about=say("What it is about"),
                           options=(*ROUTES, say("other"))),))  # fmt: skip
    for name in ("round-1", "round-2"):
        items = [
            NewItem("example", f"ex_{n}", (say("random"),),
                    shown={"turns": [{"role": "user", "text": say(message(n))}]})
            for n in range(6)
        ]  # fmt: skip
        make_queue(ws, NewQueue(name, "label", say("Topics"), wanted=2, form=form_json(form),
                                guideline="topics"), items, "mara")  # fmt: skip
    for person, shift in ((ann, 0), (ben, 1)):
        while (pair := take_next(ws, "round-1", person)) is not None:
            item, held = pair
            number = int(item.subject_id[3:])
            value = ROUTES[(number + (shift if number % 3 == 0 else 0)) % 4]
            flags = ("flagged",) if number == 5 else ()
            submit(ws, held.id, person, Given(value, 4.0, say("A comment"), flags, 1))
    take_next(ws, "round-2", ann)
    plan = QueuePlan("round-3", Selection(count=4), say("Rows"), training=1, gold=1)
    make_labelling(session, plan, "mara")
    return {"item": list_items(ws, "round-1")[0].id}


def panels(
    session: Session, people: Mapping[str, Person], owner: Person, say: Say
) -> dict[str, str]:
    """A panel with a few ratings, a better reply and a harm nobody has resolved."""
    ws = session.workspace
    ask = PanelAsk("spring", ("challenger", "champion"), items=3, title=say("Spring"),
                   dimensions=("accuracy", "relevance"))  # fmt: skip
    make_project_panel(session, ask, owner.id)
    duel = PanelAsk("duel", ("challenger", "champion"), "compare", 3, title=say("Duel"))
    make_project_panel(session, duel, owner.id)
    panel = panel_of(get_queue(ws, "spring"))
    rater = people.get("rita", owner)
    given = None
    for number in range(3):
        pair = take_next(ws, "spring", rater.id)
        if pair is None:
            break
        asked = panel.asked_of(rater.role, rater.fields)
        value: dict[str, Any] = {"ratings": {one.name: 3 + number % 2 for one in asked}}
        if number == 0:
            value |= {"better": say("A better reply."), "harm": say("It could hurt.")}
        given = give_answer(ws, pair[1].id, rater, Said(value, 12.0, say("Hm.")))
    return {"assignment": given.id if given else ""}
