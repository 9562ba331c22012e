"""De-identification by profile: operators, surrogates in a build, spans, languages, reports."""

import re
from datetime import date

import pytest

from data_examples import CLASSIFY, example, labelled, settings_of, write
from metier.core import ledger
from metier.core.errors import InputError
from metier.core.progress import Progress
from metier.core.steps import Drop, Keep
from metier.core.types import Conversation, Span, SpansTarget, version_hash
from metier.core.workspace import Workspace
from metier.data.build import build
from metier.data.deidentify import Deidentification, Deidentify, Edit, Keys, moved_span
from metier.data.pipeline import Frame, Outcomes, run_step
from metier.data.quarantine import restore
from metier.privacy import sign_off
from metier.privacy.incidents import close_incident, report_identifier
from metier.privacy.settings import DeidentifyConfig
from metier.privacy.types import Finding
from metier.privacy.vault import count_vault

NAMES = re.compile(r"(?:Ada|Bob|Cleo) (?:Stone|Marsh)|Stone|Marsh")


class Names:
    """A recogniser of six people."""

    name, kinds, languages = "test.names", frozenset({"person"}), frozenset({"en"})

    def find(self, text):
        return [Finding(*match.span(), "person") for match in NAMES.finditer(text)]


@pytest.fixture(autouse=True)
def few_recognisers(monkeypatch):
    """The patterns, and six names: no lists to load."""
    from metier.privacy import profiles
    from metier.privacy.patterns import WIDE

    chosen = {"patterns": profiles._recognisers("patterns"), "none": ()}
    monkeypatch.setattr(profiles, "_recognisers", lambda name: chosen.get(name, (*WIDE, Names())))


def config(profile="safe-harbor", **changes):
    return DeidentifyConfig.model_validate({"profile": profile, **changes})


def one(row, settings, state=None):
    (outcome,) = Deidentify(frozenset(), settings, Keys(b"g", b"h", b"s")).apply([row], state)
    return outcome


def test_safe_harbor_redacts_and_generalises():
    row = labelled(1, "Ada Stone, born 3 May 1960, was seen on 4 March 2019, aged 93, at a@b.org")
    text = one(row, config()).example.conversation.text
    assert text == "[PERSON], born 1960, was seen on 2019, aged 90+, at [EMAIL]"


def test_operators_are_chosen_kind_by_kind():
    settings = config("patterns", operators={"email": "hash", "phone": {"type": "mask"}})
    row = labelled(1, "a@b.org or A@b.org, call 212-555-0100; SSN 536-90-4399")
    text = one(row, settings).example.conversation.text
    first, second = re.findall(r"\[EMAIL:[0-9a-f]{8}\]", text)
    assert first == second
    assert text.endswith("call ***-***-****; SSN [SSN]")


def test_dates_of_a_group_keep_their_intervals():
    rows = [labelled(n, f"seen on 2019-03-{day:02}", group="ann") for n, day in ((1, 4), (2, 18))]
    rows.append(labelled(3, "seen on 2019-03-04", group="bo"))
    settings = config("expert-determination")
    days = []
    for row in rows:
        text = one(row, settings).example.conversation.text
        match = re.search(r"(\d{4})-(\d\d)-(\d\d)", text)
        days.append(date(*map(int, match.groups())))
    assert (days[1] - days[0]).days == 14
    assert days[0] != days[2]
    assert (days[0] - date(2019, 3, 4)).days % 7 == 0


def test_spans_follow_and_nothing_stays_in_clear_for_their_sake():
    text = "Ada Stone took aspirin with Bob Marsh"
    spans = (Span(0, 3, "given"), Span(15, 22, "drug"), Span(28, 37, "doctor"), Span(15, 31, "all"))
    outcome = one(example(1, text, SpansTarget(spans)), config())
    after = outcome.example.conversation.last_user
    assert after == "[PERSON] took aspirin with [PERSON]"
    shown = [after[s.start : s.end] for s in outcome.example.target.spans]
    assert shown == ["[PERSON]", "aspirin", "[PERSON]", "aspirin with [PERSON]"]
    assert outcome.changes[0].moved[0] == {"start": 0, "end": 3, "label": "given"}


def test_a_span_is_moved_by_what_stands_before_it():
    edits = [Edit(2, 4, "long", "a"), Edit(6, 9, "", "b")]
    assert moved_span(Span(0, 2, "x"), edits) == Span(0, 2, "x")
    assert moved_span(Span(4, 6, "x"), edits) == Span(6, 8, "x")
    assert moved_span(Span(3, 7, "x"), edits) == Span(2, 8, "x")
    assert moved_span(Span(9, 10, "x"), edits) == Span(8, 9, "x")


def test_text_nobody_reads_goes_to_quarantine_without_identifiers():
    german = "Die Patientin Ada Stone kam gestern mit ihrer Tochter zu uns in die Klinik, a@b.org"
    outcome = one(labelled(1, german), config())
    assert isinstance(outcome, Drop)
    assert outcome.reason == "unread_language"
    assert "Stone" not in outcome.example.conversation.text
    assert isinstance(one(labelled(1, german), config("patterns")), Keep)


ROWS = [
    (f"{given} {family} asks again about the {noun}, says {family}; mail me{n}@b.org", "ab"[n % 2],
     f"{given} {n % 4}")
    for n, (given, family, noun) in enumerate(
        (g, f, x)
        for g in ("Ada", "Bob", "Cleo")
        for f in ("Stone", "Marsh")
        for x in ("late parcel", "wrong invoice", "lost card", "old password", "refund", "letter")
    )
]  # fmt: skip
SURROGATES = {"person": "surrogate", "email": "surrogate"}


