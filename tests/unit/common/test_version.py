from importlib import metadata

import fedask.common


def test_the_version_is_that_of_the_metadata() -> None:
    assert fedask.common.__version__ == metadata.version("fedask")
