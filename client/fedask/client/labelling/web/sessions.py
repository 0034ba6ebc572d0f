"""Keeps the sessions of those who are signed in. Called by the page at each request.

A session is a random number in the browser's cookie; here, and in the file where one is
kept, stands only its hash, so that neither a copy of the file nor of the memory lets
anybody in. It ends when nobody uses it, when the shift is over, on signing out, and
when the person's password changes.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from fedask.client.base.private_file import write_private
from fedask.common.clock import Clock
from fedask.common.errors import ConfigError
from fedask.common.ids import Annotator, parse_annotator

MAX_SESSIONS = 10  # of one person: browsers at once; the oldest goes
MAX_ALL = 1000
_MAX_FILE_BYTES = 1 << 20
_BYTES = 32
_WRITTEN_EVERY = timedelta(minutes=1)  # what is lost of "last used" by a power cut


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The session of an annotator.

    Parameters
    ----------
    stamp
        Of their login, when they signed in; "" without logins.
    born, used
        When it began, and when it was last used.
    """

    annotator: Annotator
    stamp: str
    born: datetime
    used: datetime


class Sessions:
    """All sessions.

    Parameters
    ----------
    idle_s, shift_s
        Seconds without use, and in all, after which one ends.
    path
        File in which they outlive a restart; None: they do not.

    Raises
    ------
    ConfigError
        If the file is damaged.
    StoreError
        From what changes a session, if the file cannot be written.
    """

    def __init__(
        self,
        clock: Clock,
        idle_s: float,
        shift_s: float,
        path: Path | None = None,
        tokens: Callable[[], str] = lambda: secrets.token_urlsafe(_BYTES),
    ) -> None:
        self._clock = clock
        self._idle = timedelta(seconds=idle_s)
        self._shift = timedelta(seconds=shift_s)
        self._path = path
        self._tokens = tokens
        self._open: dict[str, Session] = {} if path is None else _read(path)
        self._written = clock.now()

    def begin(self, annotator: Annotator, stamp: str) -> str:
        """Begin a session and return its cookie."""
        now = self._clock.now()
        kept = {k: s for k, s in self._open.items() if not self._is_over(s, now)}
        self._open, cookie = kept, self._tokens()
        mine = [k for k, s in self._open.items() if s.annotator == annotator]
        gone = mine[: len(mine) + 1 - MAX_SESSIONS] if len(mine) >= MAX_SESSIONS else []
        if len(self._open) >= MAX_ALL:
            gone.append(next(iter(self._open)))
        for key in gone:
            self._open.pop(key, None)
        self._open[_key(cookie)] = Session(
            annotator=annotator, stamp=stamp, born=now, used=now
        )
        self._write(now)
        return cookie

    def find(
        self, cookie: str, stamp_of: Callable[[str], str | None]
    ) -> Session | None:
        """Return the session of a cookie, and count this as use; None if it is over.

        Parameters
        ----------
        stamp_of
            Annotator to the stamp of their login now; None if there is none any more.
        """
        now = self._clock.now()
        key = _key(cookie)
        session = self._open.get(key)
        if session is None:
            return None
        if self._is_over(session, now) or stamp_of(session.annotator) != session.stamp:
            self.end(cookie)
            return None
        self._open[key] = session = replace(session, used=now)
        if abs(now - self._written) > _WRITTEN_EVERY:
            self._write(now)
        return session

    def end(self, cookie: str) -> None:
        """End a session, if there is one."""
        if self._open.pop(_key(cookie), None) is not None:
            self._write(self._clock.now())

    def _is_over(self, session: Session, now: datetime) -> bool:
        # abs: after a clock was set back far, nobody knows how old a session is.
        idle, age = abs(now - session.used), abs(now - session.born)
        return idle > self._idle or age > self._shift

    def _write(self, now: datetime) -> None:
        self._written = now
        if self._path is not None:
            rows = {
                key: [s.annotator, s.stamp, s.born.isoformat(), s.used.isoformat()]
                for key, s in self._open.items()
            }
            kept = json.dumps({"format": 1, "sessions": rows}, indent=1)
            write_private(self._path, [kept.encode()])


def csrf_of(cookie: str) -> str:
    """Return the secret that a request must bring besides the cookie."""
    return hmac.new(cookie.encode(), b"csrf", hashlib.sha256).hexdigest()


def _key(cookie: str) -> str:
    return hashlib.sha256(cookie.encode("utf-8", "surrogateescape")).hexdigest()


def _read(path: Path) -> dict[str, Session]:
    if not path.exists():
        return {}
    try:
        with path.open("rb") as file:
            kept = json.loads(file.read(_MAX_FILE_BYTES + 1))
        rows = kept["sessions"].items()
        return {str(key): _session(*row) for key, row in rows}
    except Exception as err:
        raise ConfigError(
            f"{path} is no file of sessions, or damaged: delete it, people sign in "
            "again"
        ) from err


def _session(annotator: str, stamp: str, born: str, used: str) -> Session:
    return Session(
        annotator=parse_annotator(annotator),
        stamp=str(stamp),
        born=datetime.fromisoformat(born),
        used=datetime.fromisoformat(used),
    )
