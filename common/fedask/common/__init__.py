"""What both sides must agree on. Imports neither client nor server."""

from fedask.common.task import Task

__all__ = ["Task"]
