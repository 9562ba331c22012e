"""The templates of the reports, and the environment they are filled in."""

from __future__ import annotations

from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined


def template(name: str) -> str:
    """Return the text of a template or style sheet."""
    return (files(__package__) / "templates" / name).read_text(encoding="utf-8")


def environment() -> Environment:
    """Return an environment that escapes, and refuses what is not given."""
    found = Environment(
        loader=FunctionLoader(template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    macros = found.get_template("macros.html.j2").module
    found.globals["class_rows"] = macros.class_rows  # type: ignore[attr-defined]
    return found
