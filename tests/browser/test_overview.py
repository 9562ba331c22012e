"""The overview in every state of a project."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from browser.desk_site import client_of, make_app
from browser.work_site import as_people
from metier.apps.http.pages.frame import Site
from metier.apps.http.pages.line import stand_line
from metier.apps.http.pages.overview import current_standing, newest_version, overview
from metier.journey.session import Session
from metier.people import ROLES, Person, Role

Make = Callable[..., Session]
OWNER = Person("mara", "Mara", "owner")
RELEASES = "cycle 2 done · champion v1 · challenger v2"
WAITING = "5 replies wait for people"


def test_nothing_yet_says_what_to_run(make: Make) -> None:
    session = make("nothing")
    view = overview(Site(session))
    assert (view["version"], view["verdict"], view["cycles"], view["plots"]) == (None, None, [], [])
    assert {row["state"] for row in view["targets"]} == {"open"}
    assert view["targets"][0]["asked"] == "route.f1_macro at least 0.8"
    assert view["next_step"].detail == "metier data build"
    assert stand_line(session, OWNER) == "nothing released yet"
    page = client_of(session).get("/").text
    assert "Nothing has been built yet" in page and "metier data build" in page


def test_data_only(make: Make) -> None:
    session = make("data")
    view = overview(Site(session))
    assert view["version"] is not None and view["ladder"] == []
    assert view["verdict"]["decision"] == "Nothing measured"
    assert view["next_step"].name == "baselines"


def test_baselines_only(make: Make) -> None:
    view = overview(Site(make("baselines")))
    assert [row["rung"] for row in view["ladder"]] == ["Keyword rules", "Base model, zero-shot"]
    assert view["judged"] == view["ladder"][1]["evaluation"]
    assert view["cycles"] == [] and view["next_step"].name == "tune"


def test_one_cycle_has_a_champion_and_one_point_per_plot(make: Make) -> None:
    session = make("cycle")
    view = overview(Site(session))
    names = [row["release"] and row["release"].name for row in view["releases"]]
    assert names == ["v1", None, None]
    assert [len(plot["data"]["points"]) for plot in view["plots"]] == [1, 1, 1]
    assert stand_line(session, OWNER) == "cycle 1 done · champion v1"


def test_several_cycles_have_changes_goals_and_people_to_wait_for(desk: Session) -> None:
    view = overview(Site(desk))
    assert [row["cycle"].number for row in view["cycles"]] == [2, 1]
    newest, first = (row["values"][0] for row in view["cycles"])
    assert re.fullmatch(r"\+0\.\d+ \[.+, .+\]", newest["change"]) and first["change"] == ""
    assert newest["n"] == 48
    plot = view["plots"][0]
    assert plot["title"] == "route.f1_macro" and plot["data"]["goal"] == 0.8
    assert [point[0] for point in plot["data"]["points"]] == [1, 2]
    assert "cycle 1: 0." in plot["words"]
    assert [wait.who for wait in view["waits"]] == ["a domain expert", "the owner"]
    assert stand_line(desk, OWNER) == f"{RELEASES} · {WAITING}"


# What each role reads on top of its pages; those who rate or label read nothing of either.
LINES = {
    "owner": f"{RELEASES} · {WAITING}",
    "engineer": f"{RELEASES} · {WAITING}",
    "auditor": RELEASES,
    "viewer": RELEASES,
    "reviewer": "",
    "annotator": "",
    "guest": "",
}
PAGES = {
    "owner": "/",
    "engineer": "/review",
    "auditor": "/audit",
    "viewer": "/runs",
    "reviewer": "/review",
    "annotator": "/annotate/corrections",
    "guest": "/account",
}


@pytest.mark.parametrize("role", ROLES)
def test_where_the_project_stands_is_for_those_who_may_look(desk: Session, role: Role) -> None:
    client = TestClient(as_people(make_app(desk, None)), headers={"x-person": f"p {role}"})
    found = [client.get(path) for path in (PAGES[role], "/account", "/people")]
    assert [one.status_code for one in found][:2] == [200, 200]
    for page in found:  # the last is a page of refusal, for all but the owner
        (line,) = re.findall(r'<p class="stand" id="stand"[^>]*>([^<]*)</p>', page.text)
        assert line == LINES[role], page.url
        for words in ("champion v1", "wait for people", "waits for people"):
            assert words in LINES[role] or words not in page.text.partition("<main")[0]


def test_the_standing_is_judged_once_until_something_is_measured(desk: Session) -> None:
    site = Site(desk)
    version = newest_version(desk)
    assert version is not None
    assert current_standing(site, version) is current_standing(site, version)


def test_what_is_kept_is_bounded(desk: Session) -> None:
    site = Site(desk)
    for number in range(100):
        assert site.keep(number, lambda: object()) is site.keep(number, lambda: object())
    assert len(site._kept) <= 32
