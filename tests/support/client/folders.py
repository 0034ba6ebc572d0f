"""Folders of devices: ``device.toml`` written from tables, and opened."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from fedask.client.site.device_folder import DeviceFolder
from fedask.client.site.device_settings import FILE
from fedask.client.site.eligibility.sensors.machine import MACHINE, Machine
from fedask.common.clock import Clock

# What every device says; the app is not there, and not needed for a message.
LEAST = {"device": "ward-3", "app": "app", "rights": "open"}
APP = """
[tool.flwr.app.config.task]
name = "{module}:task"
"""


def write_settings(folder: Path, settings: Mapping[str, Any]) -> Path:
    """Write ``device.toml``, with the least that it must say; returns the folder."""
    (folder / FILE).write_text(tomli_w.dumps({**LEAST, **settings}))
    return folder


def write_app(folder: Path, classes: list[str]) -> None:
    """Write an app whose task has these classes, in a module of its own."""
    name = "_".join(["task_of", *folder.parts[-2:]]).replace("-", "_")
    (folder / "app").mkdir()
    (folder / "app" / "pyproject.toml").write_text(APP.format(module=name))
    text = f"from fedask.common import Task\ntask = Task(classes={classes!r})\n"
    (folder / "app" / f"{name}.py").write_text(text)


def open_folder(
    folder: Path,
    settings: Mapping[str, Any],
    clock: Clock | None = None,
    machine: Machine = MACHINE,
) -> DeviceFolder:
    """Write the settings and open the folder, as a process of the device does."""
    written = write_settings(folder, settings)
    return DeviceFolder.open(written, "test", clock, machine)
