"""Notes which functions of fedask run. Called by the trips; changes nothing they do.

A function counts once, however often it runs, and a file counts if a function in it
ran: an import, what runs because of it, a class body and a comprehension are no touch.
Code that was made while running (the methods of a dataclass) has no file, and is left
out.
"""

import inspect
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType

# (frame, what it returns; None while it begins) -> whether it is part of the trip.
Watch = Callable[[FrameType, object], bool]

_PACKAGE = "/fedask/"


class Touched:
    """What a trip came through, in the order of the first touch.

    Attributes
    ----------
    files
        Path below ``fedask/`` -> qualified names of its functions.
    """

    def __init__(self) -> None:
        self.files: dict[str, list[str]] = {}

    @property
    def functions(self) -> int:
        """How many functions ran."""
        return sum(len(names) for names in self.files.values())

    def add(self, code: CodeType) -> None:
        """Note a function; a second time changes nothing."""
        if code not in self:
            self.files.setdefault(_file_of(code), []).append(code.co_qualname)

    def __contains__(self, code: CodeType) -> bool:
        return code.co_qualname in self.files.get(_file_of(code), ())

    def within(self, root: str) -> "Touched":
        """Return what of it lies in one package, such as ``client``."""
        part = Touched()
        here = root + "/"
        part.files = {f: n for f, n in self.files.items() if f.startswith(here)}
        return part


class Tracer:
    """Listens in its thread and in those that start later; notes while told to."""

    def __init__(self) -> None:
        self.touched = Touched()
        self._on = False
        self._watch: Watch | None = None
        self._known: dict[int, tuple[CodeType, bool]] = {}

    @contextmanager
    def listening(self) -> Iterator["Tracer"]:
        """Hear of every call from now on; threads that run already are not heard."""
        before, before_threads = sys.getprofile(), threading.getprofile()
        threading.setprofile(self._hear)
        sys.setprofile(self._hear)
        try:
            yield self
        finally:
            sys.setprofile(before)
            threading.setprofile(before_threads)

    @contextmanager
    def noting(self, watch: Watch | None = None) -> Iterator[None]:
        """Note what runs in here, in whichever thread.

        Parameters
        ----------
        watch
            Tells which calls count. None: all.
        """
        self._on, self._watch = True, watch
        try:
            yield
        finally:
            self._on, self._watch = False, None

    def _hear(self, frame: FrameType, event: str, arg: object) -> None:
        if not self._on or event not in {"call", "return"}:
            return
        if event == "return" and self._watch is None:
            return  # it may have begun before the trip did
        if not self._counts(frame.f_code):
            return
        if self._watch is not None and not self._watch(frame, arg):
            return
        if frame.f_code not in self.touched and not _imports(frame):
            self.touched.add(frame.f_code)

    def _counts(self, code: CodeType) -> bool:
        known = self._known.get(id(code))
        if known is None:  # the code is kept, so that its id stays its own
            known = self._known[id(code)] = (code, _is_ours(code))
        return known[1]


def _is_ours(code: CodeType) -> bool:
    """Whether this is a function of fedask with a name."""
    is_function = bool(code.co_flags & inspect.CO_OPTIMIZED)  # no module, no class
    return is_function and code.co_name[0] != "<" and _PACKAGE in code.co_filename


def _imports(frame: FrameType | None) -> bool:
    """Whether a function runs because a module of fedask is being imported."""
    while frame is not None:
        code = frame.f_code
        if code.co_name == "<module>" and _PACKAGE in code.co_filename:
            return True
        frame = frame.f_back
    return False


def _file_of(code: CodeType) -> str:
    return code.co_filename.rpartition(_PACKAGE)[2]
