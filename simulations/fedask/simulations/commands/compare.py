"""``fedask compare``: several policies, same seeds; a table, a plot, a page."""

import json
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from fedask.simulations.summarise import Question
    from fedask.simulations.summary import Summary

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
    # These import torch and Flower: not before the options are known to be right.
    from fedask.simulations.summarise import Question  # noqa: PLC0415

    question = Question(
        policies=names,
        seeds=range(seeds),
        reference=reference,
        target=target,
        command=shlex.join(["fedask", *sys.argv[1:]]),
        runtime=runtime,
    )
    summary = compare(program, question, folder, workers=workers, resume=resume)
    if as_json:
        print_json(summary)
    else:
        print_summary(summary)
        stderr().print(f"open {folder / 'report.html'}", soft_wrap=True)
    if summary["partial"]:
        raise typer.Exit(INTERRUPTED)


def compare(
    program: Program,
    question: "Question",
    folder: Path,
    *,
    workers: int | None,
    resume: bool,
) -> "Summary":
    """Run, summarise, draw."""
    from fedask.simulations.compare import (  # noqa: PLC0415
        check_jobs,
        default_workers,
        plan_jobs,
        run_jobs,
    )
    from fedask.simulations.summarise import summarise  # noqa: PLC0415

    jobs = plan_jobs(question.policies, question.seeds, folder)
    check_jobs(program, jobs)
    # Other runtimes bring their own processes.
    workers = workers or (default_workers(len(jobs)) if _inline(question) else 1)
    with _bars([(job.name, job.out) for job in jobs], _rounds(program)) as tick:
        found = run_jobs(
            program,
            jobs,
            runtime=question.runtime,
            workers=workers,
            resume=resume,
            tick=tick,
        )
    summary = summarise(found, program.scenario, question)
    write_outcome(summary, folder)
    return summary


def _inline(question: "Question") -> bool:
    return question.runtime == "inline"


def write_outcome(summary: "Summary", folder: Path) -> None:
    """Write the summary, and the plot and the page if anything was found."""
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / "summary.json", json.dumps(summary, indent=1).encode())
    if any(row["labels"] for row in summary["policies"].values()):
        from fedask.simulations.plot import draw_curves  # noqa: PLC0415
        from fedask.simulations.report import write_report  # noqa: PLC0415

        draw_curves(summary, folder / "curves.png")
        write_report(summary, folder / "report.html")


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
    return program.scenario.rounds


@contextmanager
def _bars(
    runs: Sequence[tuple[str, Path]], rounds: int
) -> Iterator[Callable[[], None]]:
    """Draw one bar over all runs; yields what refreshes it."""
    with progress_bar() as bar:
        task = bar.add_task("comparing", total=rounds * len(runs), note="starting")
        followers = [(name, Follower(out)) for name, out in runs]

        def tick() -> None:
            rows = [(name, follower.look()) for name, follower in followers]
            ended = [name for name, row in rows if "stopped" in row]
            done = sum(
                rounds if name in ended else row.get("round", 0) for name, row in rows
            )
            busy = [
                f"{name}: {note(row)}"
                for name, row in rows
                if 0 < row.get("round", 0) < rounds and name not in ended
            ]
            bar.update(task, completed=done, note="; ".join(busy[:2]))

        yield tick
