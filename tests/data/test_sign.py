"""Sign-off: a sample out, marks back in, a signature, and the gate at freeze."""

import csv
import json

import pytest

from data_examples import CLASSIFY, settings_of, write
from metier.core import ledger
from metier.core.errors import InputError, NotFound
from metier.core.progress import Progress
from metier.core.workspace import Workspace
from metier.data.build import build
from metier.data.sign import Draw, draw_sample, sign, sign_off, upper_bound
from metier.data.sign_sheet import read_sheet, show_row, write_sheet
from metier.privacy import sign_off as stored

NOUNS = ["parcel", "invoice", "card", "transfer", "refund", "letter", "password", "contract"]
ROWS = [
    (f"My {noun} number {n} went to bo{n}@example.net, please look into it", "ab"[n % 2], f"c{n}")
    for n, noun in enumerate(NOUNS * 4)
]
SAFE = {"profile": "safe-harbor"}


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "data", ROWS)


def draw(ws, folder, config, n=12, seed=0):
    return draw_sample(config, CLASSIFY, ws, folder, Progress(), Draw(n, seed, "lena"))


def fill(path, missed, wrong=None):
    """Fill a sheet: row number -> what is missed; the others: none."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        row["missed"] = missed.get(number, "none")
        row["wrong"] = str((wrong or {}).get(number, ""))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def read_by_two(ws, sample, folder, missed=None):
    for reader in ("mara", "tom"):
        path = folder / f"{reader}.csv"
        path.unlink(missing_ok=True)
        write_sheet(ws, sample, path)
        read_sheet(ws, fill(path, (missed or {}).get(reader, {})), reader)


def test_a_build_under_safe_harbor_says_what_to_do_until_it_is_signed(any_workspace, folder):
    ws, config = any_workspace, settings_of(deidentify=SAFE)
    with pytest.raises(InputError, match="metier data sign-off draw --n 200"):
        build(config, CLASSIFY, ws, folder, Progress())
    dry = build(config, CLASSIFY, ws, folder, Progress(), dry_run=True)
    assert any("would be refused" in one and "sign-off draw" in one for one in dry.warnings)
    sample = draw(ws, folder, config)
    with pytest.raises(InputError, match="24 readings of rows are missing"):
        build(config, CLASSIFY, ws, folder, Progress())
    with pytest.raises(InputError, match="24 readings missing"):
        sign(ws, config.deidentification, "Mara Lind", "privacy officer")
    read_by_two(ws, sample, folder)
    with pytest.raises(InputError, match="metier data sign-off sign"):
        build(config, CLASSIFY, ws, folder, Progress())
    signature = sign(ws, config.deidentification, "Mara Lind", "privacy officer")
    version = build(config, CLASSIFY, ws, folder, Progress()).version
    assert version.card["sign_off"]["signature"] == signature.id
    assert version.card["sign_off"]["result"]["double_checked"] == 1.0
    actions = [one.action for one in ws.audit.entries()]
    assert [one for one in actions if one.startswith("sign_off.")] == [
        "sign_off.draw", "sign_off.read", "sign_off.read", "sign_off.sign",
    ]  # fmt: skip


def test_other_operators_or_recognisers_need_another_signature(workspace, folder, monkeypatch):
    config = settings_of(deidentify=SAFE)
    read_by_two(workspace, draw(workspace, folder, config), folder)
    sign(workspace, config.deidentification, "Mara Lind", "privacy officer")
    assert stored.signature_for(workspace, config.deidentification)
    masked = settings_of(deidentify={**SAFE, "operators": {"email": "mask"}})
    with pytest.raises(InputError, match="1 of other settings, the newest by Mara Lind"):
        stored.signature_for(workspace, masked.deidentification)
    monkeypatch.setattr(stored, "code_hash", lambda: "another version of the recognisers")
    with pytest.raises(InputError, match="recognisers, operators or metier itself have changed"):
        stored.signature_for(workspace, config.deidentification)


def test_changed_sources_are_told(workspace, folder):
    config = settings_of(deidentify=SAFE)
    read_by_two(workspace, draw(workspace, folder, config), folder)
    sign(workspace, config.deidentification, "Mara Lind", "privacy officer")
    write(folder, [*ROWS, ("A new row about a fee that nobody has read", "a", "new")])
    result = build(config, CLASSIFY, workspace, folder, Progress())
    assert any("1 of 1 sources came or changed" in one for one in result.warnings)


def test_expert_determination_needs_a_statement(workspace, folder):
    config = settings_of(deidentify={"profile": "expert-determination"})
    with pytest.raises(InputError, match="--statement FILE"):
        build(config, CLASSIFY, workspace, folder, Progress())
    with pytest.raises(InputError, match="the expert's statement"):
        sign(workspace, config.deidentification, "Dr Ode", "statistician")
    file = folder / "statement.txt"
    file.write_text("The risk is very small.")
    signature = sign(workspace, config.deidentification, "Dr Ode", "statistician", statement=file)
    assert workspace.artifacts.get_bytes(signature.statement) == file.read_bytes()
    version = build(config, CLASSIFY, workspace, folder, Progress()).version
    assert version.card["sign_off"]["statement"] == signature.statement


def test_patterns_need_no_signature(workspace, folder):
    config = settings_of()
    assert stored.signature_for(workspace, config.deidentification) is None
    with pytest.raises(InputError, match="a profile that asks for a signature"):
        sign(workspace, config.deidentification, "Mara", "officer")


def test_the_sample_is_the_same_whatever_the_order_of_rows(workspace, tmp_path):
    config = settings_of(deidentify=SAFE)
    one = write(tmp_path / "one", ROWS)
    found = [
        {row.id for row in draw(workspace, one, config, seed=s).detail.rows} for s in (0, 0, 1)
    ]
    assert found[0] == found[1] != found[2]


def test_a_sheet_shows_what_is_left_and_originals_only_when_asked(workspace, folder, tmp_path):
    sample = draw(workspace, folder, settings_of(deidentify=SAFE))
    path = tmp_path / "sheet.jsonl"
    assert write_sheet(workspace, sample, path) == 12
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert all("[EMAIL]" in row["after"] and not row["before"] for row in rows)
    assert "example.net" not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(InputError, match="new file"):
        write_sheet(workspace, sample, path)  # it may hold marks
    path.unlink()
    write_sheet(workspace, sample, path, originals=True, actor="mara")
    assert "example.net" in path.read_text()
    entry = workspace.audit.entries()[-1]
    assert (entry.actor, entry.detail["purpose"]) == ("mara", "sign-off sheet with originals")
    texts = show_row(workspace, sample, rows[0]["row_id"], actor="tom")
    assert "example.net" in texts.before
    assert "example.net" not in texts.after
    assert workspace.audit.entries()[-1].actor == "tom"
    with pytest.raises(NotFound):
        show_row(workspace, sample, "ex_nothing")


def test_readings_give_recall_documents_and_disagreements(workspace, folder):
    sample = draw(workspace, folder, settings_of(deidentify=SAFE))
    said = {"mara": {0: "person: Smith | date: 3 May", 1: "person:  smith"}}
    read_by_two(workspace, sample, folder, said | {"tom": {0: "Person: smith"}})
    result = sign_off(workspace, sample)
    assert (result.n, result.read, result.readers) == (12, 12, ("mara", "tom"))
    assert (result.double_checked, result.disagreements) == (1.0, 2)
    assert result.recall["email"].value == 1.0
    assert result.recall["person"].value == 0.0
    assert result.recall["all"].n == sum(result.recall[k].n for k in result.recall if k != "all")
    documents = result.documents_missed
    assert (documents.value, documents.n) == (2 / 12, 12)
    assert documents.high == pytest.approx(upper_bound(2, 12))


def test_a_later_sheet_of_the_same_reader_counts(workspace, folder):
    sample = draw(workspace, folder, settings_of(deidentify=SAFE))
    read_by_two(workspace, sample, folder, {"mara": {0: "person: Smith"}})
    assert sign_off(workspace, sample).documents_missed.value > 0
    read_by_two(workspace, sample, folder)
    assert sign_off(workspace, sample).documents_missed.value == 0


def test_one_person_in_two_spellings_is_one_reader(workspace, folder):
    sample = draw(workspace, folder, settings_of(deidentify=SAFE))
    path = folder / "one.csv"
    write_sheet(workspace, sample, path)
    fill(path, {})
    for name in ("Mara Lind", " mara  lind"):
        read_sheet(workspace, path, name)
    assert sign_off(workspace, sample).missing_readings == 12


def test_the_upper_bound_is_clopper_pearsons():
    assert upper_bound(0, 200) == pytest.approx(1 - 0.05 ** (1 / 200))  # the rule of three, exactly
    assert upper_bound(200, 200) == 1.0
    assert upper_bound(3, 100) == pytest.approx(0.0757, abs=1e-3)  # of published tables


def test_rows_that_cannot_be_used_are_named_and_the_others_saved(workspace, folder):
    sample = draw(workspace, folder, settings_of(deidentify=SAFE))
    path = folder / "sheet.csv"
    write_sheet(workspace, sample, path)
    fill(path, {0: "persn: Smith", 1: "", 2: "Smith, no kind"}, {3: "many"})
    read = read_sheet(workspace, path, "mara")
    assert (read.rows, read.empty, len(read.bad)) == (9, 1, 2)
    assert "did you mean 'person'" in read.bad[0]
    assert "Smith" not in " ".join(read.bad)
    assert sign_off(workspace, sample).missing_readings == 3 + 12
    with pytest.raises(NotFound):
        read_sheet(workspace, folder / "none.csv", "mara")
    with pytest.raises(InputError, match="the reader's name"):
        read_sheet(workspace, path, " ")


def test_nothing_that_was_missed_is_stored_in_clear(workspace, folder):
    sample = draw(workspace, folder, settings_of(deidentify=SAFE))
    read_by_two(workspace, sample, folder, {"mara": {0: "person: Zyxwvut"}})
    sign(workspace, settings_of(deidentify=SAFE).deidentification, "Mara Lind", "officer")
    workspace.db.scrub()
    stored_bytes = (workspace.folder / "metier.db").read_bytes()
    assert b"yxwvut" not in stored_bytes
    assert b"bo3@example.net" not in stored_bytes


def test_surrogates_of_the_sample_are_those_that_are_frozen(workspace, tmp_path):
    config = settings_of(deidentify={**SAFE, "operators": {"email": "surrogate"}})
    folder = write(tmp_path / "data", ROWS)
    sample = draw(workspace, folder, config, n=32)
    read_by_two(workspace, sample, folder)
    sign(workspace, config.deidentification, "Mara", "officer")
    version = build(config, CLASSIFY, workspace, folder, Progress()).version
    shown = {row.id: show_row(workspace, sample, row.id).after for row in sample.detail.rows}
    rows = [row for split in version.splits for row in ledger.load_split(workspace, version, split)]
    assert rows
    assert all(shown[row.id] == row.conversation.text for row in rows)


def test_a_sample_from_another_project_is_not_known(workspace, folder, tmp_path):
    sample = draw(workspace, folder, settings_of(deidentify=SAFE))
    path = folder / "sheet.csv"
    write_sheet(workspace, sample, path)
    with Workspace.create(tmp_path / "other") as other, pytest.raises(NotFound, match="sign-off"):
        read_sheet(other, fill(path, {}), "mara")


def test_rows_are_cleaned_before_they_are_drawn_as_in_a_build(workspace, tmp_path):
    folder = write(
        tmp_path / "data", [(f"The cafÃ© number {n} &amp; bar", "a", f"c{n}") for n in range(3)]
    )
    sample = draw(workspace, folder, settings_of(deidentify=SAFE))
    assert "café" in show_row(workspace, sample, sample.detail.rows[0].id).before
