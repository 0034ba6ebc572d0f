"""How many files and functions a message and an answer come through: no more than so.

`python -m tests.trips` prints all trips; one that got shorter is entered there.
"""

import pytest
from tests.trips.trips import BEFORE, trace


@pytest.mark.slow
@pytest.mark.parametrize("name", ["message", "answer"])
def test_a_trip_comes_through_no_more_than_it_did(name: str) -> None:
    touched = trace(name)

    files, functions = BEFORE[name]
    assert len(touched.files) <= files
    assert touched.functions <= functions
