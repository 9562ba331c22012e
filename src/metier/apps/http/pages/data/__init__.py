"""Pages about the data: versions, differences, quarantine, changes, suspects."""

from fastapi import APIRouter

from metier.apps.http.pages.data import changes, differ, quarantine, suspects, versions

router = APIRouter()
for page in (quarantine, changes, suspects, differ, versions):  # /data/{version} comes last
    router.include_router(page.router)
