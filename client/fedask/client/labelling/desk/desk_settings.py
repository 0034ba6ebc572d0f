"""How the people of one device work together. Set by its owner, never by the server."""

from dataclasses import dataclass, field
from datetime import timedelta

from fedask.client.records.annotation import AgreementRule
from fedask.common.settings import NOT_IN_FILE, require


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskSettings:
    """How this device's people work together. Set by its owner.

    Parameters
    ----------
    classes
        Number of classes of the task: other labels are refused. In no file: set by who
        opens a desk.
    rule
        ``one``, ``two`` or ``majority:N``.
    lease_s
        Seconds until a sample that nobody answered goes to somebody else.
    unsure
        UNSURE annotations after which a sample is given up.
    controls
        Share of leases, in [0, 1), that are controls: of a known label, hidden among
        the others.

    Raises
    ------
    ConfigError
        If one is out of range.
    """

    classes: int = field(default=1, metadata=NOT_IN_FILE)
    rule: str = "one"
    lease_s: float = 600.0  # ten minutes: a coffee, not a lunch
    unsure: int = 2  # one may be tired; two in doubt are a hard sample
    controls: float = 0.0

    def __post_init__(self) -> None:
        AgreementRule.parse(self.rule, self.unsure)
        year_s = timedelta(days=365).total_seconds()
        for name, ok, rule in (
            ("classes", self.classes >= 1, "must be at least 1"),
            (
                "lease_s",
                0.0 < self.lease_s <= year_s,
                "must be above 0, at most a year",
            ),
            ("controls", 0.0 <= self.controls < 1.0, "must lie in [0, 1)"),
        ):
            require(ok, name, getattr(self, name), rule)
