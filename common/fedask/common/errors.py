"""The error tree: one root, children by who must act. Imports nothing.

The command line turns each class into the exit code given here, so that a script can
tell "mend the scenario" from "try again later".
"""

from typing import ClassVar

__all__ = [
    "ConfigError",
    "DataError",
    "FedaskError",
    "OutcomeError",
    "PrivacyError",
    "ProtocolError",
    "SealError",
    "StoreError",
    "UnavailableError",
]


class FedaskError(Exception):
    """Something in fedask failed."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message if message is not None else (self.__doc__ or ""))


class ConfigError(FedaskError):
    """The configuration is wrong: the person who wrote it must act."""

    exit_code: ClassVar[int] = 2


class DataError(FedaskError):
    """The data is missing, damaged or does not fit the task: its owner must act."""

    exit_code: ClassVar[int] = 3


class StoreError(FedaskError):
    """The disk could not keep what it was given: the operator must act."""

    exit_code: ClassVar[int] = 4


class ProtocolError(FedaskError):
    """The other side sent something that must not be used."""

    exit_code: ClassVar[int] = 5


class PrivacyError(FedaskError):
    """Refused to protect the data; never retry."""

    exit_code: ClassVar[int] = 6


class UnavailableError(FedaskError):
    """Something needed is not there now; retrying may help."""

    exit_code: ClassVar[int] = 7


class OutcomeError(FedaskError):
    """The run ended, and shows nothing: whoever set it up must act."""

    exit_code: ClassVar[int] = 8


class SealError(StoreError):
    """What was sealed cannot be opened: its key is another one, or it was changed."""


def kind_of(reason: str) -> type[FedaskError]:
    """Return the kind of error that a reply tells of: ``ConfigError: no such class``.

    ``UnavailableError`` where it names none of ours.
    """
    name = reason.partition(":")[0]
    kinds = {kind.__name__: kind for kind in FedaskError.__subclasses__()}
    return kinds.get(name, UnavailableError)
