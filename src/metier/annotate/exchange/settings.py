"""The tools' own settings, both ways: Argilla's questions, Label Studio's labelling config.

Argilla's is the JSON of its dataset settings ({"guidelines", "fields", "questions": [{"name",
"settings": {"type"}}]}); Label Studio's is XML (<View><Text name="text" value="$text"/>
<Choices name="topic" toName="text"><Choice value="billing"/></Choices></View>).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

from metier.annotate.exchange.asking import asked_of
from metier.annotate.exchange.label_studio import BETWEEN, TYPES
from metier.annotate.exchange.spread import questions
from metier.annotate.exchange.types import Asked
from metier.core.errors import InputError
from metier.core.types import Json
from metier.queue.forms import FieldKind, FormField

ARGILLA_KINDS: dict[str, FieldKind] = {
    "label_selection": "label",
    "multi_label_selection": "labels",
    "span": "spans",
    "rating": "rating",
    "text": "text",
    "ranking": "json",
}
ARGILLA_TYPES = {kind: name for name, kind in ARGILLA_KINDS.items()} | {
    "number": "text",
    "json": "text",
    "comparison": "label_selection",
}
TAGS: dict[str, tuple[FieldKind, str]] = {
    "Choices": ("label", "choices"),
    "Taxonomy": ("labels", "taxonomy"),
    "Labels": ("spans", "labels"),
    "HyperTextLabels": ("spans", "hypertextlabels"),
    "ParagraphLabels": ("spans", "paragraphlabels"),
    "TextArea": ("text", "textarea"),
    "Rating": ("rating", "rating"),
    "Number": ("number", "number"),
    "Pairwise": ("comparison", "pairwise"),
}
OPTIONS = ("Choice", "Label")


def read_argilla_settings(data: Json) -> tuple[Asked, str]:
    """What is asked and the guidelines, from Argilla's settings. Raises InputError."""
    found = data.get("questions") if isinstance(data, Mapping) else None
    if not isinstance(found, list) or not found:
        raise InputError(
            "Argilla settings: an object with a list named questions",
            got="none",
            remedy="give the settings.json that `dataset.to_disk` wrote",
        )
    fields = [_argilla_question(one) for one in found if isinstance(one, Mapping)]
    return asked_of(fields, {}), str(data.get("guidelines") or "")


def argilla_settings(asked: Asked, guideline: str, fields: Sequence[str]) -> Json:
    """Argilla's settings for what is asked; ``fields`` are the names of the texts shown."""
    return {
        "guidelines": guideline or None,
        "allow_extra_metadata": True,
        "fields": [
            {
                "name": name,
                "title": name,
                "required": False,
                "settings": {"type": "chat" if name == "chat" else "text", "use_markdown": False},
            }
            for name in fields
        ],
        "questions": [_as_argilla(asked, one, fields) for one in questions(asked)],
        "metadata": [],
        "vectors": [],
    }


def read_label_studio_config(text: str) -> Asked:
    """What is asked, from a labelling config. Raises InputError."""
    if "<!" in text.replace("<!--", ""):
        raise _no_config("a document type, which such files do not have")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise _no_config(str(error)) from error
    fields: list[FormField] = []
    wiring: dict[str, dict[str, str]] = {}
    for tag in root.iter():
        if tag.tag in TAGS and tag.get("name"):
            one, wire = _control(tag)
            fields.append(one)
            wiring[one.name] = wire
    if not fields:
        raise _no_config("no control of a kind that metier has")
    return asked_of(fields, wiring)


def label_studio_config(asked: Asked, texts: Sequence[str]) -> str:
    """The labelling config for what is asked; ``texts`` are the names of the texts shown."""
    lines = ["<View>"]
    for name in texts:
        if name == "chat":
            lines.append('  <Paragraphs name="chat" value="$chat" nameKey="role" '
                         'textKey="content" layout="dialogue"/>')  # fmt: skip
        else:
            lines.append(f"  <Header value={quoteattr(name)}/>")
            lines.append(f"  <Text name={quoteattr(name)} value={quoteattr('$' + name)}/>")
    for one in questions(asked):
        lines += _tag_lines(asked, one, texts)
    return "\n".join([*lines, "</View>"]) + "\n"


