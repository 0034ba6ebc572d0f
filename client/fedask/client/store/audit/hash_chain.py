r"""Entries of the audit log, each chained to the one before by its hash.

Used by ``audit_log`` and ``audit_check``. Keeps nothing itself.

An entry never holds a sample, a label or a name: samples and people stand in it as
pseudonyms, which only the holder of the key can work out. ADR 11 says what the log
proves, and against whom.

Byte by byte: ``hash`` is SHA-256 over ``b"fedask audit 1\0"``, the hash of the entry
before (32 bytes), the number (8, big-endian), then ``at``, ``event`` and ``body``, each
as UTF-8 after its length (8, big-endian). ``mac`` is HMAC-SHA-256 of ``hash``. The
first entry follows ``genesis(log id)``.
"""

import hmac
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256

from typing_extensions import override

from fedask.client.records.audit_event import Event, Fact
from fedask.common.errors import ConfigError, StoreError
from fedask.common.ids import Annotator, Uid

MIN_KEY_BYTES = 32
MAX_NAMED = 4096  # samples of one entry; more of them make more entries
MAX_BODY = 1 << 17  # characters; what MAX_NAMED take is half of it
_PSEUDONYM_BYTES = 8  # of a million samples two share one in 3 of 10^8 devices

_FACT = re.compile(r"[a-z_]{1,32}")
_WORD = re.compile(r"[0-9a-z.:+-]{0,64}")
_MAX_INT = 1 << 63


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One entry, as it is kept.

    Parameters
    ----------
    number
        From 1, without gaps.
    at
        When, ISO 8601 in UTC.
    body
        JSON object, keys sorted, without spaces.
    previous, hash, mac
        32 bytes each.
    """

    number: int
    at: str
    event: str
    body: str
    previous: bytes = field(repr=False)
    hash: bytes = field(repr=False)
    mac: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The end of a log at some moment: may be printed and kept elsewhere.

    Parameters
    ----------
    number
        Of the last entry; 0 before the first.
    hash
        Of the last entry.
    """

    number: int
    hash: bytes

    @override
    def __str__(self) -> str:
        return f"{self.number}:{self.hash.hex()}"

    @classmethod
    def parse(cls, text: str) -> "Head":
        """Read what ``str`` wrote.

        Raises
        ------
        ConfigError
            If it is none.
        """
        found = re.fullmatch(r"([0-9]{1,18}):([0-9a-f]{64})", text.strip())
        if found is None:
            raise ConfigError(f"{text!r:.100} is no head: NUMBER:64 hexadecimal digits")
        return cls(number=int(found[1]), hash=bytes.fromhex(found[2]))


class AuditKey:
    """The key that authenticates a log and hides its names. It is never printed.

    Parameters
    ----------
    key
        At least 32 random bytes, of the device. What is used is derived from it, so
        that the same key may serve elsewhere.

    Raises
    ------
    ConfigError
        If it is too short.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < MIN_KEY_BYTES:
            raise ConfigError(f"an audit key must have at least {MIN_KEY_BYTES} bytes")
        self._entries = _derived(key, "entries")
        self._heads = _derived(key, "heads")
        self._names = _derived(key, "names")
        self.name = _derived(key, "name")[:_PSEUDONYM_BYTES].hex()

    def entry_mac(self, entry_hash: bytes) -> bytes:
        """Return the code that only this key gives an entry."""
        return hmac.digest(self._entries, entry_hash, "sha256")

    def head_mac(self, packed: bytes) -> bytes:
        """Return the code that only this key gives a head."""
        return hmac.digest(self._heads, packed, "sha256")

    def pseudonym(self, kind: str, name: str) -> str:
        """Return 16 hex digits for a ``sample`` or a ``person``."""
        text = f"{kind}\0{name}".encode()
        return hmac.digest(self._names, text, "sha256")[:_PSEUDONYM_BYTES].hex()

    def bodies(
        self, uids: Iterable[Uid], annotator: Annotator | None, facts: dict[str, Fact]
    ) -> list[str]:
        """Write the bodies of an event's entries: one, or more for many samples.

        Raises
        ------
        StoreError
            If a fact is one that a log must not hold: free text.
        """
        fixed: dict[str, Fact] = dict(facts)
        for name, fact in facts.items():
            _check_fact(name, fact)
        if annotator is not None:
            fixed["by"] = self.pseudonym("person", annotator)
        named = [self.pseudonym("sample", uid) for uid in uids]
        if not named:
            return [_canonical(fixed)]
        parts = (named[n : n + MAX_NAMED] for n in range(0, len(named), MAX_NAMED))
        return [
            _canonical({**fixed, "count": len(part), "samples": "".join(part)})
            for part in parts
        ]


def _derived(key: bytes, use: str) -> bytes:
    return hmac.digest(key, b"fedask audit 1 " + use.encode(), "sha256")


def _canonical(body: dict[str, Fact]) -> str:
    return json.dumps(body, sort_keys=True, separators=(",", ":"))


def _check_fact(name: str, fact: Fact) -> None:
    good = name not in {"by", "count", "samples"} and bool(_FACT.fullmatch(name))
    if isinstance(fact, str):
        good = good and bool(_WORD.fullmatch(fact))
    else:
        good = good and type(fact) is int and abs(fact) < _MAX_INT
    if not good:
        raise StoreError(
            f"the audit log holds numbers and short words, not this {name!r:.40}"
        )


def genesis(log_id: bytes) -> bytes:
    """Return the hash that the first entry of a log follows."""
    return sha256(b"fedask audit 1 genesis\0" + log_id).digest()


def entry_hash(number: int, at: str, event: str, body: str, previous: bytes) -> bytes:
    """Hash an entry. The layout is that of the module's description."""
    digest = sha256(b"fedask audit 1\0")
    digest.update(previous)
    digest.update(number.to_bytes(8, "big"))
    for text in (at, event, body):
        raw = text.encode()
        digest.update(len(raw).to_bytes(8, "big"))
        digest.update(raw)
    return digest.digest()


def next_entry(
    tip: Head, key: AuditKey, at: str, event: Event, body: str
) -> AuditEntry:
    """Make the entry that follows a head.

    >>> key, log_id = AuditKey(bytes(32)), bytes(16)
    >>> begin = Head(number=0, hash=genesis(log_id))
    >>> first = next_entry(begin, key, "2026-03-01T12:00:00+00:00", Event.OPENED, "{}")
    >>> head = Head(number=first.number, hash=first.hash)
    >>> second = next_entry(head, key, "2026-03-01T12:00:01+00:00", Event.SCORED, "{}")
    >>> second.number, second.previous == first.hash
    (2, True)
    """
    number = tip.number + 1
    made = entry_hash(number, at, event, body, tip.hash)
    return AuditEntry(
        number=number,
        at=at,
        event=event.value,
        body=body,
        previous=tip.hash,
        hash=made,
        mac=key.entry_mac(made),
    )
