"""References to pictures and biometric records: the files' names; the files are not read."""

from __future__ import annotations

import re
from collections.abc import Iterator

from metier.privacy.types import Finding

_ENDING = re.compile(
    r"\.(?:jpe?g|png|gif|bmp|tiff?|heic|heif|webp|dcm|dicom|wsq|wav|mp3|mp4|mov|avi|bin|dat|fpt)(?!\w)",
    re.IGNORECASE,
)
_NAME = re.compile(r"[\w./\\~:-]+$")
_BIOMETRIC = re.compile(
    r"finger|thumb|palm|voice|retina|iris|face|facial|biometric|dna|genome|gait|signature",
    re.IGNORECASE,
)
_PICTURE = re.compile(r"\.(?:jpe?g|png|gif|bmp|tiff?|heic|heif|webp|dcm|dicom)$", re.IGNORECASE)
_EMBEDDED = re.compile(r"data:image/[\w.+-]{2,30};base64,[A-Za-z0-9+/=]+")


def media_files(text: str) -> Iterator[Finding]:
    """Yield names of picture files, and of recordings whose name says that they are biometric."""
    for match in _ENDING.finditer(text):
        name = _NAME.search(text, max(0, match.start() - 200), match.start())
        if name and _BIOMETRIC.search(name.group()):
            yield Finding(name.start(), match.end(), "biometric_file")
        elif name and _PICTURE.search(match.group()):
            yield Finding(name.start(), match.end(), "photo_file")
    if "data:image" in text:
        for match in _EMBEDDED.finditer(text):
            yield Finding(match.start(), match.end(), "photo_file")