def _argilla_question(one: Mapping[str, Any]) -> FormField:
    settings = one.get("settings") or {}
    kind = ARGILLA_KINDS.get(str(settings.get("type")), "json")
    options = [row.get("value") for row in settings.get("options") or [] if isinstance(row, dict)]
    name = str(one.get("name"))
    numbers = [int(o) for o in options if isinstance(o, int)] or [1, 5]
    return FormField(
        name,
        kind,
        str(one.get("title") or name),
        about=str(one.get("description") or ""),
        options=tuple(map(str, options)) if kind in ("label", "labels", "spans") else (),
        required=bool(one.get("required", True)),
        low=min(numbers),
        high=max(numbers),
    )


def _as_argilla(asked: Asked, one: FormField, fields: Sequence[str]) -> Json:
    kind = ARGILLA_TYPES[one.kind]
    settings: dict[str, Json] = {"type": kind}
    options: Sequence[Json] = ("a", "b", "tie") if one.kind == "comparison" else one.options
    if kind in ("label_selection", "multi_label_selection", "span"):
        settings["options"] = [{"value": o, "text": o, "description": None} for o in options]
    if kind == "rating":
        settings["options"] = [{"value": number} for number in range(one.low, one.high + 1)]
    if kind == "span":
        settings |= {"field": next(iter(fields), "text"), "allow_overlapping": True}
    return {
        "name": asked.wiring.get(one.name, {}).get("name", one.name),
        "title": one.title,
        "description": one.about or None,
        "required": one.required,
        "settings": settings,
    }


def _control(tag: ElementTree.Element) -> tuple[FormField, dict[str, str]]:
    kind, type_name = TAGS[tag.tag]
    name = str(tag.get("name"))
    if tag.tag == "Choices" and tag.get("choice") == "multiple":
        kind = "labels"
    options = tuple(dict.fromkeys(_options(tag, tag.tag == "Taxonomy")))
    high = tag.get("maxRating", "5")
    return FormField(
        name,
        kind,
        name.replace("_", " ").capitalize(),
        options=options,
        required=tag.get("required") == "true",
        high=int(high) if high.isdigit() else 5,
    ), {"type": type_name, "to_name": str(tag.get("toName") or "text")}


def _options(tag: ElementTree.Element, nested: bool, above: tuple[str, ...] = ()) -> Iterator[str]:
    for one in tag:
        if one.tag not in OPTIONS:
            continue
        path = (*above, str(one.get("alias") or one.get("value")))
        yield BETWEEN.join(path)
        if nested:
            yield from _options(one, nested, path)


def _tag_lines(asked: Asked, one: FormField, texts: Sequence[str]) -> list[str]:
    wire = asked.wiring.get(one.name, {})
    type_name = wire.get("type") or TYPES[one.kind]
    tag = next((name for name, (_, kind) in TAGS.items() if kind == type_name), "TextArea")
    about = wire.get("to_name") or next(iter(texts), "text")
    names = f"name={quoteattr(wire.get('name', one.name))} toName={quoteattr(about)}"
    if one.kind == "labels" and tag == "Choices":
        names += ' choice="multiple"'
    if one.kind == "rating":
        names += f' maxRating="{one.high}"'
    child = {"Choices": "Choice", "Taxonomy": "Choice"}.get(tag, "Label")
    if not one.options or tag in ("TextArea", "Rating", "Number", "Pairwise"):
        return [f"  <{tag} {names}/>"]
    inner = [f"    <{child} value={quoteattr(option)}/>" for option in one.options]
    return [f"  <{tag} {names}>", *inner, f"  </{tag}>"]


def _no_config(got: str) -> InputError:
    return InputError(
        "a labelling config of Label Studio: <View> with controls",
        got=got,
        remedy="copy it from the project's Settings > Labeling Interface > Code",
    )
