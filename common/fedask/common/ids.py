"""Names of things and stable hashes of them: the only place that makes an id.

A hash here decides who is asked, so each is a fixed function of its arguments: no
Python ``hash``, no process state, the same on every machine.
"""

import hashlib
import re
from typing import NewType, TypeGuard

import numpy as np
from numpy.typing import NDArray

from fedask.common.errors import ProtocolError

Uid = NewType("Uid", str)  # 32 hex digits: BLAKE2b-128 of a sample's content
Annotator = NewType("Annotator", str)  # who labels, as the site calls them
DeviceId = NewType("DeviceId", str)  # pseudonym of a device, chosen by its owner
ModelVersion = NewType("ModelVersion", str)  # 16 hex digits: BLAKE2b-64 of all arrays
PartDigest = NewType("PartDigest", str)  # 64 hex digits: BLAKE2b-256 of one array
ManifestHash = NewType("ManifestHash", str)  # 32 hex digits: BLAKE2b-128 of its bytes

_UID = re.compile(r"[0-9a-f]{32}")
_DEVICE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_ANNOTATOR = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,62}")
_MODEL_VERSION = re.compile(r"[0-9a-f]{16}")
_PART_DIGEST = re.compile(r"[0-9a-f]{64}")
_TWO_53 = float(2**53)


def content_uid(sample: NDArray[np.generic]) -> Uid:
    """Name a sample by its content: dtype, shape and bytes.

    Parameters
    ----------
    sample
        One sample, any shape and dtype. Equal arrays get equal uids on every machine.
    """
    array = np.asarray(sample, order="C")  # ascontiguousarray makes () into (1,)
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{array.dtype.str}{array.shape}".encode())
    digest.update(array.data)
    return Uid(digest.hexdigest())


def bytes_uid(data: bytes) -> Uid:
    """Name a sample by bytes.

    Not by what they decode to: that differs between versions of a library (JPEG), and
    with the options of the kind, and answers would be lost.
    """
    return content_uid(np.frombuffer(data, dtype=np.uint8))


def is_uid(text: object) -> TypeGuard[Uid]:
    """Tell whether something from outside has the form of a uid."""
    return isinstance(text, str) and _UID.fullmatch(text) is not None


def parse_device_id(text: object) -> DeviceId:
    """Check a device id that came from outside.

    Raises
    ------
    ProtocolError
        If it is not 1 to 63 letters, digits, dots, underscores or hyphens.
    """
    if not isinstance(text, str) or _DEVICE_ID.fullmatch(text) is None:
        raise ProtocolError(f"device id {text!r:.80} must be 1-63 of A-Z a-z 0-9 . _ -")
    return DeviceId(text)


def parse_annotator(text: object) -> Annotator:
    """Check an annotator's name that came from outside.

    Raises
    ------
    ProtocolError
        If it is not 1 to 63 letters, digits, dots, underscores, hyphens or at signs.
    """
    if not isinstance(text, str) or _ANNOTATOR.fullmatch(text) is None:
        raise ProtocolError(
            f"annotator {text!r:.80} must be 1-63 of A-Z a-z 0-9 . _ - @"
        )
    return Annotator(text)


def parse_model_version(text: object) -> ModelVersion:
    """Check a model version that came from outside.

    Raises
    ------
    ProtocolError
        If it is not 16 hexadecimal digits.
    """
    if not isinstance(text, str) or _MODEL_VERSION.fullmatch(text) is None:
        raise ProtocolError(f"model version {text!r:.80} must be 16 hexadecimal digits")
    return ModelVersion(text)


def is_part_digest(text: object) -> TypeGuard[PartDigest]:
    """Tell whether something from outside has the form of a part's digest."""
    return isinstance(text, str) and _PART_DIGEST.fullmatch(text) is not None


def unit_hash(*parts: str | int) -> float:
    """Map the parts to [0, 1), evenly and the same everywhere.

    Used for every choice that must look random but be repeatable: cold-start picks,
    the boundary bin of a cut, tie tickets.

    Examples
    --------
    >>> round(unit_hash("cycle", 1, "sample"), 6)
    0.508492
    """
    return (stable_seed(*parts) >> 11) / _TWO_53  # exact: never rounds up to 1


def stable_seed(*parts: str | int) -> int:
    """Map the parts to an integer in [0, 2**64): a seed for a named random stream."""
    text = "\x1f".join(str(part) for part in parts)
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def hash_uids(uids: NDArray[np.str_], salt: int) -> NDArray[np.float64]:
    """Map each uid to [0, 1), evenly, differently for every salt.

    The uid is a content hash already, so its first 64 bits only need mixing with the
    salt: the finaliser of SplitMix64 (Steele et al., OOPSLA 2014), vectorised.

    Parameters
    ----------
    uids
        (n,) str of at least 16 hexadecimal digits.
    salt
        Any non-negative integer below 2**64.

    Returns
    -------
    NDArray
        (n,) float64 in [0, 1); entry i belongs to uids[i].
    """
    words = np.array([int(uid[:16], 16) for uid in uids.tolist()], dtype=np.uint64)
    mixed = words ^ np.uint64(stable_seed("uid", salt))
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)).astype(np.float64) / _TWO_53
