"""Writes docs/reference from the code, so that the reference cannot drift from it.

python docs/generate.py           write the pages
python docs/generate.py --check   exit 1 and say which page is out of date
"""

import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from metier.config import Project

DOCS = Path(__file__).parent


def model_types(annotation: object) -> list[type[BaseModel]]:
    """All pydantic models inside an annotation, e.g. of ``list[A] | B | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in model_types(part)]


def type_text(annotation: object) -> str:
    """An annotation in words a TOML author reads."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return type_text(arguments[0])
    if origin is typing.Literal:
        return " or ".join(f"`{value!r}`".replace("'", '"') for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(type_text(a) for a in arguments if a is not type(None))
    if origin in (list, tuple):
        inner = [type_text(a) for a in arguments if a is not Ellipsis]
        return f"list of {inner[0]}" if inner else "list"
    if origin is dict:
        return f"table of {type_text(arguments[1])}"
    if isinstance(annotation, type):
        names = {str: "text", int: "integer", float: "number", bool: "true/false"}
        return names.get(annotation, "table")
    return "any value"


def default_text(field: FieldInfo) -> str:
    """The default as TOML would write it, or that the key is required."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel) or value == []:
        return ""
    if value is None:
        return "absent"
    return f"`{str(value).lower() if isinstance(value, bool) else repr(value)}`".replace("'", '"')


def section(title: str, model: type[BaseModel], seen: set[type[BaseModel]]) -> list[str]:
    """A heading, the model's docstring and a table of its keys, then the models inside it."""
    seen.add(model)
    summary = (model.__doc__ or "").strip().split("\n\n")[0]
    summary = " ".join(summary.split())
    lines = [f"## {title}", "", summary, ""]
    lines += ["| key | type | default | meaning |", "|---|---|---|---|"]
    inner: list[str] = []
    for name, field in model.model_fields.items():
        key = field.alias or name
        text = (field.description or "").replace("\n", " ").replace("|", "\\|")
        if not text:
            raise SystemExit(f"{model.__name__}.{name} has no docstring")
        cells = (f"`{key}`", type_text(field.annotation), default_text(field), text)
        lines.append(f"| {' | '.join(cells)} |")
        for child in model_types(field.annotation):
            if child not in seen:
                base = "" if title == "Top level" else title.strip("[]`") + "."
                inner += section(f"`[{base}{key}]`", child, seen)
    return [*lines, "", *inner]


def config_page() -> str:
    """The whole metier.toml reference."""
    head = [
        "# metier.toml",
        "",
        "Generated from the models by `make docs`. Unknown keys are refused, with the nearest",
        "right one named. `[[name]]` tables may be repeated.",
        "",
    ]
    return "\n".join([*head, *section("Top level", Project, set())]).rstrip() + "\n"


def command_pages() -> str:
    """`--help` of every verb and sub-verb."""
    import typer
    from typer.testing import CliRunner

    from metier.apps.cli import VERBS, app

    runner = CliRunner(env={"COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"})
    lines = ["# Commands", "", "Generated from the command line's own help by `make docs`.", ""]

    def add(words: list[str]) -> None:
        result = runner.invoke(app, [*words, "--help"], prog_name="metier")
        if result.exit_code:
            raise SystemExit(f"metier {' '.join(words)} --help failed: {result.output}")
        name = " ".join(["metier", *words])
        text = "\n".join(line.rstrip() for line in result.output.strip().splitlines())
        lines.extend([f"## {name}", "", "```", text, "```", ""])

    add([])
    root = typer.main.get_command(app)
    context = typer.Context(root)
    for verb in VERBS:
        add([verb])
        command = root.get_command(context, verb)  # type: ignore[attr-defined]
        for child in getattr(command, "commands", {}):
            add([verb, child])
    return "\n".join(lines).rstrip() + "\n"


def http_page() -> str:
    """Paths of the HTTP API, the fields of what goes in and out, and its errors."""
    from metier.apps.http.app import api_schema

    schema = api_schema()
    models = schema["components"]["schemas"]
    lines = [
        "# HTTP API",
        "",
        "Generated from the server's own description by `make docs`; a running server has it under",
        "`/openapi.json`. Fields that are not listed are left aside.",
        "",
    ]
    errors: dict[str, str] = {}
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            lines += operation_lines(f"{method.upper()} {path}", operation, models)
            errors |= {
                status: answer["description"]
                for status, answer in operation["responses"].items()
                if status >= "400" and path.startswith("/v1")
            }
    lines += ["## Errors", "", "| status | meaning |", "|---|---|"]
    lines += [f"| {status} | {cell(words)} |" for status, words in sorted(errors.items())]
    lines += ["", 'The body of each is `{"error": {…}}` with:', ""]
    lines += fields_table("ErrorDetail", models)
    return "\n".join(lines).rstrip() + "\n"


def operation_lines(title: str, operation: dict[str, Any], models: dict[str, Any]) -> list[str]:
    """A heading, what the path does, and the fields of its body and of its answer."""
    lines = [f"## {title}", "", " ".join(operation["description"].split()), ""]
    asked = operation.get("requestBody", {}).get("content", {})
    answers = operation["responses"]["200"].get("content", {})
    for head, content in (("It takes:", asked), ("It answers:", answers)):
        schema = content.get("application/json", {}).get("schema", {})
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            lines += [head, "", *fields_table(name, models, needed=content is asked)]
    if "text/event-stream" in answers:
        lines += ["With `stream` it answers in server-sent events: chunks, then `[DONE]`.", ""]
    if "204" in operation["responses"]:
        lines += [f"Or 204: {operation['responses']['204']['description']}", ""]
    return lines


def fields_table(name: str, models: dict[str, Any], *, needed: bool = False) -> list[str]:
    """The fields of a body; those of bodies inside it follow with a dot. ``needed`` marks those
    that a request must have."""
    lines = ["| field | type | meaning |", "|---|---|---|"]
    required = set(models[name].get("required", []))
    for field, type_words, meaning in fields_of(name, models):
        if needed and field in required:
            type_words += ", required"
        lines.append(f"| `{field}` | {type_words} | {cell(meaning)} |")
    return [*lines, ""]


def fields_of(
    name: str, models: dict[str, Any], before: str = ""
) -> Iterator[tuple[str, str, str]]:
    """Each field with its type and meaning, in order."""
    for field, schema in models[name]["properties"].items():
        yield before + field, json_type(schema), schema.get("description", "")
        for inner, many in inner_models(schema):
            yield from fields_of(inner, models, f"{before}{field}{'[]' if many else ''}.")


def json_type(schema: dict[str, Any]) -> str:
    """A JSON schema in words."""
    if "const" in schema:
        return f'`"{schema["const"]}"`'
    if "enum" in schema:
        return " or ".join(f'`"{one}"`' for one in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(json_type(one) for one in schema["anyOf"]))
    if schema.get("type") == "array":
        return f"list of {json_type(schema['items'])}"
    names = {"string": "text", "boolean": "true/false", "$ref": "object"}
    kind = "object" if "$ref" in schema else schema.get("type", "any value")
    return names.get(kind, kind)


def inner_models(schema: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """The named bodies inside a field, and whether it holds a list of them."""
    for one in schema.get("anyOf", [schema]):
        target = one.get("items", one)
        if "$ref" in target:
            yield target["$ref"].rpartition("/")[2], "items" in one


def cell(text: str) -> str:
    """Text that fits into a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def main() -> None:
    """Write the pages that changed, or with --check only say which."""
    pages = {
        "reference/metier-toml.md": config_page(),
        "reference/commands.md": command_pages(),
        "reference/http.md": http_page(),
    }
    stale = []
    for name, text in pages.items():
        path = DOCS / name
        if path.exists() and path.read_text() == text:
            continue
        stale.append(name)
        if "--check" not in sys.argv:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    if "--check" in sys.argv and stale:
        raise SystemExit(f"out of date, run `make docs`: {', '.join(stale)}")


if __name__ == "__main__":
    main()
