"""The small text files in which an operating system tells about the machine.

Called by the sensors. What cannot be read or makes no sense is None, never a guess.
"""

from pathlib import Path

_MOST = 4096  # bytes: a driver may say anything


def read_text(path: Path) -> str | None:
    """Return a file's text without white space around it; None if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(_MOST).decode().strip()
    except (OSError, UnicodeDecodeError):  # of a driver: the device is being taken out
        return None


def read_number(path: Path) -> int | None:
    """Return the whole number in a file; None if there is none."""
    text = read_text(path)
    try:
        return None if text is None else int(text)
    except ValueError:
        return None
