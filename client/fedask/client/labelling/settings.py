"""How the people of one device work together. Set by its owner, never by the server."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from fedask.client.labelling.verdict import Rule
from fedask.common.errors import ConfigError
from fedask.common.registry import nearest


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
        UNSURE verdicts after which a sample is given up.
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
        Rule.parse(self.rule, self.unsure)
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
        for key, value in node.items():
            name = key.removeprefix("desk-").replace("-", "_")
            if not key.startswith("desk-"):
                continue
            if name not in types:
                known = [f"desk-{each}".replace("_", "-") for each in types]
                msg = f"--node-config {key}: no such setting" + nearest(key, known)
                raise ConfigError(msg)
            whole = type(value) is int and types[name] is float
            if type(value) is not types[name] and not whole:
                msg = f"--node-config {key} = {value!r}: must be {types[name].__name__}"
                raise ConfigError(msg)
            chosen[name] = value
        return cls(classes=classes, **chosen)
