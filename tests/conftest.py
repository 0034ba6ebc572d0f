import logging
import os

import pytest
from hypothesis import settings

# The same examples in every run of a pipeline; a developer's machine looks further.
settings.register_profile("ci", derandomize=True, max_examples=60)
if os.environ.get("CI"):
    settings.load_profile("ci")

logging.getLogger("flwr").setLevel(logging.ERROR)


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leave out tests of the large data sets where FEDASK_DATA names no folder."""
    if os.environ.get("FEDASK_DATA"):
        return
    gone = [item for item in items if item.get_closest_marker("data")]
    config.hook.pytest_deselected(items=gone)
    items[:] = [item for item in items if item not in gone]
