"""Stops a process at its n-th system call, on Linux. Called by the crash bench.

``kill -9`` after a random time mostly hits a process that waits. Counted in system
calls, every step between two of them is as likely as any other, and the same number
hits the same place again.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass

from fedask.common.errors import UnavailableError

# <sys/ptrace.h>
_TRACEME, _CONT, _SYSCALL, _SETOPTIONS = 0, 7, 24, 0x4200
_SYSGOOD, _CLONE, _EXITKILL = 1, 8, 0x100000
_ALL_THREADS = 0x40000000  # __WALL
_AT_CALL = signal.SIGTRAP | 0x80


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a traced process ended.

    Parameters
    ----------
    calls
        Stops counted: one when a system call begins, one when it returns.
    status
        As ``os.waitpid`` gives it.
    """

    calls: int
    status: int


def spawn(work: Callable[[], None]) -> int:
    """Fork a process that does some work, stopped before it begins; returns its pid.

    Raises
    ------
    UnavailableError
        If this is not Linux, or processes may not be traced here.
    """
    if sys.platform != "linux":
        msg = "processes can be stopped at a system call on Linux only"
        raise UnavailableError(msg)
    pid = os.fork()
    if pid == 0:
        _work_traced(work)
    os.waitpid(pid, 0)
    if _ptrace(_SETOPTIONS, pid, _SYSGOOD | _CLONE | _EXITKILL) != 0:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        msg = "processes may not be traced here (ptrace is forbidden)"
        raise UnavailableError(msg)
    return pid


def _work_traced(work: Callable[[], None]) -> None:
    """Be the child: wait, work, leave without anything of the parent's."""
    status = 1
    try:
        _ptrace(_TRACEME, 0, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        work()
        status = 0
    finally:
        os._exit(status)


def run(pid: int, at: int, then: Callable[[], None]) -> Ended:
    """Let a process run to its ``at``-th stop, call ``then`` while it stands, go on.

    Parameters
    ----------
    pid
        From ``spawn``.
    then
        May kill it; may copy its files.
    """
    calls = 0
    _ptrace(_SYSCALL, pid, 0)
    while True:
        stopped, status = os.waitpid(-1, _ALL_THREADS)
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            if stopped == pid:
                return Ended(calls=calls, status=status)
            continue
        number = os.WSTOPSIG(status)
        passed = 0 if number in {signal.SIGTRAP, signal.SIGSTOP, _AT_CALL} else number
        if number == _AT_CALL:
            calls += 1
            if calls == at:
                then()
        _ptrace(_CONT if calls >= at else _SYSCALL, stopped, passed)


def _ptrace(request: int, pid: int, data: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    call = libc.ptrace
    call.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    call.restype = ctypes.c_long
    return int(call(request, pid, None, data))
