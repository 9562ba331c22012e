"""Guidelines in versions, and their text as safe HTML."""

from __future__ import annotations

import threading

import pytest

from metier.annotate.guidelines import (
    GuidelineExample,
    add_example,
    get_guideline,
    guideline_versions,
    list_guidelines,
    write_guideline,
)
from metier.apps.http.pages.work.prose import prose
from metier.core.errors import InputError, NotFound
from metier.core.workspace import Workspace


def test_a_change_is_a_version_and_the_same_text_is_none(workspace: Workspace) -> None:
    one = write_guideline(workspace, "intents", "Say *what* they want.", "ann")
    assert write_guideline(workspace, "intents", "Say *what* they want.\r\n", "ann") == one
    two = write_guideline(workspace, "intents", "Say what they want now.", "ben")
    assert (one.number, two.number, two.created_by) == (1, 2, "ben")
    assert get_guideline(workspace, "intents") == two
    assert get_guideline(workspace, "intents", 1) == one
    assert guideline_versions(workspace, "intents") == [two, one]
    write_guideline(workspace, "tone", "Be kind.", "ann")
    assert [(o.name, o.number) for o in list_guidelines(workspace)] == [("intents", 2), ("tone", 1)]


def test_a_decision_becomes_an_example_and_the_newest_of_an_item_holds(
    workspace: Workspace,
) -> None:
    write_guideline(workspace, "intents", "Text", "ann")
    first = GuidelineExample("a case, mail ann@example.com", "billing", "why", "item_1")
    made = add_example(workspace, "intents", first, "ben")
    assert made.number == 2 and "ann@example.com" not in made.examples[0].text
    again = add_example(
        workspace,
        "intents",
        GuidelineExample("a case", "account", "on reflection", "item_1"),
        "ben",
    )
    assert [(one.answer, one.reason) for one in again.examples] == [("account", "on reflection")]
    kept = write_guideline(workspace, "intents", "Another text", "ann")
    assert kept.number == 4 and kept.examples == again.examples


def test_what_cannot_be_is_refused(workspace: Workspace) -> None:
    with pytest.raises(InputError, match="a name"):
        write_guideline(workspace, "../x", "Text", "ann")
    with pytest.raises(InputError, match="a text"):
        write_guideline(workspace, "x", "  ", "ann")
    with pytest.raises(NotFound, match="metier annotate guideline"):
        get_guideline(workspace, "none")
    write_guideline(workspace, "intents", "Text", "ann")
    with pytest.raises(NotFound, match="version 7"):
        get_guideline(workspace, "intents", 7)
    with pytest.raises(NotFound, match="intents"):
        add_example(workspace, "intent", GuidelineExample("a", "b"), "ann")


def test_two_who_write_at_once_make_two_versions(workspace: Workspace) -> None:
    def write(text: str) -> None:
        write_guideline(workspace, "intents", text, "ann")

    threads = [threading.Thread(target=write, args=(f"text {n}",)) for n in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert [o.number for o in guideline_versions(workspace, "intents")] == [6, 5, 4, 3, 2, 1]


def test_plain_markdown_is_drawn() -> None:
    text = "# Head\nOne **two** *three* `x*y*z`\ngoes on\n\n- a\n  and more\n- b\n\n1. c\n\n"
    text += "> said\n\n```\n<b>\n```"
    assert str(prose(text)).split("\n") == [
        "<h3>Head</h3>",
        "<p>One <strong>two</strong> <em>three</em> <code>x*y*z</code> goes on</p>",
        "<ul><li>a and more</li><li>b</li></ul>",
        "<ol><li>c</li></ol>",
        "<blockquote>said</blockquote>",
        "<pre><code>&lt;b&gt;</code></pre>",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "# <img src=x onerror=alert(1)>",
        "- <svg/onload=alert(1)>",
        "`<script>`",
        "**<b onclick=x>**",
        "[a](javascript:alert(1))",
        "```\n</code></pre><script>\n```",
        "> <iframe>",
    ],
)
def test_no_html_of_the_writer_comes_through(text: str) -> None:
    made = str(prose(text))
    for bad in ("<script", "<img", "<svg", "<iframe", "<b ", "<a "):
        assert bad not in made
