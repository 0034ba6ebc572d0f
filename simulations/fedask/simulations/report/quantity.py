"""Numbers as text for people. Called by the report and the drawing; never parses."""

import math

_KILO = 1000.0
_MINUTE_S = 60.0


def percent(share: float | None, digits: int = 1) -> str:
    """Write a share in [0, 1] as per cent; what is not known as a dash."""
    if share is None or not math.isfinite(share):
        return "\N{EN DASH}"
    return f"{100 * share:.{digits}f} %"


def size(count_bytes: float) -> str:
    """Write a number of bytes with a decimal unit."""
    if not math.isfinite(count_bytes):
        return "\N{EN DASH}"
    if count_bytes < _KILO:
        return f"{count_bytes:.0f} B"
    if count_bytes < _KILO**2:
        return f"{count_bytes / _KILO:.1f} kB"
    return f"{count_bytes / _KILO**2:.1f} MB"


def duration(seconds: float) -> str:
    """Write a duration in seconds, from two minutes on in minutes and seconds."""
    if not math.isfinite(seconds):
        return "\N{EN DASH}"
    if seconds < 2 * _MINUTE_S:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), int(_MINUTE_S))
    return f"{minutes} min {rest} s"


def count(number: int | None) -> str:
    """Write a whole number, thousands apart; what is not known as a dash."""
    return "\N{EN DASH}" if number is None else f"{number:,}"


def plural(number: int, noun: str, nouns: str = "") -> str:
    """Write a number with its noun: 1 seed, 3 seeds."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def change(saved: float | None) -> str:
    """Write labels saved as a change: 0.5 becomes "-50 %", -0.2 becomes "+20 %"."""
    if saved is None or not math.isfinite(saved):
        return "\N{EN DASH}"
    points = round(-100 * saved)
    return f"{points:+d} %" if points else "0 %"
