"""The sheet of "?" lists every key that works on a desk, and no other key does anything there.

What is listed is read from the sheet; what works is found by pressing every key of the keyboard.
"""

from __future__ import annotations

import json
import string
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from browser.desk_site import make_app, make_session, serve_some, served
from browser.test_pages import Watched, opened
from browser.work_site import (
    answer_all,
    as_people,
    make_fields_project,
    make_project,
    make_round,
)
from metier.journey.reviewing import PanelAsk, make_project_panel
from metier.journey.session import Session
from metier.queue import Given, submit, take_next

ANN, CARA, OLGA = "ann annotator", "cara reviewer", "olga owner"
NAMED = (
    "Enter", "Escape", "Space", "Backspace", "Delete", "Tab", "Home", "End", "PageUp", "PageDown",
    "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown",
)  # fmt: skip
LETTERS = (*string.ascii_letters, *string.digits, *string.punctuation)
MODIFIED = tuple(f"{shift}+{key}" for key in NAMED for shift in ("Shift", "Control"))
EVERY = (*LETTERS, *NAMED, *MODIFIED)
# Nothing that is sent arrives, nothing is kept, and each key says whether the page acted on it.
WATCH = """
localStorage.clear();
const real = fetch, got = [];
window.fetch = (path, how) => (how && how.method === "POST" ? Promise.reject(new TypeError("cut")) : real(path, how));
sessionStorage.setItem("got", "[]");
addEventListener("keydown", (event) => {
  if (["Shift", "Control", "Alt"].includes(event.key)) return;
  const named = event.key.length > 1 || event.key === " ";
  const name = (event.ctrlKey ? "Control+" : "") + (event.altKey ? "Alt+" : "")
    + (event.shiftKey && named ? "Shift+" : "") + (event.key === " " ? "Space" : event.key);
  got.push([name, event.defaultPrevented]);
  sessionStorage.setItem("last", JSON.stringify([name, event.defaultPrevented]));
});
window.gotKeys = () => got.splice(0);
"""  # noqa: E501
STATE = """() => {
  const forms = [...document.querySelectorAll("main form")].map((form) => [...new FormData(form)]);
  const open = [...document.querySelectorAll("dialog, details")].map((one) => one.open);
  return JSON.stringify([location.href, forms, open]);
}"""
LAST = "() => JSON.parse(sessionStorage.getItem('last') || '[\"\", false]')"


@dataclass(frozen=True)
class Sheet:
    """What is listed, by where it works: on the page, while marking words, while typing."""

    page: set[str]
    marking: set[str]
    typing: set[str]


class Keys:
    """A desk on which keys are pressed."""

    def __init__(self, watched: Watched, path: str) -> None:
        self.watched, self.path, self.page = watched, path, watched.page
        self.page.add_init_script(WATCH)

    def open(self, *first: str) -> None:
        """Open the desk anew, and press some keys."""
        self.watched.go(self.path)
        for key in first:
            self.watched.press(key)

    def acts(self, key: str) -> bool:
        """Press a key; whether the page acts on it."""
        self.watched.press(key)
        name, acted = self.page.evaluate(LAST)
        assert name == key, f"pressed {key}, but the page got {name}"
        return bool(acted)

    def any_acts(self, keys: list[str]) -> set[str]:
        """Press many keys; return those that the page acts on."""
        acted: set[str] = set()
        for _ in range(3):  # a busy browser loses a key now and then
            for key in keys:
                self.watched._press(key)
            got = dict(self.page.evaluate("gotKeys()"))
            acted |= {key for key, acts in got.items() if acts}
            keys = [key for key in keys if key not in got]
            if not keys:
                return acted
        raise AssertionError(f"the page never got {keys}")

    def sheet(self) -> Sheet:
        """Open the sheet and read it."""
        self.open("?")
        rows = self.page.locator("#help dt").evaluate_all(
            "all => all.map(one => [one.parentElement.dataset.while, one.dataset.keys,"
            "one.innerText.trim(), one.nextElementSibling.innerText.trim()])"
        )
        listed: dict[str, set[str]] = {"": set(), "marking": set(), "typing": set()}
        for where, keys, shown, does in rows:
            names = json.loads(keys)
            assert shown and does and names
            if all(len(one) == 1 and one != " " for one in names):  # what is read is what is meant
                assert set(shown.split()) <= {*names, "–"}
            assert not listed[where] & set(names), f"listed twice: {names}"
            listed[where] |= {pressed(one) for one in names}
        return Sheet(listed[""], listed["marking"], listed["typing"])

    def working(self, *first: str, listed: set[str]) -> set[str]:
        """Return the keys that the page acts on; those that are not listed must change nothing."""
        more = [f"{mod}+{key}" for key in sorted(listed) for mod in ("Control", "Alt")
                if "+" not in key and key != "Tab"]  # fmt: skip
        others = [key for key in dict.fromkeys((*EVERY, *more)) if key not in listed]
        self.open(*first)
        before = self.page.evaluate(STATE)
        found = self.any_acts([key for key in others if not key.endswith("Tab")])
        assert self.page.evaluate(STATE) == before, "a key does something that is not listed"
        found |= self.any_acts(["Shift+Tab", *(["Tab"] if "Tab" not in listed else [])])
        for key in listed:
            self.open(*first)
            if self.acts(key):
                found.add(key)
        return found

    def typed(self, box: str, listed: set[str]) -> set[str]:
        """Return the keys that the page acts on in a text field; letters are letters there."""

        def enter() -> None:
            self.open()
            if self.page.locator(box).is_hidden():
                self.page.locator("details", has=self.page.locator(box)).locator("summary").click()
            self.page.locator(box).fill("")
            self.page.locator(box).focus()

        enter()
        self.page.keyboard.type("".join(LETTERS))
        assert self.page.locator(box).input_value() == "".join(LETTERS)
        assert not [key for key, acts in self.page.evaluate("gotKeys()") if acts]
        others = [key for key in (*NAMED, *MODIFIED) if key not in listed]
        found = self.any_acts([key for key in others if not key.endswith("Tab")])
        for key in listed:
            enter()
            if self.acts(key):
                found.add(key)
        return found


