"""The navigation: groups, the pages of one, and who sees what."""

from __future__ import annotations

import pytest

from metier.apps.http.pages.nav import NAV, Group, Link, navigation
from metier.people import ROLES, Person, Role


def seen(role: Role, path: str = "/") -> tuple[list[str], list[str], list[str]]:
    found = navigation(Person("p", "P", role), path)
    marked = [one.name for one in (*found.groups, *found.pages) if one.here]
    return [one.name for one in found.groups], [one.name for one in found.pages], marked


def test_one_sees_the_groups_in_which_there_is_something_for_them() -> None:
    assert seen("owner")[0] == [group.name for group in NAV]
    assert seen("annotator", "/queues")[0] == ["Annotate"]
    assert "People" not in seen("engineer")[0] and "Overview" not in seen("reviewer")[0]
    assert seen("auditor", "/audit")[1] == []  # the group's only page for them: no second row


def test_the_second_row_has_the_pages_of_where_one_is() -> None:
    assert seen("owner", "/data/ver_1")[2] == ["Data", "Versions"]
    assert seen("owner", "/data/quarantine/quar_1")[2] == ["Data", "Quarantine"]
    assert seen("owner", "/annotate/round-1")[2] == ["Annotate", "Queues"]
    assert seen("viewer", "/data")[1] == ["Versions", "Quarantine", "Changes"]
    assert seen("owner", "/")[1:] == ([], ["Overview"])
    assert seen("owner", "/nowhere")[1:] == ([], [])


@pytest.mark.parametrize("role", ROLES)
def test_a_group_leads_to_a_page_one_may_open(role: Role) -> None:
    person = Person("p", "P", role)
    allowed = {link.path for group in NAV for link in group.links if person.may(link.needs)}
    for group in navigation(person, "/").groups:
        assert group.path in allowed


def test_no_link_is_there_twice() -> None:
    paths = [link.path for group in NAV for link in group.links]
    assert len(paths) == len(set(paths)) and len(NAV) <= 7
    nothing = navigation(
        Person("p", "P", "viewer"), "/x", (Group("A", (Link("/x", "X", "audit"),)),)
    )
    assert nothing.groups == ()
