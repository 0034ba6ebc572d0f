"""The labelling page of a device, and a person at it, over HTTP. For the trips."""

import io
import os
import re
import signal
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
from tests.trips.ward import fedask

_LINK = re.compile(r"http://\S+\?token=\S+")
_START_S, _LOOK_S = 30.0, 0.02
_INTERRUPTED = 130  # the exit code after Ctrl-C


class Page:
    """Somebody's open page: a session that was let in by its one-time link."""

    def __init__(self, http: httpx.Client, link: str) -> None:
        self._http = http
        http.get(link).raise_for_status()
        told = http.get("/api/start").raise_for_status().json()
        self._headers = {"x-csrf-token": str(told["csrf"])}

    def lease(self) -> dict[str, str]:
        """Return the sample that is asked first, with the token of its lease."""
        (first, *_) = self.post("/api/lease", limit=1)["leases"]
        return {"uid": first["uid"], "token": first["token"]}

    def post(self, path: str, **said: object) -> dict[str, Any]:
        """Send what the page would; returns the reply."""
        reply = self._http.post(path, json=said, headers=self._headers)
        told: dict[str, Any] = reply.raise_for_status().json()
        return told


def serve(site: Path, visit: Callable[[Page], None]) -> None:
    """Run ``fedask device serve`` in this thread while somebody visits its page.

    Parameters
    ----------
    visit
        What they do there, in another thread; the page ends with it, as by Ctrl-C.
    """
    told, ended = io.StringIO(), threading.Event()

    def person() -> None:
        try:
            link = _wait_for_link(told, ended)
            address = link.partition("/?")[0]
            with httpx.Client(base_url=address, trust_env=False) as http:
                visit(Page(http, link))
        finally:
            if not ended.is_set():
                os.kill(os.getpid(), signal.SIGINT)

    with ThreadPoolExecutor(1) as pool:
        visited = pool.submit(person)
        try:
            command = ("device", "serve", "--site", site, "--port", _free_port())
            fedask(*command, told=told, ends=_INTERRUPTED)
        finally:
            ended.set()
        visited.result()


def _wait_for_link(told: io.StringIO, ended: threading.Event) -> str:
    for _ in range(int(_START_S / _LOOK_S)):
        found = _LINK.search(told.getvalue())
        if found:
            return found[0]
        if ended.wait(_LOOK_S):
            break
    raise AssertionError(f"the page did not start: {told.getvalue()}")


def _free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])
