"""Erasure of samples: its result, and the seam that does it.

Called by the device and its commands; kept by ``sqlite.erasure`` and
``memory.erasure``. What a model has learnt from it is not
undone here: the cycles that are returned say which models it went into.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from fedask.client.records.pool import Pool
from fedask.common.ids import Uid


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """The samples that one cycle's training used, by uid alone.

    Parameters
    ----------
    cycle
        From 1; 0 = the warm-up.
    uids
        Labelled samples, and others that the training used.
    """

    cycle: int
    uids: frozenset[Uid]


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """The result of an erasure, and what is left to be done.

    Parameters
    ----------
    cycles
        For each, the cycles it was trained in, ascending: every model of the fleet from
        the first of them on may have learnt from it. Older files did not record them.
    models
        Kinds of models in this device's store, if one of the samples was trained on. A
        local model that was trained on one is erased with it.
    clean
        Whether nothing of them is in the store's file any more. False while another
        process reads an older state: sealed remains stay until the store is next opened
        alone.
    """

    cycles: Mapping[Uid, tuple[int, ...]]
    models: tuple[str, ...]
    clean: bool


class ErasureStore(Protocol):
    """Erases samples for ever, and refuses them afterwards."""

    def forget(self, uids: Iterable[Uid]) -> Erased:
        """Erase everything that is kept of samples: key, labels, scores, payloads.

        They are never asked or taken in again. One that the store does not know is
        barred all the same; one that is forgotten already is no error, and what it was
        trained in is told again.

        Raises
        ------
        StoreError
            If the disk refuses; nothing is forgotten then.
        """

    def forgotten(self, uids: Iterable[Uid]) -> frozenset[Uid]:
        """Return which of these samples were forgotten."""


def remaining(pool: Pool, store: ErasureStore) -> Pool:
    """Return a pool without erased samples, whose files may still be there."""
    uids = [Uid(uid) for uid in pool.uids.tolist()]
    gone = store.forgotten(uids)
    return pool.part(uid for uid in uids if uid not in gone) if gone else pool
