"""What a model was sure of, on both stores."""

from dataclasses import replace

from tests.support.client.questions import A, B, C, Store

from fedask.client.records.pseudo_label import PseudoLabel
from fedask.common.ids import Uid


def sure(
    uid: Uid, label: int = 1, *, control: bool = False, cycle: int = 1
) -> PseudoLabel:
    return PseudoLabel(
        uid=uid, label=label, confidence=0.99, control=control, cycle=cycle
    )


def test_it_comes_back_exactly_by_uid(store: Store) -> None:
    store.pseudo_labels.put([sure(B, 2), sure(A, control=True)])

    assert store.pseudo_labels.all() == [sure(A, control=True), sure(B, 2)]


def test_labels_follow_the_newest_model(store: Store) -> None:
    store.pseudo_labels.put([sure(A), sure(B)])

    store.pseudo_labels.put([sure(B, 2, cycle=2), sure(C, cycle=2)])

    assert store.pseudo_labels.all() == [sure(B, 2, cycle=2), sure(C, cycle=2)]


def test_a_control_stays_as_it_was_asked(store: Store) -> None:
    control = sure(A, 1, control=True)
    store.pseudo_labels.put([control])

    store.pseudo_labels.put([replace(control, label=2, cycle=2), sure(B)])
    store.pseudo_labels.put([sure(A, 2, cycle=3)])

    assert store.pseudo_labels.all() == [control]
