"""``fedask device status``: samples, queue, labels, people and models of a device."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from fedask.client.cli.console import print_json, print_table
from fedask.client.cli.options import DeviceDir, Json
from fedask.client.labelling.web.hints import gain_of
from fedask.client.records.device_store import GLOBAL
from fedask.client.records.label_queue import ItemState
from fedask.client.records.local_model import is_newest
from fedask.client.records.milestone import recent_change
from fedask.client.site.device_folder import DeviceFolder
from fedask.common.errors import DataError


def status_command(folder: DeviceDir = Path(), *, json: Json = False) -> None:
    """Show how a device stands: samples, queue, labels, people, model.

    Example: fedask device status --site ward-3
    """
    with DeviceFolder.open(folder) as opened:
        found, now = status_of(opened), opened.clock.now()
    if json:
        print_json(found)
        return
    rows = [("samples in the data", _count(found["samples"]))]
    rows.append(("samples that may be asked", _count(found["asked"])))
    rows += [(f"queue: {state}", str(n)) for state, n in found["queue"].items()]
    rows += [(f"labels: {name}", str(n)) for name, n in found["labels"].items()]
    rows += [(f"annotations of {who}", str(n)) for who, n in found["people"].items()]
    rows += [("today", str(found["today"])), ("cycle", str(found["cycle"]))]
    rows.append(("model", found["model"] or "none yet"))
    rows += _accuracy_rows(found["accuracy"], now)
    rows.append(("local model", _model_summary(found["local_model"])))
    print_table(f"device {found['device']}", ("what", "how much"), rows)
    if found["problem"]:
        print_table("needs attention", ("what",), [(found["problem"],)])


def status_of(folder: DeviceFolder) -> dict[str, Any]:
    """Return the figures of a device; a problem with the data does not hide others."""
    held, problem = None, ""
    try:
        held = folder.held.summary()
    except DataError as err:
        problem = str(err)
    progress, kept = folder.desk.progress(), folder.store.scores.last()
    return {
        "device": folder.settings.device,
        "samples": None if held is None else held.samples,
        "asked": None if held is None else held.asked,
        "queue": {state.value: progress.states.get(state, 0) for state in ItemState},
        "labels": {
            name: progress.classes.get(index, 0)
            for index, name in enumerate(folder.task.classes)
        },
        "people": dict(progress.annotators),
        "today": progress.today,
        "cycle": folder.store.cuts.last_cycle(),
        "model": None if kept is None else kept[0],
        "accuracy": _accuracy(folder),
        "local_model": _local_model(folder),
        "problem": problem,
    }


def _accuracy(folder: DeviceFolder) -> dict[str, Any] | None:
    """Return the accuracy that the server reported, and its change; or None.

    Unlike the labelling page it tells of losses, and of what this device had no part
    in; "shown" says whether the page shows it.
    """
    milestones = folder.store.milestones.all()
    if not milestones:
        return None
    last = milestones[-1]
    figures: dict[str, Any] = {"last": last.accuracy, "told": last.at.isoformat()}
    change = recent_change(milestones, folder.clock.now())
    figures["change"] = None
    if change is not None:
        figures["change"] = {
            "points": change.points,
            "since": change.first.at.isoformat(),
            "answers": change.answers,
            "shown": gain_of(change) is not None,
        }
    return figures


def _accuracy_rows(
    accuracy: dict[str, Any] | None, now: datetime
) -> list[tuple[str, str]]:
    """Return the lines for people; days are those of the device's clock."""
    if accuracy is None:
        return [("accuracy", "not told by the server")]
    share = f"{100 * accuracy['last']:.1f} %, told on {_day(accuracy['told'])}"
    rows = [("accuracy", share)]
    change = accuracy["change"]
    if change is not None:
        what = f"{change['points']:+.1f} points, {change['answers']} answers of this "
        rows.append((_since(change["since"], now), what + "device trained on"))
    return rows


def _since(text: str, now: datetime) -> str:
    """Return since when, by the days of this machine."""
    at = datetime.fromisoformat(text).astimezone()
    if at.date() == now.astimezone().date():
        return f"since {at:%H:%M} today"
    return f"since {at.date().isoformat()}"


def _day(text: str) -> str:
    return datetime.fromisoformat(text).astimezone().date().isoformat()


def _local_model(folder: DeviceFolder) -> dict[str, Any] | None:
    """Return how the local model was trained; None if it was not yet."""
    record, shared = folder.store.local_model.record(), folder.store.models.all(GLOBAL)
    if record is None:
        return None
    return {
        "trained": record.at.isoformat(timespec="seconds"),
        "answers": len(record.answers),
        "base": record.base,
        "diverged": not record.usable,
        "newest": bool(shared) and is_newest(record, shared[-1]),
    }


def _model_summary(model: Mapping[str, Any] | None) -> str:
    if model is None:
        return "not trained yet"
    summary = f"{model['trained']}, on {model['answers']} answers"
    if model["diverged"]:
        return f"diverged {summary}"
    return summary if model["newest"] else f"{summary} (older than the global model)"


def _count(number: int | None) -> str:
    return "cannot be read" if number is None else str(number)
