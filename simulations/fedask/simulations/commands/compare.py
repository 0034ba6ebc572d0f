"""``fedask compare``: several policies over the same seeds, with table, plot and page."""

import json
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from fedask.common.errors import ConfigError
from fedask.server.checkpoint import replace_file
from fedask.simulations.commands.options import (
    Json,
    Overwrite,
    Resume,
    RuntimeName,
    ScenarioName,
    Settings,
    clear,
    read_settings,
)
from fedask.simulations.commands.simulate import note
from fedask.simulations.console import (
    print_json,
    print_summary,
    progress_bar,
    stderr,
)
from fedask.simulations.history import Follower
from fedask.simulations.programs import Program, open_program

INTERRUPTED = 130


def compare_command(
    scenario: ScenarioName,
    policies: Annotated[
        str,
        typer.Option(
            "--policies",
            metavar="A,B,C",
            help="Policies to compare: global-cut, local-topk, uniform-random, "
            "proportional-random, or your own package.module:attr.",
        ),
    ] = "global-cut,local-topk,uniform-random",
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, help="Number of seeds: 0, 1, ...")
    ] = 3,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder for the results. [default: runs/compare-NAME]"
        ),
    ] = None,
    settings: Settings = None,
    runtime: RuntimeName = "inline",
    reference: Annotated[
        str, typer.Option("--reference", help="The policy to measure against.")
    ] = "uniform-random",
    target: Annotated[
        float | None,
        typer.Option(
            "--target",
            min=0.0,
            max=1.0,
            help="Accuracy to count labels to. [default: the reference's last one]",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Processes. [default: one per core]"),
    ] = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Compare policies: same data, same devices, same trainer, same budget.

    Writes OUT/summary.json, OUT/curves.png and OUT/report.html (open it in a browser;
    it needs no network), and every run in OUT/runs. Ctrl-C keeps what is finished and
    reports on that.

    Example: fedask compare digits --policies global-cut,uniform-random --seeds 5
    """
    program = open_program(scenario, read_settings(settings))
    names = read_policies(policies)
    folder = out or Path("runs") / f"compare-{program.scenario.name}"
    clear(folder, overwrite=overwrite, resume=resume)
    partial = _compare(
        program,
        names,
        list(range(seeds)),
        folder,
        runtime=runtime,
        workers=workers,
        resume=resume,
        reference=reference,
        target=target,
        as_json=as_json,
    )
    if partial:
        raise typer.Exit(INTERRUPTED)


def _compare(  # noqa: PLR0913  (the options of one command)
    program: Program,
    names: Sequence[str],
    seeds: Sequence[int],
    folder: Path,
    *,
    runtime: str,
    workers: int | None,
    resume: bool,
    reference: str,
    target: float | None,
    as_json: bool,
) -> bool:
    """Run, summarise, draw; returns whether it was interrupted."""
    # These import torch and Flower: not before the options are known to be right.
    from fedask.simulations.compare import (  # noqa: PLC0415
        check_jobs,
        default_workers,
        plan_jobs,
        run_jobs,
    )
    from fedask.simulations.summarise import summarise  # noqa: PLC0415

    jobs = plan_jobs(names, seeds, folder)
    check_jobs(program, jobs)
    with _bars([(job.name, job.out) for job in jobs], _rounds(program)) as tick:
        found = run_jobs(
            program,
            jobs,
            runtime=runtime,
            workers=workers
            or (default_workers(len(jobs)) if runtime == "inline" else 1),
            resume=resume,
            tick=tick,
        )
    summary = summarise(
        found,
        program.scenario,
        names,
        seeds,
        reference=reference,
        target=target,
        command=shlex.join(["fedask", *sys.argv[1:]]),
        runtime=runtime,
    )
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / "summary.json", json.dumps(summary, indent=1).encode())
    if found.results:
        from fedask.simulations.plot import draw_curves  # noqa: PLC0415
        from fedask.simulations.report import write_report  # noqa: PLC0415

        draw_curves(summary, folder / "curves.png")
        write_report(summary, folder / "report.html")
    if as_json:
        print_json(summary)
    else:
        print_summary(summary)
        stderr().print(f"open {folder / 'report.html'}", soft_wrap=True)
    return found.partial


def read_policies(text: str) -> list[str]:
    """Split the list of policies.

    Raises
    ------
    ConfigError
        If it is empty or names one twice.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        msg = "--policies names no policy"
        raise ConfigError(msg)
    if len(set(names)) < len(names):
        msg = f"--policies {text!r} names a policy twice"
        raise ConfigError(msg)
    return names


def _rounds(program: Program) -> int:
    return program.scenario.ask.cycles * program.scenario.train.rounds


@contextmanager
def _bars(runs: Sequence[tuple[str, Path]], rounds: int) -> Iterator[Callable[[], None]]:
    """Draw one bar over all runs; yields what refreshes it."""
    with progress_bar() as bar:
        task = bar.add_task("comparing", total=rounds * len(runs), note="starting")
        followers = [(name, Follower(out)) for name, out in runs]

        def tick() -> None:
            rows = [(name, follower.look()) for name, follower in followers]
            done = sum(row.get("round", 0) for _, row in rows)
            busy = [
                f"{name}: {note(row)}" for name, row in rows
                if 0 < row.get("round", 0) < rounds
            ]
            bar.update(task, completed=done, note="; ".join(busy[:2]))

        yield tick
