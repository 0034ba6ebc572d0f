"""What both sides must agree on. Imports neither client nor server."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fedask.common.task import Task

__all__ = ["Task"]


def __getattr__(name: str) -> object:
    """Import ``Task``, and with it numpy, when somebody asks for it."""
    if name == "Task":
        from fedask.common.task import Task  # noqa: PLC0415  (imports numpy)

        return Task
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
