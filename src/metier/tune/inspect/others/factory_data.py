"""LLaMA-Factory's data sets: `dataset_info.json`, and rows as questions and answers in turn."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from metier.core.errors import InputError, nearest
from metier.tune.inspect.others.files import Raw, data_files
from metier.tune.inspect.others.given import Given, Keys, keys_of, unsupported

INFO = "dataset_info.json"
ELSEWHERE = ("hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name")
MEDIA = ("images", "videos", "audios")
COLUMNS = (
    *("prompt", "query", "response", "history", "messages", "system", "tools", *MEDIA),
    *("chosen", "rejected", "kto_tag"),
)
Named = Mapping[str, str | None]
DEFAULT_COLUMNS: Named = {
    **dict.fromkeys(COLUMNS),
    **{"prompt": "instruction", "query": "input", "response": "output"},
    "messages": "conversations",
}
DEFAULT_TAGS: Named = {
    **{"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt"},
    **{"observation_tag": "observation", "function_tag": "function_call"},
    "system_tag": "system",
}
SHORT_SYSTEM = "detailed thinking off"
"""What the `openai` formatting adds to the system's words at that commit."""


class Entry(Keys):
    """One data set in dataset_info.json."""

    file_name: str = ""
    formatting: Literal["alpaca", "sharegpt", "openai"] = "alpaca"
    ranking: bool = False
    columns: dict[str, str | None] | None = None
    tags: dict[str, str | None] | None = None


@dataclass(frozen=True)
class DataSet:
    """A data set whose files lie here. Of columns and tags, those that an entry does not name are
    none once it names one: that is the trainer's rule."""

    name: str
    entry: Entry
    files: Sequence[Path]

    def column(self, name: str) -> str | None:
        """Return the column of that meaning."""
        given = self.entry.columns
        return DEFAULT_COLUMNS[name] if given is None else given.get(name)

    def tag(self, name: str) -> str | None:
        """Return the key or role name of that meaning."""
        given = self.entry.tags
        return DEFAULT_TAGS[name] if given is None else given.get(name)


@dataclass(frozen=True, slots=True)
class Talk:
    """A row as the trainer sees it: (role, text) in turn, questions first."""

    system: str
    turns: tuple[tuple[str, str], ...]


def data_sets(names: Sequence[str], folder: str | Mapping[str, Any], given: Given) -> list[DataSet]:
    """Find the data sets of a config.

    Raises InputError for one that is not described, lies elsewhere, or has no file.
    """
    base, info = _info(folder, given)
    found = []
    for name in names:
        if name not in info:
            raise InputError(
                f"a data set that {INFO} describes", got=repr(name), remedy=nearest(name, info)
            )
        values = dict(info[name])
        _refuse_elsewhere(name, values)
        entry = keys_of(Entry, values, f"{INFO}: {name}")
        found.append(DataSet(name, entry, _files(name, entry, base)))
    return found


def _info(folder: str | Mapping[str, Any], given: Given) -> tuple[Path, Mapping[str, Any]]:
    if isinstance(folder, Mapping):
        return given.path.parent, folder
    if folder == "ONLINE" or folder.startswith("REMOTE:"):
        raise unsupported(f"dataset_dir: {folder}", "download the data set and name its folder")
    base = given.located(folder)
    if base is None or not (base / INFO).is_file():
        raise InputError(
            f"a data folder with {INFO}",
            got=f"dataset_dir: {folder}, which is not in the current folder nor near the config",
            remedy="start in the folder the trainer is started in, or give the full path",
        )
    try:
        info = json.loads((base / INFO).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"JSON in {INFO}", got=f"{base / INFO}: {error}", remedy="repair it there"
        ) from error
    return base, info


def _refuse_elsewhere(name: str, values: Mapping[str, Any]) -> None:
    where = next((key for key in ELSEWHERE if key in values), None)
    if where is not None:
        raise unsupported(
            f"{name} with {where}: {values[where]}: only local files are read",
            "download it, and give file_name in dataset_info.json",
        )


def _files(name: str, entry: Entry, base: Path) -> list[Path]:
    path = base / entry.file_name
    if entry.file_name and path.is_dir():
        return data_files(path)
    if entry.file_name and path.is_file():
        return [path]
    raise InputError(
        "a file that exists",
        got=f"{name}: file_name {entry.file_name!r} in {base}",
        remedy=f"correct file_name in {INFO}",
    )


