"""One Chromium for all tests of the labelling page; each has contexts of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.acceptance.client.chrome import Browser, chromium


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    home: Path = tmp_path_factory.mktemp("chromium")
    with chromium(home) as found:
        yield found
