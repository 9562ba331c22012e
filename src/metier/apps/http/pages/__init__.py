"""The web pages: what the command line does, for people who would rather look.

app.include_router(make_pages(session, gateway))
app.mount("/static", StaticFiles(directory=STATIC))
"""

from metier.apps.http.pages.frame import STATIC
from metier.apps.http.pages.site import make_pages

__all__ = ["STATIC", "make_pages"]
