"""The site: it builds without a warning, and loads nothing from other machines."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.docs.blocks import DOCS, PAGES
from tests.support.docs.extensions import extension


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_site_builds_strictly_and_needs_no_network(tmp_path: Path) -> None:
    offline = extension("offline")
    strict = ("--fail-on-warning", "--keep-going", "--quiet", "--fresh-env")
    built = subprocess.run(  # noqa: S603  (our own documentation)
        [sys.executable, "-m", "sphinx", *strict, DOCS, tmp_path / "site"],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert built.returncode == 0, built.stderr
    assert list(offline.remote_loads(tmp_path / "site")) == []
    for page in PAGES:
        if page.is_relative_to(DOCS):
            html = page.relative_to(DOCS).with_suffix(".html")
            assert (tmp_path / "site" / html).exists()
