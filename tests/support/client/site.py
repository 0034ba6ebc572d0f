"""A site with a device and its labelling page, on loopback. For the page's tests."""

import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.applications import Starlette
from tests.support.client.clock import FakeClock

from fedask.client.data.rendering.showcase import Show, Showcase
from fedask.client.data.sources.array_source import ArraySource
from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.labelling.web.hints import Hints
from fedask.client.labelling.web.page_app import labelling_page
from fedask.client.labelling.web.page_server import server_of
from fedask.client.labelling.web.page_settings import PageSettings
from fedask.client.records.annotation import Annotation
from fedask.client.records.device_store import Waiting
from fedask.client.records.pool import DataSource, Pool
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.grid import Scored
from fedask.common.ids import Uid

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


class Site:
    """A device whose samples all wait for an answer, and its page.

    The page can be stopped and started again at the same address.
    """

    def __init__(
        self,
        folder: Path,
        samples: NDArray[Any] | DataSource,
        classes: Sequence[str],
        shows: Mapping[str, Show] | None = None,
        near: Sequence[tuple[int, int]] = (),
        hints: Hints | None = None,
        **settings: Any,  # noqa: ANN401  (of PageSettings)
    ) -> None:
        self.path = folder / "device.db"
        self.clock = FakeClock(NOON)
        self.tokens: list[str] = []
        self.hints = hints
        if isinstance(samples, np.ndarray):
            samples = ArraySource(samples)
        self.pool = Pool(samples)
        self.exhibit = Showcase(self.pool, shows)
        self.settings = PageSettings(
            classes=tuple(classes),
            port=free_port(),
            sessions=folder / "sessions.json",
            **settings,
        )
        self.uids = [Uid(uid) for uid in self.pool.uids.tolist()]
        store = SqliteStore(self.path)
        store.queue.add(1, self.uids)
        step = 1.0 / (2 * len(self.uids))
        scores = {uid: 1.0 - step * at for at, uid in enumerate(self.uids)}
        pairs = [(self.uids[a], self.uids[b]) for a, b in near]
        kept = np.array(self.uids, dtype=np.str_)
        none = Scored(kept[:0], np.zeros(0, np.float32), np.zeros(0, np.int64))
        store.scores.put("0" * 16, none, Waiting(scores=scores, near=pairs))
        store.close()
        self._open = ExitStack()

    @contextmanager
    def desk(self) -> Iterator[Desk]:
        store = SqliteStore(self.path)
        try:
            yield Desk(
                store.annotations,
                self.clock,
                DeskSettings(classes=len(self.settings.classes)),
            )
        finally:
            store.close()

    def start(self) -> None:
        """Run the page in a thread, until it answers."""
        app = labelling_page(
            self.desk,
            self.exhibit,
            self.settings,
            self.clock,
            self.tokens.append,
            self.hints,
        )
        self._open.enter_context(running(app, self.settings))

    def stop(self) -> None:
        """Stop the page as a signal would."""
        self._open.close()

    @contextmanager
    def running(self) -> Iterator["Site"]:
        self.start()
        try:
            yield self
        finally:
            self.stop()

    @property
    def address(self) -> str:
        scheme = "https" if self.settings.tls else "http"
        return f"{scheme}://127.0.0.1:{self.settings.port}"

    @property
    def link(self) -> str:
        """The link that lets one in, once."""
        return f"{self.address}/?token={self.tokens[-1]}"

    def answers(self) -> dict[Uid, int | None]:
        """Return what stands, uid to label."""
        return {v.uid: v.label for v in self.annotations() if v.undone is None}

    def annotations(self) -> list[Annotation]:
        """Return all that was ever said, newest first."""
        with self.desk() as desk:
            return desk.history(10_000)


@contextmanager
def running(app: Starlette, settings: PageSettings) -> Iterator[None]:
    """Run a page in a thread, from when it answers until it has ended."""
    server = server_of(app, settings)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until = monotonic() + 20
        while not server.started and thread.is_alive() and monotonic() < until:
            thread.join(0.01)
        assert server.started
        yield
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
