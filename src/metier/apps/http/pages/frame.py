"""What every page shares: the open project, the layout, safety headers, errors as pages.

A page module has a ``router`` of its own; its routes take a ``Site`` and return ``show(...)``.
Nothing here is inline in the HTML, so the Content-Security-Policy permits this origin alone.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast
from urllib.parse import quote, urlsplit

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from metier import __version__
from metier.apps.http.pages.allowed import login_of, visitor_of
from metier.apps.http.pages.csrf import hidden, token_of
from metier.apps.http.pages.line import stand_line
from metier.apps.http.pages.nav import NOWHERE, navigation
from metier.apps.http.pages.views import keep_view
from metier.apps.http.paths import local_path
from metier.core.errors import InputError, UserError
from metier.journey.report import numbers
from metier.journey.session import Session
from metier.people import Person, names_of
from metier.serve.gateway import Gateway

T = TypeVar("T")
Row = dict[str, Any]
STATIC = Path(__file__).parent / "static"
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
STAY = Markup('hx-boost="true" hx-push-url="false"')
"""On a form: when its post is refused, the notice says why and what was typed stays."""
MOST_KEPT = 32
SHOWN_OF_ID = 6


class Foreign(UserError):
    """A page of another site tried to post here."""

    http_status = 403


@dataclass(frozen=True)
class Site:
    """What the pages are about. ``gateway`` None: no model answers here."""

    session: Session
    gateway: Gateway | None = None
    _kept: dict[Hashable, Any] = field(default_factory=dict)

    def keep(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what ``make`` gave for this key before, or call it; the oldest is forgotten."""
        if key not in self._kept:
            found = make()
            while len(self._kept) >= MOST_KEPT:
                self._kept.pop(next(iter(self._kept)), None)
            self._kept[key] = found
        return cast(T, self._kept[key])


def site_of(request: Request) -> Site:
    """Return the site that ``make_pages`` put on the request."""
    return cast(Site, request.state.site)


Here = Annotated[Site, Depends(site_of)]


class PageRoute(APIRoute):
    """A route whose posts come from its own pages only, and whose user errors are pages."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the handler."""
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            try:
                refuse_foreign(request)
                response = await handle(request)
                await keep_view(request, response)
                lead_on(request, response)
            except RequestValidationError as error:
                response = error_page(request, _told(error))
            except UserError as error:
                response = error_page(request, error)
            response.headers.update(HEADERS)
            return response

        return guarded


def lead_on(request: Request, response: Response) -> None:
    """Tell a form that stays on its page while it is refused (``STAY``) where to go on now."""
    if request.headers.get("hx-boosted") == "true" and response.status_code == 303:
        response.status_code = 200
        response.headers["HX-Redirect"] = response.headers["location"]
        del response.headers["location"]


def refuse_foreign(request: Request) -> None:
    """Raise Foreign for a post that no page of this origin sent (cross-site request forgery)."""
    if request.method in ("GET", "HEAD"):
        return
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    own = request.headers.get("host", "")
    trusted = site in ("same-origin", "none") if site else urlsplit(origin or "").netloc == own
    if not trusted or not own:
        raise Foreign(
            "a post from a page of this address",
            got=f"one from {origin or site or 'an unnamed place'}",
            remedy="open the page here and send it again; programs use /v1",
        )


def show(request: Request, template: str, *, http_status: int = 200, **values: Any) -> HTMLResponse:
    """Render a template; a page's layout takes project, navigation and where we stand."""
    site, person = site_of(request), visitor_of(request)
    token = token_of(request, site.session.workspace)
    frame = {
        "project": site.session.project.project.name,
        "metier_version": __version__,
        "nav": navigation(person, request.url.path) if person else NOWHERE,
        "logged_in": person if login_of(request) else None,
        "idle_s": round(site.session.project.people.idle_minutes * 60),
        "partial": is_partial(request),
        "csrf": hidden(token),
        "csrf_token": token,
        "stand": stand_line(site.session, person),
        "called": namer(site, person),
    }
    page = templates.get_template(template).render(frame | values)
    return HTMLResponse(page, http_status)


def namer(site: Site, reader: Person | None) -> Callable[[str], str]:
    """Return what templates call a person by their id: those who manage people see names, others
    their own; the names are read once, where a template asks for one."""
    known: dict[str, str] = {}

    def called(one: str) -> str:
        if not one.startswith("person_"):
            return one
        if not known and reader is not None:
            known[reader.id] = reader.name
            known.update(names_of(site.session.workspace) if reader.may("manage") else {})
        return known.get(one, brief(one))

    return called


def is_partial(request: Request) -> bool:
    """Say whether htmx asks for a piece of the page it is on."""
    return request.headers.get("hx-request") == "true"


def go(path: str) -> Response:
    """Send the browser on to another page after a post."""
    return RedirectResponse(path, 303)


def error_page(request: Request, error: UserError) -> Response:
    """Return an error in words, as a page or, for htmx, as a notice."""
    name = "notice.html.j2" if is_partial(request) else "error.html.j2"
    if not hasattr(request.state, "site"):  # refused before anything was read
        return HTMLResponse(_bare(error), error.http_status)
    return show(request, name, http_status=error.http_status, error=error, back=back_of(request))


def back_of(request: Request) -> str:
    """The page of this origin that somebody came from; "" where there was none."""
    came = urlsplit(request.headers.get("referer", ""))
    path = came.path + (f"?{came.query}" if came.query else "")
    again = request.method == "GET" and came.path == request.url.path
    return "" if again or came.netloc != request.headers.get("host") else local_path(path)


def _bare(error: UserError) -> str:
    return templates.get_template("notice.html.j2").render(error=error)


def _told(error: RequestValidationError) -> InputError:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    return InputError("a form that is filled in", got=f"{where}: {first['msg']}")


def when(moment: datetime | None) -> str:
    """Write a moment as date and time in UTC."""
    if moment is None:
        return numbers.DASH
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def span(seconds: float | None) -> str:
    """Write a stretch of time: ``840 ms``, ``12.4 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds is None:
        return numbers.DASH
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def link_of(one: str) -> str:
    """Return the page that shows what an id names."""
    if one.startswith("run_"):
        return f"/runs/{quote(one)}"
    if one.startswith("chatcmpl-"):
        return f"/interactions/{quote(one)}"
    return f"/lineage/{quote(one)}"


def brief(one: str) -> str:
    """Return an id's kind and last characters; its first ones are its time."""
    kind, mark, rest = one.replace("-", "_", 1).partition("_")
    return f"{kind}…{rest[-SHOWN_OF_ID:]}" if mark and len(rest) > SHOWN_OF_ID else one


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"stay": STAY}
    made.filters |= {"when": when, "span": span, "link_of": link_of, "brief": brief}
    return made


templates = _environment()
