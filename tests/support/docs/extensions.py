"""The extensions of the site, which are no package. Called by their tests."""

import importlib
import sys
from types import ModuleType

from tests.support.docs.blocks import DOCS


def extension(name: str) -> ModuleType:
    """Import one, from their folder."""
    folder = str(DOCS / "_ext")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module(name)
