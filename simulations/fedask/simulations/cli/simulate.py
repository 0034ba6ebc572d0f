"""``fedask simulate``: one run of one scenario."""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from fedask.client.cli.console import print_json, print_table, stderr
from fedask.common.config import Scenario
from fedask.common.errors import OutcomeError
from fedask.simulations.cli.options import (
    Json,
    Overwrite,
    Resume,
    RuntimeName,
    ScenarioName,
    Settings,
    clear,
    read_settings,
)
from fedask.simulations.cli.progress_bar import progress_bar
from fedask.simulations.run.doubts import is_worthless
from fedask.simulations.run.history import Follower
from fedask.simulations.run.programs import open_program

_POLL_S = 0.2
_REASONS = 5  # shown at most
FIGURES = {  # column: (key of a row, see fedask.server.figures, format)
    "AULC": ("aulc", ".1%"),
    "labels/point": ("labels_per_point", ".1f"),
    "answered": ("answered_share", ".0%"),
    "capacity used": ("capacity_used", ".0%"),
    "balance": ("class_balance", ".2f"),
    "spent/label": ("spent_per_label", ".2f"),
}


def simulate_command(
    scenario: ScenarioName,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the results. [default: runs/NAME]"),
    ] = None,
    settings: Settings = None,
    runtime: RuntimeName = "inline",
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Run one scenario: devices score, ask, learn; a server aggregates.

    Writes OUT/result.json (curve, ledger, what went over the wire), OUT/model.npz,
    OUT/asked.csv and a line per round in OUT/history.jsonl. A run that was interrupted,
    or killed, continues with the same command and --resume, to the same result.

    Exit code 8 if the run is over but no success: it learned next to nothing, or most
    devices failed in most rounds. All is written, and the cause is said first.

    Example: fedask simulate digits --set ask.policy=local-topk --out runs/local
    """
    from fedask.simulations.run.simulation import simulate  # noqa: PLC0415  (imports torch)

    program = open_program(scenario, read_settings(settings))
    folder = out or Path("runs") / program.scenario.name
    clear(folder, overwrite=overwrite, resume=resume)
    try:
        with following(folder, program.scenario):
            result = simulate(
                program.load_apps(),
                program.scenario,
                folder,
                runtime=runtime,
                resume=resume,
            )
    except (KeyboardInterrupt, SystemExit):  # Ctrl-C; SIGTERM, SIGHUP
        stderr().print(f"interrupted; continue with --resume (kept in {folder})")
        raise
    say_doubts(result.get("doubts", []))
    if as_json:
        print_json(result)
    else:
        _print_result(result, folder)
    if is_worthless(result):
        raise typer.Exit(OutcomeError.exit_code)


def say_doubts(doubts: Sequence[str]) -> None:
    """Print what speaks against a result, before the result."""
    for doubt in doubts:
        stderr().print(
            f"WARNING: {doubt}", markup=False, highlight=False, soft_wrap=True
        )


@contextmanager
def following(out: Path, scenario: Scenario) -> Iterator[None]:
    """Draw the progress of a run from a thread, whatever process it runs in."""
    stop = threading.Event()
    rounds = scenario.rounds
    with progress_bar() as bar:
        task = bar.add_task(scenario.ask.policy, total=rounds, note="")
        follower = Follower(out)

        def follow() -> None:
            while not stop.wait(_POLL_S):
                row = follower.look()
                done = rounds if "stopped" in row else row.get("round", 0)
                bar.update(task, completed=done, note=note(row))

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def note(row: dict[str, Any]) -> str:
    """Say how far a run is."""
    if not row:
        return "starting"
    text = f"{row['labels']} labels"
    if "accuracy" in row:
        text += f", {row['accuracy']:.1%}"
    return text


def _print_result(result: dict[str, Any], folder: Path) -> None:
    """Print the curve and the ledger of a run."""
    rows = [
        (
            str(row["cycle"]),
            str(row["labels"]),
            f"{row['accuracy']:.1%}",
            *(figure(row[key], form) for key, form in FIGURES.values()),
        )
        for row in result["rows"]
        if "accuracy" in row
    ]
    title = f"{result['name']}: {result['policy']} on {result['devices']} devices"
    print_table(title, ("cycle", "labels", "accuracy", *FIGURES), rows)
    ledger = result["ledger"]
    print_table("ledger", tuple(ledger), [tuple(str(n) for n in ledger.values())])
    console = stderr()
    stopped = result["stopped"]
    if stopped is not None:
        why = f"stopped after cycle {stopped['cycle']}: {stopped['reason']}"
        console.print(why, markup=False, highlight=False)
    for line in refusals(result["refused"]):
        console.print(line, markup=False)
    console.print(f"{result['seconds']:.1f} s; everything is in {folder}")


def figure(value: float | None, form: str) -> str:
    """Write a key figure; what is not defined as a dash."""
    return "-" if value is None else format(value, form)


def refusals(refused: Sequence[tuple[int, str, str]]) -> list[str]:
    """Say in a few lines what was refused, the most frequent reasons first."""
    reasons = Counter(reason for _, _, reason in refused)
    lines = []
    for reason, count in reasons.most_common(_REASONS):
        devices = sorted({device for _, device, why in refused if why == reason})
        named = ", ".join(devices[:3]) + (", ..." if len(devices) > 3 else "")  # noqa: PLR2004  (as many as are named)
        lines.append(f"{count} times: {reason} ({named})")
    if len(reasons) > _REASONS:
        lines.append(f"and {len(reasons) - _REASONS} other reasons, in result.json")
    return lines
