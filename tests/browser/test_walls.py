"""The same texts in a real browser: whatever a page's own scripts do with them, nothing runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from browser.test_pages import Watched
from http_desk import listening
from people_site import PASSWORD, email_of
from whole_site import EVIL, Whole, whole


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    with whole(tmp_path_factory.mktemp("walls") / "project", EVIL) as made:
        yield made


@pytest.fixture(scope="module")
def url(site: Whole) -> Iterator[str]:
    with listening(site.app) as address:
        yield address


class Attacked(Watched):
    """A browser page that notes dialogs, which only a script that got in would open."""

    def __init__(self, page: Any, url: str, name: str) -> None:
        super().__init__(page, url)
        self.dialogs: list[str] = []
        page.on("dialog", self._dialog)
        self.go("/login")
        page.get_by_label("E-mail").fill(email_of(name))
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(lambda now: "/login" not in now)

    def _dialog(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def assert_nothing_ran(self, where: str) -> None:
        assert self.page.locator("xss-probe").count() == 0, where
        assert (self.dialogs, self.foreign, self.errors) == ([], [], []), where


def test_no_text_becomes_an_element(browser: Any, site: Whole, url: str) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    seen = Attacked(context.new_page(), url, "mara")
    for path in site.pages():
        seen.go(path)
        seen.assert_nothing_ran(path)
    context.close()


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("/annotate/round-2", ["?", "Escape", "g", "m", "Escape", "2", "Enter", "u"]),
        ("/annotate/corrections", ["1", "Tab"]),
        ("/review/spring", ["w", "ArrowRight", "Shift+ArrowRight", " ", "Escape", "b", "Escape"]),
        ("/review/duel", ["1", "w", " ", "Tab", " ", "Escape"]),
        ("/adjudicate/round-1", ["a", "Escape", "b", "Escape", "n"]),
        ("/data/suspects", ["?", "Escape", "k", "u", "n"]),
    ],
)
def test_neither_do_the_keys_of_a_desk_make_one(
    browser: Any, site: Whole, url: str, path: str, keys: list[str]
) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    seen = Attacked(context.new_page(), url, "eva")
    page = seen.go(path)
    for key in keys:
        page.keyboard.press(key)
        page.wait_for_timeout(120)
        seen.assert_nothing_ran(f"{path} after {key}")
    for box in page.locator("textarea:visible").all():
        box.fill(EVIL)
    page.wait_for_timeout(300)
    seen.assert_nothing_ran(f"{path} after typing")
    context.close()
