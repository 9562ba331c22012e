"""Look at data before it is built from: guess how to read a file, profile a file or a project."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from metier.core.objective import Objective
from metier.core.types import Example
from metier.journey.session import Session
from metier.journey.start import guess_lines
from metier.sources import BadRow, Guess, SourceConfig, read_rows, to_example
from metier.sources.guess import guess_source, placed
from metier.sources.paste import sources_line
from metier.sources.profile import CountTokens, Profile, profile

TOKENIZER = Path(__file__).resolve().parents[1] / "models" / "tiny" / "tokenizer.json"
BAR = 40
SHOWN = 15
EXAMPLES = 3
WIDTH = 100


def guess_file(path: str, query: str | None = None) -> tuple[Guess, Path]:
    """Guess how to read a file, folder, glob or address; return also what its path is relative to.

    Raises InputError when no row can be read or no column can be asked.
    """
    base, name = placed(path, Path())  # as typed, so that the line can be pasted
    return guess_source(SourceConfig(path=name, query=query), base), base


def guessed_lines(found: Guess, base: Path) -> Iterator[str]:
    """The guess in words, its first rows as the examples they would be, and a line to paste."""
    yield from guess_lines(found)
    objective = Objective(task=found.task)
    rows = islice(read_rows(found.config, base, EXAMPLES), EXAMPLES)
    for number, row in enumerate(rows, 1):
        made = row if isinstance(row, BadRow) else to_example(row, found.config, objective, "")
        if isinstance(made, Example):
            yield f"  example {number}: {_cut(made.conversation.text)} -> {_cut(_target(made))}"
        else:
            yield f"  example {number}: none ({made.reason})"
    yield "to use it, paste into metier.toml:"
    yield f'[objective]\ntask = "{found.task}"\n\n[data]\n{sources_line(found.config)}'


def _target(example: Example) -> str:
    target = example.target
    if target is None:
        return "to be labelled"
    for name in ("text", "label", "labels", "spans", "fields", "chosen"):
        if hasattr(target, name):
            return str(getattr(target, name))
    return ""


def _cut(text: str) -> str:
    one = " ".join(text.split())
    return one if len(one) <= WIDTH else one[: WIDTH - 1] + "…"


def profile_file(path: str, query: str | None = None) -> list[Profile]:
    """Profile a file, folder, glob or address whose columns are guessed."""
    found, base = guess_file(path, query)
    return [profile(found.config, base, found.task, bundled_counter())]


def profile_project(session: Session) -> list[Profile]:
    """Profile every source of a project, as its config reads them."""
    project, count = session.project, bundled_counter()
    found = []
    for source in project.data.sources:
        with session.progress.task(f"profile {source.path}"):
            found.append(profile(source, session.root, project.objective, count))
    return found


def bundled_counter() -> CountTokens | None:
    """Return what counts the tokens of the bundled base; None where it is not installed."""
    try:
        from tokenizers import Tokenizer
    except ImportError:
        return None
    if not TOKENIZER.is_file():
        return None
    tokenizer = Tokenizer.from_file(str(TOKENIZER))
    tokenizer.no_truncation()
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def profile_lines(profiles: Sequence[Profile]) -> Iterator[str]:
    """Profiles in words and bars."""
    if not profiles:
        yield "no sources yet: [data] sources is empty"
    for one in profiles:
        yield f"{one.source}: {one.rows:,} rows, {one.usable:,} usable"
        yield from _shares("unreadable", one.unreadable, one.rows)
        for name, lengths in (("prompt", one.prompt), ("target", one.target)):
            if lengths.n:
                yield (
                    f"  {name}, {one.unit}: median {lengths.median:,}, 95% at most "
                    f"{lengths.p95:,}, longest {lengths.longest:,} (n = {lengths.n:,})"
                )
                yield from _bars(lengths.bins)
        yield from _shares("missing cells", {k: v for k, v in one.missing.items() if v}, one.rows)
        yield from _shares(f"labels ({len(one.labels)})", one.labels, sum(one.labels.values()))
        yield from _shares("languages", one.languages, one.languages_n)
        yield f"  duplicates: {one.duplicates:,} of {one.duplicates_n:,} rows"
        yield from (f"  note: {note}" for note in one.notes)


def _bars(bins: Sequence[tuple[int, int, int]]) -> Iterator[str]:
    most = max(count for *_, count in bins)
    for low, high, count in bins:
        bar = "█" * max(round(BAR * count / most), 1 if count else 0)
        yield f"    {low:>7,} - {high:<7,} {count:>9,} {bar}"


def _shares(title: str, found: Mapping[str, int], n: int) -> Iterator[str]:
    if not found or not n:
        return
    yield f"  {title}, of {n:,}:"
    for name, count in islice(found.items(), SHOWN):
        yield f"    {name[:40]:<40} {count:>9,}  {count / n:.1%}"
    if len(found) > SHOWN:
        yield f"    and {len(found) - SHOWN:,} more"
