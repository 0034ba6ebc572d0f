"""A device with something to exchange: every medium, people, and what they said."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count

from tests.support.client.clock import FakeClock
from typing_extensions import override

from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.records.annotation import SKIP, UNSURE, Choice, Label
from fedask.client.records.exhibit import Exhibit, Medium, Part
from fedask.client.store.memory import MemoryStore
from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.errors import DataError
from fedask.common.ids import Uid

Store = MemoryStore | SqliteStore

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
CLASSES = ("cat", "=dog", "it's <a> bird")
UIDS = [Uid(f"{number:032x}") for number in range(1, 9)]
PNG = b"\x89PNG not really"
TEXT = "<script>alert(1)</script>\nGrüße"
SERIES = json.dumps({"names": ["X", "step"], "rows": [[1, 2], [3, 4.5]]}).encode()


def part(medium: Medium, name: str = "") -> Part:
    contents = {
        Medium.IMAGE: PNG,
        Medium.JPEG: b"\xff\xd8 not really",
        Medium.AUDIO: b"RIFF not really",
        Medium.TEXT: TEXT.encode(),
        Medium.SERIES: SERIES,
    }
    return Part(name=name, medium=medium, content=contents[medium])


class Shown(Exhibit):
    """Shows the same of every sample, unless told otherwise."""

    def __init__(
        self,
        parts: Sequence[Part] = (part(Medium.IMAGE),),
        others: Mapping[Uid, Sequence[Part]] | None = None,
        gone: Sequence[Uid] = (),
    ) -> None:
        self.usual, self.others, self.gone = parts, others or {}, gone

    @override
    def parts(self, uid: Uid) -> tuple[Part, ...]:
        if uid in self.gone:
            msg = f"sample {uid} is no longer in the pool"
            raise DataError(msg)
        return tuple(self.others.get(uid, self.usual))


def desk(store: Store, rule: str = "two") -> Desk:
    clock = FakeClock(NOON + timedelta(hours=1))
    tokens = count()
    settings = DeskSettings(classes=len(CLASSES), rule=rule)
    return Desk(
        store.annotations, clock, settings, tokens=lambda: f"token-{next(tokens)}"
    )


def busy(store: Store) -> Store:
    """Queue all samples, and let people and an oracle say something of six of them."""
    store.queue.add(1, UIDS)
    settings = DeskSettings(classes=len(CLASSES), rule="two")
    for minute, who in enumerate(("ann", "bob@site.org")):
        clock = FakeClock(NOON + timedelta(minutes=minute))
        office = Desk(store.annotations, clock, settings)
        sayings: list[Choice] = [Label(0), Label(minute), Label(2), UNSURE, SKIP]
        leases = {lease.uid: lease for lease in office.lease(who, 5)}
        for number, (uid, said) in enumerate(zip(UIDS, sayings, strict=False)):
            if uid in leases:
                token = leases[uid].token
                office.submit(who, uid, token, said, f"{who}-{number}")
    store.queue.answer({UIDS[5]: 1})
    return store
