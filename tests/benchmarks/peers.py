"""An environment of its own for the libraries that fedask is measured against.

Made once, with pip and wheels only, in a folder that may be deleted at any time. A peer
that does not install is listed with the reason; nothing here is fatal.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from fedask.common.errors import StoreError

PEERS = (
    "modAL-python",
    "scikit-activeml",
    "baal",
    "small-text",
    "libact",
    "cleanlab",
)
_SAME = ("numpy", "torch")  # versions as here: the same arithmetic on both sides
_OLD = "setuptools<81"  # the last with pkg_resources, which modAL's skorch imports
_STATE = "peers.json"
_INSTALL_TIMEOUT_S = 1800.0
_VERSION = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peers:
    """What is installed.

    Parameters
    ----------
    python
        Interpreter of the environment.
    versions
        Version of each peer that installed.
    failed
        Why each of the others did not.
    """

    python: str
    versions: dict[str, str]
    failed: dict[str, str]


def default_folder() -> Path:
    """Return the folder in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "fedask" / "peers"


def install(folder: Path, peers: Sequence[str] = PEERS) -> Peers:
    """Make the environment, or read what an earlier call has made.

    Parameters
    ----------
    folder
        Made if missing. To try again what failed, delete it.

    Raises
    ------
    StoreError
        If the folder cannot be written.
    """
    state = folder / _STATE
    known = _read(state)
    if known is not None:
        return known
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    failed: dict[str, str] = {}
    versions: dict[str, str] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        reason = _run([sys.executable, "-m", "venv", str(folder)])
        same = [f"{name}=={version(name)}" for name in _SAME]
        reason = reason or _pip(python, [*same, _OLD])
        for peer in peers:
            failure = reason or _pip(python, [peer])
            if failure:
                failed[peer] = failure
            else:
                versions[peer] = _version(python, peer)
        made = Peers(python=str(python), versions=versions, failed=failed)
        state.write_text(json.dumps(asdict(made), indent=1), encoding="utf-8")
    except OSError as err:
        msg = f"cannot make the peers' environment in {folder}: {err}"
        raise StoreError(msg) from err
    return made


def _read(state: Path) -> Peers | None:
    """Read what is installed; None if that is unknown."""
    try:
        return Peers(**json.loads(state.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _pip(python: Path, wanted: Sequence[str]) -> str:
    command = [str(python), "-m", "pip", "install", "--quiet", "--no-input"]
    return _run([*command, "--only-binary", ":all:", *wanted])


def _version(python: Path, peer: str) -> str:
    done = subprocess.run(  # noqa: S603  (our own arguments)
        [str(python), "-I", "-c", _VERSION, peer],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


def _run(command: Sequence[str]) -> str:
    """Run a command; returns why it failed, or ""."""
    try:
        done = subprocess.run(  # noqa: S603  (our own arguments)
            list(command),
            capture_output=True,
            text=True,
            check=False,
            timeout=_INSTALL_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return f"took more than {_INSTALL_TIMEOUT_S:.0f} s"
    if done.returncode == 0:
        return ""
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    lines = errors or done.stderr.strip().splitlines() or ["no message"]
    return lines[-1].removeprefix("ERROR: ")
