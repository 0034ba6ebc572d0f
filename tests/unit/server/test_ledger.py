"""The budget: granted, spent, returned."""

import json

from tests.support.server.scripted import (
    FIRST_NODE,
    Bench,
    ask_of,
    grid_of,
    honest,
    model,
    name_of,
    reply,
    report,
)

from fedask.server.ledger import Ledger
from fedask.server.progress import RunProgress


def _note(ledger: Ledger, node: int, asked: int, expired: int = 0) -> None:
    """Take a report of a device whose people answer nothing."""
    nothing = {"answered": 0, "class_counts": (0, 0, 0)}
    ledger.note(report(node, asked=asked, expired=expired, **nothing))


def test_quota_that_was_spent_is_not_granted_again() -> None:
    ledger = Ledger()
    ledger.grant_first(8)
    _note(ledger, 1, asked=8)
    assert ledger.grant(5) == 5
    assert (ledger.bought, ledger.spent, ledger.returned) == (13, 8, 0)


def test_unspent_quota_returns_to_the_fleet() -> None:
    ledger = Ledger()
    ledger.grant_first(8)
    _note(ledger, 1, asked=6)
    assert ledger.grant(5) == 7
    assert (ledger.bought, ledger.spent, ledger.returned) == (13, 6, 2)
    _note(ledger, 2, asked=3)
    assert ledger.grant(5) == 9
    assert ledger.returned == 2 + 4


def test_expired_questions_are_granted_again() -> None:
    ledger = Ledger()
    ledger.grant_first(4)
    _note(ledger, 1, asked=4)
    _note(ledger, 1, asked=4, expired=3)
    assert ledger.spent == 1
    assert ledger.grant(5) == 8
    assert ledger.returned == 3


def test_grants_end_at_the_budget() -> None:
    ledger = Ledger()
    ledger.grant_first(8)
    _note(ledger, 1, asked=8)
    assert [ledger.grant(5, budget=15), ledger.bought] == [5, 13]
    _note(ledger, 1, asked=12)
    assert [ledger.grant(5, budget=15), ledger.bought] == [3, 15]
    assert [ledger.grant(5, budget=15), ledger.bought] == [3, 15]
    _note(ledger, 1, asked=15)
    assert [ledger.grant(5, budget=15), ledger.bought] == [0, 15]


def test_grant_below_what_was_bought_already_adds_nothing() -> None:
    ledger = Ledger()
    ledger.grant_first(8)
    assert [ledger.grant(5, budget=3), ledger.bought] == [8, 8]


def test_grant_that_is_taken_back_leaves_no_trace() -> None:
    ledger = Ledger()
    ledger.grant_first(8)
    _note(ledger, 1, asked=6, expired=1)
    before = ledger.to_state()
    for budget in (None, 10, 8):
        ledger.grant(5, budget)
        assert ledger.to_state() != before
        ledger.take_back()
        assert ledger.to_state() == before


def test_repeated_report_changes_nothing() -> None:
    ledger = Ledger()
    ledger.grant_first(4)
    for _ in range(3):
        _note(ledger, 1, asked=3)
    assert ledger.spent == 3
    assert ledger.grant(1) == 2


def test_lost_reply_is_paid_back_by_the_next_grant() -> None:
    ledger = Ledger()
    ledger.grant_first(4)
    assert ledger.grant(10) == 14  # the four were asked, but no reply said so
    _note(ledger, 1, asked=4)
    _note(ledger, 2, asked=14)
    assert ledger.spent - ledger.bought == 4
    assert ledger.returned == 4  # a debt returns nothing
    assert ledger.grant(3) == 0
    assert ledger.returned == 4
    assert ledger.grant(3) == 2
    assert ledger.bought == 20


def test_summary_adds_up_the_last_report_of_every_device() -> None:
    ledger = Ledger()
    assert ledger.summary() == dict.fromkeys(
        ("bought", "spent", "answered", "skipped", "expired", "returned"), 0
    )
    ledger.grant_first(20)
    ledger.note(report(1, asked=9, answered=3, skipped=2, expired=1))
    ledger.note(report(2, asked=5, answered=3, skipped=1, expired=0))
    assert ledger.summary() == {
        "bought": 20,
        "spent": 8 + 5,
        "answered": 6,
        "skipped": 3,
        "expired": 1,
        "returned": 0,
    }


def test_ledger_survives_a_checkpoint() -> None:
    ledger = Ledger()
    ledger.grant_first(9)
    _note(ledger, 1, asked=4, expired=1)
    ledger.grant(5)
    _note(ledger, 2, asked=2)
    state = json.loads(json.dumps(ledger.to_state()))
    assert Ledger.from_state(state) == ledger
    assert Ledger.from_state(state).grant(1) == ledger.grant(1)


def test_progress_survives_a_checkpoint() -> None:
    bench = Bench()
    bench.round(honest)
    bench.round(
        lambda n, m: reply(
            m, report(n, grid=grid_of((n % 3, 2, 4)), refused="groups"), model(1.0)
        )
    )
    progress = bench.strategy.progress
    assert progress.cut is not None
    assert progress.refused
    progress.centres, progress.accuracy = b"\1\2", 0.75
    again = RunProgress.from_state(json.loads(json.dumps(progress.to_state())))
    assert again.to_state() == progress.to_state()
    names = ("rounds", "cut", "ledger", "applied", "classes", "refused", "centres")
    for name in (*names, "accuracy", "run"):
        assert getattr(again, name) == getattr(progress, name)
    assert again.applied == dict.fromkeys(range(FIRST_NODE, FIRST_NODE + 4), 1)


def test_a_checkpoint_of_before_accuracies_were_told_can_be_resumed() -> None:
    state = RunProgress().to_state()
    del state["accuracy"], state["run"]

    assert RunProgress.from_state(state) == RunProgress(run="")


def test_every_run_has_a_name_of_its_own() -> None:
    assert RunProgress().run != RunProgress().run


def test_device_that_comes_late_in_the_first_cycle_has_its_questions_bought() -> None:
    bench = Bench()
    sent = bench.send()
    two = {"asked": 2, "answered": 2, "class_counts": (1, 1, 0)}
    first = list(sent.values())[:3]
    bench.take([reply(m, report(m.metadata.dst_node_id, **two)) for m in first])
    ledger = bench.strategy.progress.ledger
    assert ledger.bought == ledger.spent == 3 * 2
    sent = bench.send()
    (late,) = [m for m in sent.values() if ask_of(m).cut is not None]
    bench.take([reply(late, report(late.metadata.dst_node_id, **two))])
    assert name_of(late.metadata.dst_node_id) in ledger.totals
    assert ledger.spent == 4 * 2
    assert ledger.bought == 4 * 2 + 6
