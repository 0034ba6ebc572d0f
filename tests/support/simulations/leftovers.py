"""Finds processes that a test has started, whoever started them on its behalf.

It looks for a variable that the whole family inherits: the test's own, not the one that
the product sets, since it is the product that is tested.
"""

import os
from pathlib import Path

VARIABLE = "FEDASK_TEST"


def left_over(value: str) -> list[str]:
    """Name the processes that have the variable with this value."""
    return [f"{pid} {_read(pid, 'cmdline')[:100]!r}" for pid in family(value)]


def family(value: str) -> list[int]:
    """List the pids of the processes that have it and are alive."""
    token = f"{VARIABLE}={value}".encode()
    pids = [int(folder.name) for folder in Path("/proc").glob("[0-9]*")]
    return [
        pid
        for pid in pids
        if pid != os.getpid()
        and token in _read(pid, "environ").split(b"\0")
        and b"Z" not in _read(pid, "stat").rpartition(b")")[2][:3]
    ]


def listening(pids: list[int]) -> set[str]:
    """List the addresses on which processes accept connections, without the port."""
    inodes = set()
    for pid in pids:
        for handle in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                inodes.add(str(handle.readlink()))
            except OSError:
                continue  # closed, or the process has ended
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == "0A" and f"socket:[{rest[5]}]" in inodes:
                found.add(_address(local.partition(":")[0]))
    return found


def _address(digits: str) -> str:
    """Write an address of /proc/net/tcp as people do; IPv4 within IPv6 as IPv4."""
    words = [digits[at : at + 8] for at in range(0, len(digits), 8)]
    if words[:3] == ["00000000", "00000000", "FFFF0000"]:
        words = words[3:]
    if len(words) == 1:
        return ".".join(str(byte) for byte in bytes.fromhex(words[0])[::-1])
    return digits


def _read(pid: int, name: str) -> bytes:
    try:
        return Path("/proc", str(pid), name).read_bytes()
    except OSError:
        return b""
