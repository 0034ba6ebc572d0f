"""Benchmarks of the labelling side and of selection, beside those of ``fedask bench``.

python -m tests.benchmarks crash --runs 40   # kill -9 at any system call: 0 lost
python -m tests.benchmarks desk              # a queue of a million samples
python -m tests.benchmarks service           # eight labelling apps at once
python -m tests.benchmarks select --quick    # selection, beside other libraries
python -m tests.benchmarks public-files DIR  # test files of other projects: 0 wrong
python -m tests.benchmarks zoo               # models that are hard to carry: same bits

Run in the root of the repository; ``make bench B="crash --runs 40"`` does. Never part
of a wheel.
"""

import logging
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from tests.benchmarks.crash import measure as measure_crashes
from tests.benchmarks.tables import print_desk, print_selection, print_service

from fedask.client.cli.console import print_json, print_table, stderr
from fedask.common.errors import FedaskError
from fedask.simulations.cli.options import Json

# Where it finds rich, typer escapes the brackets of "[default: 3]" for markup that is
# off here, and the backslash is shown.
typer.core.HAS_RICH = False

app = typer.Typer(
    help="Measure labelling and selection, against a peer or a floor in one run.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.command("select")
def select_command(
    peers: Annotated[
        Path | None,
        typer.Option("--peers", help="Folder of the peers' environment."),
    ] = None,
    alone: Annotated[
        bool, typer.Option("--alone", help="Measure fedask and the floor only.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Sizes about twenty times smaller.")
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            min=1.0,
            help="Seconds after which a library is stopped; slow ones take minutes. "
            "[default: 900, quick: 120]",
        ),
    ] = None,
    only: Annotated[
        str, typer.Option("--only", help="Cases whose name holds this.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Measure selection: time and memory of every library on the same arrays.

    Peers are installed once, wheels only, into an environment of their own (--peers,
    by default in the user's cache; a gigabyte or more); one that does not install is
    listed and left out. Each choice is made in a process of its own, after the other
    and with all cores. floor: one copy of the input. A choice that a float64 reference
    finds wrong is marked and is never the fastest.
    pool: scoring a whole pool with the device's own code, over the bare forward passes
    of the same model on the same batches, on one thread.

    Example: python -m tests.benchmarks select --quick
    """
    from tests.benchmarks.peers import default_folder, install  # noqa: PLC0415  (not for the forks of crash)
    from tests.benchmarks.select import PeerLimits, compare  # noqa: PLC0415  (not for the forks of crash)

    from fedask.simulations.comparison.summary_builder import machine  # noqa: PLC0415  (not for the forks of crash)

    result: dict[str, Any] = {"machine": machine()}
    there = None
    if not alone:
        folder = peers or default_folder()
        say(f"peers in {folder} (the first time this takes minutes)")
        there = install(folder)
        result["peers"] = {"versions": there.versions, "failed": there.failed}
    limits = PeerLimits.quick() if quick else PeerLimits()
    if timeout is not None:
        limits = replace(limits, timeout_s=timeout)
    result |= compare(there, limits, only, say)
    if as_json:
        print_json(result)
    else:
        print_selection(result)


@app.command("desk")
def desk_command(
    queued: Annotated[
        int, typer.Option("--queued", min=1, help="Samples that wait.")
    ] = 1_000_000,
    calls: Annotated[
        int, typer.Option("--calls", min=1, help="Leases and answers of each rule.")
    ] = 1000,
    as_json: Json = False,
) -> None:
    """Measure the labelling desk over a long queue: lease, answer, open, file size.

    Everything waits for the disk, as an answer must: disk is a bare write and fsync on
    the same disk (TMPDIR chooses it).

    Example: python -m tests.benchmarks desk --json
    """
    from tests.benchmarks.desk import measure  # noqa: PLC0415  (not for the forks of crash)

    from fedask.simulations.comparison.summary_builder import machine  # noqa: PLC0415  (not for the forks of crash)

    result: dict[str, Any] = {"machine": machine()}
    result |= measure(queued, calls, say)
    if as_json:
        print_json(result)
    else:
        print_desk(result)


@app.command("service")
def service_command(
    samples: Annotated[
        int, typer.Option("--samples", min=1, help="Leased and answered.")
    ] = 10_000,
    clients: Annotated[
        int, typer.Option("--clients", min=1, max=64, help="Apps at the same time.")
    ] = 8,
    as_json: Json = False,
) -> None:
    """Measure the labelling service: answers per second from several apps at once.

    The service is a process of its own behind a unix socket, the apps are threads.
    Every lease and every answer waits for the disk: disk is a bare write and fsync
    (TMPDIR chooses it). lost, twice: answers that are not in the store exactly once.

    Example: python -m tests.benchmarks service --json
    """
    from tests.benchmarks.service import measure  # noqa: PLC0415  (not for the forks of crash)

    from fedask.simulations.comparison.summary_builder import machine  # noqa: PLC0415  (not for the forks of crash)

    result: dict[str, Any] = {"machine": machine()}
    result |= measure(samples, clients, say)
    if as_json:
        print_json(result)
    else:
        print_service(result)


@app.command("crash")
def crash_command(
    runs: Annotated[int, typer.Option("--runs", min=1, help="How often.")] = 100,
    seed: Annotated[int, typer.Option("--seed", help="Who is killed, and where.")] = 0,
    cut: Annotated[
        bool, typer.Option("--cut", help="Cut the power instead: look at a copy.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Kill what takes answers in at any system call, and look for what was promised.

    In each run people answer on the page, in an app, in a terminal and through an
    imported file, over one store; one of these processes dies (kill -9) at a system
    call drawn by the seed. lost: acknowledged answers that are gone. twice: counted
    more than once. broken: stores that do not open. Exit code 1 unless all are 0.
    Linux only.

    Example: python -m tests.benchmarks crash --runs 1000 --json
    """
    tally = measure_crashes(runs, seed, say, cut=cut)
    if as_json:
        print_json(tally.to_dict())
    else:
        figures = ("runs", "acknowledged", "kept", "lost", "twice", "broken")
        rows = [(name, str(getattr(tally, name))) for name in figures]
        rows += [(f"killed: {who}", str(n)) for who, n in sorted(tally.killed.items())]
        print_table("crashes", ("what", "count"), rows)
        for problem in tally.problems:
            stderr().print(f"  {problem}", markup=False)
    if tally.lost or tally.twice or tally.broken:
        raise typer.Exit(1)


@app.command("public-files")
def public_files_command(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="Holds files.", exists=True, file_okay=False
        ),
    ],
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option", metavar="KIND.KEY=VALUE", help="Of a reader; again for more."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Read files of other projects' test suites as a device reads its data.

    wrong in silence: read, but not what a reference makes of it. crash: neither read
    nor set aside with a reason. Exit code 1 unless both are 0.

    Example: python -m tests.benchmarks public-files Pillow/Tests/images
    Example: python -m tests.benchmarks public-files scans --option images.white=4095
    """
    from tests.benchmarks.public_files import Outcome, measure, options_of  # noqa: PLC0415  (not for the forks of crash)

    tally = measure(folder, options_of(option or []))
    if as_json:
        print_json(tally.to_dict())
    else:
        print_table(
            "files", ("suffix", *(kind.value for kind in Outcome)), tally.rows()
        )
        reasons = [
            (suffix, outcome.value, reason, str(len(names)), names[0])
            for (suffix, outcome, reason), names in sorted(tally.reasons.items())
        ]
        columns = ("suffix", "outcome", "reason", "files", "first")
        print_table("reasons", columns, reasons)
    if tally.bad:
        raise typer.Exit(1)


@app.command("zoo")
def zoo_command(
    superlink: Annotated[
        bool,
        typer.Option(
            "--superlink", help="The most telling, on a SuperLink instead of Ray."
        ),
    ] = False,
    only: Annotated[
        str, typer.Option("--only", help="Models whose name holds this.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Run models that are hard to carry from device to device, on two runtimes each.

    Frozen parts, tied weights, buffers of all kinds, tensors replaced in forward,
    bfloat16, ...: every result must be the same, to the bit. Exit code 1 if one is not.

    Example: python -m tests.benchmarks zoo --superlink
    """
    from tests.benchmarks.zoo import chosen, measure  # noqa: PLC0415  (not for the forks of crash)

    rows = []
    for row in measure(chosen(only, superlink=superlink), superlink=superlink):
        say(f"{row['model']}: {'same' if row['same'] else 'DIFFERENT'}")
        rows.append(row)
    if as_json:
        print_json(rows)
    else:
        columns = tuple(rows[0]) if rows else ("model",)
        print_table("zoo", columns, [[str(v) for v in row.values()] for row in rows])
    if not all(row["same"] for row in rows):
        raise typer.Exit(1)


def say(text: str) -> None:
    """Tell what goes on."""
    stderr().print(text, markup=False)


def main() -> None:
    """Run one benchmark; a failure is a message and an exit code, as of ``fedask``."""
    os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
    logging.getLogger("flwr").setLevel(logging.ERROR)
    logging.getLogger("fedask").setLevel(logging.ERROR)
    try:
        app()
    except FedaskError as err:
        say(f"benchmark: {type(err).__name__}: {err}")
        sys.exit(err.exit_code)


if __name__ == "__main__":
    main()