def signed(monkeypatch):
    monkeypatch.setattr("metier.data.build.signature_for", lambda ws, settings: None)


def built(ws, folder, **changes):
    settings = {"profile": "safe-harbor", "operators": SURROGATES, **changes.pop("settings", {})}
    return build(
        settings_of(deidentify=settings, **changes), CLASSIFY, ws, folder, Progress()
    )  # fmt: skip


def texts_of(ws, version):
    return {
        row.id: row.conversation.text
        for split in version.splits
        for row in ledger.load_split(ws, version, split)
    }


@pytest.mark.parametrize("scope", ["record", "group", "project"])
def test_a_build_with_surrogates_can_be_repeated(workspace, tmp_path, monkeypatch, scope):
    signed(monkeypatch)
    ws, folder = workspace, write(tmp_path / "data", ROWS)
    first = built(ws, folder, settings={"scope": scope}).version
    texts = texts_of(ws, first)
    assert len(texts) == len(ROWS)
    for text in texts.values():
        assert not NAMES.search(text)
        name = re.match(r"(\S+) (\S+) asks again", text)
        assert f"says {name[2]};" in text
        assert re.search(r"mail \S+@example\.", text)
    families = {re.match(r"\S+ (\S+) asks", text)[1] for text in texts.values()}
    assert (len(families) == 2) == (scope == "project")
    mixed = write(tmp_path / "mixed", ROWS[::-1])
    again = built(ws, mixed, settings={"scope": scope}, workers=2).version
    if scope != "record":  # a record of another file is another record
        assert again.hash == first.hash
    assert built(ws, folder, settings={"scope": scope}).version.hash == first.hash
    assert list(count_vault(ws)) == [scope]


def test_workers_and_order_change_nothing(workspace, monkeypatch):
    monkeypatch.undo()  # other processes have the real recognisers
    rows = [labelled(n, text, group=group) for n, (text, _, group) in enumerate(ROWS)]
    hashes = set()
    for order, workers in ((rows, 1), (rows[::-1], 1), (rows, 2)):
        settings = config("expert-determination", scope="project")
        step = Deidentification(workspace, settings, workers).step()
        outcomes = Outcomes(order)
        run_step(step, outcomes, Frame(Progress(), workers, batch_rows=5, pool_pays_from_s=0.0))
        hashes.add(version_hash(("train", row) for row in outcomes.examples))
    assert len(hashes) == 1


def test_a_dry_run_leaves_the_vault_empty(workspace, tmp_path, monkeypatch):
    signed(monkeypatch)
    folder = write(tmp_path / "data", ROWS)
    settings = settings_of(deidentify={"profile": "safe-harbor", "operators": SURROGATES})
    build(settings, CLASSIFY, workspace, folder, Progress(), dry_run=True)
    assert count_vault(workspace) == {}


def test_every_replacement_can_be_had_back_from_its_change(workspace, tmp_path, monkeypatch):
    signed(monkeypatch)
    folder = write(tmp_path / "data", ROWS[:12])
    version = built(workspace, folder, test=0.25).version
    for row_id in texts_of(workspace, version):
        (first, *_) = [
            ledger.open_change(workspace, change, purpose="test")
            for change in ledger.list_changes(workspace, row_id)
            if change.step == "deidentify"
        ]
        assert first.before in {text for text, *_ in ROWS}


def test_a_reported_row_is_left_out_until_it_is_fixed(workspace, tmp_path):
    nouns = ["parcel", "letter", "card", "invoice", "refund"] * 4
    rows = [(f"The {x} number {n} is wrong", "ab"[n % 2], f"c{n}") for n, x in enumerate(nouns)]
    folder = write(tmp_path / "data", rows)
    settings = settings_of(duplicates="keep")
    first = build(settings, CLASSIFY, workspace, folder, Progress())
    row_id = next(iter(texts_of(workspace, first.version)))
    incident = report_identifier(workspace, row_id, "a name")
    second = build(settings, CLASSIFY, workspace, folder, Progress())
    assert [d.reason for d in second.drops if d.example.id == row_id] == ["reported_identifier"]
    assert row_id not in texts_of(workspace, second.version)
    entry = next(q for q in ledger.list_quarantine(workspace) if q.example_id == row_id)
    with pytest.raises(InputError, match="close its incident"):
        restore(workspace, [entry.id])
    moved = write(tmp_path / "data", [*rows, ("Something new about a fee", "a", "new")])
    third = build(settings, CLASSIFY, workspace, moved, Progress())
    assert sum(drop.reason == "reported_identifier" for drop in third.drops) == 1
    close_incident(workspace, incident.id, "fixed")
    fourth = build(settings, CLASSIFY, workspace, moved, Progress())
    assert sum(fourth.counts.values()) == len(rows) + 1


def test_profile_none_and_patterns_are_as_before(workspace):
    plain = Deidentification(workspace, DeidentifyConfig()).step()
    row = labelled(1, "Ada Stone, a@b.org")
    (outcome,) = plain.apply([row], None)
    assert outcome.example.conversation == Conversation.of(("user", "Ada Stone, [EMAIL]"))
    assert sign_off.signature_for(workspace, DeidentifyConfig()) is None


def test_rows_of_another_key_have_other_offsets(tmp_path):
    with Workspace.create(tmp_path / "a") as a, Workspace.create(tmp_path / "b") as b:
        days = [[Keys.of(ws).days(f"grp_{n}") for n in range(40)] for ws in (a, b)]
    assert days[0] != days[1]
    assert all(day % 7 == 0 and 7 <= abs(day) <= 364 for day in days[0])
    assert len({day > 0 for day in days[0]}) == 2
