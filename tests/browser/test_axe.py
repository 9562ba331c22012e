"""axe-core on every page: no serious or critical issue, light and dark, wide and on a phone.

axe-core (Deque, MPL 2.0) comes with the package axe-playwright-python, for tests alone. The pages'
policy forbids scripts that are not theirs, so the browser is told to let this one by.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest

from http_desk import listening
from people_site import PASSWORD, email_of
from whole_site import Whole, whole

AXE = files("axe_playwright_python") / "axe.min.js"
RULES = """async (only) => {
  const found = await axe.run(document, {resultTypes: ["violations"], runOnly: only});
  return found.violations.map((one) => ({id: one.id, impact: one.impact, help: one.help,
    at: one.nodes.slice(0, 3).map((node) => node.target.join(" ") + ": " +
      (node.any[0]?.message || node.failureSummary || "").slice(0, 160))}));
}"""
ALL = {
    "type": "tag",
    "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
}
DRAWN = {"type": "rule", "values": ["color-contrast", "target-size", "scrollable-region-focusable"]}
"""The rules whose outcome depends on colours and widths."""
SERIOUS = ("serious", "critical")
VIEWS = [(1280, "light", ALL), (1280, "dark", DRAWN), (390, "dark", DRAWN), (390, "light", DRAWN)]
OPEN = ("/login", "/join?code=nothing")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    with whole(tmp_path_factory.mktemp("axe") / "project") as made:
        yield made


@pytest.fixture(scope="module")
def url(site: Whole) -> Iterator[str]:
    with listening(site.app) as address:
        yield address


def looking(browser: Any, url: str, name: str = "mara") -> Any:
    """A browser in which somebody has logged in."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, bypass_csp=True)
    context.set_default_timeout(30_000)
    page = context.new_page()
    page.goto(f"{url}/login")
    page.get_by_label("E-mail").fill(email_of(name))
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda now: "/login" not in now)
    return page


def issues(page: Any, only: Any = ALL) -> list[str]:
    """The serious and critical issues of what is on the screen."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = [one for one in page.evaluate(RULES, only) if one["impact"] in SERIOUS]
    return [f"{one['impact']} {one['id']}: {one['help']}: {'; '.join(one['at'])}" for one in found]


def test_no_page_has_a_serious_issue(browser: Any, site: Whole, url: str) -> None:
    page = looking(browser, url)
    wrong: list[str] = []
    for path in site.pages():
        page.goto(url + path)
        for width, scheme, rules in VIEWS:
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            at = f"{path} at {width} in {scheme} colours"
            wrong += [f"{at}: {one}" for one in issues(page, rules)]
            wide = page.evaluate("document.documentElement.scrollWidth")
            wrong += [f"{at}: it is {wide} pixels wide"] if wide > width else []
    page.context.close()
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_neither_have_the_pages_of_the_way_in(
    browser: Any, site: Whole, url: str, scheme: str
) -> None:
    context = browser.new_context(color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    for path in OPEN:
        page.goto(url + path)
        assert issues(page) == [], path
    context.close()


@pytest.mark.parametrize("name", ["ann", "rita"])
def test_neither_have_the_pages_of_who_annotates_and_rates(
    browser: Any, site: Whole, url: str, name: str
) -> None:
    page = looking(browser, url, name)
    page.set_viewport_size({"width": 390, "height": 900})
    for path in ("/queues", "/annotate/round-2", "/review", "/review/spring", "/account"):
        page.goto(url + path)
        assert issues(page) == [], (name, path)
    page.context.close()
