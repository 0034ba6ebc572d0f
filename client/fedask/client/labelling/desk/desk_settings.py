"""How the people of one device work together. Set by its owner, never by the server."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from fedask.client.base.prefixed_settings import check_kind, settings_under
from fedask.client.records.annotation import AgreementRule
from fedask.common.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskSettings:
    """How this device's people work together. Set by its owner.

    Parameters
    ----------
    classes
        Number of classes of the task: other labels are refused.
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

    classes: int
    rule: str = "one"
    lease_s: float = 600.0  # ten minutes: a coffee, not a lunch
    unsure: int = 2  # one may be tired; two in doubt are a hard sample
    controls: float = 0.0

    def __post_init__(self) -> None:
        AgreementRule.parse(self.rule, self.unsure)
        for name, ok in (
            ("classes", self.classes >= 1),
            ("lease_s", 0.0 < self.lease_s <= timedelta(days=365).total_seconds()),
            ("controls", 0.0 <= self.controls < 1.0),
        ):
            if not ok:
                msg = f"desk: {name} = {getattr(self, name)!r} is out of range"
                raise ConfigError(msg)

    @classmethod
    def from_node(cls, node: Mapping[str, object], classes: int) -> "DeskSettings":
        """Read ``desk-rule``, ``desk-lease-s``, ``desk-unsure``, ``desk-controls``.

        Parameters
        ----------
        node
            The owner's node configuration; other keys are not looked at, but one that
            begins with ``desk-``.
        classes
            Number of classes of the task.

        Raises
        ------
        ConfigError
            If a key or a value is wrong.
        """
        types = {"rule": str, "lease_s": float, "unsure": int, "controls": float}
        chosen: dict[str, Any] = {}
        for name, key, value in settings_under(node, "desk-", types):
            check_kind(key, value, types[name])
            chosen[name] = value
        return cls(classes=classes, **chosen)