def talk_of(raw: Raw, of: DataSet) -> Talk | str:
    """Return the row's turns, or why the trainer leaves it out.

    Raises InputError where the trainer would stop with an error: a column or key is not there.
    """
    row = raw.values
    for name in (*MEDIA, "tools"):
        column = of.column(name)
        if column and row.get(column):
            return f"has {name}, which are not shown here"
    if of.entry.formatting == "alpaca":
        return _alpaca(raw, of)
    if of.entry.formatting == "sharegpt":
        return _sharegpt(raw, of)
    return _openai(raw, of)


def _alpaca(raw: Raw, of: DataSet) -> Talk | str:
    turns: list[tuple[str, str]] = []
    history = _cell(raw, of, "history")
    for question, answer in history if isinstance(history, list) else []:
        turns += [("user", str(question)), ("assistant", str(answer))]
    asked = [str(part) for name in ("prompt", "query") if (part := _cell(raw, of, name))]
    turns.append(("user", "\n".join(asked)))
    answer = _cell(raw, of, "response")
    if not isinstance(answer, str):
        return "no response column, or no text in it (dropped)"
    return Talk(str(_cell(raw, of, "system") or ""), (*turns, ("assistant", answer)))


def _cell(raw: Raw, of: DataSet, name: str) -> Any:
    column = of.column(name)
    if column is None:
        return None
    if column not in raw.values:
        raise InputError(
            f"the column {column!r} ({name})",
            got=f"{raw.place} with {', '.join(raw.values) or 'no column'}",
            remedy=f"name the right one under columns of {of.name} in {INFO}",
        )
    return raw.values[column]


def _turns(raw: Raw, of: DataSet) -> list[tuple[str, str]]:
    """Return (role as written, text) pairs."""
    messages = _cell(raw, of, "messages")
    role_key, text_key = of.tag("role_tag"), of.tag("content_tag")
    try:
        return [(str(one[role_key]), str(one[text_key])) for one in messages]
    except (KeyError, TypeError) as error:
        shape = (
            ", ".join(messages[0])
            if isinstance(messages, list) and messages and isinstance(messages[0], dict)
            else type(messages).__name__
        )
        raise InputError(
            f"turns with the keys {role_key!r} and {text_key!r}",
            got=f"{raw.place}: {shape}",
            remedy=f"name them in tags of {of.name} in {INFO}: role_tag, content_tag, and with "
            "them user_tag and assistant_tag, since tags that are named replace all defaults",
        ) from error


def _sharegpt(raw: Raw, of: DataSet) -> Talk | str:
    turns, system = _without_system(_turns(raw, of), raw, of)
    return _in_turn(system, turns, of)


def _openai(raw: Raw, of: DataSet) -> Talk | str:
    turns, system = _without_system(_turns(raw, of), raw, of)
    if not system:
        system = SHORT_SYSTEM
    elif SHORT_SYSTEM not in system and "detailed thinking on" not in system:
        system += "\n" + SHORT_SYSTEM
    return _in_turn(system, turns, of)


def _in_turn(system: str, turns: Sequence[tuple[str, str]], of: DataSet) -> Talk | str:
    """Return the talk where questions and answers alternate, or why not."""
    asks = {of.tag("user_tag"): "user", of.tag("observation_tag"): "observation"}
    says = {of.tag("assistant_tag"): "assistant", of.tag("function_tag"): "function"}
    known: list[tuple[str, str]] = []
    for number, (role, text) in enumerate(turns):
        kind = (says if number % 2 else asks).get(role)
        if kind is None:
            wanted = "an answer" if number % 2 else "a question"
            return f"turn {number + 1} is not {wanted} (dropped)"
        known.append((kind, text))
    if not known or len(known) % 2:
        return "an odd number of turns, or none (dropped)"
    if any(kind == "function" for kind, _ in known):
        return "calls a function, which is not shown here"
    return Talk(system, tuple(known))


def _without_system(
    turns: list[tuple[str, str]], raw: Raw, of: DataSet
) -> tuple[list[tuple[str, str]], str]:
    if turns and of.tag("system_tag") and turns[0][0] == of.tag("system_tag"):
        return turns[1:], turns[0][1]
    return turns, str(_cell(raw, of, "system") or "")
