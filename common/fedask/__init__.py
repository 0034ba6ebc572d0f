"""Federated on-device active learning.

The one module above the four source roots: each of them holds a part of this package,
and an installed package holds all four. Imports none of them.
"""

from pkgutil import extend_path
from typing import TYPE_CHECKING

__all__ = ["__version__"]
__path__ = extend_path(__path__, __name__)

if TYPE_CHECKING:
    __version__: str
else:  # hidden, or a type checker would take any misspelt name for an attribute

    def __getattr__(name: str) -> str:
        """Read the version from the metadata when it is asked for: that reads files."""
        if name == "__version__":
            from importlib.metadata import version  # noqa: PLC0415

            return version(__name__)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
