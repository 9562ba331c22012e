"""Reader of XML: each record element becomes a row, in constant memory.

    <orders shop="7"><order id="1"><item>cup</item><to><city>Ghent</city></to></order></orders>

gives {"id": "1", "item": "cup", "to": {"city": "Ghent"}, "orders": {"shop": "7"}}: attributes and
elements are columns, nested ones are reached by a dotted path (to.city), repeated ones are lists.
What stands beside the records in the elements around them is under the name of that element.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from metier.core.errors import InputError, nearest
from metier.core.types import Json
from metier.sources.config import SourceConfig
from metier.sources.encoding import LINE_LIMIT, too_long
from metier.sources.members import Member
from metier.sources.types import RAW_LIMIT, BadRow, Row, RowError
from metier.sources.values import check_text
from metier.sources.xml_events import BLOCK_BYTES, XmlFeed

HEAD_BYTES = 4_000_000
"""How much of a file is looked at to guess the record element; ten times that if none repeats."""
NODES_LIMIT = 200_000
"""Elements in one record, at most."""
CONTEXT_KEYS = 200
Path = tuple[str, ...]


def read_xml(member: Member, config: SourceConfig) -> Iterator[Row | BadRow]:
    """Read the record elements of an XML document. The locator is the record's number."""
    guessed = None if config.record else guess_record(member, config.encoding)
    found = _Records(config.record, guessed)
    feed = XmlFeed(found, member.place, config.encoding)
    found.line = lambda: feed.line
    number = 0
    with member.open() as stream:
        ended = False
        while not ended:
            block = stream.read(BLOCK_BYTES)
            feed.feed(block)
            ended = not block
            for record in found.take():
                number += 1
                yield _row(record, number, member)
    if number == 0:
        yield _no_record(member, config.record or "/".join(guessed or ()), found.names)


def _row(record: _Record, number: int, member: Member) -> Row | BadRow:
    locator, place = member.locator(number), f"{member.place}:{record.line}"
    try:
        if record.fault is not None:
            raise record.fault
        check_text(record.values)
    except RowError as error:
        raw = "" if record.fault else repr(record.values)[:RAW_LIMIT]
        return BadRow(locator, str(error), raw, error.kind, place)
    return Row(record.values, locator, place)


def _no_record(member: Member, wanted: str, names: Counter[str]) -> BadRow:
    reason = f"no element <{wanted}>"
    if member.alone:
        raise InputError(
            f"elements <{wanted}> to be rows",
            got=f"{member.place}: none",
            remedy=nearest(wanted, names),
        )
    return BadRow(member.name, reason, "", "no_record", member.place)


@dataclass(slots=True)
class _Node:
    """An element that is open: what it has so far."""

    name: str
    cells: dict[str, Json]
    texts: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)
    children: int = 0

    def value(self) -> Json:
        """Text for a leaf, else {attribute or child: value} with the element's own text."""
        if not self.cells:
            return "".join(self.texts).strip()
        own = "".join(self.texts).strip()
        # Inline elements (<b>) belong to the sentence they stand in.
        whole = "".join(self.mixed).strip() if own and self.children else own
        return {**self.cells, **({"text": whole} if whole else {})}


@dataclass(frozen=True, slots=True)
class _Record:
    values: dict[str, Json]
    line: int
    fault: RowError | None = None


