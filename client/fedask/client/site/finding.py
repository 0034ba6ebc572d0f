"""The result of one check of a device. Made by ``checkup`` and ``startup_check``."""

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """How a check ended."""

    GOOD = "good"
    DOUBTFUL = "doubtful"  # works, but is seldom meant
    WRONG = "wrong"  # does not work, or is not safe


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check of a device.

    Parameters
    ----------
    text
        One sentence for the owner.
    advice
        What to do about it; "" where it is good.
    """

    grade: Grade
    text: str
    advice: str = ""
    check: str = ""


def good(text: str) -> Finding:
    """Return the finding of a check without a problem."""
    return Finding(grade=Grade.GOOD, text=text)


def doubtful(text: str, advice: str) -> Finding:
    """Return the finding of a check whose result works, but is seldom meant."""
    return Finding(grade=Grade.DOUBTFUL, text=text, advice=advice)


def wrong(text: str, advice: str) -> Finding:
    """Return the finding of a check whose result does not work, or is not safe."""
    return Finding(grade=Grade.WRONG, text=text, advice=advice)
