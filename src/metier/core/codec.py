"""Codec: the frozen records as strict JSON, examples and predictions as Parquet.

JSON keeps what plain JSON cannot: datetimes become ISO strings, tuples lists, and NaN and the
infinities ``{"$float": "nan"}``; reading follows the annotations of the dataclass. Unions of
dataclasses are told apart by their ``type`` field. Text that is not valid Unicode (lone
surrogates, which JSON input may hold) survives as escapes.
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from numbers import Integral, Real
from pathlib import PurePath
from typing import (
    IO,
    Any,
    BinaryIO,
    Literal,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import BaseModel

from metier.core.records import Prediction
from metier.core.types import (
    Completion,
    Conversation,
    Example,
    ExampleTarget,
    Json,
    Provenance,
)

T = TypeVar("T")
NONFINITE = "$float"


def to_json(value: Any) -> Json:
    """Return ``value`` as plain JSON types (paths and config models too, for showing only).

    Raises TypeError on what cannot be stored.
    """
    if value is None or isinstance(value, str | bool):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: to_json(getattr(value, name)) for name in _field_names(type(value))}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        number = float(value)
        return number if math.isfinite(number) else {NONFINITE: repr(number)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be stored as JSON: {value!r}")


def from_json(kind: type[T], data: Json) -> T:
    """Rebuild a ``kind`` from what ``to_json`` made of it."""
    return cast(T, _reader(kind)(data))


def dumps(value: Any) -> str:
    """Return ``value`` as compact JSON text that any UTF-8 store accepts; keys keep their order."""
    return _text(to_json(value))


def loads(kind: type[T], text: str | bytes) -> T:
    """Read back what ``dumps`` wrote."""
    return from_json(kind, json.loads(text))


def _text(plain: Json) -> str:
    text = json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
    if "\x00" not in text and _is_unicode(text):
        return text
    return json.dumps(plain, separators=(",", ":"))


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


@cache
def _field_names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


def _reader(kind: Any) -> Callable[[Json], Any]:
    return _cached_reader(kind)


@cache
def _cached_reader(kind: Any) -> Callable[[Json], Any]:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _union_reader(arguments)
    if origin is tuple:
        return _tuple_reader(arguments)
    if origin is list:
        item = _reader(arguments[0])
        return lambda data: [item(one) for one in data]
    if isinstance(origin, type) and issubclass(origin, Mapping):
        value = _reader(arguments[1])
        return lambda data: {key: value(one) for key, one in data.items()}
    if kind is datetime:
        return datetime.fromisoformat
    if kind is float:
        return _number
    if dataclasses.is_dataclass(kind):
        return _dataclass_reader(cast(type, kind))
    return _plain


def _plain(data: Json) -> Json:
    if isinstance(data, dict):
        if data.keys() == {NONFINITE}:
            return float(data[NONFINITE])
        return {key: _plain(item) for key, item in data.items()}
    if isinstance(data, list):
        return [_plain(item) for item in data]
    return data


def _number(data: Json) -> float:
    return float(data[NONFINITE] if isinstance(data, dict) else data)


def _tuple_reader(arguments: tuple[Any, ...]) -> Callable[[Json], Any]:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        item = _reader(arguments[0])
        return lambda data: tuple(item(one) for one in data)
    items = [_reader(argument) for argument in arguments]
    return lambda data: tuple(read(one) for read, one in zip(items, data, strict=True))


def _union_reader(arguments: tuple[Any, ...]) -> Callable[[Json], Any]:
    some = [argument for argument in arguments if argument is not type(None)]
    if len(some) == 1:
        only = _reader(some[0])
        return lambda data: None if data is None else only(data)
    if all(dataclasses.is_dataclass(argument) for argument in some):
        tagged = {_tag(argument): _reader(argument) for argument in some}
        return lambda data: None if data is None else tagged[data["type"]](data)
    return _plain


def _tag(kind: Any) -> str:
    tag = get_type_hints(kind)["type"]
    if get_origin(tag) is not Literal:
        raise TypeError(f"{kind} needs a Literal field named type to be told apart")
    return str(get_args(tag)[0])


def _dataclass_reader(kind: type) -> Callable[[Json], Any]:
    hints = get_type_hints(kind)
    readers = {name: _reader(hints[name]) for name in _field_names(kind)}

    def read(data: Json) -> Any:
        return kind(**{name: readers[name](item) for name, item in data.items()})

    return read


EXAMPLE_COLUMNS = ("id", "conversation", "target", "group", "split", "slices", "provenance")
_EXAMPLE_KINDS = (None, Conversation, ExampleTarget | None, Any, Any, Any, Provenance)
PREDICTION_COLUMNS = (
    "id", "example_id", "completion", "parsed", "expected", "cluster", "slices",
)  # fmt: skip


def examples_to_parquet(examples: Iterable[Example]) -> bytes:
    """Return the examples, in order, as Parquet; each column but ``id`` holds JSON text."""
    return _to_parquet(examples, EXAMPLE_COLUMNS)


def examples_from_parquet(data: bytes) -> list[Example]:
    """Read back what ``examples_to_parquet`` wrote, in the same order."""
    rows = _from_parquet(data, dict(zip(EXAMPLE_COLUMNS, _EXAMPLE_KINDS, strict=True)))
    return [Example(**row) for row in rows]


def predictions_to_parquet(predictions: Iterable[Prediction]) -> bytes:
    """Return the predictions, in order, as Parquet; columns other than ids hold JSON text."""
    return _to_parquet(predictions, PREDICTION_COLUMNS)


def predictions_from_parquet(data: bytes) -> list[Prediction]:
    """Read back what ``predictions_to_parquet`` wrote, in the same order."""
    kinds = (None, None, Completion, Any, Any, Any, Any)
    rows = _from_parquet(data, dict(zip(PREDICTION_COLUMNS, kinds, strict=True)))
    return [Prediction(**row) for row in rows]


ROW_GROUP_ROWS = 65_536
ROW_GROUP_CHARS = 64 << 20
"""A row group ends with the row that reaches either: what a writer holds in memory. The bytes of a
split that fits into one are those of a single table."""


def write_examples(examples: Iterable[Example], sink: BinaryIO) -> None:
    """Write the examples, in order, as Parquet; each column but ``id`` holds JSON text.

    In memory is one row group. The bytes depend on the examples alone.
    """
    _write_parquet(examples, EXAMPLE_COLUMNS, sink)


def read_examples(source: IO[bytes], batch_rows: int = 1024) -> Iterator[Example]:
    """Read back what ``write_examples`` wrote, in the same order, a batch in memory at a time."""
    import pyarrow.parquet as pq

    kinds = dict(zip(EXAMPLE_COLUMNS, _EXAMPLE_KINDS, strict=True))
    for batch in pq.ParquetFile(source).iter_batches(batch_rows, columns=list(EXAMPLE_COLUMNS)):
        yield from (Example(**row) for row in _rows_of(batch, kinds))


def examples_of(table: Any) -> list[Example]:
    """Read the examples of an Arrow table that has the columns ``write_examples`` writes."""
    kinds = dict(zip(EXAMPLE_COLUMNS, _EXAMPLE_KINDS, strict=True))
    return [Example(**row) for row in _rows_of(table, kinds)]


def _to_parquet(rows: Iterable[Any], columns: Sequence[str]) -> bytes:
    sink = io.BytesIO()
    _write_parquet(rows, columns, sink)
    return sink.getvalue()


def _write_parquet(rows: Iterable[Any], columns: Sequence[str], sink: BinaryIO) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.large_string()) for name in columns])
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        written = 0
        for cells in _row_groups(rows, columns):
            arrays = [pa.array(column, pa.large_string()) for column in cells]
            writer.write_table(pa.table(arrays, schema=schema))
            written += 1
        if not written:
            writer.write_table(schema.empty_table())


def _row_groups(rows: Iterable[Any], columns: Sequence[str]) -> Iterator[list[list[str]]]:
    """Yield the cells of each row group by column."""
    cells: list[list[str]] = [[] for _ in columns]
    chars = 0
    for row in rows:
        for name, column in zip(columns, cells, strict=True):
            cell = _cell(name, getattr(row, name))
            column.append(cell)
            chars += len(cell)
        if len(cells[0]) == ROW_GROUP_ROWS or chars >= ROW_GROUP_CHARS:
            yield cells
            cells, chars = [[] for _ in columns], 0
    if cells[0]:
        yield cells


def _cell(column: str, value: Any) -> str:
    return str(value) if column in ("id", "example_id") else dumps(value)


def _from_parquet(data: bytes, columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    return list(_rows_of(pq.read_table(io.BytesIO(data), columns=list(columns)), columns))


def _rows_of(table: Any, columns: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    read: dict[str, list[Any]] = {}
    for name, kind in columns.items():
        cells = table.column(name).to_pylist()
        reader = None if kind is None else _reader(kind)
        read[name] = cells if reader is None else [reader(json.loads(cell)) for cell in cells]
    for row in zip(*read.values(), strict=True):
        yield dict(zip(read, row, strict=True))
