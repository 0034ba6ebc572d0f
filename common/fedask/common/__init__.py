"""What both sides must agree on. Used by client, server and simulations; imports neither."""

from fedask.common.task import Task

__all__ = ["Task"]
