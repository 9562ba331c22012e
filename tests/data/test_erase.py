"""After an erasure no byte under the workspace holds what only the erased rows said."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text as sql

from data_examples import CLASSIFY, GOOD, settings_of, write
from metier.core import ledger
from metier.core.errors import InputError, IntegrityError, NotFound
from metier.core.ids import new_id
from metier.core.ledger.erasures import list_erasures
from metier.core.progress import Progress
from metier.core.records import Interaction, Prediction
from metier.core.types import Completion, Conversation, Example
from metier.core.workspace import FOLDER, Workspace
from metier.data.build import build
from metier.data.erase import certificate_markdown, erase, plan_erasure
from metier.data.erase.values import own_values
from tiny_records import example, report

SECRET = "Quirinius-7719-Vantongeren"
MAIL = "quirinius@example.org"
PATIENT = "patient seventeen"
REASON = "asked for on 3 May"
HERS = [
    (f"The parcel that {SECRET} sent me is late again", "delivery", PATIENT),
    (f"The refund of {SECRET} looks wrong to the whole family", "money", PATIENT),
    (f"Mail me at {MAIL} about the ochre samovar from Zanzibar", "money", PATIENT),
    ("   ", "money", PATIENT),
]


def built(ws: Workspace, folder: Path, rows: list[tuple[str, str, str]] | None = None):
    write(folder, [*GOOD, *HERS] if rows is None else rows)
    return build(settings_of(), CLASSIFY, ws, folder, Progress())


def members(ws: Workspace, version) -> list[Example]:
    return [one for split in version.splits for one in ledger.load_split(ws, version, split)]


def predicted(ws: Workspace, version) -> None:
    rows = ledger.load_split(ws, version, "test")
    made = [
        Prediction(new_id("pred"), one.id, Completion("money"), "money", "money", one.group or "")
        for one in rows
    ]
    made[0] = replace(made[0], completion=Completion(f"{SECRET} should get it"))
    ledger.save_evaluation(ws, report(version.id, n=len(made)), made)


def served(ws: Workspace) -> None:
    asked = Conversation.of(("user", "where is my samovar"))
    other = Conversation.of(("user", f"somebody repeats {SECRET} here"))
    user = ws.sealed.group_hash(PATIENT)
    base = dict(
        created_at=datetime.now(UTC), model="m", release_id=None, state="done", settings={},
        input_tokens=1, output_tokens=1, total_s=0.1, first_token_s=None, confidence=None,
        guards=(), sealed_id=None,
    )  # fmt: skip
    hers = Interaction(id=new_id("int"), asked=asked, replies=("soon",), user=user, **base)
    his = Interaction(id=new_id("int"), asked=other, replies=("soon",), user=None, **base)
    ledger.save_interactions(ws, [hers, his], {})


def kept_elsewhere(ws: Workspace, folder: Path) -> str:
    (ws.logs_dir / "serve.log").write_text(f"fine\nsaw {SECRET}\n", encoding="utf-8")
    cache = ws.work_dir / "completions"
    cache.mkdir(parents=True)
    (cache / "completions.sqlite").write_text(f"... {SECRET} ...", encoding="utf-8")
    index = folder / "index"
    index.mkdir()
    (index / "chunks.json").write_text(f'["{SECRET} sent me"]', encoding="utf-8")
    return ws.artifacts.put_tree(index)


def holding(folder: Path, *needles: str) -> list[Path]:
    files = [file for file in folder.rglob("*") if file.is_file()]
    return [file for file in files for n in needles if n.encode() in file.read_bytes()]


def test_no_byte_is_left(tmp_path: Path) -> None:
    with Workspace.create(tmp_path / "project") as ws:
        before = built(ws, tmp_path / "project").version
        predicted(ws, before)
        served(ws)
        tree = kept_elsewhere(ws, tmp_path)
        assert sum(SECRET in one.conversation.text for one in members(ws, before)) == 2
        done = erase(ws, PATIENT, reason=REASON, actor="officer")
        after = ledger.get_version(ws)
        assert not [one for one in members(ws, after) if SECRET in one.conversation.text]
        assert not ws.artifacts.exists(tree)
        assert len(members(ws, after)) == sum(before.counts.values()) - 3
        assert done.certificate["scan"]["found"] == []
    inside = tmp_path / "project" / FOLDER
    assert not holding(inside, SECRET, MAIL, "samovar", PATIENT, "Zanzibar")
    assert done.certificate["beside"] == ["rows.csv"], "the source is the user's to clear"


def test_nothing_else_goes(tmp_path: Path) -> None:
    with Workspace.create(tmp_path / "project") as ws:
        before = built(ws, tmp_path / "project").version
        others = [one for one in members(ws, before) if one.group != ws.sealed.group_hash(PATIENT)]
        erase(ws, PATIENT, reason=REASON)
        assert members(ws, ledger.get_version(ws)) == others


def test_the_old_version_is_empty_and_names_its_successor(workspace: Workspace) -> None:
    before = built(workspace, workspace.root).version
    erase(workspace, PATIENT, reason=REASON)
    after = ledger.get_version(workspace)
    old = ledger.get_version(workspace, before.id)
    assert old.hash == before.hash and old.counts == before.counts and old.splits == {}
    with pytest.raises(NotFound, match=after.id):
        ledger.load_split(workspace, old, "train")
    assert after.card["erased"]["from"] == before.id
    up = [node.ref.id for node in workspace.lineage.trace(after.id)]
    assert before.id in up


def test_looks_are_not_won_back(workspace: Workspace) -> None:
    from metier.core.store.tables import VersionRow

    before = built(workspace, workspace.root).version
    with workspace.db.session() as session:
        session.get_one(VersionRow, before.id).looks_used = 3
    erase(workspace, PATIENT, reason=REASON)
    assert ledger.get_version(workspace).looks_used == 3


def test_erased_rows_do_not_come_back(workspace: Workspace) -> None:
    built(workspace, workspace.root)
    erase(workspace, PATIENT, reason=REASON)
    again = built(workspace, workspace.root, [*GOOD, *HERS, ("A new row about fees", "money", "n")])
    assert again.card["erased_rows"] == 3
    assert not [one for one in members(workspace, again.version) if SECRET in str(one)]
    assert not holding(workspace.folder, SECRET)


def test_a_row_without_a_group_goes_by_its_id(workspace: Workspace) -> None:
    rows = [example(n) for n in range(6)]
    from tiny_records import save

    save(workspace, {"train": rows[:4], "test": rows[4:]})
    erase(workspace, rows[1].id, reason=REASON)
    left = {one.id for one in members(workspace, ledger.get_version(workspace))}
    assert left == {one.id for one in rows} - {rows[1].id}


def test_what_was_made_from_an_erased_row_goes_with_it(workspace: Workspace) -> None:
    from tiny_records import save

    rows = [example(n) for n in range(4)]
    child = replace(
        example(9), provenance=replace(rows[0].provenance, locator="0+1", parent=rows[0].id)
    )
    save(workspace, {"train": [*rows, child]})
    erase(workspace, rows[0].id, reason=REASON)
    left = {one.id for one in members(workspace, ledger.get_version(workspace))}
    assert left == {one.id for one in rows[1:]}


def test_a_plan_changes_nothing(workspace: Workspace) -> None:
    before = built(workspace, workspace.root).version
    entries = len(list(workspace.audit.entries()))
    plan = plan_erasure(workspace, PATIENT)
    assert plan.rows == 3 and plan.sealed == 1 and not plan.empty
    assert sum(plan.versions[before.id].values()) == 3
    assert list(plan.sources) == ["rows.csv"]
    assert len(list(workspace.audit.entries())) == entries
    assert ledger.get_version(workspace).id == before.id


def test_it_can_be_begun_again(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    import metier.data.erase.erasure as verb

    built(workspace, workspace.root)
    with monkeypatch.context() as patch:
        patch.setattr(verb, "clear_files", _broken)
        with pytest.raises(OSError):
            erase(workspace, PATIENT, reason=REASON)
    assert plan_erasure(workspace, PATIENT).sealed == 1, "the key is destroyed last"
    erase(workspace, PATIENT, reason=REASON)
    assert not holding(workspace.folder, SECRET)
    assert len(list_erasures(workspace)) == 1


def _broken(*_: object) -> int:
    raise OSError("the disk went away")


def test_what_is_still_found_is_said(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    import metier.data.erase.erasure as verb

    built(workspace, workspace.root)
    (workspace.logs_dir / "odd.bin").write_bytes(b"\x00" + SECRET.encode() + b"\xff")
    monkeypatch.setattr(verb, "clear_files", lambda *_: 0)
    with pytest.raises(IntegrityError, match=r"odd\.bin"):
        erase(workspace, PATIENT, reason=REASON)
    assert list_erasures(workspace)[0].certificate["scan"]["found"]


def test_what_was_erased_names_its_certificate(workspace: Workspace) -> None:
    built(workspace, workspace.root)
    done = erase(workspace, PATIENT, reason=REASON)
    with pytest.raises(NotFound, match=done.id):
        erase(workspace, PATIENT, reason=REASON)


def test_what_people_said_of_the_rows_goes_too(workspace: Workspace) -> None:
    from metier.queue.items import NewItem, add_items, answer_item, list_items, next_item

    version = built(workspace, workspace.root).version
    hers = next(one for one in members(workspace, version) if SECRET in one.conversation.text)
    add_items(workspace, "suspects", [NewItem("example", hers.id)])
    item = next_item(workspace, "suspects", "expert")
    assert item is not None
    answer_item(workspace, item.id, "expert", {"same": "a hash of the row"}, None)
    done = erase(workspace, PATIENT, reason=REASON)
    assert done.certificate["removed"]["answers"] == 1
    (after,) = list_items(workspace, "suspects")
    assert after.answer is None


def test_nobody_is_called_so(workspace: Workspace) -> None:
    built(workspace, workspace.root)
    with pytest.raises(NotFound, match="letter by letter"):
        erase(workspace, "Patient Seventeen", reason=REASON)
    with pytest.raises(InputError, match="a reason"):
        erase(workspace, PATIENT, reason=" ")


def test_the_certificate_says_what_went_and_what_did_not(workspace: Workspace) -> None:
    built(workspace, workspace.root)
    erase(workspace, PATIENT, reason=REASON, actor="officer")
    told = certificate_markdown(list_erasures(workspace)[0])
    assert "officer" in told and REASON in told and "none found" in told
    assert "rows.csv" in told and "backups" in told
    assert SECRET not in told and PATIENT not in told


def test_both_databases_hold_nothing(database_url: str, tmp_path: Path) -> None:
    with Workspace.create(tmp_path / "project", store_url=database_url) as ws:
        predicted(ws, built(ws, tmp_path / "project").version)
        served(ws)
        erase(ws, PATIENT, reason=REASON)
        with ws.db.engine.connect() as connection:
            for table in _tables(ws):
                rows = connection.execute(sql(f"SELECT * FROM {table}")).all()
                assert not [row for row in rows if SECRET in str(row) or "samovar" in str(row)]


def _tables(ws: Workspace) -> list[str]:
    from sqlalchemy import inspect

    return inspect(ws.db.engine).get_table_names()


def test_a_phrase_is_looked_for_where_no_word_is_their_own(workspace: Workspace) -> None:
    from tiny_records import save

    words = ["the", "old", "clock", "in", "our", "hall", "stopped", "when", "the", "rain", "came"]
    said = Conversation.of(("user", " ".join(words)))
    others = [
        replace(example(n), conversation=Conversation.of(("user", f"{words[n]} {words[n - 1]}")))
        for n in range(1, len(words))
    ]
    row = replace(example(90), conversation=said)
    save(workspace, {"train": [row, *others], "test": [example(91)]})
    copy = workspace.root / "export.txt"
    copy.write_text(f"somebody wrote: {said.text}", encoding="utf-8")
    done = erase(workspace, row.id, reason=REASON)
    assert done.certificate["beside"] == ["export.txt"]
    assert done.certificate["scan"]["needles"] > 0


def test_common_words_are_nobodys() -> None:
    erased = [example(1)]
    values = own_values(erased, [example(n) for n in range(2, 9)])
    assert values.words == frozenset()
    assert values.within("question 1") and not values.within("a question of taste")
