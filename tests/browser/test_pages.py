"""The pages in a real browser: they load nothing foreign, fit a phone, and work by keyboard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from browser.desk_site import FakeGateway, make_run, served
from browser.shots import PAGES, screenshots
from metier.core import ledger
from metier.core.errors import ModelUnavailable
from metier.core.records import MetricPoint
from metier.journey.session import Session

Make = Callable[..., Session]
TALL = {
    **PAGES,
    "bad": "/interactions?which=bad",
    "lineage": "/lineage/{version}",
    "evaluation": "/lineage/{evaluation}",
    "reply": "/interactions/{reply}",
}


KEYS_SEEN = """
window.keysSeen = {page: Math.random(), last: []};
addEventListener("keydown", (event) => {
  window.keysSeen.last.push(`${event.key} on ${event.target.tagName}`);
}, true);
"""


class Watched:
    """A browser page, and what it did that it should not have."""

    def __init__(self, page: Any, url: str) -> None:
        self.page, self.url = page, url
        page.add_init_script(KEYS_SEEN)
        self._press = page.keyboard.press
        page.keyboard.press = self.press
        self.foreign: list[str] = []
        self.errors: list[str] = []
        self.refused: list[str] = []
        page.on("request", self._request)
        page.on("response", self._response)
        page.on("console", lambda said: said.type == "error" and self.errors.append(said.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _request(self, request: Any) -> None:
        if not request.url.startswith(self.url):
            self.foreign.append(request.url)

    def _response(self, answer: Any) -> None:
        if answer.status >= 400:
            self.refused.append(f"{answer.status} {answer.request.method} {answer.url}")

    def keys(self) -> Any:
        """The page, and the keys it got so far; None while it is on the way to another."""
        try:
            return self.page.evaluate("window.keysSeen")
        except Exception:
            return None

    def press(self, key: str, **more: Any) -> None:
        """Press a key once the page's scripts listen; once more when the page never got it, which a
        browser on a busy machine lets happen now and then."""
        self.page.wait_for_load_state()
        before = self.keys()
        for _ in range(5):
            self._press(key, **more)
            for _ in range(50):
                now = self.keys()
                if before is None or now != before:
                    return
                self.page.wait_for_timeout(20)

    def told(self) -> str:
        """What there is to know of a page on which something did not come as expected."""
        notice = self.page.locator("#notice")
        try:
            words = notice.inner_text(timeout=1000) if notice.count() else ""
            where = f"{self.page.url}, title {self.page.title()!r}"
        except Exception as error:
            words, where = "", f"a page that does not answer: {type(error).__name__}"
        return "\n".join(
            (
                f"at {where}",
                f"#notice: {words!r}",
                f"console: {self.errors}",
                f"refused: {self.refused}",
                f"foreign: {self.foreign}",
                f"keys: {(self.keys() or {}).get('last', [])[-8:]}",
            )
        )

    def go(self, path: str) -> Any:
        self.page.goto(self.url + path)
        return self.page

    def assert_clean(self) -> None:
        assert (self.foreign, self.errors) == ([], [])


@contextmanager
def opened(browser: Any, url: str, width: int = 1280, scheme: str = "light") -> Iterator[Watched]:
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    context.set_default_timeout(30_000)
    watched = Watched(context.new_page(), url)
    try:
        yield watched
    except BaseException as error:
        error.add_note(watched.told())  # pytest shows it below the failure
        raise
    finally:
        context.close()


def until(page: Any, claim: str) -> None:
    """Wait until JavaScript says true; the page's own policy forbids Playwright's way to wait."""
    for _ in range(500):
        if page.evaluate(claim):
            return
        page.wait_for_timeout(20)
    raise AssertionError(f"not true in time: {claim}")


@pytest.fixture(scope="module")
def desk_url(desk: Session) -> Iterator[str]:
    with served(desk, FakeGateway(desk.workspace)) as url:
        yield url


def paths(desk: Session) -> dict[str, str]:
    """Every page with the ids it needs."""
    ws = desk.workspace
    ids = {
        "version": ledger.get_version(ws).id,
        "evaluation": ledger.get_evaluation(ws).id,
        "reply": ledger.list_interactions(ws, limit=1)[0].id,
    }
    return {name: path.format(**ids) for name, path in TALL.items()}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_clean_and_fits_a_phone(
    browser: Any, desk: Session, desk_url: str, scheme: str
) -> None:
    with opened(browser, desk_url, 390, scheme) as watched:
        for name, path in paths(desk).items():
            page = watched.go(path)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
            assert page.locator("h1").count() == 1 and page.locator("main").count() == 1, name
            unnamed = page.locator(
                "input:not([type=hidden]):not([id]):not([type=radio]):not([type=checkbox])"
            )
            assert unnamed.count() == 0, name
        watched.assert_clean()


def contrast(page: Any, selector: str) -> float:
    """The contrast ratio (WCAG 2) of an element's text to what is painted behind it."""
    return float(
        page.evaluate(
            """(selector) => {
        const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
        const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
          .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
          .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
        let back = document.querySelector(selector);
        const ink = light(rgb(getComputedStyle(back).color));
        const seen = () => rgb(getComputedStyle(back).backgroundColor);
        while (seen().length === 4 && seen()[3] === 0) back = back.parentElement;
        const paper = light(seen());
        return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
      }""",
            selector,
        )
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(browser: Any, desk_url: str, scheme: str) -> None:
    with opened(browser, desk_url, scheme=scheme) as watched:
        page = watched.go("/")
        for selector in (".pill.good", ".pill.passed", ".pill.not_enough_data", ".pill.open",
                         ".stand", ".quiet", "main a", "th", "code"):  # fmt: skip
            assert contrast(page, selector) >= 4.5, selector
        page = watched.go("/annotate/corrections")
        for selector in ("button.go", "kbd", ".choice span", ".turn b"):
            assert contrast(page, selector) >= 4.5, selector


def test_the_overview_draws_a_plot_per_target(browser: Any, desk_url: str) -> None:
    with opened(browser, desk_url) as watched:
        page = watched.go("/")
        assert page.locator("figure .plot canvas").count() == 3
        label = page.locator("figure .plot").first.get_attribute("aria-label")
        assert label.startswith("route.f1_macro over the cycles: cycle 1: ")
        page.get_by_role("link", name="Skip to the content").focus()
        assert page.locator(".skip:focus").bounding_box()["x"] > 0


def test_a_point_written_after_loading_reaches_the_chart(browser: Any, make: Make) -> None:
    session = make("data")
    ws = session.workspace
    run = make_run(ws, ledger.get_version(ws), steps=5, done=False)
    with served(session) as url, opened(browser, url) as watched:
        page = watched.go(f"/runs/{run.id}")
        until(page, "window.curves.series.get('train_loss').size === 5")
        ledger.record_metrics(ws, run.id, [MetricPoint(6, "train_loss", 0.125)])
        until(page, "window.curves.series.get('train_loss').get(6) === 0.125")
        assert page.evaluate("window.curves.plots.get('Loss').plot.data[0].at(-1)") == 6
        assert "Step 6: train loss 0.125" in page.locator("#run-latest").inner_text()
        ledger.finish_run(ws, run.id, "done", None, {"best_step": 6})
        page.get_by_text("best step").wait_for()
        assert page.locator("#run-state").inner_text() == "done"
        watched.assert_clean()


def test_two_versions_side_by_side_and_what_one_says_of_them(browser: Any, make: Make) -> None:
    session = make("nothing")
    ws = session.workspace
    gateway = FakeGateway(ws)
    with served(session, gateway) as url, opened(browser, url) as watched:
        page = watched.go("/try")
        page.wait_for_function("document.activeElement?.id === 'message'")
        page.keyboard.type("You charged me twice")  # the box has the focus
        page.keyboard.press("Enter")
        page.locator(".react").nth(1).wait_for()
        assert sorted(one.model for one in gateway.asked) == ["challenger", "champion"]
        page.get_by_role("button", name="no").first.click()
        page.locator('button[aria-pressed="true"]').wait_for()
        page.get_by_text("Write the better answer").first.click()
        form = page.locator("form:visible", has=page.locator('[value="demonstration"]')).first
        form.get_by_role("radio", name="account").check()
        form.locator("textarea").fill("Call me at once.")
        form.get_by_role("button", name="Save").click()
        page.get_by_text("The better answer (saved)").wait_for()
        page.locator("#message").fill("And now?")
        gateway.fails["challenger"] = ModelUnavailable("a model", got="none")
        page.locator("#message").press("Enter")
        page.get_by_text("challenger did not answer").wait_for()
        assert len(gateway.asked[2].conversation.messages) == 3
        watched.assert_clean()
    said = {one.metric: one.value for one in ledger.list_feedback(ws)}
    assert said["helpful"] is False
    assert said["demonstration"] == {"route": "account", "reply": "Call me at once."}


def test_comparing_others_takes_one_choice(browser: Any, desk: Session, desk_url: str) -> None:
    keyword = ledger.list_evaluations(desk.workspace)[0]
    with opened(browser, desk_url) as watched:
        page = watched.go("/compare")
        page.select_option("#pick-b", keyword.id)
        page.wait_for_url(f"**b={keyword.id}*")
        page.get_by_text("B is Keyword rules").wait_for()
        assert page.locator(".pair").count() > 0
        watched.assert_clean()


def test_pictures_of_every_page(browser: Any, desk_url: str, tmp_path: Path) -> None:
    files = screenshots(desk_url, tmp_path, {"overview": "/"}, browser)
    assert [one.name for one in files] == [
        "overview-1280-light.png",
        "overview-1280-dark.png",
        "overview-390-light.png",
        "overview-390-dark.png",
    ]


def test_a_failure_tells_what_the_page_said(browser: Any, desk_url: str) -> None:
    with (
        pytest.raises(AssertionError) as failed,
        opened(browser, desk_url) as watched,
    ):
        page = watched.go("/runs/run_nothing")
        page.evaluate("say('The server cannot be reached.')")
        raise AssertionError("as if")
    told = "\n".join(failed.value.__notes__)
    assert "404 GET" in told and "The server cannot be reached." in told
    assert "console: [" in told and "/runs/run_nothing" in told
