"""Does at the desk, and with samples, what the page asks for. Knows no HTTP.

Called by ``page_app``. Nobody gets to see a sample that was not given to them, nor one
that they were given before its right to be shown ended.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

from fedask.client.base.worker_threads import WorkerThreads
from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.web.hints import Gain, Guess, Guesses, Hints
from fedask.client.labelling.web.page_json import MAX_NEAR, Answer
from fedask.client.records.annotation import Lease, Receipt
from fedask.client.records.exhibit import Exhibit, Part
from fedask.client.records.refusal import RightEndedError
from fedask.common.errors import ProtocolError
from fedask.common.ids import Annotator, Uid

R = TypeVar("R")
T = TypeVar("T")
DeskFactory = Callable[[], AbstractContextManager[Desk]]
MAX_SHOWN = 4096  # samples per annotator that they may look at again
MAX_DRAWN_BYTES = 64 << 20  # of drawn samples


def _entered(thing: T) -> AbstractContextManager[T]:
    """Return what enters a context manager, and leaves it again; others it keeps."""
    return thing if isinstance(thing, AbstractContextManager) else nullcontext(thing)


def _prepare(guesses: Guesses | None) -> None:
    if guesses is not None:
        guesses.prepare()


class PageHandlers:
    """The desk, the samples and the guesses, each in a thread of its own.

    All calls to the desk go through one thread with one connection: its transactions
    follow each other anyway. Samples are read and drawn in another, so that a large
    image never holds up an answer; guesses are made in a third, so that a model that
    loads holds up no sample.

    Parameters
    ----------
    desk_factory
        Opens a desk over a connection of its own, for the thread that calls it.
    exhibit
        Shows samples. If it is a context manager, it is entered and left in its thread.
    hints
        Gains are asked for in the thread of the desk, guesses in their own; both are
        entered and left there, as the exhibit is.
    """

    def __init__(
        self, desk_factory: DeskFactory, exhibit: Exhibit, hints: Hints
    ) -> None:
        @contextmanager
        def opened() -> Iterator[Desk]:
            with desk_factory() as desk, _entered(hints.gains):
                yield desk

        self._desk = WorkerThreads("desk", 1, opened)
        self._exhibit = WorkerThreads("exhibit", 1, lambda: _entered(exhibit))
        self._guesses = WorkerThreads("guesses", 1, lambda: _entered(hints.guesses))
        self._preparing = hints.guesses is None  # nothing to prepare
        self._hints = hints
        self._shown: dict[Annotator, OrderedDict[Uid, None]] = {}
        self._drawn: OrderedDict[tuple[Uid, bool], tuple[Part, ...]] = OrderedDict()

    async def open(self) -> None:
        """Open the desk and the exhibit; raise what they raise."""
        await self.at_desk(lambda _: None)
        await self._at_exhibit(lambda _: None)

    async def close(self) -> None:
        """Close the desk and the exhibit, after all calls that were begun."""
        for threads in (self._guesses, self._exhibit, self._desk):
            await asyncio.to_thread(threads.shutdown)

    async def at_desk(self, work: Callable[[Desk], R]) -> R:
        """Return what some work at the desk returns, once it is its turn."""
        return await asyncio.wrap_future(self._desk.call(work))

    async def _at_exhibit(self, work: Callable[[Exhibit], R]) -> R:
        return await asyncio.wrap_future(self._exhibit.call(work))

    async def lease(self, who: Annotator, limit: int) -> list[tuple[Lease, list[Uid]]]:
        """Return the leases of an annotator, and the near-duplicates of each sample."""
        return await self.at_desk(lambda desk: self._lease(desk, who, limit))

    def _lease(
        self, desk: Desk, who: Annotator, limit: int
    ) -> list[tuple[Lease, list[Uid]]]:
        leases = [(lease, desk.near(lease.uid)) for lease in desk.lease(who, limit)]
        shown = self._shown.setdefault(who, OrderedDict())
        for lease, near in leases:
            for uid in (lease.uid, *near[:MAX_NEAR]):
                shown[uid] = None
                shown.move_to_end(uid)
        while len(shown) > MAX_SHOWN:
            shown.popitem(last=False)
        return leases

    async def submit(self, who: Annotator, answer: Answer) -> Receipt:
        """Keep an answer. Near-duplicates that wait no longer are left out."""
        return await self.at_desk(
            lambda desk: desk.submit(
                who,
                answer.uid,
                answer.token,
                answer.choice,
                answer.key,
                sorted({*answer.also} & {*desk.near(answer.uid)})
                if answer.also
                else (),
            )
        )

    async def release(self, who: Annotator) -> None:
        """End all leases of an annotator."""
        await self.at_desk(lambda desk: desk.release(who))
        self._shown.pop(who, None)

    async def gain(self) -> Gain | None:
        """Return what answers have gained; None if there is nothing to show."""
        gains = self._hints.gains
        if gains is None:
            return None
        return await self.at_desk(lambda _: gains.gain())

    async def parts(
        self, who: Annotator, uid: Uid, *, full: bool = False
    ) -> tuple[Part, ...]:
        """Return the parts of a sample that was leased to an annotator.

        Parameters
        ----------
        full
            Whether to look closer than a screen needs.

        Raises
        ------
        ProtocolError
            If it was not given to them.
        RightEndedError
            If it may not be shown any more.
        DataError
            If it cannot be read.
        """
        await self._check_shown(who, uid)
        return await self._at_exhibit(lambda exhibit: self._draw(exhibit, uid, full))

    async def guess(self, who: Annotator, uid: Uid) -> Guess | None:
        """Return the model's guess for a sample; None if there is none.

        Raises
        ------
        ProtocolError
            If it was not given to them.
        RightEndedError
            If it may not be shown any more.
        """
        await self._check_shown(who, uid)
        if self._hints.guesses is None:
            return None
        found = self._guesses.call(
            lambda guesses: None if guesses is None else guesses.guess(uid)
        )
        return await asyncio.wrap_future(found)

    def prepare_guesses(self) -> None:
        """Let the first guess be made as fast as any other; returns at once.

        Called when somebody has a sample on the screen: loading torch and a model takes
        seconds, in which they look at it. What goes wrong is told by the first guess.
        """
        if not self._preparing:
            self._preparing = True
            self._guesses.call(_prepare)

    async def _check_shown(self, who: Annotator, uid: Uid) -> None:
        if uid not in self._shown.get(who, ()):
            await self.lease(who, 0)  # what they held before the page was restarted
        if uid not in self._shown.get(who, ()):
            raise ProtocolError("this sample was not given to whoever asks for it")
        try:
            await self.at_desk(lambda desk: desk.check_right(uid))
        except RightEndedError:
            await self._at_exhibit(lambda _: self._forget(uid))
            raise

    def _forget(self, uid: Uid) -> None:
        for full in (False, True):
            self._drawn.pop((uid, full), None)

    def _draw(self, exhibit: Exhibit, uid: Uid, full: bool) -> tuple[Part, ...]:
        """Return the parts, drawn once for all the requests that fetch them."""
        drawn = uid, full
        if drawn not in self._drawn:
            show = exhibit.full_parts if full else exhibit.parts
            self._drawn[drawn] = show(uid)
        self._drawn.move_to_end(drawn)
        while len(self._drawn) > 1 and self._drawn_bytes() > MAX_DRAWN_BYTES:
            self._drawn.popitem(last=False)
        return self._drawn[drawn]

    def _drawn_bytes(self) -> int:
        parts = (part for each in self._drawn.values() for part in each)
        return sum(len(part.content) for part in parts) + 1024 * len(self._drawn)
