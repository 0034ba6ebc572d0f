"""What both sides must agree on. Imports neither client nor server."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fedask.common.task import Task

    __version__: str

__all__ = ["Task", "__version__"]


def __getattr__(name: str) -> object:
    """Import ``Task``, and with it numpy, or read the version, when it is asked for."""
    if name == "Task":
        from fedask.common.task import Task  # noqa: PLC0415  (imports numpy)

        return Task
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415  (reads files)

        return version("fedask")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
