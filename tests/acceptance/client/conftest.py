"""One Chromium per file of tests: even idle it takes a tenth of a core."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.client.chrome import Browser, chromium, program


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    # On a developer's machine it may be missing; a pipeline must have it.
    if program() is None and "FEDASK_CI_MARK" not in os.environ:
        pytest.skip("Chromium is not installed")
    home: Path = tmp_path_factory.mktemp("chromium")
    with chromium(home) as found:
        yield found
