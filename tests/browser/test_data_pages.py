"""The data pages: versions, rows, differences, quarantine, changes, suspects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from browser.data_site import make_data_session
from browser.desk_site import client_of, served
from browser.test_pages import opened
from metier.apps.http.pages.data.suspects import desk_view
from metier.apps.http.pages.data.versions import changed_words
from metier.apps.http.pages.frame import Site
from metier.core import ledger
from metier.core.errors import NotFound
from metier.data.cleaning.history import word_differences
from metier.data.cleaning.undo import decisions
from metier.data.quality.suspects import count_kinds, count_open, open_suspects, page_suspects
from metier.data.quarantine import count_rows, list_rows, page_rows, reasons
from metier.journey.session import Session
from metier.people import Person

OWNER = Person("mara", "Mara", "owner")
SECRETS = ("ann.lee@example.org", "eve@example.org")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """Two versions; for tests that only look."""
    session = make_data_session(tmp_path_factory.mktemp("data") / "project")
    yield session
    session.workspace.close()


@pytest.fixture
def own(tmp_path: Any) -> Iterator[Session]:
    """The same, to be changed."""
    session = make_data_session(tmp_path / "project")
    yield session
    session.workspace.close()


@pytest.fixture
def client(built: Session) -> Iterator[TestClient]:
    with client_of(built) as made:
        yield made


def versions(session: Session) -> list[str]:
    return [one.id for one in ledger.list_versions(session.workspace)]


def test_versions_are_listed_with_what_changed(built: Session, client: TestClient) -> None:
    older, newer = versions(built)
    page = client.get("/data").text
    assert page.index(newer) < page.index(older) and "latest" in page
    assert f'href="/data/{older}..{newer}"' in page and "the first" in page
    first, second = ledger.list_versions(built.workspace)
    assert changed_words(first, first) == ["the same numbers of rows"]
    assert "train" in " ".join(changed_words(first, second))


def test_without_a_version_each_page_says_what_to_do(tmp_path: Any) -> None:
    from browser.desk_site import make_session

    session = make_session(tmp_path / "empty", "nothing")
    with client_of(session) as client:
        for path, command in (("/data", "metier data build"), ("/data/quarantine", "data build"),
                              ("/data/changes", "data build"),
                              ("/data/suspects", "metier data quality")):  # fmt: skip
            page = client.get(path)
            assert page.status_code == 200 and command in page.text, path
        assert client.get("/data/ver_none").status_code == 404
        assert client.get("/data/ver_a..ver_b").status_code == 404
    session.workspace.close()


def test_a_versions_rows_come_in_pages_and_are_found_by_words(
    built: Session, client: TestClient
) -> None:
    ws, key = built.workspace, versions(built)[1]
    version = ledger.get_version(ws, key)
    every = ledger.load_split(ws, version, "train")
    seen: list[str] = []
    start: int | None = 0
    while start is not None:
        page = ledger.page_rows(ws, version, "train", start=start, limit=7)
        seen += [one.id for _, one in page.rows]
        start = page.after
    assert seen == [one.id for one in every]
    found = ledger.page_rows(ws, version, "train", ledger.Sought("PARCEL", "delivery")).rows
    assert [one.id for _, one in found] == [
        one.id
        for one in every
        if "parcel" in one.conversation.text and one.target.label == "delivery"
    ]
    text = client.get(f"/data/{key}?split=train&q=parcel&label=delivery").text
    assert all(one.id in text for _, one in found) and "metier data" not in text.split("<h1")[0]
    none = client.get(f"/data/{key}?split=train&q=xylophone").text
    assert "No row of train among the" in none
    viewed = [one for one in ws.audit.entries(key) if one.action == "data.view"]
    assert viewed and set(viewed[-1].detail["rows"]) == {one.id for _, one in found}


def test_rows_are_found_by_id_without_reading_the_others(built: Session) -> None:
    ws = built.workspace
    version = ledger.get_version(ws)
    wanted = [ledger.load_split(ws, version, split)[0] for split in ("train", "test")]
    found = ledger.find_rows(ws, version, [*(one.id for one in wanted), "ex_none"])
    assert found == {one.id: (split, one)
                     for split, one in zip(("train", "test"), wanted, strict=True)}  # fmt: skip


def test_what_changed_is_shown_word_by_word(built: Session, client: TestClient) -> None:
    older, newer = versions(built)
    page = client.get(f"/data/{older}..{newer}").text
    assert "What changed" in page and "more.csv" in page and "<ins>money</ins>" in page
    for which in ("added", "removed", "changed", "moved"):
        assert client.get(f"/data/{older}..{newer}?which={which}").status_code == 200
    added = client.get(f"/data/{older}..{newer}?which=added").text
    assert "Nobody answers my letter about the late parcel" in added
    words = word_differences("the lamp is broken", "the new lamp broke")
    assert "".join(text for kind, text in words if kind != "new") == "the lamp is broken"
    assert "".join(text for kind, text in words if kind != "gone") == "the new lamp broke"
    assert ("new", "broke") in words
    assert word_differences("a", "a") == [("same", "a")]


def test_quarantine_pages_agree_with_the_whole_list(built: Session, client: TestClient) -> None:
    ws = built.workspace
    assert count_rows(ws) == reasons(ws) and count_rows(ws)
    seen: list[str] = []
    while page := page_rows(ws, after=seen[-1] if seen else "", limit=2):
        seen += [one.id for one in page]
    assert seen == [one.id for one in list_rows(ws)]
    for one in reasons(ws):
        assert [row.id for row in page_rows(ws, one.reason)] == [
            row.id for row in list_rows(ws, reason=one.reason)
        ]
        assert f"reason={one.reason}" in client.get("/data/quarantine").text


def test_a_row_in_quarantine_is_opened_cleared_and_taken_back(own: Session) -> None:
    ws = own.workspace
    row = next(one for one in list_rows(ws) if one.reason == "exact_duplicate")
    fixed = next(one for one in list_rows(ws) if one.step == "import" or one.step == "labels")
    with client_of(own) as client:
        page = client.get(f"/data/quarantine/{row.id}").text
        assert "What it held" in page and "Take it back" in page
        assert "cannot be overruled" in client.get(f"/data/quarantine/{fixed.id}").text
        sent = client.post("/data/quarantine/restore", data={"ids": [row.id]})
        assert "1 row taken back" in sent.text
        assert ledger.get_quarantined(ws, row.id).restored_at is not None
        assert client.post("/data/quarantine/restore", data={}).status_code == 422
        assert client.post("/data/quarantine/restore", data={"ids": ["q"]}).status_code == 404
    assert [one.action for one in ws.audit.entries()][-1] == "quarantine.restore"


def test_changes_cover_what_was_taken_out(built: Session, client: TestClient) -> None:
    whole = client.get("/data/changes").text
    assert "<del>" in whole and "▇" in whole
    assert not any(secret in whole for secret in SECRETS)
    rule = client.get("/data/changes?rule=email").text
    assert "▇" in rule and "[EMAIL]" in rule
    assert client.get("/data/changes?rule=none").status_code == 404
    assert client.get("/data/changes?page=99").status_code == 422
    assert client.get("/data/changes?page=0").status_code == 422


def test_a_rule_is_turned_off_and_on(own: Session) -> None:
    with client_of(own) as client:
        path = "/data/changes/undo"
        assert "off" in client.post(path, data={"rule": "html"}).text
        assert {one.rule for one in decisions(own.workspace)} == {"html", "white_space"}
        client.post(path, data={"rule": "html", "redo": "true"})
        assert [one.rule for one in decisions(own.workspace)] == ["white_space"]
        assert client.post(path, data={"rule": "email"}).status_code == 422


def test_suspects_come_one_after_the_other(built: Session, client: TestClient) -> None:
    ws = built.workspace
    rows = open_suspects(ws)
    seen = []
    while page := page_suspects(ws, after=seen[-1].ids[0] if seen else "", limit=2):
        seen += page
    assert seen == rows
    assert count_open(ws) == (len(rows), count_kinds(rows)) and len(rows) >= 5
    assert page_suspects(ws, "outlier") == []
    view = desk_view(Site(built), OWNER, after=rows[1].ids[0])
    assert view["doubt"]["row"]["id"] == rows[2].example_id
    page = client.get("/data/suspects").text
    assert rows[0].example_id in page and not any(secret in page for secret in SECRETS)
    again = desk_view(Site(built), OWNER, after=open_suspects(ws)[-1].ids[0])
    assert again["doubt"]["row"]["id"] == rows[0].example_id
    with pytest.raises(NotFound):
        desk_view(Site(built), OWNER, row="ex_none")


def test_suspects_are_decided_on_by_keyboard(browser: Any, own: Session) -> None:
    ws = own.workspace
    rows = open_suspects(ws)
    with served(own) as url, opened(browser, url) as watched:
        page = watched.go("/data/suspects")

        def at(number: int) -> None:
            page.wait_for_selector(f'#doubt .desk[data-item="{rows[number].example_id}"]')

        at(0)
        page.keyboard.press("?")
        assert page.locator("#help").is_visible()
        page.keyboard.press("Escape")
        page.keyboard.press("k")
        at(1)
        page.keyboard.press("d")
        at(2)
        page.keyboard.press("r")  # no label is chosen
        page.get_by_text("the right label").wait_for()
        page.keyboard.press("2")
        page.keyboard.press("r")
        at(3)
        page.keyboard.press("n")
        at(4)
        page.keyboard.press("u")
        at(2)
        page.keyboard.press("k")
        at(3)
        assert watched.foreign == []
    asked = {one.example_id for one in rows[:3]}
    found = {one: said.verdict for one, said in decided(own).items() if one in asked}
    assert found == {rows[0].example_id: "accept", rows[1].example_id: "drop",
                     rows[2].example_id: "accept"}  # fmt: skip
    assert count_open(ws)[0] == len(rows) - 3


def test_the_next_row_takes_keys_as_soon_as_it_is_there(browser: Any, own: Session) -> None:
    rows = open_suspects(own.workspace)
    with served(own) as url, opened(browser, url) as watched:
        page = watched.go("/data/suspects")
        page.evaluate("""() => {
            const press = () => document.body.dispatchEvent(
                new KeyboardEvent("keydown", {key: "r", bubbles: true}));
            document.addEventListener("htmx:afterSwap", () => setTimeout(press), {once: true});
        }""")
        page.keyboard.press("k")
        page.get_by_text("the right label").wait_for()  # "r" without a label, told in its place
        assert page.url == f"{url}/data/suspects"
        page.wait_for_selector(f'#doubt .desk[data-item="{rows[1].example_id}"]')


def decided(session: Session) -> Any:
    from metier.data.quality.decide import decisions_of

    return decisions_of(session.workspace).by_id


def test_a_decision_needs_its_words(own: Session) -> None:
    row = open_suspects(own.workspace)[0].example_id
    with client_of(own) as client:
        path = "/data/suspects/decide"
        for data in (
            {"row": row, "verdict": "relabel"},
            {"row": row, "verdict": "perhaps"},
            {"verdict": "drop"},
            {"row": row, "verdict": "relabel", "label": "pets"},
        ):
            assert client.post(path, data=data).status_code == 422, data
        assert client.post(path, data={"row": "ex_none", "verdict": "drop"}).status_code == 404
        assert client.post("/data/suspects/undo", data={"row": row}).status_code == 404
        sent = client.post(path, data={"row": row, "verdict": "relabel", "label": "money"})
        assert sent.status_code == 200 and "relabelled" in sent.text
        assert decided(own)[row].to == "money"
