"""The cut: what the server broadcasts so that devices know what to ask.

Made by a policy, carried by ``records.Ask``, kept in a device's store. Knows nothing of
messages.
"""

from dataclasses import dataclass

import numpy as np

from fedask.common.fields import MAX_COUNT, check_range
from fedask.common.sections import MAX_BINS

MAX_GROUPS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What the server broadcasts so that devices know what to ask.

    Parameters
    ----------
    cycle
        The cycle it is for; it expires with it.
    model_version
        Scores of this model only. "" asks without scores (the first cycle).
    nonce
        Varies the tie-breaking hash from cycle to cycle.
    theta
        Per group, the lowest bin that is bought whole. Empty: buy ``take`` instead.
    boundary
        Group of the one bin bought in part, or -1.
    rho
        Share of the boundary bin that each device may buy, rounded down, in [0, 1).
    take
        Samples per device, where the policy counts devices rather than bins.
    ticket
        A device whose hash lies below may buy one more, in [0, 1].
    watch
        Bin from which up devices count at the next scoring, where the policy follows
        one threshold (``tail``), or -1.
    """

    cycle: int
    model_version: str
    nonce: int
    theta: tuple[int, ...] = ()
    boundary: int = -1
    rho: float = 0.0
    take: int = 0
    ticket: float = 0.0
    watch: int = -1

    def __post_init__(self) -> None:
        check_range("cut cycle", self.cycle, 1, MAX_COUNT)
        check_range("cut nonce", self.nonce, 0, 2**63 - 1)
        check_range("cut groups", len(self.theta), 0, MAX_GROUPS)
        for theta in self.theta:
            check_range("cut theta", theta, 0, MAX_BINS)
        check_range("cut boundary", self.boundary, -1, len(self.theta) - 1)
        check_range("cut rho", self.rho, 0.0, 1.0)
        check_range("cut take", self.take, 0, MAX_COUNT)
        check_range("cut ticket", self.ticket, 0.0, 1.0)
        check_range("cut watch", self.watch, -1, MAX_BINS)

    def to_fields(self) -> dict[str, int | float | str | bytes]:
        """Return the fields of the wire form without the cycle; none is empty."""
        fields: dict[str, int | float | str | bytes] = {
            "model": self.model_version,
            "theta": np.array(self.theta, dtype="<u2").tobytes(),
            "rho": self.rho,
            "take": self.take,
            "ticket": self.ticket,
        }
        fields = {name: value for name, value in fields.items() if value}
        if self.boundary >= 0:
            fields["boundary"] = self.boundary
        if self.watch >= 0:
            fields["watch"] = self.watch
        return {"nonce": self.nonce, **fields}
