"""Making rows: parents, the filter, caps, and the file that people cut lines out of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evaluate_fakes import CLASSIFY, row, text_row
from metier.core.canaries import CANARY
from metier.core.errors import ConfigError, InputError, NotFound
from metier.core.objective import Objective
from metier.core.progress import Progress
from metier.core.types import CompletionTarget, Conversation, Example, LabelTarget
from metier.data.augment.config import AugmentConfig
from metier.data.augment.join import MadeFile
from metier.data.augment.keep import Claim, LabelFilter, alike
from metier.data.augment.made import Made, child, read_made, reworded, said_by, write_made
from metier.data.augment.make import Batch, Making, chosen_counts, make_rows
from metier.data.augment.sheet import precision, read_sheet, sample_of, write_sheet

DELIVERY = "My parcel number {} from the depot never came to the door"
BILLING = "The invoice number {} charges my card twice this month"
ROWS = [
    row(
        n, (DELIVERY if n % 2 else BILLING).format(n), LabelTarget("delivery" if n % 2 else "money")
    )
    for n in range(40)
]
NOISE = {"type": "noise", "share": 1.0, "kinds": ["keyboard", "ocr", "case", "abbreviations"]}
PARAPHRASE = {"type": "paraphrase", "share": 1.0, "writer": {"type": "local", "base": "none"}}


def made(
    ways: Sequence[object],
    rows: Sequence[Example] = ROWS,
    says: Callable[[str], str] = str.upper,
    objective: Objective = CLASSIFY,
    root: Path = Path(),
    **settings: object,
) -> Batch:
    config = AugmentConfig.model_validate({"ways": ways, **settings})

    def writers(way: object) -> Callable[[Sequence[str]], list[str]]:
        return lambda texts: [says(text) for text in texts]

    return make_rows(config, rows, Making(objective, root, writers, Progress()))


def test_rows_are_made_again_the_same_in_any_order_of_rows() -> None:
    once = made([NOISE, PARAPHRASE])
    assert once == made([NOISE, PARAPHRASE]) == made([NOISE, PARAPHRASE], ROWS[::-1])
    assert once != made([NOISE, PARAPHRASE], seed=1)
    more = made(
        [NOISE], [*ROWS, row(99, "A new question about my parcel", LabelTarget("delivery"))]
    )
    asked = {(one.parent, one.way) for one in made([NOISE]).rows}
    assert asked <= {(one.parent, one.way) for one in more.rows}, "earlier rows keep their variants"


def test_made_rows_say_whose_they_are_and_keep_the_target() -> None:
    by_id = {one.id: one for one in ROWS}
    for one in made([NOISE]).rows:
        assert one.parent is not None
        parent = by_id[one.parent]
        assert one.target == parent.target and one.said == said_by(parent)
        assert one.conversation.text != parent.conversation.text and 0.5 <= one.sure <= 1


def test_the_filter_refuses_a_row_that_became_another_class() -> None:
    found = made([PARAPHRASE], says=lambda text: BILLING.format("77 " + text[17:20]))
    assert {one.target for one in found.rows} == {LabelTarget("money")}
    assert found.left_out["target in doubt"] == 20


def test_the_filter_of_texts_wants_the_numbers_and_the_nots() -> None:
    assert alike("take 5 pills", "take five pills") == 0
    assert alike("take 5 pills", "please take 5 pills") > 0.7
    assert alike("take 5 pills", "take 5 pills for 3 days") == 0
    assert alike("I did not get it", "I did get it") == 0
    assert alike("I didn't get it", "I did not get it") > 0.5
    judge = LabelFilter([text_row(1, "a b c", "x")])
    claim = Claim("a b c", "a b d", CompletionTarget("x"))
    assert judge.sure([claim, replace(claim, text="x y z")]) == [pytest.approx(2 / 3), 0.0]
    assert judge.sure([]) == []


def test_the_filter_judges_the_label_that_the_made_row_is_given() -> None:
    judge = LabelFilter(ROWS)
    text = DELIVERY.format(3)
    right, wrong = judge.sure(
        [Claim(text, text, LabelTarget("delivery")), Claim(text, text, LabelTarget("money"))]
    )
    assert right > 0.8 > 0.2 > wrong
    assert judge.sure([Claim(text, text, LabelTarget("never seen"))]) == [1.0]


def test_at_most_so_many_of_one_parent() -> None:
    ways = [{**NOISE, "kinds": ["keyboard"]}, {**NOISE, "kinds": ["ocr"]}, PARAPHRASE]
    found = made(ways, most_per_parent=1)
    assert max(Counter(one.parent for one in found.rows).values()) == 1
    assert found.left_out["enough of one parent"] > 0
    assert max(Counter(one.parent for one in made(ways, most_per_parent=3).rows).values()) > 1


def test_no_more_rows_are_tried_than_asked_and_how_many_is_known_before() -> None:
    config = AugmentConfig.model_validate({"ways": [NOISE, {**PARAPHRASE, "share": 0.5}]})
    tried = chosen_counts(config, CLASSIFY, ROWS)
    assert 20 < tried[0] < 60 and 10 < tried[1] < 30
    few = chosen_counts(config, CLASSIFY, ROWS, most=4)
    assert few[0] <= 16 and few[1] <= 4
    making = Making(CLASSIFY, Path(), lambda way: lambda texts: list(texts), Progress())
    assert len({one.parent for one in make_rows(config, ROWS, making, most=4).rows}) <= 4


def test_what_was_not_written_or_says_nothing_new_is_counted() -> None:
    assert made([PARAPHRASE], says=lambda text: " ").left_out == {"not written": 40}
    assert made([PARAPHRASE], says=lambda text: text).left_out == {"said already": 40}


def test_swaps_pass_the_filter_of_texts_though_a_number_changes() -> None:
    rows = [
        text_row(n, f"Is the Kettle 3 from shop {n} safe?", "The Kettle 3 is.") for n in range(5)
    ]
    way = {"type": "swap", "values": {"product": ["Kettle 3", "Mixer 9"]}}
    found = made([way], rows, objective=Objective(task="answer"))
    assert len(found.rows) == 5 and {one.target for one in found.rows} == {
        CompletionTarget("The Mixer 9 is.")
    }


def test_made_planted_copied_and_challenging_rows_are_no_parents() -> None:
    def of(one: Example, **changes: Any) -> Example:
        return replace(one, provenance=replace(one.provenance, **changes))

    strange = [
        of(ROWS[0], steps=("augment", "noise: ocr")),
        of(ROWS[1], steps=("challenge", "typos")),
        of(ROWS[2], steps=("rebalance",)),
        of(ROWS[3], source=CANARY),
        replace(ROWS[4], target=None),
        replace(ROWS[5], conversation=Conversation.of(("user", "  "))),
    ]
    with pytest.raises(InputError, match="training rows to make others from"):
        made([NOISE], strange)


def test_without_a_way_or_for_marked_texts_nothing_is_made() -> None:
    with pytest.raises(ConfigError, match="none in"):
        made([])
    with pytest.raises(ConfigError, match="extract"):
        made([NOISE], objective=Objective(task="extract"))


def test_templates_join_what_is_made(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text("[[template]]\nprompt = 'Fire!'\ntarget = 'safety'\n")
    (one,) = made([{"type": "templates", "path": "t.toml"}], root=tmp_path).rows
    assert (one.parent, one.said, one.sure) == (None, None, 1.0)


def test_other_words_stand_in_the_last_question() -> None:
    talk = Conversation.of(("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c"))
    found = reworded(replace(ROWS[0], conversation=talk), "d")
    assert [turn.text for turn in found.messages] == ["s", "a", "b", "d"]


def test_the_file_keeps_what_it_is_given(tmp_path: Path) -> None:
    odd = child(
        ROWS[0],
        "noise: ocr",
        Conversation.of(("user", "a\u2028b \U0001f600 \x85 \ud800")),
        LabelTarget("ü"),
    )
    free = Made(None, "templates", Conversation.of(("user", "x")), CompletionTarget("y"), 1.0)
    path = tmp_path / "deep" / "made.jsonl"
    rows = [*made([NOISE]).rows, odd, free]
    assert write_made(path, rows) == len(rows)
    back = list(read_made(path))
    assert [replace(one, sure=0) for one in back] == [replace(one, sure=0) for one in rows]
    assert all(abs(a.sure - b.sure) < 1e-4 for a, b in zip(back, rows, strict=True))
    assert [one.id for one in back] == [one.id for one in rows]
    cut = path.read_text().split("\n")[3:]
    path.write_text("\n".join([*cut, ""]))
    assert len(list(read_made(path))) == len(rows) - 3


GOOD = '{"parent": null, "said": null, "way": "w", "sure": 1, "messages": [], "target": %s}'
LABEL = '{"type": "label", "label": "x"}'


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "no JSON"),
        ("[1]", "of another kind"),
        ("{}", "no 'parent'"),
        (GOOD % '{"type": "nothing"}', "of another kind"),
        (GOOD.replace('"way": "w", ', "") % LABEL, "no 'way'"),
        (GOOD % "7", "of another kind"),
        (GOOD.replace("1,", "NaN,") % LABEL, "between 0 and 1"),
        (GOOD.replace("1,", "2,") % LABEL, "between 0 and 1"),
        (GOOD.replace('"said": null', '"said": "a"') % LABEL, "a row with a parent"),
        (GOOD.replace("[]", '[{"role": 1}]') % LABEL, "of another kind"),
    ],
)
def test_a_bad_line_is_named_by_file_and_number(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "made.jsonl"
    path.write_text(f"{GOOD % LABEL}\n\n{line}\n")
    with pytest.raises(InputError, match=rf"made.jsonl:3: .*{said}"):
        list(read_made(path))


def test_a_file_that_is_missing_or_no_text_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="metier data augment"):
        list(read_made(tmp_path / "none.jsonl"))
    (tmp_path / "made.jsonl").write_bytes(b"\xff\xfe{")
    with pytest.raises(InputError, match="UTF-8"):
        list(read_made(tmp_path / "made.jsonl"))


@pytest.fixture
def checked(tmp_path: Path) -> tuple[MadeFile, Path]:
    """A file of made rows, and the sheet of ten of them."""
    rows = made([NOISE]).rows
    sheet = tmp_path / "check.csv"
    assert write_sheet(sheet, sample_of(rows, 10), ROWS) == 10
    return MadeFile("made.jsonl", "d", rows), sheet


def answered(sheet: Path, words: Sequence[str], between: str = ",") -> None:
    """Fill in the sheet's last column."""
    import csv

    with sheet.open(encoding="utf-8-sig", newline="") as source:
        head, *rows = csv.reader(source)
    with sheet.open("w", encoding="utf-8", newline="") as sink:
        writer = csv.writer(sink, delimiter=between)
        writer.writerow(head)
        writer.writerows([*row[:-1], word] for row, word in zip(rows, words, strict=False))


