"""Promotion goes through the gate or loudly past it; rollback is one step, at once."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from metier.core.errors import NotFound, UserError
from metier.core.workspace import Workspace
from metier.registry import aliases, get_release
from metier.release.promote import plan_promotion, promote, rollback
from tiny_releases import BAD, LIKED, SLOW, WIDE, judged, make

WHY = "The customer signed off on it."


def pointed(ws: Workspace) -> dict[str, str]:
    return {name: release.name for name, release in aliases(ws).items()}


def moves(ws: Workspace) -> list[tuple[str, str]]:
    """What was done to releases, as (action, subject), in order."""
    entries = ws.audit.entries()
    return [(e.action, e.subject) for e in entries if e.action.startswith("release.")]


def test_a_passed_release_becomes_the_champion(any_workspace: Workspace) -> None:
    ws = any_workspace
    make(ws)
    assert promote(ws, "v1", actor="mara").name == "v1"
    assert pointed(ws) == {"champion": "v1"}, "the challenger has won"
    make(ws)
    promote(ws, "challenger", actor="mara")
    assert pointed(ws) == {"champion": "v2", "previous": "v1"}
    entry = ws.audit.entries(get_release(ws, "v2").id)[-1]
    assert (entry.action, entry.actor) == ("release.promote", "mara")
    assert entry.detail["replaces"] == get_release(ws, "v1").id


def test_a_challenger_that_was_not_promoted_stays(any_workspace: Workspace) -> None:
    make(any_workspace)
    make(any_workspace)
    promote(any_workspace, "v1")
    assert pointed(any_workspace) == {"champion": "v1", "challenger": "v2"}


def test_promoting_the_champion_again_changes_nothing(any_workspace: Workspace) -> None:
    ws = any_workspace
    make(ws)
    make(ws)
    promote(ws, "v1")
    promote(ws, "v2")
    before = moves(ws)
    assert plan_promotion(ws, "v2").changes_nothing
    promote(ws, "v2")
    assert moves(ws) == before
    assert pointed(ws) == {"champion": "v2", "previous": "v1"}


def test_a_good_mean_alone_is_refused_and_says_how_many_items_more(
    any_workspace: Workspace,
) -> None:
    ws = any_workspace
    make(ws, judged(WIDE))
    with pytest.raises(UserError, match=r"0\.870 \[0\.830, 0\.900\] n=400.*1,200 more") as caught:
        promote(ws, "v1")
    assert "--override --reason" in caught.value.remedy
    assert pointed(ws) == {"challenger": "v1"}


def test_every_demand_not_passed_is_told(any_workspace: Workspace) -> None:
    results = judged(BAD, (LIKED,), (SLOW,), latency_p95_s=(9, 8, 10)) + judged(WIDE)
    make(any_workspace, results)
    with pytest.raises(UserError) as caught:
        promote(any_workspace, "v1")
    assert "latency_p95_s at most 5" in caught.value.got
    assert "f1_macro at least 0.85" in caught.value.got
    assert "satisfaction" not in caught.value.got, "a later stage stands in nobody's way"


def test_an_override_needs_a_reason_and_leaves_it_in_the_log(any_workspace: Workspace) -> None:
    ws = any_workspace
    release = make(ws, judged(BAD))
    for reason in ("", "   ", "because", "  because  "):
        with pytest.raises(UserError, match="a reason of at least 10 characters"):
            promote(ws, "v1", override=reason)
    assert pointed(ws) == {"challenger": "v1"}
    promote(ws, "v1", actor="mara", override=WHY)
    assert pointed(ws) == {"champion": "v1"}
    entry = ws.audit.entries(release.id)[-1]
    assert (entry.action, entry.actor) == ("release.override", "mara")
    assert entry.detail["reason"] == WHY
    assert entry.detail["not_passed"] == ["f1_macro at least 0.85"]


def test_a_release_without_a_target_needs_an_override(any_workspace: Workspace) -> None:
    make(any_workspace, ())
    with pytest.raises(UserError, match="no target is set"):
        promote(any_workspace, "v1")
    assert promote(any_workspace, "v1", override=WHY).name == "v1"


def test_a_reason_that_is_not_needed_makes_no_override(any_workspace: Workspace) -> None:
    release = make(any_workspace)
    promote(any_workspace, "v1", override=WHY)
    assert any_workspace.audit.entries(release.id)[-1].action == "release.promote"


def test_a_plan_changes_nothing(any_workspace: Workspace) -> None:
    make(any_workspace)
    make(any_workspace, judged(BAD))
    promote(any_workspace, "v1")
    before = moves(any_workspace)
    plan = plan_promotion(any_workspace, "v2")
    assert plan.replaces == get_release(any_workspace, "v1")
    assert len(plan.blocked_by) == 1
    assert moves(any_workspace) == before


def test_rollback_goes_back_and_forth(any_workspace: Workspace) -> None:
    ws = any_workspace
    make(ws)
    make(ws)
    promote(ws, "v1")
    promote(ws, "v2")
    assert rollback(ws, actor="mara", reason="complaints").name == "v1"
    assert pointed(ws) == {"champion": "v1", "previous": "v2"}
    entry = ws.audit.entries(get_release(ws, "v1").id)[-1]
    assert (entry.action, entry.detail["reason"]) == ("release.rollback", "complaints")
    assert rollback(ws).name == "v2"


@pytest.mark.parametrize("promoted", [False, True])
def test_there_is_nothing_to_roll_back_to(any_workspace: Workspace, promoted: bool) -> None:
    make(any_workspace)
    if promoted:
        promote(any_workspace, "v1")
    with pytest.raises(NotFound, match="a champion before this one"):
        rollback(any_workspace)


def test_a_promotion_that_fails_half_way_leaves_all_as_it_was(
    any_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(any_workspace)
    make(any_workspace)
    promote(any_workspace, "v1")

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no room for the entry")

    with monkeypatch.context() as patch:
        patch.setattr(any_workspace.audit, "append", fail)
        with pytest.raises(RuntimeError):
            promote(any_workspace, "v2")
    assert pointed(any_workspace) == {"champion": "v1", "challenger": "v2"}


def at_once(*calls: Callable[[], object]) -> None:
    start = threading.Barrier(len(calls))

    def one(call: Callable[[], object]) -> None:
        start.wait()
        call()

    threads = [threading.Thread(target=one, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def check_history(ws: Workspace) -> None:
    """The log's moves follow on from one another, and the aliases are what they lead to."""
    champion: str | None = None
    previous: str | None = None
    for entry in ws.audit.entries():
        if entry.action in ("release.promote", "release.rollback"):
            assert entry.detail["replaces"] == champion
            champion, previous = entry.subject, champion
    found = {name: release.id for name, release in aliases(ws).items()}
    assert found.get("champion") == champion
    assert found.get("previous") == previous
    assert ws.audit.verify().ok


def test_two_first_promotions_at_once(any_workspace: Workspace) -> None:
    ws = any_workspace
    make(ws)
    make(ws)
    at_once(lambda: promote(ws, "v1"), lambda: promote(ws, "v2"))
    assert {pointed(ws)["champion"], pointed(ws)["previous"]} == {"v1", "v2"}
    check_history(ws)


def test_many_promotions_and_rollbacks_at_once(any_workspace: Workspace) -> None:
    ws = any_workspace
    for _ in range(4):
        make(ws)
    promote(ws, "v1")
    promote(ws, "v2")
    calls: list[Callable[[], object]] = [
        lambda: promote(ws, "v3"),
        lambda: promote(ws, "v4"),
        lambda: promote(ws, "v1"),
        lambda: rollback(ws),
        lambda: rollback(ws),
    ]
    at_once(*calls)
    found = pointed(ws)
    assert found["champion"] != found["previous"]
    check_history(ws)
