"""When a device trains its local model. Set by its owner, never by the server."""

from collections.abc import Mapping
from dataclasses import dataclass

from fedask.client.base.prefixed_settings import check_kind, settings_under
from fedask.common.errors import ConfigError

PREFIX = "own-"
_ANSWERS = PREFIX + "answers"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalModelSettings:
    """When a device trains its local model.

    Parameters
    ----------
    answers
        How many new answers it takes to train it anew; 0: never, and the store keeps no
        global model for it.

    Raises
    ------
    ConfigError
        If it is negative.
    """

    answers: int = 10  # fewer hardly move a model, and every training costs a round's

    def __post_init__(self) -> None:
        if self.answers < 0:
            raise ConfigError(f"{_ANSWERS} = {self.answers}: must be 0 (never) or more")

    @property
    def on(self) -> bool:
        """Whether it is ever trained."""
        return self.answers > 0

    @classmethod
    def from_node(cls, node: Mapping[str, object]) -> "LocalModelSettings":
        """Read ``own-answers``.

        Parameters
        ----------
        node
            The owner's node configuration; other keys are not looked at, but one that
            begins with ``own-``.

        Raises
        ------
        ConfigError
            If a key or a value is wrong.
        """
        chosen: dict[str, int] = {}
        for name, key, value in settings_under(node, PREFIX, {"answers"}):
            check_kind(key, value, int)
            chosen[name] = value
        return cls(**chosen)