@pytest.mark.parametrize("between", [",", ";"])
def test_precision_is_what_people_said_of_a_sample(
    checked: tuple[MadeFile, Path], between: str
) -> None:
    file, sheet = checked
    answered(sheet, ["yes"] * 6 + ["No ", "Y"] + ["", ""], between)
    holds = read_sheet(sheet, file)
    found = precision(holds, file)
    assert found.n == 8 and found.value == pytest.approx(7 / 8)
    assert found.low < 7 / 8 < found.high


def test_a_sample_is_drawn_by_seed_and_templates_are_not_in_it() -> None:
    rows = made([NOISE]).rows
    free = Made(None, "templates", Conversation.of(("user", "x")), CompletionTarget("y"), 1.0)
    assert sample_of(rows, 5) == sample_of([*rows[::-1], free], 5) != sample_of(rows, 5, seed=1)
    with pytest.raises(InputError, match="have a parent"):
        sample_of([free], 5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,holds\nother,yes\n", "check.csv: row 2: id 'other'"),
        ("id,holds\nID,perhaps\n", "check.csv: row 2: 'perhaps'"),
        ("id,holds\nID,\n", "none in check.csv"),
        ("id\nID\n", "no holds"),
        ("", "no id and no holds"),
    ],
)
def test_a_sheet_that_says_nothing_is_refused(
    checked: tuple[MadeFile, Path], text: str, said: str
) -> None:
    file, sheet = checked
    sheet.write_text(text.replace("ID", file.rows[0].id))
    with pytest.raises(InputError, match=said):
        read_sheet(sheet, file)
    with pytest.raises(NotFound, match=r"none\.csv"):
        read_sheet(sheet.parent / "none.csv", file)
