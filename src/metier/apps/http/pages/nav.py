"""The navigation: one row of groups, and below it the pages of the group one is in.

A page adds its link to a group here. Whoever may not open a page does not see its link, nor a
group that would be empty.
"""

from __future__ import annotations

from dataclasses import dataclass

from metier.people import Permission, Person


@dataclass(frozen=True, slots=True)
class Link:
    """A page: where it is, what it is called, and what one must be allowed to do to open it."""

    path: str
    name: str
    needs: Permission = "look"
    also: str = ""
    """Another path whose pages belong to it."""


@dataclass(frozen=True, slots=True)
class Group:
    """Pages that belong together; the group's own link opens the first that a person may see."""

    name: str
    links: tuple[Link, ...]


NAV = (
    Group("Overview", (Link("/", "Overview"),)),
    Group(
        "Data",
        (
            Link("/data", "Versions"),
            Link("/data/suspects", "Suspects", "build"),
            Link("/data/quarantine", "Quarantine"),
            Link("/data/changes", "Changes"),
        ),
    ),
    Group(
        "Models",
        (
            Link("/runs", "Runs"),
            Link("/compare", "Compare"),
            Link("/try", "Try it"),
            Link("/interactions", "Replies"),
            Link("/api", "API"),
        ),
    ),
    Group(
        "Annotate",
        (
            Link("/queues", "Queues", "annotate", also="/annotate"),
            Link("/guidelines", "Guidelines", "annotate"),
            Link("/agreement", "Agreement"),
            Link("/adjudicate", "Adjudicate", "adjudicate"),
        ),
    ),
    Group(
        "Review",
        (Link("/review", "Panels", "review"), Link("/preferences", "Preferences", "build")),
    ),
    Group("People", (Link("/people", "People", "manage"), Link("/audit", "Audit", "audit"))),
)


@dataclass(frozen=True, slots=True)
class Tab:
    """A link as it is drawn; ``here`` marks where one is."""

    path: str
    name: str
    here: bool


@dataclass(frozen=True, slots=True)
class Navigation:
    """What to draw for one person on one page; ``pages`` is empty where a group has but one."""

    groups: tuple[Tab, ...]
    pages: tuple[Tab, ...]
    within: str


NOWHERE = Navigation((), (), "")


def navigation(person: Person, path: str, nav: tuple[Group, ...] = NAV) -> Navigation:
    """Return the groups this person sees and the pages of the one that ``path`` is in."""
    seen = {group.name: _open_to(person, group) for group in nav}
    at = _nearest(path, [link for links in seen.values() for link in links])
    groups, pages, within = [], [], ""
    for name, links in seen.items():
        if not links:
            continue
        here = at in links
        groups.append(Tab(links[0].path, name, here))
        if here and len(links) > 1:
            pages, within = [Tab(one.path, one.name, one is at) for one in links], name
    return Navigation(tuple(groups), tuple(pages), within)


def _open_to(person: Person, group: Group) -> list[Link]:
    return [link for link in group.links if person.may(link.needs)]


def _nearest(path: str, links: list[Link]) -> Link | None:
    """The link whose path is the longest that ``path`` is at or below."""
    fitting = [
        one
        for one in links
        if path == one.path
        or path.startswith(f"{one.path}/")
        or (one.also and path.startswith(f"{one.also}/"))
    ]
    return max(fitting, key=lambda one: len(one.path), default=None)
