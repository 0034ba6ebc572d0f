"""Checks of a device's folder, one per mistake of a set-up. Called by the ``doctor``.

Each check looks at one thing and says what it found; what is wrong comes with what to
do about it. Nothing is changed, but that a store which is missing is made.
"""

import os
import shutil
import stat
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fedask.client.base.regular_file import Broken
from fedask.client.data.sources.indexed_source import OTHER_FORM
from fedask.client.data.sources.passed_over import passed_over, shown
from fedask.client.records.erasure import remaining
from fedask.client.records.pool import Pool
from fedask.client.site import startup_check
from fedask.client.site.device_folder import DeviceFolder
from fedask.client.site.finding import Finding, doubtful, good, wrong
from fedask.client.store.audit.audit_check import verify
from fedask.common.errors import ConfigError, DataError, FedaskError, StoreError
from fedask.common.ids import Uid

Check = Callable[[DeviceFolder], Finding]

FEWEST_FREE_BYTES = 200 << 20  # models, scores and a write-ahead log need room
FEWEST_SAMPLES = 20
MOST_REASONS = 5  # why samples are set aside, shown at once
EARLIEST = datetime(2025, 1, 1, tzinfo=UTC)  # before it this code did not exist
_AHEAD = timedelta(minutes=5)
_MOST_CLASSES = 5  # shown
_LOSS_ADVICE = (
    "install the extras, and give linked folders' files themselves, if they are samples"
)
_ADVICE: dict[type[FedaskError], str] = {
    DataError: "look at the files of [data] in device.toml",
    StoreError: "do as it says, or look at the disk, the owner and the rights of the "
    "store's folder",
}


def examine(path: Path) -> Iterator[Finding]:
    """Run every check of a device's folder; one that fails does not end the others.

    What stands in the way of several is reported by the first alone. Settings that
    cannot be read stand in the way of all.
    """
    try:
        opened = DeviceFolder.open(path)
    except FedaskError as err:
        yield replace(_failed(err), check="settings")
        return
    first: dict[str, str] = {}  # the check that reports a failure, by its message
    with opened as folder:
        for name, check in CHECKS.items():
            try:
                found = check(folder)
            except FedaskError as err:
                found = _failed(err)
                if first.setdefault(str(err), name) != name:
                    found = doubtful("not looked at", f"mend {first[str(err)]} first")
            yield replace(found, check=name)


def _failed(err: FedaskError) -> Finding:
    advice = _ADVICE.get(type(err), "correct the settings that it names")
    return wrong(str(err), advice)


def _settings(folder: DeviceFolder) -> Finding:
    """Whether every key of ``device.toml`` is known: else the folder does not open."""
    return good(f"{folder.file} is understood")


def _folder(folder: DeviceFolder) -> Finding:
    """Who else may read settings and store, or change what runs here."""
    settings = folder.settings
    for path, barred, how, advice in (
        (folder.file, 0o077, "read", "chmod 600"),
        (settings.store, 0o077, "read", "chmod 600"),
        (folder.path, 0o022, "changed", "chmod 700"),
        (settings.app, 0o022, "changed", "chmod go-w"),
    ):
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & barred:
            text = f"{path} may be {how} by other users of this machine"
            return wrong(text, f"{advice} {path}")
    return good(f"{folder.path.resolve()} is its owner's alone")


def _clock(folder: DeviceFolder) -> Finding:
    """Whether leases and retention can trust the clock."""
    now = folder.clock.now()
    said = [v.at for v in folder.desk.history(1) if v.at is not None]
    if now < EARLIEST or any(at > now + _AHEAD for at in said):
        text = f"this machine believes it is {now:%Y-%m-%d %H:%M} UTC"
        return wrong(text, "set the clock, and let the machine keep it (NTP, battery)")
    return good(f"{now:%Y-%m-%d %H:%M} UTC")


def _task(folder: DeviceFolder) -> Finding:
    """Whether the user's code imports."""
    names = folder.task.classes
    more = ", ..." if len(names) > _MOST_CLASSES else ""
    return good(f"{len(names)} classes: {', '.join(names[:_MOST_CLASSES])}{more}")


def _data(folder: DeviceFolder) -> Finding:
    """Whether the data hold samples that can be asked."""
    source = folder.open_data()
    _ = folder.exhibit  # that there is a way to show it
    broken, rows = source.broken(), len(source.uids())
    distinct = Pool(source)
    count = len(remaining(distinct, folder.store.erasure))
    text = f"{count} samples in {folder.settings.data['data']}"
    if rows > len(distinct):
        text += f"; {rows - len(distinct)} more are copies of one of them"
    text = "; ".join([text, *source.notes()])
    passed = passed_over(folder.settings.data)
    if broken:
        text += f"; {len(broken)} set aside: {_reasons(broken)}"
    if passed:
        text += f"; passed over: {shown(passed)}"
    if broken:
        return doubtful(text, _data_advice(folder, broken))
    if any(each.is_loss for each in passed):
        return doubtful(text, _LOSS_ADVICE)
    if count < FEWEST_SAMPLES:
        text += ": too few to choose from"
        return doubtful(text, "is this the right folder?")
    return good(text)


