"""Labels stay what people meant, whatever the app makes of its classes."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from tests.support.client.folders import open_folder
from tests.support.client.world import SAMPLES, UIDS

from fedask.client.site.deployment import open_device
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.errors import ConfigError, ProtocolError
from fedask.common.task import Task


def use(path: Path, classes: Sequence[str], label: int | None = None) -> None:
    with closing(SqliteStore(path)) as store:
        store.classes.keep(classes)
        if label is not None:
            store.queue.add(1, [UIDS[0]])
            store.queue.answer({UIDS[0]: label})


def test_classes_in_another_order_are_refused_and_the_first_ones_stay(
    tmp_path: Path,
) -> None:
    path = tmp_path / "device.db"
    use(path, ["healthy", "ill"], label=1)

    with pytest.raises(ConfigError, match=r"are of the classes healthy, ill; the app"):
        use(path, ["ill", "healthy"])

    use(path, ["healthy", "ill"])


@pytest.mark.parametrize("classes", [["healthy"], ["healthy", "sick"], ["new", "ill"]])
def test_a_class_that_is_gone_or_called_otherwise_is_refused(
    tmp_path: Path, classes: list[str]
) -> None:
    path = tmp_path / "device.db"
    use(path, ["healthy", "ill"], label=0)

    with pytest.raises(ConfigError, match="with new ones at the end"):
        use(path, classes)


def test_new_classes_may_follow_and_are_kept_then(tmp_path: Path) -> None:
    path = tmp_path / "device.db"
    use(path, ["healthy", "ill"], label=1)

    use(path, ["healthy", "ill", "dead"])

    with pytest.raises(ConfigError, match="healthy, ill, dead; the app has"):
        use(path, ["healthy", "ill", "dry"])


def test_without_labels_there_may_be_any(tmp_path: Path) -> None:
    path = tmp_path / "device.db"
    use(path, ["healthy", "ill"])

    use(path, ["ill", "healthy"], label=1)

    with pytest.raises(ConfigError):
        use(path, ["healthy", "ill"])


def test_a_message_of_an_app_with_other_classes_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "pool.npy", SAMPLES)
    use(tmp_path / "device.db", ["cat", "dog"], label=1)
    swapped = Task(classes=["dog", "cat"])

    with (
        open_folder(tmp_path, {"data": {"data": "pool.npy"}}) as folder,
        pytest.raises(ProtocolError, match="the app has dog, cat"),
        open_device(folder, swapped),
    ):
        pass
