"""``fedask compare``: several arms, same seeds; a table, a drawing, a page."""

import json
import shlex
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from fedask.client.cli.console import print_json, stderr
from fedask.common.errors import OutcomeError
from fedask.server.checkpoint import replace_file
from fedask.simulations.cli.options import (
    Json,
    Overwrite,
    Resume,
    RuntimeName,
    ScenarioName,
    Settings,
    check_folder,
    clear,
    read_settings,
)
from fedask.simulations.cli.progress_bar import print_summary, progress_bar
from fedask.simulations.cli.simulate import note, refusals, say_doubts
from fedask.simulations.run.history import Follower
from fedask.simulations.run.programs import Program, open_program

if TYPE_CHECKING:
    from fedask.simulations.comparison.arms import Arm
    from fedask.simulations.comparison.jobs import Job
    from fedask.simulations.comparison.summary import ComparisonSummary
    from fedask.simulations.comparison.summary_builder import Question

INTERRUPTED = 130
POLICIES = "global-cut,local-topk,uniform-random"


def compare_command(
    scenario: ScenarioName,
    policies: Annotated[
        str | None,
        typer.Option(
            "--policies",
            metavar="A,B,C",
            help="Policies to compare: global-cut, local-topk, uniform-random, "
            "or any other ask.policy, your own package.module:attr too. [default: "
            f"{POLICIES}; none with --arm alone]",
        ),
    ] = None,
    scorers: Annotated[
        str | None,
        typer.Option(
            "--scorers",
            metavar="X,Y",
            help="Every policy with each of these scorers, which may be expressions: "
            "margin,'0.7*margin + 0.3*entropy'. Policies that insist on a scorer, "
            "such as uniform-random, run once. [default: the scenario's]",
        ),
    ] = None,
    batchers: Annotated[
        str | None,
        typer.Option(
            "--batchers",
            metavar="P,Q",
            help="Each of those with each of these batchers. [default: the scenario's]",
        ),
    ] = None,
    arms: Annotated[
        list[str] | None,
        typer.Option(
            "--arm",
            metavar="NAME:KEY=VALUE,KEY=VALUE",
            help="One more arm: any settings of the scenario but the seed, as in "
            "--arm 'small batches:ask.quota=10,ask.cycles=31'. May be given several "
            "times.",
        ),
    ] = None,
    seeds: Annotated[
        int,
        typer.Option("--seeds", min=1, help="Number of seeds, from the scenario's on."),
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
        str | None,
        typer.Option(
            "--reference",
            help="The arm to measure against. [default: uniform-random, if it is "
            "there, else the first]",
        ),
    ] = None,
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
    """Compare arms: policies, scorers, batchers, or any other settings.

    Runs every combination with every seed; what no arm sets is the same for all: data,
    devices, trainer, budget. Writes OUT/summary.json, OUT/table.md, OUT/curves.svg and
    OUT/report.html (open it in a browser; it needs no network), and every run in
    OUT/runs. Ctrl-C keeps what is finished and reports on that; --resume goes on.

    A ridge regression on the same labels stands beside the reference: one that is far
    below it, or near chance, is said to be so first, and no saving is claimed. Exit
    code 8 if the reference learned next to nothing, or most of its devices failed.

    Example: fedask compare digits --policies global-cut,uniform-random --seeds 5

    Example: fedask compare digits --scorers margin,entropy --batchers cluster,top
    """
    program = open_program(scenario, read_settings(settings))
    folder = out or Path("runs") / f"compare-{program.scenario.name}"
    check_folder(folder, overwrite=overwrite, resume=resume)
    chosen = _read_arms(program, policies, scorers, batchers, arms)
    # These import torch and Flower: not before the options are known to be right.
    from fedask.simulations.comparison.arms import pick_reference  # noqa: PLC0415  (slow, and not always needed)
    from fedask.simulations.comparison.jobs import check_jobs, plan_jobs  # noqa: PLC0415  (slow, and not always needed)
    from fedask.simulations.comparison.summary_builder import Question  # noqa: PLC0415  (slow, and not always needed)

    first = program.scenario.seed
    question = Question(
        arms=chosen,
        seeds=range(first, first + seeds),
        reference=pick_reference(reference, chosen),
        target=target,
        command=shlex.join(["fedask", *sys.argv[1:]]),
        runtime=runtime,
    )
    jobs = plan_jobs(question.arms, question.seeds, folder)
    check_jobs(program, jobs)
    clear(folder, overwrite=overwrite, resume=resume)
    summary = compare(program, question, folder, jobs, workers=workers, resume=resume)
    if as_json:
        say_doubts(summary["doubts"])
        print_json(summary)
    else:
        print_summary(summary)
        stderr().print(f"open {folder / 'report.html'}", soft_wrap=True)
    if summary["partial"]:
        raise typer.Exit(INTERRUPTED)
    if summary["worthless"]:
        raise typer.Exit(OutcomeError.exit_code)


def _read_arms(
    program: Program,
    policies: str | None,
    scorers: str | None,
    batchers: str | None,
    arms: Sequence[str] | None,
) -> "list[Arm]":
    """Make the arms of the options.

    Raises
    ------
    ConfigError
        If a name is unknown, a setting wrong, or two arms are the same.
    """
    from fedask.simulations.comparison.arms import (  # noqa: PLC0415  (imports torch)
        check_arms,
        cross,
        read_arm,
        read_names,
    )

    if policies is None and (scorers or batchers or not arms):
        policies = POLICIES
    chosen = cross(
        [] if policies is None else read_names("--policies", policies),
        [] if scorers is None else read_names("--scorers", scorers),
        [] if batchers is None else read_names("--batchers", batchers),
        program.scenario.ask,
    )
    chosen += [read_arm(text) for text in arms or ()]
    check_arms(chosen, program.scenario)
    return chosen


def compare(
    program: Program,
    question: "Question",
    folder: Path,
    jobs: "Sequence[Job]",
    *,
    workers: int | None,
    resume: bool,
) -> "ComparisonSummary":
    """Run, summarise, draw."""
    from fedask.simulations.comparison.jobs import (  # noqa: PLC0415  (slow, and not always needed)
        default_workers,
        keep_arms,
        run_jobs,
    )
    from fedask.simulations.comparison.summary_builder import summarise  # noqa: PLC0415  (slow, and not always needed)

    keep_arms(program, question.arms, folder)
    # Other runtimes bring their own processes.
    workers = workers or (default_workers(len(jobs)) if _inline(question) else 1)
    runs = [(job.name, job.out, _rounds(program, job)) for job in jobs]
    with _bars(runs) as tick:
        found = run_jobs(
            program,
            jobs,
            runtime=question.runtime,
            workers=workers,
            resume=resume,
            tick=tick,
        )
    _print_refused(found.results)
    summary = summarise(found, program.scenario, question)
    _write_outcome(summary, folder)
    return summary


def _print_refused(results: Mapping[tuple[str, int], Mapping[str, Any]]) -> None:
    """Say of each arm what devices failed at, or the server refused, in all seeds."""
    refused: defaultdict[str, list[tuple[int, str, str]]] = defaultdict(list)
    for (arm, _), result in sorted(results.items()):
        refused[arm] += result["refused"]
    for arm, found in refused.items():
        for line in refusals(found):
            stderr().print(f"{arm}: {line}", markup=False, highlight=False)


def _inline(question: "Question") -> bool:
    return question.runtime == "inline"


def _write_outcome(summary: "ComparisonSummary", folder: Path) -> None:
    """Write the summary; table, drawing and page too if anything was found."""
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / "summary.json", json.dumps(summary, indent=1).encode())
    if any(row["labels"] for row in summary["policies"].values()):
        from fedask.simulations.report.markdown import (  # noqa: PLC0415  (slow, and not always needed)
            markdown_table,
        )
        from fedask.simulations.report.report_page import write_report  # noqa: PLC0415  (slow, and not always needed)
        from fedask.simulations.report.svg import write_curves  # noqa: PLC0415  (slow, and not always needed)

        replace_file(folder / "table.md", markdown_table(summary).encode())
        write_curves(summary, folder / "curves.svg")
        write_report(summary, folder / "report.html")


def _rounds(program: Program, job: "Job") -> int:
    """Return the rounds of a run, which its arm may set."""
    return job.arm.applied(program.scenario).rounds


@contextmanager
def _bars(runs: Sequence[tuple[str, Path, int]]) -> Iterator[Callable[[], None]]:
    """Draw one bar over all runs, each with its rounds; yields what refreshes it."""
    with progress_bar() as bar:
        total = sum(rounds for *_, rounds in runs)
        task = bar.add_task("comparing", total=total, note="starting")
        followers = [(name, Follower(out), rounds) for name, out, rounds in runs]

        def tick() -> None:
            done, busy = 0, []
            for name, follower, rounds in followers:
                row = follower.look()
                past = rounds if "stopped" in row else row.get("round", 0)
                done += past
                if 0 < past < rounds:
                    busy.append(f"{name}: {note(row)}")
            bar.update(task, completed=done, note=escape("; ".join(busy[:2])))

        yield tick