def _reasons(broken: list[Broken]) -> str:
    """Say why samples were set aside, the commonest reasons first."""
    names = defaultdict(list)
    for each in broken:
        names[each.reason.partition(":")[0]].append(each.name)
    ranked = sorted(names.items(), key=lambda pair: -len(pair[1]))
    shown = [
        f"{reason}: {found[0]}" + (f" and {len(found) - 1} more" if found[1:] else "")
        for reason, found in ranked[:MOST_REASONS]
    ]
    left = sum(len(found) for _, found in ranked[MOST_REASONS:])
    return "; ".join([*shown, *([f"{left} for other reasons"] if left else [])])


def _data_advice(folder: DeviceFolder, broken: list[Broken]) -> str:
    options = folder.settings.data
    rates = options.get("kind") == "sounds" and not options.get("rate")
    if rates and any(each.reason.endswith(OTHER_FORM) for each in broken):
        return "set rate in [data], and sounds of all rates are resampled to it"
    sizes = options.get("kind") == "images" and not options.get("width")
    if sizes and any(each.reason.endswith(OTHER_FORM) for each in broken):
        return "set width, height and mode in [data], and images of all sizes are used"
    return "mend or remove them; the others are used"


def _model(folder: DeviceFolder) -> Finding:
    """Whether a few samples go through all that a round does."""
    from fedask.client.round.trial import SAMPLES, try_rounds  # noqa: PLC0415  (imports torch)

    uids = [Uid(uid) for uid in folder.pool.uids[:SAMPLES].tolist()]
    if not uids:
        return doubtful("no sample may be looked at", "see the check of rights")
    task, scenario, samples = folder.task, folder.scenario, folder.pool.load(uids)
    try:
        try_rounds(task, scenario, samples)
    except ConfigError as err:
        return wrong(
            str(err),
            "correct transform, input_shape, model or loss in the task file, the "
            "settings of the app, or the options of [data] in device.toml",
        )
    return good(f"{len(uids)} samples go through all that a round does")


def _disk(folder: DeviceFolder) -> Finding:
    """Whether the disk has room."""
    free = shutil.disk_usage(folder.path).free
    text = f"{free >> 20} MiB free"
    if free < FEWEST_FREE_BYTES:
        fewest = f"free at least {FEWEST_FREE_BYTES >> 20} MiB: answers need room"
        return wrong(text, fewest)
    return good(text)


def _store(folder: DeviceFolder) -> Finding:
    """Whether the file is sound and can be written."""
    problem = folder.store.problem()
    if problem:
        return wrong(
            f"{folder.settings.store} is damaged: {problem}",
            "copy the file away, then restore the last backup of it",
        )
    waiting = sum(folder.desk.progress().states.values())
    return good(f"sound, {waiting} samples in the queue")


def _people(folder: DeviceFolder) -> Finding:
    """How the people of the device work together."""
    desk = folder.settings.desk
    return good(f"rule {desk.rule}, leases of {desk.lease_s:g} s")


def _arrivals(folder: DeviceFolder) -> Finding:
    """Whether what arrives between rounds is asked."""
    stream = folder.scenario.stream
    if stream.on:
        return good(f"asked as they come, by {stream.controller}")
    return good("wait for the next round (stream.controller is off)")


def _local_model(folder: DeviceFolder) -> Finding:
    """Whether the device trains a local model."""
    wanted = folder.settings.local_model
    if wanted.on:
        return good(f"trained after {wanted.answers} new answers, by run-once or watch")
    return good("never trained ([local_model] answers = 0)")


def _owner(folder: DeviceFolder) -> Finding:
    """Whether the commands and the SuperNode are the same user."""
    path = folder.settings.store
    if not path.exists():  # it could not be made: the check of the store says why
        return good("there is no store yet")
    if hasattr(os, "getuid") and path.stat().st_uid != os.getuid():
        return doubtful(
            f"{path} belongs to user {path.stat().st_uid}, not to you",
            "run doctor, page and SuperNode as the same user",
        )
    return good("the store is yours")


def _rights(folder: DeviceFolder) -> Finding:
    """Whether the policy of rights permits any sample to be asked."""
    found = folder.held.summary()
    text = f"{found.samples} samples: {found.asked} may be asked, {found.trained} "
    text += f"trained on, {found.past} past their time"
    if folder.rights is None:
        text += " (rights are open)"
    advice = []
    if not found.asked:
        advice.append("is this the right policy, and does provenance.csv say enough?")
    elif found.past:
        advice.append("erase what is past: fedask device forget --expired")
    if found.idle:
        text += f"; {found.idle} rows of provenance.csv are about none of them"
        advice.append("correct the names in rows about no sample, or delete them")
    return doubtful(text, "; ".join(advice)) if advice else good(text)


def _audit(folder: DeviceFolder) -> Finding:
    """Whether the audit log is as it was written."""
    path = folder.settings.store
    _ = folder.store  # made if missing, and its log begun
    found = verify(path, key=folder.settings.seal.audit_key_of(path))
    if found.ok:
        return good(f"{found.entries} entries, all as written")
    return wrong(
        f"entry {found.bad} of the audit log: {found.reason}",
        "find out who changed it; fedask device audit --accept goes on",
    )


CHECKS: dict[str, Check] = {
    "settings": _settings,
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
    "eligible": startup_check.eligible,
    "page": startup_check.page,
    "service": startup_check.service,
    "arrivals": _arrivals,
    "local model": _local_model,
}
