"""/api: what the HTTP API offers, from its own description (OpenAPI), without foreign scripts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from metier.apps.http.pages.allowed import may
from metier.apps.http.pages.frame import Here, PageRoute, Row, show
from metier.core.types import Json

router = APIRouter(route_class=PageRoute, dependencies=[may("look")])
METHODS = ("get", "post", "put", "patch", "delete")
DEEPEST = 3


@router.get("/api")
def reference_page(request: Request, site: Here, q: str = "") -> Response:
    """Show every operation, or those that a word is in."""
    groups = found_in(operations(schema()), q)
    count = sum(len(one["operations"]) for one in groups)
    name = (
        "reference/found.html.j2" if request.headers.get("hx-request") else "reference/page.html.j2"
    )
    return show(request, name, groups=groups, q=q[:100], count=count)


@router.get("/api/openapi.json")
def schema_file(request: Request, site: Here) -> Response:
    """The description itself, for programs that read one."""
    return JSONResponse(schema())


@cache
def schema() -> dict[str, Any]:
    """The API's description of itself."""
    from metier.apps.http.app import api_schema

    return api_schema()


def operations(description: Mapping[str, Any]) -> list[Row]:
    """Every operation with what it takes and gives, in groups by tag."""
    groups: dict[str, list[Row]] = {}
    for path, item in description["paths"].items():
        for method in METHODS:
            if method in item:
                one = _operation(description, path, method, item[method])
                groups.setdefault(one["tag"], []).append(one)
    return [{"name": name, "operations": found} for name, found in groups.items()]


def found_in(groups: Sequence[Row], q: str) -> list[Row]:
    """The operations in whose text every word of ``q`` is."""
    words = q.casefold().split()
    kept = []
    for group in groups:
        fitting = [one for one in group["operations"] if all(w in one["text"] for w in words)]
        if fitting:
            kept.append({"name": group["name"], "operations": fitting})
    return kept


def _operation(description: Mapping[str, Any], path: str, method: str, one: Json) -> Row:
    fields = list(_body(description, one))
    parameters = [_parameter(description, parameter) for parameter in one.get("parameters", ())]
    answers = [
        {"status": status, "about": answer.get("description", "")}
        for status, answer in sorted(one.get("responses", {}).items())
    ]
    about = one.get("description") or one.get("summary", "")
    words = [path, method, about, *(f["name"] + " " + f["about"] for f in [*fields, *parameters])]
    return {
        "id": one.get("operationId", f"{method}-{path}"),
        "tag": (one.get("tags") or ["server"])[0],
        "path": path,
        "method": method.upper(),
        "about": about,
        "parameters": parameters,
        "fields": fields,
        "gives": list(_gives(description, one)),
        "good": [a for a in answers if a["status"].startswith("2")],
        "errors": [a for a in answers if not a["status"].startswith("2")],
        "curl": _curl(path, method, _example(description, one)),
        "text": " ".join(words).casefold(),
    }


def _body(description: Mapping[str, Any], one: Json) -> Iterator[Row]:
    content = one.get("requestBody", {}).get("content", {})
    for media in content.values():
        yield from _fields(description, media.get("schema", {}))


def _gives(description: Mapping[str, Any], one: Json) -> Iterator[Row]:
    for status, answer in one.get("responses", {}).items():
        if status.startswith("2"):
            for media in answer.get("content", {}).values():
                yield from _fields(description, media.get("schema", {}))


def _fields(
    description: Mapping[str, Any], schema: Mapping[str, Any], before: str = "", depth: int = 0
) -> Iterator[Row]:
    """The fields of an object, those of objects inside it under their name."""
    found = _resolved(description, schema)
    required = found.get("required", ())
    for name, spec in found.get("properties", {}).items():
        inner = _resolved(description, spec)
        yield {
            "name": before + name,
            "kind": _kind(description, spec),
            "required": name in required,
            "about": str(spec.get("description") or inner.get("description") or "").split("\n")[0],
        }
        below = inner.get("items", inner) if inner.get("type") == "array" else inner
        if depth < DEEPEST and "properties" in _resolved(description, below):
            mark = "[]." if inner.get("type") == "array" else "."
            yield from _fields(description, below, before + name + mark, depth + 1)


def _parameter(description: Mapping[str, Any], one: Json) -> Row:
    return {
        "name": one["name"],
        "kind": _kind(description, one.get("schema", {})),
        "required": bool(one.get("required")),
        "about": " ".join(
            [*filter(None, [one.get("description")]), *["(query)"] * (one["in"] == "query")]
        ),
    }


def _resolved(description: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        found: Any = description
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    some = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    return _resolved(description, some[0]) if len(some) == 1 else schema


def _kind(description: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    some = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    suffix = " or null" if len(some) < len(schema.get("anyOf", ())) else ""
    if some:
        return " or ".join(dict.fromkeys(_kind(description, one) for one in some)) + suffix
    found = _resolved(description, schema)
    if "enum" in found:
        return " | ".join(json.dumps(one) for one in found["enum"])
    if "const" in found:
        return json.dumps(found["const"])
    if found.get("type") == "array":
        return f"list of {_kind(description, found.get('items', {}))}"
    return str(found.get("format") or found.get("type") or "any")


def _example(description: Mapping[str, Any], one: Json) -> str:
    """The body of an example call; "" where there is none, {…} where none is written down."""
    media = one.get("requestBody", {}).get("content", {}).get("application/json")
    if media is None:
        return ""
    known = _resolved(description, media.get("schema", {})).get("examples", ())
    body = media.get("example") or next(iter(known), None)
    return "{…}" if body is None else json.dumps(body).replace("'", "'\\''")


def _curl(path: str, method: str, body: str) -> str:
    data = f" -H 'Content-Type: application/json' -d '{body}'" if body else ""
    verb = "" if method == "get" else f" -X {method.upper()}"
    return f"curl{verb} -H 'Authorization: Bearer mk_…'{data} http://localhost:8421{path}"
