import pytest
from tests.support.client.questions import A, Store

from fedask.common.errors import ConfigError


def test_without_labels_there_may_be_any_classes(store: Store) -> None:
    store.classes.keep(["cat", "dog"])
    store.queue.add(1, [A])

    store.classes.keep(["dog", "cat"])


def test_labels_keep_the_names_of_their_classes_in_their_places(store: Store) -> None:
    store.classes.keep(["cat", "dog"])
    store.queue.add(1, [A])
    store.queue.answer({A: 1})

    store.classes.keep(["cat", "dog", "bird"])
    for names in (["dog", "cat", "bird"], ["cat", "dog"], []):
        with pytest.raises(ConfigError, match="the classes cat, dog, bird; the app"):
            store.classes.keep(names)


def test_when_the_last_label_is_erased_there_may_be_any_classes(store: Store) -> None:
    store.classes.keep(["cat", "dog"])
    store.queue.add(1, [A])
    store.queue.answer({A: 1})
    store.erasure.forget([A])

    store.classes.keep(["bird"])
