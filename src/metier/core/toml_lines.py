"""On which line of a TOML text each key and array item stands.

The standard parser says what a document means but not where. This one only walks it, so it may
be lenient: it is given text that ``tomllib`` has accepted.
"""

from __future__ import annotations

from bisect import bisect_right

Loc = tuple[str | int, ...]
_SPACE = " \t\r\n"


def key_lines(text: str) -> dict[Loc, int]:
    """Return the line, from 1, of every table, key and array item, by path from the root."""
    return _Walk(text).lines


class _Walk:
    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._starts = [0, *(i + 1 for i, char in enumerate(text) if char == "\n")]
        self._counts: dict[Loc, int] = {}  # last index of each array of tables
        self.lines: dict[Loc, int] = {}
        table: Loc = ()
        while self._skip_blank():
            if self._peek("["):
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> Loc:
        line, double = self._line(), self._peek("[[")
        self._at += 2 if double else 1
        path: Loc = ()
        keys = self._keys()
        for depth, key in enumerate(keys, start=1):
            path = (*path, key)
            self.lines.setdefault(path, line)
            if depth == len(keys) and double:
                self._counts[path] = self._counts.get(path, -1) + 1
            if path in self._counts:
                path = (*path, self._counts[path])
                self.lines.setdefault(path, line)
        self._skip_blank()
        self._at += 2 if double else 1
        return path

    def _pair(self, table: Loc) -> None:
        line, path = self._line(), table
        for key in self._keys():
            path = (*path, key)
            self.lines.setdefault(path, line)
        self._at += 1  # the equals sign
        self._value(path)

    def _keys(self) -> list[str]:
        keys = []
        while True:
            self._skip_blank()
            keys.append(self._quoted() if self._text[self._at] in "\"'" else self._bare())
            self._skip_blank()
            if not self._peek("."):
                return keys
            self._at += 1

    def _bare(self) -> str:
        start = self._at
        while self._text[self._at].isalnum() or self._text[self._at] in "_-":
            self._at += 1
        return self._text[start : self._at]

    def _value(self, path: Loc) -> None:
        self._skip_blank()
        if self._peek("["):
            self._array(path)
        elif self._peek("{"):
            self._inline_table(path)
        elif self._text[self._at] in "\"'":
            self._quoted()
        else:
            while self._at < len(self._text) and self._text[self._at] not in ",]}#\n":
                self._at += 1

    def _array(self, path: Loc) -> None:
        self._at += 1
        index = 0
        while self._skip_blank() and not self._peek("]"):
            self.lines[(*path, index)] = self._line()
            self._value((*path, index))
            index += 1
            self._skip_comma()
        self._at += 1

    def _inline_table(self, path: Loc) -> None:
        self._at += 1
        while self._skip_blank() and not self._peek("}"):
            self._pair(path)
            self._skip_comma()
        self._at += 1

    def _quoted(self) -> str:
        quote = self._text[self._at]
        fence = quote * 3 if self._peek(quote * 3) else quote
        start = self._at = self._at + len(fence)
        while not self._peek(fence):
            self._at += 2 if quote == '"' and self._peek("\\") else 1
        end = self._at
        self._at += len(fence)
        while len(fence) == 3 and self._peek(quote):  # """quoted"""" ends in a quote of its own
            self._at += 1
        return self._text[start:end]

    def _skip_blank(self) -> bool:
        while self._at < len(self._text):
            if self._peek("#"):
                end = self._text.find("\n", self._at)
                self._at = len(self._text) if end < 0 else end
            elif self._text[self._at] in _SPACE:
                self._at += 1
            else:
                return True
        return False

    def _skip_comma(self) -> None:
        self._skip_blank()
        if self._peek(","):
            self._at += 1

    def _peek(self, what: str) -> bool:
        return self._text.startswith(what, self._at)

    def _line(self) -> int:
        return bisect_right(self._starts, self._at)
