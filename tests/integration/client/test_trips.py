"""How many files and functions a message and an answer come through: no more than so.

`python -m tests.trips` prints all trips; one that got shorter is entered in MOST.
"""

import pytest
from tests.trips.trips import MOST, trace


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(MOST))
def test_a_trip_comes_through_no_more_than_it_did(name: str) -> None:
    touched = trace(name)

    files, functions = MOST[name]
    assert len(touched.files) <= files
    assert touched.functions <= functions
