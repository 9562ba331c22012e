"""Pages of people: the way in, one's own account, who works here, and the audit log."""

from fastapi import APIRouter

from metier.apps.http.pages.people import account, door, elsewhere, staff, trail

router = APIRouter()
for page in (door, elsewhere, account, staff, trail):
    router.include_router(page.router)

__all__ = ["router"]
