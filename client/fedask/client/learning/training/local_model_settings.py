"""When a device trains its local model. Set by its owner, never by the server."""

from dataclasses import dataclass

from fedask.common.settings import require


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
    SettingError
        If it is negative.
    """

    answers: int = 10  # fewer hardly move a model, and every training costs a round's

    def __post_init__(self) -> None:
        ok = self.answers >= 0
        require(ok, "answers", self.answers, "must be 0 (never) or more")

    @property
    def on(self) -> bool:
        """Whether it is ever trained."""
        return self.answers > 0
