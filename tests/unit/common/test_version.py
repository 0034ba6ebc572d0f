from importlib import metadata

import fedask


def test_the_version_is_that_of_the_metadata() -> None:
    assert fedask.__version__ == metadata.version("fedask")
