"""References to pictures and biometric records: the files' names; the files are not read."""

from __future__ import annotations

import re
from collections.abc import Iterator

from metier.privacy.types import Finding

_FILE = re.compile(
    r"(?<![\w./\\-])[\w/\\~:][\w./\\~-]{0,200}\.(?:jpe?g|png|gif|bmp|tiff?|heic|heif|webp|dcm|dicom|wsq|wav|mp3|mp4|mov|avi|bin|dat|fpt|iso19794)(?![\w])",
    re.IGNORECASE,
)
_BIOMETRIC = re.compile(
    r"finger|thumb|palm|voice|retina|iris|face|facial|biometric|dna|genome|gait|signature",
    re.IGNORECASE,
)
_PICTURE = re.compile(r"\.(?:jpe?g|png|gif|bmp|tiff?|heic|heif|webp|dcm|dicom)$", re.IGNORECASE)
_EMBEDDED = re.compile(r"data:image/[\w.+-]{2,30};base64,[A-Za-z0-9+/=]+")


def media_files(text: str) -> Iterator[Finding]:
    """Yield names of picture files, and of recordings whose name says that they are biometric."""
    if "." in text:
        for match in _FILE.finditer(text):
            name = match.group()
            if _BIOMETRIC.search(name):
                yield Finding(match.start(), match.end(), "biometric_file")
            elif _PICTURE.search(name):
                yield Finding(match.start(), match.end(), "photo_file")
    if "data:image" in text:
        for match in _EMBEDDED.finditer(text):
            yield Finding(match.start(), match.end(), "photo_file")
