"""The model of a message, made whole with the parts that the device holds.

Called by the ClientApp for every message that carries a model. What came is checked
before it is kept or used, and what was kept is checked when it is read.
"""

import logging
from dataclasses import dataclass

from flwr.app import RecordDict

from fedask.client.records.part_store import PartStore
from fedask.client.round.message import read_model
from fedask.common.array_rules import check_model
from fedask.common.arrays import Arrays
from fedask.common.errors import ProtocolError, StoreError
from fedask.common.ids import DeviceId, PartDigest
from fedask.common.manifest import Manifest
from fedask.common.part_record import PART_ARRAYS, PARTS, PartList, read_parts
from fedask.common.weights import ArraySpec

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReceivedModel:
    """What a device makes of the model in a message.

    Parameters
    ----------
    arrays
        By the names of the manifest; None if the device lacks parts of it.
    lacking
        What the server is to send next time: the parts that are missing, or those that
        came and could not be kept.
    """

    arrays: Arrays | None
    lacking: frozenset[PartDigest] = frozenset()


_kept: tuple[tuple[object, ...], ReceivedModel] | None = None


def receive(
    content: RecordDict, manifest: Manifest, store: PartStore, device: DeviceId
) -> ReceivedModel:
    """Read the model of a message; once for devices that share message and store.

    Parameters
    ----------
    manifest
        Of the device's own model.
    store
        Where the device keeps parts.

    Raises
    ------
    ProtocolError
        If arrays or parts do not fit the manifest, are not what their digests say, or
        hold values that no sane model has; or if the device asked for parts, and the
        server has not sent them.
    """
    global _kept  # noqa: PLW0603  (one model, as the learner has)
    records = [content.get(name) for name in (PARTS, PART_ARRAYS)]
    given: tuple[object, ...] = (read_model(content), *records, manifest, store)
    if _kept is not None and _all_same(_kept[0], given):
        return _kept[1]
    model = _receive(content, manifest, store, device)
    if model.arrays is not None:
        _kept = (given, model)
    return model


def _all_same(one: tuple[object, ...], two: tuple[object, ...]) -> bool:
    return all(a is b for a, b in zip(one, two, strict=True))


def _receive(
    content: RecordDict, manifest: Manifest, store: PartStore, device: DeviceId
) -> ReceivedModel:
    parts = read_parts(content, manifest)
    by_value = {
        entry.name: (entry.shape, entry.dtype)
        for entry in manifest.entries
        if entry.name not in parts.digests
    }
    arrays = ArraySpec(by_value).decode(read_model(content))
    lacking = _keep(parts, store)
    missing = set()
    for name, digest in parts.digests.items():
        sent = parts.sent.get(digest)
        array = store.get(digest) if sent is None else sent.array
        if array is None:
            missing.add(digest)
            continue
        entry = manifest.by_name[name]
        if (array.shape, array.dtype.name) != (entry.shape, entry.dtype):
            raise ProtocolError(
                f"array {name!r:.80} is named by the digest of {array.dtype} "
                f"{array.shape}, must be {entry.dtype} {entry.shape}"
            )
        arrays[name] = array
    if store.ask(device, missing):
        raise ProtocolError(
            f"the server was asked for {len(missing)} parts of the model that this "
            "device lacks, and has not sent them"
        )
    if missing:
        _log.warning("%d parts of the model are missing: asked for", len(missing))
        return ReceivedModel(None, lacking | missing)
    whole = {name: arrays[name] for name in manifest.by_name}
    check_model(manifest, whole)
    return ReceivedModel(whole, lacking)


def _keep(parts: PartList, store: PartStore) -> frozenset[PartDigest]:
    """Keep the parts that came; return those that the device could not keep."""
    if not parts.sent:
        return frozenset()
    try:
        store.put(list(parts.sent.values()), frozenset(parts.digests.values()))
    except StoreError as err:  # they serve this round, and come again with the next
        _log.warning("cannot keep parts of the model: %s", err)
        return frozenset(parts.sent)
    return frozenset()
