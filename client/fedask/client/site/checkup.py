"""What a deployer gets wrong, looked for one by one. Called by the ``doctor``.

Each check looks at one thing and says what it found; what is wrong comes with what to
do about it. Nothing is changed, but that a store which is missing is made.
"""

import os
import shutil
import stat
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fedask.client.base.regular_file import Broken
from fedask.client.data.sources.indexed_source import OTHER_FORM
from fedask.client.site import outlet_check
from fedask.client.site.device_folder import DeviceFolder
from fedask.client.site.finding import Finding, Grade, good
from fedask.client.store.audit.audit_check import verify
from fedask.common.errors import DataError, FedaskError, StoreError
from fedask.common.ids import Uid

FEWEST_FREE_BYTES = 200 << 20  # models, scores and a write-ahead log need room
FEWEST_SAMPLES = 20
MOST_REASONS = 5  # why samples are set aside, told at once
EARLIEST = datetime(2025, 1, 1, tzinfo=UTC)  # before it this code did not exist
_AHEAD = timedelta(minutes=5)


Check = Callable[[DeviceFolder], Finding]


def examine(path: Path) -> Iterator[Finding]:
    """Run every check of a device's folder; one that fails does not end the others.

    What stands in the way of several is told by the first alone. Settings that cannot
    be read stand in the way of all.
    """
    try:
        opened = DeviceFolder.open(path)
    except FedaskError as err:
        yield _wrong("settings", err)
        return
    with opened as folder:
        yield good("settings", f"{folder.file}: every key is known")
        told_by: dict[str, str] = {}
        for name, check in CHECKS.items():
            try:
                yield check(folder)
            except FedaskError as err:
                first = told_by.setdefault(str(err), name)
                yield (
                    _wrong(name, err)
                    if first == name
                    else Finding(
                        check=name,
                        grade=Grade.DOUBTFUL,
                        told="not looked at",
                        mend=f"mend {first} first",
                    )
                )


def _wrong(check: str, err: FedaskError) -> Finding:
    mend = _MENDS.get(type(err), "correct the settings that it names")
    return Finding(check=check, grade=Grade.WRONG, told=str(err), mend=mend)


_MENDS: dict[type[FedaskError], str] = {
    DataError: "look at the files of [data] in device.toml",
    StoreError: "do as it says, or look at the disk, the owner and the rights of the "
    "store's folder",
}


def _folder(folder: DeviceFolder) -> Finding:
    """Who else may read settings and store, or change what runs here."""
    settings = folder.settings
    for path, barred, told, mend in (
        (folder.file, 0o077, "read", "chmod 600"),
        (settings.store, 0o077, "read", "chmod 600"),
        (folder.path, 0o022, "changed", "chmod 700"),
        (settings.app, 0o022, "changed", "chmod go-w"),
    ):
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & barred:
            return Finding(
                check="folder",
                grade=Grade.WRONG,
                told=f"{path} may be {told} by other users of this machine",
                mend=f"{mend} {path}",
            )
    return good("folder", f"{folder.path.resolve()} is its owner's alone")


def _clock(folder: DeviceFolder) -> Finding:
    """Whether leases and retention can trust the clock."""
    now = folder.clock.now()
    said = [v.at for v in folder.desk.history(1) if v.at is not None]
    if now < EARLIEST or any(at > now + _AHEAD for at in said):
        return Finding(
            check="clock",
            grade=Grade.WRONG,
            told=f"this machine believes it is {now:%Y-%m-%d %H:%M} UTC",
            mend="set the clock, and let the machine keep it (NTP, a battery)",
        )
    return good("clock", f"{now:%Y-%m-%d %H:%M} UTC")


def _task(folder: DeviceFolder) -> Finding:
    """Whether the user's code imports."""
    classes = ", ".join(folder.task.classes[:5])
    more = "" if len(folder.task.classes) <= 5 else ", ..."  # noqa: PLR2004  (as many as are shown)
    return good("task", f"{len(folder.task.classes)} classes: {classes}{more}")


def _data(folder: DeviceFolder) -> Finding:
    """Whether there is something to ask."""
    source = folder.open_data()
    _ = folder.exhibit  # that there is a way to show it
    count, broken = len(source.uids()), source.broken()
    told = f"{count} samples in {folder.settings.data['data']}"
    if broken:
        return Finding(
            check="data",
            grade=Grade.DOUBTFUL,
            told=f"{told}; {len(broken)} set aside: {_reasons(broken)}",
            mend=_data_mend(folder, broken),
        )
    if count < FEWEST_SAMPLES:
        return Finding(
            check="data",
            grade=Grade.DOUBTFUL,
            told=f"{told}: too few to choose from",
            mend="is this the right folder?",
        )
    return good("data", told)


def _reasons(broken: list[Broken]) -> str:
    """Say why samples were set aside, the commonest reasons first."""
    names = defaultdict(list)
    for each in broken:
        names[each.reason.partition(":")[0]].append(each.name)
    ranked = sorted(names.items(), key=lambda pair: -len(pair[1]))
    told = [
        f"{reason}: {found[0]}" + (f" and {len(found) - 1} more" if found[1:] else "")
        for reason, found in ranked[:MOST_REASONS]
    ]
    left = sum(len(found) for _, found in ranked[MOST_REASONS:])
    return "; ".join([*told, *([f"{left} for other reasons"] if left else [])])


