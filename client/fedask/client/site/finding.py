"""What a check of a device found. Made by ``checkup`` and ``outlets``."""

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """How a check ended."""

    GOOD = "good"
    DOUBTFUL = "doubtful"  # works, but is seldom meant
    WRONG = "wrong"  # does not work, or is not safe


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a check found.

    Parameters
    ----------
    check
        Its name.
    told
        What was found.
    mend
        What to do about it; "" where it is good.
    """

    check: str
    grade: Grade
    told: str
    mend: str = ""


def good(check: str, told: str) -> Finding:
    """Return that there is nothing to mend."""
    return Finding(check=check, grade=Grade.GOOD, told=told)