class _Records:
    """Listens to a document and keeps the records that have ended."""

    def __init__(self, name: str | None, path: Path | None) -> None:
        self._name, self._path = name, path
        self._open: list[_Node] = []
        self._record: int | None = None  # depth at which the record being read stands
        self._size = self._nodes = self._began = 0
        self._done: list[_Record] = []
        self.line: Callable[[], int] = int  # set once there is a parser
        self.names = Counter[str]()

    def take(self) -> list[_Record]:
        """Return the records that ended since the last call."""
        done, self._done = self._done, []
        return done

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self.names) < CONTEXT_KEYS or name in self.names:
            self.names[name] += 1
        if self._record is None and self._is_record(name):
            self._record, self._size, self._nodes = len(self._open), 0, 0
            self._began = self.line()
        self._grow(sum(map(len, attributes.values())))
        self._open.append(_Node(name, {} if self._too_big() else dict(attributes)))

    def _is_record(self, name: str) -> bool:
        if self._name is not None:
            return name == self._name
        return (*(node.name for node in self._open), name) == self._path

    def text(self, text: str) -> None:
        self._grow(len(text), nodes=0)
        if not self._too_big() and (self._record is not None or len(text) < RAW_LIMIT):
            node = self._open[-1]
            if self._record is not None or len(node.texts) < CONTEXT_KEYS:
                node.texts.append(text)
                node.mixed.append(text)

    def end(self, name: str) -> None:
        node = self._open.pop()
        if self._record is None:
            self._keep_beside(node)
        elif len(self._open) > self._record:
            self._keep_inside(node)
        else:
            self._finish(node)

    def _grow(self, size: int, nodes: int = 1) -> None:
        if self._record is not None:
            self._size += size
            self._nodes += nodes

    def _too_big(self) -> bool:
        return self._record is not None and (self._size > LINE_LIMIT or self._nodes > NODES_LIMIT)

    def _keep_beside(self, node: _Node) -> None:
        """Keep the last element of each name around the records, not all of them."""
        if self._open:
            cells = self._open[-1].cells
            if node.name in cells or len(cells) < CONTEXT_KEYS:
                cells[node.name] = node.value()

    def _keep_inside(self, node: _Node) -> None:
        if self._too_big():
            return
        parent = self._open[-1]
        parent.children += 1
        parent.mixed.append("".join(node.mixed))
        value = node.value()
        if node.name not in parent.cells:
            parent.cells[node.name] = value
        elif isinstance(parent.cells[node.name], list):
            parent.cells[node.name].append(value)
        else:
            parent.cells[node.name] = [parent.cells[node.name], value]

    def _finish(self, node: _Node) -> None:
        fault = self._fault()
        value = node.value()
        values = dict(value) if isinstance(value, dict) else {"text": value}
        for around in self._open:
            if around.cells and around.name not in values:
                values[around.name] = dict(around.cells)
        self._done.append(_Record({} if fault else values, self._began, fault))
        self._record = None

    def _fault(self) -> RowError | None:
        if self._size > LINE_LIMIT:
            return RowError("record_too_long", too_long(self._size).replace("line", "record"))
        if self._nodes > NODES_LIMIT:
            return RowError("record_too_long", f"over {NODES_LIMIT:,} elements in one record")
        return None


class _Paths:
    """Counts how often each path of element names occurs."""

    def __init__(self) -> None:
        self._open: list[str] = []
        self.counts = Counter[Path]()

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._open.append(name)
        if len(self.counts) < 10_000:
            self.counts[tuple(self._open)] += 1

    def text(self, text: str) -> None:
        pass

    def end(self, name: str) -> None:
        self._open.pop()


def guess_record(member: Member, encoding: str = "auto") -> Path:
    """Return the path of the outermost element that repeats, the most frequent of several; of a
    document where none does, its root."""
    paths = _Paths()
    feed = XmlFeed(paths, member.place, encoding)
    with member.open() as stream:
        read = 0
        repeated: list[Path] = []
        while read < HEAD_BYTES or (not repeated and read < 10 * HEAD_BYTES):
            block = stream.read(BLOCK_BYTES)
            if not block:
                break
            feed.feed(block)
            read += len(block)
            repeated = [path for path, count in paths.counts.items() if count > 1 and path[1:]]
    if not repeated:
        return next(iter(paths.counts), ())
    depth = min(map(len, repeated))
    return max((p for p in repeated if len(p) == depth), key=lambda path: paths.counts[path])
