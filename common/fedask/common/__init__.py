"""What both sides must agree on. Imports neither client nor server."""

from typing import TYPE_CHECKING

__all__ = ["Task"]

if TYPE_CHECKING:
    from fedask.common.task import Task
else:  # hidden, or a type checker would take any misspelt name for an attribute

    def __getattr__(name: str) -> object:
        """Import ``Task``, and with it numpy, when it is asked for."""
        if name == "Task":
            from fedask.common.task import Task  # noqa: PLC0415  (imports numpy)

            return Task
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
