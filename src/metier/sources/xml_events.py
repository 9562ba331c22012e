"""XML as a stream of elements, with what could hurt refused.

Document type declarations are refused whole: they are where entities that expand without end, and
files read from the machine, come from. Depth and the size of one piece of markup are bounded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, Protocol
from xml.parsers import expat

from metier.core.errors import InputError

BLOCK_BYTES = 1 << 16
DEPTH_LIMIT = 200
MARKUP_LIMIT = 20_000_000
"""Bytes one tag or comment may take, at most: expat holds it whole."""


class Listener(Protocol):
    """What is told of elements, by local name (without a namespace prefix)."""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Hear that an element begins."""
        ...

    def text(self, text: str) -> None:
        """Hear a piece of text."""
        ...

    def end(self, name: str) -> None:
        """Hear that an element ends."""
        ...


class XmlFeed:
    """An expat parser that tells a listener; ``line`` is where it stands, from 1."""

    def __init__(self, listener: Listener, place: str, encoding: str = "auto") -> None:
        self._parser = expat.ParserCreate(None if encoding == "auto" else encoding)
        self._place, self._depth, self._fed = place, 0, 0
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.StartElementHandler = self._started(listener)
        self._parser.CharacterDataHandler = listener.text
        self._parser.EndElementHandler = self._ended(listener)

    @property
    def line(self) -> int:
        """The line that is being read, from 1."""
        return self._parser.CurrentLineNumber

    def feed(self, block: bytes) -> None:
        """Parse more bytes; an empty block ends the document. Raises InputError."""
        try:
            self._parser.Parse(block, not block)
        except expat.ExpatError as error:
            raise InputError(
                "well-formed XML",
                got=f"{self._place}:{error.lineno}: {expat.ErrorString(error.code)} at column "
                f"{error.offset + 1}",
                remedy="repair it there, or check that the file is complete",
            ) from error
        except (LookupError, ValueError) as error:
            raise InputError(
                "XML in a known encoding",
                got=f"{self._place}: {error}",
                remedy="save it as UTF-8, or set encoding",
            ) from error
        self._fed += len(block)
        if self._fed - max(0, self._parser.CurrentByteIndex) > MARKUP_LIMIT:
            raise self._refused(f"one tag of over {MARKUP_LIMIT // 1_000_000} MB")

    def _started(self, listener: Listener) -> Callable[[str, dict[str, str]], None]:
        def started(name: str, attributes: dict[str, str]) -> None:
            self._depth += 1
            if self._depth > DEPTH_LIMIT:
                raise self._refused(f"elements nested more than {DEPTH_LIMIT} deep")
            listener.start(
                local(name),
                {local(k): v for k, v in attributes.items() if not k.startswith("xmlns")},
            )

        return started

    def _ended(self, listener: Listener) -> Callable[[str], None]:
        def ended(name: str) -> None:
            self._depth -= 1
            listener.end(local(name))

        return ended

    def _doctype(self, *_: object) -> None:
        raise self._refused("a document type declaration, which may define entities")

    def _refused(self, what: str) -> InputError:
        return InputError(
            "plain XML: elements, attributes and text",
            got=f"{self._place}:{self.line}: {what}",
            remedy="take the <!DOCTYPE …> or what is named here out of the file",
        )


def local(name: str) -> str:
    """Return a name without its namespace prefix."""
    return name.rpartition(":")[2]


def parse_all(stream: IO[bytes], feed: XmlFeed) -> None:
    """Feed a whole stream."""
    while block := stream.read(BLOCK_BYTES):
        feed.feed(block)
    feed.feed(b"")
