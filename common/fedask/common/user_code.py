"""The guard around a user's own code: whatever it raises becomes one sentence.

Called wherever a task, a scenario or an app brings a function of its own: its data,
model, transform, loss, scorer, people. The sentence says what failed, how, and where.
Imports nothing heavy; changes no result.
"""

import functools
import logging
import os
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb
from typing import Any

from fedask.common.errors import ConfigError, FedaskError

_LONGEST = 300  # letters of a message; torch's run to pages
_log = logging.getLogger(__name__)


@contextmanager
def user_code(what: str, given: object = None) -> Iterator[None]:
    """Turn what a user's own code raises into a sentence.

    Parameters
    ----------
    what
        What is called, as the user knows it: ``the task's transform``.
    given
        The function or object that is called: where it is defined is told when the
        error comes out of a library.

    Raises
    ------
    ConfigError
        If the code raises anything but an error of fedask, which goes through.

    Examples
    --------
    >>> with user_code("the task's transform"):
    ...     int("ten")
    Traceback (most recent call last):
    ...
    fedask.common.errors.ConfigError: the task's transform fails: ValueError: ...
    """
    try:
        yield
    except FedaskError:
        raise
    except Exception as err:
        _log.info("%s fails", what, exc_info=err)  # -v shows all of it
        raise ConfigError(f"{what} fails: {told(err, given)}") from err


def told(err: Exception, given: object = None) -> str:
    """Say in one line what was raised, and where in the user's code.

    Parameters
    ----------
    given
        As for ``user_code``.
    """
    text = " ".join(str(err).split())
    if len(text) > _LONGEST:
        text = text[:_LONGEST].rstrip() + " ..."
    kind = type(err).__name__
    place = _raised_at(err) or defined_at(given)
    return (f"{kind}: {text}" if text else kind) + (f" ({place})" if place else "")


def defined_at(given: object) -> str:
    """Return ``file:line`` of a user's own function or object, "" of any other."""
    while isinstance(given, functools.partial):
        given = given.func
    kind: Any = type(given)
    tried = (given, getattr(given, "__init__", None))
    for function in (*tried, getattr(kind, "forward", None), kind.__call__):
        code = getattr(function, "__code__", None)
        if code is not None and _is_own(code.co_filename):
            return _place(code.co_filename, code.co_firstlineno)
    return ""


def _raised_at(err: Exception) -> str:
    """Return ``file:line`` of the innermost line of the user's own, or ""."""
    if isinstance(err, SyntaxError) and err.filename and err.lineno:
        return _place(err.filename, err.lineno)
    place = ""
    for frame, line in walk_tb(err.__traceback__):
        if _is_own(frame.f_code.co_filename):
            place = _place(frame.f_code.co_filename, line)
    return place


def _is_own(file: str) -> bool:
    """Tell whether a source file is neither Python's, nor a package's, nor ours."""
    if file.startswith("<"):
        return False
    return not file.startswith(_libraries())


@functools.cache
def _libraries() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    installed = {paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")}
    ours = {str(path) for path in sys.modules["fedask"].__path__}
    return tuple(str(path) + os.sep for path in sorted(installed | ours))


def _place(file: str, line: int) -> str:
    path = Path(file)
    here = Path.cwd()
    shown = path.relative_to(here) if path.is_relative_to(here) else path
    return f"{shown}:{line}"
