"""People in a real browser: first start, an invitation, and a login that ends by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from http_desk import listening, write_project
from metier.apps.http.app import make_app
from metier.journey.session import open_session
from metier.people import list_people
from people_site import PASSWORD, email_of, person


def test_from_the_first_start_to_the_second_person(browser: Any, tmp_path: Path) -> None:
    with open_session(write_project(tmp_path / "desk")) as session:
        with listening(make_app(session, "web")) as url:
            owner, other = browser.new_context(), browser.new_context()
            page, guest = owner.new_page(), other.new_page()
            page.goto(url)
            assert page.url == f"{url}/start"
            for name, value in (("name", "Mara"), ("email", email_of("mara"))):
                page.fill(f"#{name}", value)
            for name in ("password", "again"):
                page.fill(f"#{name}", PASSWORD)
            page.click("text=Create the owner account")
            page.wait_for_url(f"{url}/")
            page.click("text=People")
            page.select_option("#role", "annotator")
            page.click("text=Make a link")
            link = page.input_value("#link")
            guest.goto(link)
            guest.fill("#name", "Li")
            guest.fill("#email", email_of("li"))
            guest.fill("#password", PASSWORD)
            guest.click("button.go")
            guest.wait_for_url(f"{url}/queues")
            assert guest.locator("header nav a").all_inner_texts() == [
                "Annotate",
                "Queues",
                "Guidelines",
            ]
            guest.click("text=Log out")
            guest.wait_for_url(f"{url}/login")
            owner.close(), other.close()
        assert [one.role for one in list_people(session.workspace)] == ["owner", "annotator"]


def test_a_page_that_is_left_goes_to_the_login(browser: Any, tmp_path: Path) -> None:
    file = write_project(tmp_path / "desk", "[people]\nidle_minutes = 0.05\n")
    with open_session(file) as session, listening(make_app(session, "web")) as url:
        person(session.workspace, "mara", "owner")
        page = browser.new_context().new_page()
        page.goto(f"{url}/login")
        page.fill("#email", email_of("mara"))
        page.fill("#password", PASSWORD)
        page.press("#password", "Enter")
        page.wait_for_url(f"{url}/")
        page.goto(f"{url}/runs")
        page.wait_for_url(f"{url}/login?ended=true&next=%2Fruns")
        assert "You were logged out" in page.inner_text("main")
