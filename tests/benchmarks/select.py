"""How fast fedask chooses: against its peers and against one copy of the input.

Called by the command. All choose from the same arrays, each in a process of
its own, one after the other. A choice that a float64 reference finds wrong is marked
and never counts as the fastest.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tests.benchmarks import contenders
from tests.benchmarks.cases import Case, cases
from tests.benchmarks.contenders import CONTENDERS, FLOOR
from tests.benchmarks.passes import measure
from tests.benchmarks.peers import Peers

OURS = "fedask"
_POOLS = (("mlp", 1_000_000), ("mlp", 250_000), ("cnn", 100_000))
_FAULT_CHARS = 120
_SCRIPT = str(Path(contenders.__file__))


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedRow:
    """How one library did in one case.

    Parameters
    ----------
    library
        Its name.
    seconds
        Median time of one choice; None if there was none.
    runs
        How many choices were timed.
    extra_mib
        Peak memory beyond the loaded input; None where it cannot be read.
    fault
        Why there was no choice, or what is wrong with it; "" if it is correct.
    """

    library: str
    seconds: float | None = None
    runs: int = 0
    extra_mib: float | None = None
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerLimits:
    """How large and how long.

    Parameters
    ----------
    small
        Cases about twenty times smaller.
    seconds
        How long to repeat a choice.
    timeout_s
        After which a library is stopped.
    """

    small: bool = False
    seconds: float = 5.0
    timeout_s: float = 900.0  # small-text needs minutes for a million rows

    @classmethod
    def quick(cls) -> "PeerLimits":
        """Return limits for a look rather than a measurement."""
        return cls(small=True, seconds=0.5, timeout_s=120.0)


def compare(
    peers: Peers | None, limits: PeerLimits, only: str, say: Callable[[str], None]
) -> dict[str, Any]:
    """Run the benchmark.

    Parameters
    ----------
    peers
        Whose environment; None = fedask alone.
    only
        Cases whose name holds this; all if empty.
    say
        Told what happens next.
    """
    compared = [
        summarised(case, run_case(case, peers, limits, say))
        for case in cases(small=limits.small)
        if only in case.name
    ]
    pools = []
    for model, samples in _POOLS:
        size = samples // 20 if limits.small else samples
        if only in f"pool: {model}":
            say(f"pool: {size} samples, {model}")
            pools.append(asdict(measure(model, size)))
    return {"cases": compared, "pool": pools}


def run_case(
    case: Case, peers: Peers | None, limits: PeerLimits, say: Callable[[str], None]
) -> list[TimedRow]:
    """Let everybody choose: the floor, fedask, then the peers."""
    arrays = case.make(np.random.default_rng(0))
    say(f"{case.name}: reference")
    judge = case.judge(arrays, case.k)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        for field, array in arrays.items():
            np.save(folder / "in" / f"{field}.npy", array)
        del arrays
        for library in (FLOOR, *CONTENDERS):
            python = _python(library, case.kind, peers)
            if not python:
                continue
            say(f"{case.name}: {library}")
            words = [library, case.kind, str(case.k), name, str(limits.seconds)]
            row = _run([*python, _SCRIPT, *words], library, folder, limits.timeout_s)
            if row.seconds is not None and library != FLOOR:
                chosen = np.load(folder / "rows.npy")
                row = replace(row, fault=judge.fault(chosen, case.k))
            say(f"  {_outcome(row)}")
            rows.append(row)
    return rows


def _outcome(row: TimedRow) -> str:
    took = "no time" if row.seconds is None else f"{1e3 * row.seconds:.1f} ms"
    return f"{took}, {row.fault}" if row.fault else took


def _python(library: str, kind: str, peers: Peers | None) -> list[str]:
    """Return the interpreter that a library runs in; [] if it does not take part."""
    if library in {FLOOR, OURS}:
        # Not beside the script: ``select`` there would hide the standard library's.
        return [sys.executable, "-P"]
    distribution = library.partition(":")[0]
    if peers is None or distribution not in peers.versions:
        return []
    return [peers.python, "-I"] if kind in CONTENDERS[library] else []


def _run(
    command: Sequence[str], library: str, folder: Path, timeout_s: float
) -> TimedRow:
    """Run one library; whatever happens to it is a row of the table."""
    result = folder / "result.json"
    result.unlink(missing_ok=True)
    try:
        done = subprocess.run(  # noqa: S603  (our own arguments)
            list(command),
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        return TimedRow(library=library, fault=f"took more than {timeout_s:g} s")
    if done.returncode != 0 or not result.exists():
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return TimedRow(library=library, fault=lines[-1][:_FAULT_CHARS])
    return TimedRow(library=library, **json.loads(result.read_text(encoding="utf-8")))


def summarised(case: Case, rows: Sequence[TimedRow]) -> dict[str, Any]:
    """Compare the rows of a case: ratios to fedask and to the floor.

    Returns
    -------
    dict
        ``fastest_peer`` and ``speedup`` are of the fastest peer whose choice was
        correct; None without one.
    """
    by_name = {row.library: row for row in rows}
    floor, ours = by_name[FLOOR].seconds, by_name[OURS].seconds
    peers = [row for row in rows if row.library not in {FLOOR, OURS}]
    correct = [row for row in peers if row.seconds is not None and not row.fault]
    fastest = min(correct, key=lambda row: row.seconds or 0.0, default=None)
    return {
        "case": case.name,
        "fastest_peer": None if fastest is None else fastest.library,
        "speedup": None if fastest is None else _ratio(fastest.seconds, ours),
        "rows": [
            {
                "library": row.library,
                "ms": None if row.seconds is None else round(1e3 * row.seconds, 2),
                "runs": row.runs,
                "extra_mib": None if row.extra_mib is None else round(row.extra_mib, 1),
                "over_fedask": _ratio(row.seconds, ours),
                "over_floor": _ratio(row.seconds, floor),
                "fault": row.fault,
            }
            for row in rows
        ],
    }


def _ratio(above: float | None, below: float | None) -> float | None:
    return None if above is None or below is None else round(above / below, 2)
