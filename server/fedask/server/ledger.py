"""The budget ledger: quota bought, spent, returned. Called by the strategy.

Devices report totals since their set-up, so a lost or repeated reply changes nothing:
the latest report of each device is the whole truth about it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fedask.common.ids import DeviceId
from fedask.common.records import Report


@dataclass(slots=True)
class Ledger:
    """Labels that the fleet has bought, spent, and may still buy.

    Parameters
    ----------
    bought
        Labels granted so far, over all cycles.
    returned
        Labels granted in an earlier cycle but not asked then, or expired; they are
        granted again.
    totals
        Last totals of every device: asked, answered, skipped, expired.
    granted
        Labels that the last grant added. Not kept in a checkpoint: a grant is taken
        back in the round that made it, or never.
    """

    bought: int = 0
    returned: int = 0
    totals: dict[DeviceId, tuple[int, int, int, int]] = field(default_factory=dict)
    granted: int = field(default=0, compare=False)

    def note(self, report: Report) -> None:
        """Take a device's totals."""
        self.totals[report.device] = (
            report.asked,
            report.answered,
            report.skipped,
            report.expired,
        )

    def grant_first(self, labels: int) -> None:
        """Record what the first cycle's questions cost."""
        self.bought = labels

    def grant(self, quota: int, budget: int | None = None) -> int:
        """Buy ``quota`` more labels; returns how many may be asked now.

        That is the new quota plus everything bought before that was not spent, never
        less than 0.

        Parameters
        ----------
        budget
            Most labels to buy in all; the quota is cut to what is left of it.
        """
        if budget is not None:
            quota = min(quota, max(0, budget - self.bought))
        self.returned += max(0, self.bought - self.spent)
        self.bought += quota
        self.granted = quota
        return max(0, self.bought - self.spent)

    def take_back(self) -> None:
        """Undo the last grant: the cycle it was for does not come."""
        self.bought -= self.granted
        self.returned -= max(0, self.bought - self.spent)
        self.granted = 0

    @property
    def asked(self) -> int:
        """Labels ever asked, expired ones as often as they were asked."""
        return sum(asked for asked, *_ in self.totals.values())

    @property
    def spent(self) -> int:
        """Labels asked and not expired."""
        return sum(asked - expired for asked, _, _, expired in self.totals.values())

    def summary(self) -> dict[str, int]:
        """Return the sums over the fleet."""
        columns = list(zip(*self.totals.values(), strict=True)) or [(), (), (), ()]
        _, answered, skipped, expired = (sum(column) for column in columns)
        return {
            "bought": self.bought,
            "spent": self.spent,
            "answered": answered,
            "skipped": skipped,
            "expired": expired,
            "returned": self.returned,
        }

    def to_state(self) -> dict[str, Any]:
        """Return plain data for a checkpoint."""
        totals = {device: list(row) for device, row in self.totals.items()}
        return {"bought": self.bought, "returned": self.returned, "totals": totals}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Ledger":
        """Rebuild from ``to_state``."""
        totals = {
            DeviceId(d): (int(a), int(b), int(c), int(e))
            for d, (a, b, c, e) in state["totals"].items()
        }
        return cls(int(state["bought"]), int(state["returned"]), totals)
