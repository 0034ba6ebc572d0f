"""The files that ``fedask new`` writes, as text with placeholders."""

import keyword
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from fedask.common.errors import ConfigError, StoreError

_PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "1.0.0"
description = "A federated active-learning app"
license = "Apache-2.0"
requires-python = ">=3.11"
# Flower alone: a SuperLink installs what is listed here anew before every run.
# fedask itself comes installed on the machines.
dependencies = ["flwr>=1.41,<1.43"]

[tool.hatch.build.targets.wheel]
packages = ["{package}"]

[tool.flwr.app]
publisher = "me"

[tool.flwr.app.components]
serverapp = "{package}.server_app:app"
clientapp = "{package}.client_app:app"

# Every key of a fedask scenario may stand here; `--run-config` changes what does.
[tool.flwr.app.config]
name = "{name}"

[tool.flwr.app.config.task]
name = "{package}.task:task"

[tool.flwr.app.config.data]
source = "{package}.task:data"

[tool.flwr.app.config.fleet]
devices = {devices}

[tool.flwr.app.config.ask]
initial = 0  # questions to each device in the first cycle; 0: its share of the quota
# Raise first if it learns too little: quota, to two labels for each class or more, then
# cycles; capacity must allow it. A result below a plain ridge regression is told.
quota = {quota}  # to the whole fleet in each later cycle
capacity = 20  # to one device in a cycle: what its people can answer
cycles = 5

[tool.flwr.app.config.train]
# Raise second: rounds. If training diverges, lower lr; inputs of any scale suit the
# model "standardised-mlp", others want them standardised by transform=.
rounds = 5  # messages to each device in a cycle
steps = 20  # of SGD in a round: on a device they cost less than a message
lr = 0.1

[tool.flwr.app.config.run]
evaluate = "held-out"  # of data() in the task file; "" on a real fleet
pause_s = 0.0  # after each cycle, for people to answer
# Where `flwr run` keeps results, on the server's machine; {{run}} is the number of the
# run. `fedask simulate` has its own --out.
out = "~/fedask-runs/{name}-{{run}}"
resume = false  # true, with the folder of a run that ended early as out: go on there
"""

_TASK = '''\
"""What is learned, and from what: the one file to edit."""

import numpy as np

from fedask.common import Task

# model: "standardised-mlp" takes features of any scale (tables, spectra, small images);
# "cnn" takes images; or a function of yours that returns an nn.Module.
# Texts: transform=hashed_text (of fedask.common.text) and input_shape=(2048,).
# Sounds: a transform= of yours to spectra; raw waves teach such models nothing.
task = Task(classes=["low", "high"], model="standardised-mlp", input_shape=(8,))


def data() -> tuple[np.ndarray, np.ndarray]:
    """Return samples (n, ...) and labels (n,): indices into the classes.

    A simulation spreads them over its devices and holds a fifth back as the test.
    A deployed device ignores this and reads its own files.
    """
    rng = np.random.default_rng(0)  # replace with your own: np.load("...")
    samples = rng.normal(size=(600, 8)).astype(np.float32)
    labels = (samples[:, 0] + samples[:, 1] > 0).astype(np.int64)
    return samples, labels
'''

_CLIENT = '''\
"""The device half."""

from fedask.client.app import client_app
from {package}.task import task

app = client_app(task)
'''

_SERVER = '''\
"""The server half."""

from fedask.server.app import server_app
from {package}.task import task

app = server_app(task)
'''

DEVICES = 10
_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}[a-z0-9]")  # Flower: at most 32 characters


def write_app(folder: Path) -> str:
    """Write an app.

    Parameters
    ----------
    folder
        Made here; its name becomes the app's.

    Returns
    -------
    str
        Name of the package inside it.

    Raises
    ------
    ConfigError
        If the folder exists, or its name cannot be an app's.
    StoreError
        If it cannot be written.
    """
    name = folder.resolve().name
    if _NAME.fullmatch(name) is None:
        raise ConfigError(
            f"{name!r} cannot name an app: use 2 to 32 lower-case letters, digits and "
            "hyphens, a letter first, such as my-app"
        )
    package = name.replace("-", "_")
    if keyword.iskeyword(package) or find_spec(package) is not None:
        raise ConfigError(
            f"{name!r} cannot name an app: Python has a word or a module {package!r} "
            "already; take another, such as my-app"
        )
    values = {
        "name": name,
        "package": package,
        "devices": DEVICES,
        "quota": 4 * DEVICES,
    }
    files = {
        "pyproject.toml": _PYPROJECT.format(**values),
        f"{package}/__init__.py": f'"""The app {name}."""\n',
        f"{package}/task.py": _TASK,
        f"{package}/client_app.py": _CLIENT.format(**values),
        f"{package}/server_app.py": _SERVER.format(**values),
    }
    if folder.exists():
        raise ConfigError(f"{folder} exists already: choose another name")
    try:
        _write(folder, files)
    except OSError as err:
        raise StoreError(f"cannot make {folder}: {err.strerror}") from err
    return package


def _write(folder: Path, files: Mapping[str, str]) -> None:
    """Make a folder of files, whole or not at all: half of one would be in the way."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".fedask-new-", dir=folder.parent) as place:
        made = Path(place) / folder.name
        for path, text in files.items():
            target = made / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        made.rename(folder)