def _data_mend(folder: DeviceFolder, broken: list[Broken]) -> str:
    """Say what to do about what was set aside."""
    options = folder.settings.data
    sizes = options.get("kind") == "images" and not options.get("width")
    if sizes and any(each.reason.endswith(OTHER_FORM) for each in broken):
        return "set width, height and mode in [data], and images of all sizes are used"
    return "mend or remove them; the others are used"


def _model(folder: DeviceFolder) -> Finding:
    """Whether a sample goes through transform and model."""
    from fedask.client.learning.training.learner import Learner  # noqa: PLC0415  (imports torch)

    if not len(folder.pool):
        return Finding(
            check="model",
            grade=Grade.DOUBTFUL,
            told="no sample may be looked at",
            mend="see the check of rights",
        )
    learner = Learner(folder.task, folder.scenario.train)
    uid = Uid(str(folder.pool.uids[0]))
    try:
        learner.predict(folder.pool.load([uid]))
    except FedaskError:
        raise
    except Exception as err:  # noqa: BLE001  (the user's transform and model)
        return Finding(
            check="model",
            grade=Grade.WRONG,
            told=f"a sample does not go through the model: {type(err).__name__}: {err}",
            mend="correct transform, input_shape or model in the task file, or the "
            "options of [data] in device.toml",
        )
    return good("model", "a sample goes through transform and model")


def _disk(folder: DeviceFolder) -> Finding:
    """Whether there is room."""
    free = shutil.disk_usage(folder.path).free
    told = f"{free >> 20} MiB free"
    if free < FEWEST_FREE_BYTES:
        return Finding(
            check="disk",
            grade=Grade.WRONG,
            told=told,
            mend=f"free at least {FEWEST_FREE_BYTES >> 20} MiB: answers need room",
        )
    return good("disk", told)


def _store(folder: DeviceFolder) -> Finding:
    """Whether the file is sound and can be written."""
    problem = folder.store.problem()
    if problem:
        return Finding(
            check="store",
            grade=Grade.WRONG,
            told=f"{folder.settings.store} is damaged: {problem}",
            mend="copy the file away, then restore the last backup of it",
        )
    waiting = sum(folder.desk.progress().states.values())
    return good("store", f"sound, {waiting} samples in the queue")


def _people(folder: DeviceFolder) -> Finding:
    """Whether the answers of people can get anywhere."""
    settings = folder.settings.desk
    return good("people", f"rule {settings.rule}, leases of {settings.lease_s:g} s")


def _arrivals(folder: DeviceFolder) -> Finding:
    """Whether what arrives between rounds is asked."""
    stream = folder.scenario.stream
    if stream.on:
        return good("arrivals", f"asked as they come, by {stream.controller}")
    return good("arrivals", "wait for the next round (stream.controller is off)")


def _local_model(folder: DeviceFolder) -> Finding:
    """Whether the device trains a model of its own."""
    wanted = folder.settings.local_model
    if wanted.on:
        told = f"trained again after {wanted.answers} new answers, by run-once or watch"
        return good("own model", told)
    return good("own model", "never trained ([local_model] answers = 0)")


def _owner(folder: DeviceFolder) -> Finding:
    """Whether the commands and the SuperNode are the same user."""
    path = folder.settings.store
    if not path.exists():  # it could not be made: the check of the store says why
        return good("owner", "there is no store yet")
    if hasattr(os, "getuid") and path.stat().st_uid != os.getuid():
        return Finding(
            check="owner",
            grade=Grade.DOUBTFUL,
            told=f"{path} belongs to user {path.stat().st_uid}, not to you",
            mend="run doctor, page and SuperNode as the same user",
        )
    return good("owner", "the store is yours")


def _rights(folder: DeviceFolder) -> Finding:
    """Whether the policy leaves anything to ask."""
    told = folder.held.summary()
    text = f"{told.samples} samples: {told.asked} may be asked, {told.trained} trained "
    text += f"on, {told.past} past their time"
    if folder.rights is None:
        text += " (rights are open)"
    mends = []
    if not told.asked:
        mends.append("is this the right policy, and does provenance.csv say enough?")
    elif told.past:
        mends.append("erase what is past: fedask device forget --expired")
    if told.idle:
        text += f"; {told.idle} rows of provenance.csv are about none of them"
        mends.append(
            "correct the names in rows that are about no sample, or delete them"
        )
    if mends:
        mend = "; ".join(mends)
        return Finding(check="rights", grade=Grade.DOUBTFUL, told=text, mend=mend)
    return good("rights", text)


def _audit(folder: DeviceFolder) -> Finding:
    """Whether the log is as it was written."""
    path = folder.settings.store
    _ = folder.store  # made if missing, and its log begun
    found = verify(path, key=folder.settings.seal.audit_key_of(path))
    if not found.ok:
        return Finding(
            check="audit",
            grade=Grade.WRONG,
            told=f"entry {found.bad} of the audit log: {found.reason}",
            mend="find out who changed it; fedask device audit --accept goes on",
        )
    return good("audit", f"{found.entries} entries, all as written")


CHECKS: dict[str, Check] = {
    "folder": _folder,
    "disk": _disk,
    "task": _task,
    "people": _people,
    "data": _data,
    "rights": _rights,
    "model": _model,
    "store": _store,
    "audit": _audit,
    "owner": _owner,
    "clock": _clock,
    "eligible": outlet_check.eligible,
    "page": outlet_check.page,
    "service": outlet_check.service,
    "arrivals": _arrivals,
    "own model": _local_model,
}
