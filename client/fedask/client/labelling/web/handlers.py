"""What the page's handlers do at the desk and with samples. No HTTP in here.

Called by the app. Nobody gets to see a sample that was not given to them, nor one that
they were given before its right to be shown ended.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.web.hints import Gain, Guess, Hints
from fedask.client.labelling.web.page_json import MAX_NEAR, Answer
from fedask.client.labelling.web.worker import Worker
from fedask.client.records.annotation import LabellingProgress, Lease, Receipt
from fedask.client.records.exhibit import Exhibit, Part
from fedask.client.records.refusal import RightEndedError
from fedask.common.errors import ProtocolError
from fedask.common.ids import Annotator, Uid

T = TypeVar("T")
DeskFactory = Callable[[], AbstractContextManager[Desk]]
MAX_SHOWN = 4096  # samples per annotator that they may look at again
MAX_KEPT_BYTES = 64 << 20  # of drawn samples
_LOOKED_BACK = 50  # annotations, for the one to be taken back


@contextmanager
def _opened(thing: T) -> Iterator[T]:
    """Enter what is a context manager, and leave it again."""
    if isinstance(thing, AbstractContextManager):
        with thing:
            yield thing
    else:
        yield thing


class PageHandlers:
    """The desk and the samples, each in its own thread.

    Parameters
    ----------
    desk_factory
        Opens a desk over a connection of its own, for the thread that calls it.
    exhibit
        Shows samples; called from one thread that is not the caller's. If it is a
        context manager, it is entered and left there.
    helps
        What else there is. Gains are asked for in the thread of the desk, guesses in
        that of the exhibit. Gains are entered and left there, as the exhibit is.
    """

    def __init__(
        self, desk_factory: DeskFactory, exhibit: Exhibit, helps: Hints
    ) -> None:
        @contextmanager
        def at_desk() -> Iterator[Desk]:
            with desk_factory() as desk, _opened(helps.gains):
                yield desk

        self._desk = Worker("desk", at_desk)
        self._exhibit = Worker("exhibit", lambda: _opened(exhibit))
        self._helps = helps
        self._shown: dict[Annotator, OrderedDict[Uid, None]] = {}
        self._kept: OrderedDict[Uid, tuple[Part, ...]] = OrderedDict()

    async def open(self) -> None:
        """Open both."""
        await self._desk.start()
        await self._exhibit.start()

    async def close(self) -> None:
        """Close both, after all that was begun."""
        await self._exhibit.stop()
        await self._desk.stop()

    async def lease(self, who: Annotator, limit: int) -> list[tuple[Lease, list[Uid]]]:
        """Return what somebody holds, and the near-duplicates of each."""
        return await self._desk.call(lambda desk: self._lease(desk, who, limit))

    def _lease(
        self, desk: Desk, who: Annotator, limit: int
    ) -> list[tuple[Lease, list[Uid]]]:
        given = [(lease, desk.near(lease.uid)) for lease in desk.lease(who, limit)]
        shown = self._shown.setdefault(who, OrderedDict())
        for lease, near in given:
            for uid in (lease.uid, *near[:MAX_NEAR]):
                shown[uid] = None
                shown.move_to_end(uid)
        while len(shown) > MAX_SHOWN:
            shown.popitem(last=False)
        return given

    async def submit(self, who: Annotator, answer: Answer) -> Receipt:
        """Keep an answer. Near-duplicates that wait no longer are left out."""

        def work(desk: Desk) -> Receipt:
            still = set(desk.near(answer.uid)) if answer.also else set()
            also = [uid for uid in answer.also if uid in still]
            return desk.submit(
                who, answer.uid, answer.token, answer.said, answer.key, also
            )

        return await self._desk.call(work)

    async def undo(self, who: Annotator, key: str | None) -> Uid | None:
        """Take back somebody's last answer.

        Parameters
        ----------
        key
            Of the answer that is meant: taken back once, however often this is said.
            None: whatever was last.

        Raises
        ------
        ProtocolError
            If they have answered something else since.
        """

        def work(desk: Desk) -> Uid | None:
            if key is None:
                return desk.undo(who)
            held = {lease.uid for lease in desk.lease(who, 0)}
            for annotation in desk.history(_LOOKED_BACK, who):
                if annotation.key == key:
                    return annotation.uid if annotation.undone else desk.undo(who)
                if annotation.undone is None and annotation.uid not in held:
                    break
            msg = "another answer was given since: take that one back first"
            raise ProtocolError(msg)

        return await self._desk.call(work)

    async def release(self, who: Annotator) -> None:
        """Give back all that somebody holds."""
        await self._desk.call(lambda desk: desk.release(who))
        self._shown.pop(who, None)

    async def progress(self, who: Annotator) -> LabellingProgress:
        """Return how far the labelling is, for somebody to see."""
        return await self._desk.call(lambda desk: desk.progress(who))

    async def gain(self) -> Gain | None:
        """Return what the answers have bought, if it is known and worth telling."""
        gains = self._helps.gains
        if gains is None:
            return None
        return await self._desk.call(lambda _: gains.gain())

    async def parts(self, who: Annotator, uid: Uid) -> tuple[Part, ...]:
        """Return what somebody is shown of a sample.

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
        return await self._exhibit.call(lambda exhibit: self._drawn(exhibit, uid))

    async def guess(self, who: Annotator, uid: Uid) -> Guess | None:
        """Return what the model takes a sample for, if it says.

        Raises
        ------
        ProtocolError
            If it was not given to them.
        RightEndedError
            If it may not be shown any more.
        """
        await self._check_shown(who, uid)
        guesses = self._helps.guesses
        if guesses is None:
            return None
        return await self._exhibit.call(lambda _: guesses.guess(uid))

    async def _check_shown(self, who: Annotator, uid: Uid) -> None:
        if uid not in self._shown.get(who, ()):
            await self.lease(who, 0)  # what they held before the page was restarted
        if uid not in self._shown.get(who, ()):
            msg = "this sample was not given to whoever asks for it"
            raise ProtocolError(msg)
        try:
            await self._desk.call(lambda desk: desk.check_right(uid))
        except RightEndedError:
            await self._exhibit.call(lambda _: self._kept.pop(uid, None))
            raise

    def _drawn(self, exhibit: Exhibit, uid: Uid) -> tuple[Part, ...]:
        """Return the parts, drawn once for all the requests that fetch them."""
        if uid not in self._kept:
            self._kept[uid] = exhibit.parts(uid)
        self._kept.move_to_end(uid)
        while len(self._kept) > 1 and self._kept_bytes() > MAX_KEPT_BYTES:
            self._kept.popitem(last=False)
        return self._kept[uid]

    def _kept_bytes(self) -> int:
        parts = (part for each in self._kept.values() for part in each)
        return sum(len(part.content) for part in parts) + 1024 * len(self._kept)
