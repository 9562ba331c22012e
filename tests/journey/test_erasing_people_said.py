"""After an erasure nothing is left of what people were shown, said or decided about the rows."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import inspect
from sqlalchemy import text as sql

from metier.annotate.adjudicate import Decision, adjudicate
from metier.annotate.exchange.files import read_packet
from metier.annotate.exchange.giving import give
from metier.annotate.exchange.out import export
from metier.annotate.exchange.taking import Into, take
from metier.annotate.guidelines import (
    GuidelineExample,
    get_guideline,
    guideline_versions,
    write_guideline,
)
from metier.annotate.make import QueuePlan, Selection
from metier.config import load_project
from metier.core import ledger
from metier.core.errors import NotFound
from metier.core.ids import new_id
from metier.core.ledger.harms import list_harms, resolve_harm
from metier.core.records import DataVersion, Prediction
from metier.core.types import Completion, CompletionTarget, Conversation, Example
from metier.core.workspace import Workspace
from metier.data.erase import erase
from metier.journey.annotating import make_labelling
from metier.journey.erasing import erase_group
from metier.journey.labelled import freeze_queue
from metier.journey.preferred import Wanted
from metier.journey.preferring import freeze
from metier.journey.session import Session
from metier.people import Person
from metier.queue import (
    Given,
    Item,
    NewItem,
    NewQueue,
    items_of,
    iter_answers,
    keep_draft,
    make_queue,
    pass_on,
    submit,
    take_next,
)
from metier.queue.forms import Form, FormField, form_json
from metier.review.answers import Said, give_answer
from metier.review.pairs import Terms
from metier.review.panel import Panel, read_subject
from panel_cases import ACCURACY, CANDIDATES, HEAD, asked, make
from tiny_records import report

HERS = "customer 3"
REASON = "asked for on 3 May"
PHRASE = re.compile(b"zq[a-z]+ov")
"""Every text about her holds a made word of this shape: zqrowov in the row, zqharmov in ..."""
OWNER = Person("mo", "Mo", "owner")
RATERS = tuple(Person(name, name.title(), "reviewer") for name in ("anna", "ben"))


@dataclass
class Planted:
    """The project with everything that was planted: her example, and the versions that hold it."""

    session: Session
    example: str
    preferences: DataVersion
    labelled: str

    @property
    def ws(self) -> Workspace:
        return self.session.workspace


@pytest.fixture
def planted(any_workspace: Workspace) -> Planted:
    ws = any_workspace
    (ws.root / "metier.toml").write_text(f'{HEAD}[objective]\ntask = "chat"\n')
    session = Session(load_project(ws.root / "metier.toml"), ws.root, ws)
    rows = [asked(number) for number in range(12)]
    said = Conversation.of(("user", "The zqrowov kettle leaks since Easter. What can I do?"))
    origin = replace(rows[3].provenance, locator="zqshownov")  # which the shown replies repeat
    target = CompletionTarget("A zqtargetov comes.")
    rows[3] = replace(rows[3], conversation=said, target=target, provenance=origin)
    splits = {"train": rows, "test": [asked(number) for number in range(100, 104)]}
    version = ledger.save_version(ws, splits, labels=(), config={}, card={}, sources=[])
    predicted(ws, version, rows[3].id)
    labelled = label(session, rows[3].id)
    panel(session, rows[3].id)
    made = freeze(session, Wanted(("spring",), terms=Terms(severity=False)), "mo").version
    assert made is not None
    exchanged(ws)
    return Planted(session, rows[3].id, made, labelled)


def predicted(ws: Workspace, version: DataVersion, hers: str) -> None:
    reply = Completion("Your zqreplyov is on its way.")
    made = [Prediction(new_id("pred"), hers, reply, reply.text, "", HERS)]
    ledger.save_evaluation(ws, report(version.id, split="train", n=1), made)


def label(session: Session, hers: str) -> str:
    """A queue in which people disagree about her row, and somebody decides."""
    ws = session.workspace
    write_guideline(ws, "replies", "# Be kind", "mo", [])
    plan = QueuePlan("round-1", Selection("random", 0), guideline="replies", wanted=2)
    make_labelling(session, plan, "mo")
    for item, key in held(ws, "round-1", "di"):
        pass_on(ws, key, "di", "zqpassov" if item.subject_id == hers else "no time")
    for person, word in (("ann", "zqannov"), ("cy", "zqcyov")):
        for item, key in held(ws, "round-1", person):
            about = item.subject_id == hers
            if about:
                keep_draft(ws, key, person, [["answer", "zqdraftov"]])
            told = Given(word if about else "Fine.", comment="zqcommentov" if about else "")
            submit(ws, key, person, told, "zqtypedov" if about else None)
    (item,) = items_of(ws, "round-1", [hers]).values()
    decision = Decision("zqdecidedov", "zqreasonov says so", as_example=True)
    adjudicate(ws, item.id, decision, OWNER)
    assert "zqrowov" in str(get_guideline(ws, "replies").examples)
    write_guideline(ws, "replies", "# Be kind, and short", "mo")
    made = freeze_queue(session, "round-1", "mo")
    assert made.version_id is not None
    return made.version_id


def panel(session: Session, hers: str) -> None:
    """A panel in which people write a better reply to her row and see harm; a draft is left."""
    ws = session.workspace
    make(session, "spring", Panel("compare", CANDIDATES, (), repeats=0.0), "train", 12)
    rate = Panel("rate", CANDIDATES, (ACCURACY,), repeats=0.5)
    make(session, "rated", rate, "train", 12)
    for rater in RATERS:
        for item, key in held(ws, "spring", rater.id):
            keys, about = read_subject(item.subject_id)
            value: dict[str, Any] = {"preferred": "ab"[keys.index("c1")]}
            if about == hers:
                value |= {"harm": "zqharmov", "harm_in": "ab"[keys.index("c2")]}
                value |= {"better": "Please take this zqbetterov."}
            comment = "zqnoteov" if about == hers else ""
            give_answer(ws, key, rater, Said(value, 4.0, comment))
        for item, key in held(ws, "rated", rater.id):
            if hers in item.subject_id:
                keep_draft(ws, key, rater.id, {"better": "zqdraftov"})
            elif rater.id == "anna":
                give_answer(ws, key, rater, Said({"ratings": {"accuracy": 4}}))
    for harm in list_harms(ws, "spring"):
        resolve_harm(ws, harm.id, "mo", "zqresolvedov was looked into")


def held(ws: Workspace, queue: str, person: str) -> Iterator[tuple[Item, str]]:
    """What a person is given; an item that they leave open comes again, and ends it."""
    seen: set[str] = set()
    while (found := take_next(ws, queue, person)) is not None and found[1].id not in seen:
        seen.add(found[1].id)
        yield found[0], found[1].id


def exchanged(ws: Workspace) -> None:
    """The queue goes out and comes in as another, with what a tool added to her record."""
    file = ws.root / "out.json"
    export(ws, "round-1", file, "label_studio")
    packet = read_packet(file, "label_studio")
    items = tuple(replace(one, metadata={"lot": "zqlotov" if "zqrowov" in str(one.shown) else "x"})
                  for one in packet.items)  # fmt: skip
    take(ws, replace(packet, items=items), Into("back"), "mo")
    file.unlink()


def planted_in(ws: Workspace) -> set[str]:
    """The planted words that stand in the database's files, its rows or the workspace's files."""
    found: set[bytes] = set()
    for data in stored_bytes(ws):
        found.update(PHRASE.findall(data))
        found.update(PHRASE.findall(unpacked(data)))
    return {one[2:-2].decode() for one in found} - {"typed"}


def stored_bytes(ws: Workspace) -> Iterator[bytes]:
    for file in sorted(ws.folder.rglob("*")):
        if file.is_file():
            yield file.read_bytes()
    with ws.db.engine.connect() as connection:
        for table in inspect(ws.db.engine).get_table_names():
            yield str(connection.execute(sql(f"SELECT * FROM {table}")).all()).encode()
    if not ws.db.is_sqlite:
        yield from server_files(ws)


def server_files(ws: Workspace) -> Iterator[bytes]:
    """The files of this database on the server: tables and indexes, not its write-ahead log."""
    alone = ws.db.engine.execution_options(isolation_level="AUTOCOMMIT")
    with alone.connect() as connection:
        connection.execute(sql("CHECKPOINT"))
        folder = connection.execute(sql("SHOW data_directory")).scalar_one()
        number = connection.execute(
            sql("SELECT oid FROM pg_database WHERE datname = current_database()")
        ).scalar_one()
    for file in (Path(folder) / "base" / str(number)).iterdir():
        yield file.read_bytes()


def unpacked(data: bytes) -> bytes:
    if data[:4] != b"PAR1":
        return b""
    return str(pq.read_table(io.BytesIO(data)).to_pylist()).encode()


def test_no_byte_of_what_was_shown_said_or_decided_is_left(planted: Planted) -> None:
    ws = planted.ws
    assert planted_in(ws) >= {
        "row", "target", "reply", "shown", "ann", "cy", "comment", "pass", "decided", "reason",
        "draft", "harm", "better", "note", "resolved", "lot",
    }  # fmt: skip
    done, _ = erase_group(planted.session, HERS, reason=REASON, actor="mo")
    assert planted_in(ws) == set()
    assert done.certificate["scan"]["found"] == []
    erased = {one["version"] for one in done.certificate["versions"]}
    assert {planted.preferences.id, planted.labelled} <= erased


def test_what_is_about_others_stays(planted: Planted) -> None:
    ws = planted.ws
    before = len(list(iter_answers(ws, "spring"))), len(list_harms(ws))
    pairs = learned(ws, planted.preferences.id)
    example = GuidelineExample("Another", "a", "usual", None)
    write_guideline(ws, "replies", "# Be kind", "mo", [example])
    done, _ = erase_group(planted.session, HERS, reason=REASON, actor="mo")
    assert len(list(iter_answers(ws, "spring"))) == before[0] - 2
    assert len(list_harms(ws)) == before[1]
    assert guideline_versions(ws, "replies")[0].examples == (example,)
    (after,) = [one["successor"] for one in done.certificate["versions"]
                if one["version"] == planted.preferences.id]  # fmt: skip
    left = learned(ws, after)
    assert left == [one for one in pairs if one.provenance.parent != planted.example]
    assert len(left) == len(pairs) - 3, "the pair of choices, and one per better reply"
    assert freeze_queue(planted.session, "round-1", "mo", dry_run=True).settled == 11
    assert len(give(ws, "back").items) == 12


def learned(ws: Workspace, version: str) -> list[Example]:
    return [o for split in ("train", "validation") for o in ledger.load_split(ws, version, split)]


def test_lineage_says_what_was_erased(planted: Planted) -> None:
    ws = planted.ws
    (item,) = items_of(ws, "round-1", [planted.example]).values()
    done, _ = erase_group(planted.session, HERS, reason=REASON, actor="mo")
    told = {node.ref.id: (node.relation, node.label) for node in ws.lineage.trace(planted.example)}
    assert told[done.id][0] == "erased in" and "rows" in told[done.id][1]
    above = {node.ref.id: node.relation for node in ws.lineage.trace(planted.preferences.id)}
    assert above[done.id] == "rows erased in"
    assert ws.lineage.trace(item.id)[0].label == "round-1, erased"
    below = {node.ref.id for node in ws.lineage.trace(done.id, "down")}
    assert {planted.example, planted.preferences.id, planted.labelled} <= below


def test_an_item_that_came_without_a_version_goes_by_its_own_name(any_workspace: Workspace) -> None:
    ws = any_workspace
    form = form_json(Form((FormField("answer", "text", "Answer"),)))
    shown = {"turns": [{"role": "user", "text": "the zqrowov kettle"}]}
    items = [NewItem("imported", name, shown=shown) for name in ("case 7", "case 71")]
    make_queue(ws, NewQueue("theirs", "label", form=form), items, "mo")
    found = take_next(ws, "theirs", "ann")
    assert found is not None
    submit(ws, found[1].id, "ann", Given("zqannov"))
    done = erase(ws, "case 7", reason=REASON, actor="mo")
    assert done.certificate["removed"]["answers"] == 1
    assert {one.id for one in items_of(ws, "theirs", ["case 71"]).values() if one.shown} != set()
    assert "ann" not in planted_in(ws)
    with pytest.raises(NotFound, match=done.id):
        erase(ws, "case 7", reason=REASON)