def pressed(name: str) -> str:
    """A key as the keyboard is told to press it."""
    return name.replace("Ctrl+", "Control+").replace(" ", "Space")


@contextmanager
def keys_at(browser: Any, session: Session, path: str, who: str) -> Iterator[Keys]:
    app = as_people(make_app(session, None))
    with served(session, app=app) as url, opened(browser, url) as watched:
        watched.page.set_extra_http_headers({"X-Person": who})
        yield Keys(watched, path)


def classify(folder: Path) -> Session:
    """One of four labels, an answer behind one, and a model that suggests."""
    session = make_project(folder)
    make_round(session, wanted=1, blind=False)
    found = take_next(session.workspace, "round-1", "ann")
    assert found is not None
    submit(session.workspace, found[1].id, "ann", Given("billing", 3.0))
    return session


def many(folder: Path) -> Session:
    session = make_project(folder, "many")
    make_round(session, guideline="")
    return session


def spans(folder: Path) -> Session:
    session = make_project(folder, "extract")
    make_round(session)
    return session


def fields(folder: Path) -> Session:
    session = make_fields_project(folder)
    make_round(session)
    return session


def finished(folder: Path) -> Session:
    session = make_project(folder)
    make_round(session, count=1)
    answer_all(session, "round-1", "ann", "billing")
    return session


def corrections(folder: Path) -> Session:
    session = make_session(folder, "data")
    serve_some(session.workspace, None)
    return session


def disputed(folder: Path) -> Session:
    session = make_project(folder)
    make_round(session, count=3)
    answer_all(session, "round-1", "ann", "billing")
    answer_all(session, "round-1", "ben", "damaged")
    return session


def disputed_spans(folder: Path) -> Session:
    session = make_project(folder, "extract")
    make_round(session, count=1)
    answer_all(session, "round-1", "ann", [])
    answer_all(session, "round-1", "ben", [{"start": 0, "end": 3, "label": "time"}])
    return session


def panel(mode: str) -> Callable[[Path], Session]:
    def make(folder: Path) -> Session:
        session = make_session(folder, "cycles")
        ask = PanelAsk("spring", ("challenger", "champion"), mode, items=3, raters=1,  # type: ignore[arg-type]
                       duplicates=0.0, dimensions=("tone",))  # fmt: skip
        make_project_panel(session, ask, "mara")
        return session

    return make


DESKS: dict[str, tuple[Callable[[Path], Session], str, str, str]] = {
    "labels": (classify, "/annotate/round-1", ANN, "#comment"),
    "many labels": (many, "/annotate/round-1", ANN, "[data-sift]"),
    "spans": (spans, "/annotate/round-1", ANN, "#comment"),
    "fields": (fields, "/annotate/round-1", ANN, "textarea[name='v:reply']"),
    "nothing left": (finished, "/annotate/round-1", ANN, ""),
    "corrections": (corrections, "/annotate/corrections", ANN, "#answer textarea"),
    "adjudication": (disputed, "/adjudicate/round-1", CARA, "#reason"),
    "adjudication of spans": (disputed_spans, "/adjudicate/round-1", CARA, "#reason"),
    "panel": (panel("rate"), "/review/spring", OLGA, "#comment"),
    "panel, side by side": (panel("compare"), "/review/spring", OLGA, "#better"),
}
EXPECTED = {
    "labels": {"1", "4", "c", "o", "f", "m", "s", "u", "g", "Enter", "Control+Enter", "?"},
    "many labels": {"/", "9"},
    "spans": {"3", "ArrowLeft", "Shift+ArrowRight", "Control+ArrowLeft", "Home", "Delete"},
    "fields": {"4", "m"},
    "nothing left": {"?", "u", "g"},
    "corrections": {"4", "s"},
    "adjudication": {"a", "b", "4", "r", "x", "n", "Enter"},
    "adjudication of spans": {"a", "b", "3", "r", "x", "ArrowRight", "Backspace"},
    "panel": {"1", "5", "n", "o", "h", "w", "b", "ArrowUp"},
    "panel, side by side": {"1", "3", "o", "h", "w", "b"},
}
"""Some that must be there, so that an empty sheet of a dead page does not pass."""


SOME = ("labels", "adjudication of spans", "panel")
"""Those that are looked at each time; the others are marked slow."""


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=() if one in SOME else pytest.mark.slow) for one in DESKS]
)
def test_the_keys_that_are_listed_are_those_that_work(
    browser: Any, tmp_path: Path, name: str
) -> None:
    make, path, who, box = DESKS[name]
    session = make(tmp_path / "desk")
    with keys_at(browser, session, path, who) as keys:
        sheet = keys.sheet()
        assert sheet.page >= EXPECTED[name]
        assert keys.working(listed=sheet.page) == sheet.page
        if sheet.marking:
            assert keys.working("w", listed=sheet.marking) == sheet.marking
        assert bool(sheet.marking) == name.startswith("panel")
        if box:
            meant = sheet.typing - (set() if box == "[data-sift]" else {"Enter"})
            assert keys.typed(box, meant) == meant
        keys.watched.assert_clean()
    session.workspace.close()
