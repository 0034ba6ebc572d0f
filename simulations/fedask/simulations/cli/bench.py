"""``fedask bench``: measure, as ratios in one run."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer

from fedask.client.cli.console import print_json, print_table, stderr
from fedask.common.command_line import CommandTable
from fedask.common.errors import ConfigError
from fedask.simulations.bench.tables import (
    print_desk,
    print_runtime,
    print_selection,
    print_service,
)
from fedask.simulations.cli.options import Json


class Bench(CommandTable):
    """Measure speed and memory, as ratios against a peer or a floor in one run."""

    targets: ClassVar = {
        "runtime": "fedask.simulations.cli.bench:runtime_command",
        "select": "fedask.simulations.cli.bench:select_command",
        "desk": "fedask.simulations.cli.bench:desk_command",
        "service": "fedask.simulations.cli.bench:service_command",
        "footprint": "fedask.simulations.cli.bench:footprint_command",
        "crash": "fedask.simulations.cli.bench:crash_command",
    }


def runtime_command(
    devices: Annotated[
        int, typer.Option("--devices", min=2, max=10_000, help="Size of the fleet.")
    ] = 200,
    ray: Annotated[
        bool, typer.Option("--ray/--no-ray", help="Also run on Flower's Ray engine.")
    ] = True,
    sizes: Annotated[
        str, typer.Option("--sizes", help="Fleet sizes to grow through.")
    ] = "100,1000,10000",
    as_json: Json = False,
) -> None:
    """Measure the inline runtime: against Ray, a bare PyTorch loop, and as it grows.

    ratio: device-rounds per second of a whole run, start-up included, inline over
    Flower's Ray engine: the same apps and scenario, a tiny perceptron and one local
    step a round. Inline keeps labels in memory; Ray's actors share nothing but files.
    ratio_steady: after the first round. ratio_sqlite, ratio_sqlite_steady: inline with
    the same files as Ray.
    over_bare: time inline over the time of a bare PyTorch loop for the same training
    steps. growth: cost and peak memory of each fleet size in a process of its own.

    Example: fedask bench runtime --json
    """
    from fedask.simulations.bench.runtime import (  # noqa: PLC0415  (imports torch)
        against_bare,
        against_ray,
        growth,
        kib_per_device,
        model_kib,
    )
    from fedask.simulations.comparison.summary_builder import machine  # noqa: PLC0415  (slow, and not always needed)

    result: dict[str, Any] = {"machine": machine(), "devices": devices}
    stderr().print("inline against a bare loop ...")
    inline, bare = against_bare(devices)
    result |= {"inline_train_per_s": round(inline), "bare_per_s": round(bare)}
    result["over_bare"] = round(bare / inline, 2)
    stderr().print(f"growing through {sizes} devices ...")
    rows = growth(read_sizes(sizes))
    result["growth"] = [asdict(row) for row in rows]
    result["model_kib"] = model_kib()
    if len(rows) > 1:
        result["kib_per_device"] = kib_per_device(rows)
    if ray:
        stderr().print("inline against Ray (a minute or two) ...")
        rates = against_ray(devices)
        for name, rate in rates.items():
            result[f"{name}_per_s"] = round(rate.whole, 1)
            result[f"{name}_steady_per_s"] = round(rate.steady, 1)
        peer = rates["ray"]
        for name, suffix in (("inline", ""), ("inline_sqlite", "_sqlite")):
            ours = rates[name]
            result[f"ratio{suffix}"] = round(ours.whole / peer.whole, 1)
            result[f"ratio{suffix}_steady"] = round(ours.steady / peer.steady, 1)
    if as_json:
        print_json(result)
    else:
        print_runtime(result)


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

    Example: fedask bench select --quick
    """
    from fedask.simulations.bench.peers import default_folder, install  # noqa: PLC0415  (slow, and not always needed)
    from fedask.simulations.bench.select import PeerLimits, compare  # noqa: PLC0415  (slow, and not always needed)
    from fedask.simulations.comparison.summary_builder import machine  # noqa: PLC0415  (slow, and not always needed)

    def say(text: str) -> None:
        stderr().print(f"{text} ...", markup=False)

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

    Example: fedask bench desk --json
    """
    from fedask.simulations.bench.desk import measure  # noqa: PLC0415  (slow, and not always needed)
    from fedask.simulations.comparison.summary_builder import machine  # noqa: PLC0415  (slow, and not always needed)

    def say(text: str) -> None:
        stderr().print(f"{text} ...", markup=False)

    result: dict[str, Any] = {"machine": machine()}
    result |= measure(queued, calls, say)
    if as_json:
        print_json(result)
    else:
        print_desk(result)


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

    Example: fedask bench service --json
    """
    from fedask.simulations.bench.service import measure  # noqa: PLC0415  (slow, and not always needed)
    from fedask.simulations.comparison.summary_builder import machine  # noqa: PLC0415  (slow, and not always needed)

    def say(text: str) -> None:
        stderr().print(f"{text} ...", markup=False)

    result: dict[str, Any] = {"machine": machine()}
    result |= measure(samples, clients, say)
    if as_json:
        print_json(result)
    else:
        print_service(result)


def footprint_command(as_json: Json = False) -> None:
    """Measure what a device's processes cost to start and hold, beside bare Flower.

    start_ms: imports alone. rss_mib: resident memory then. The least of a few.

    Example: fedask bench footprint --json
    """
    from fedask.simulations.bench.footprint import measure  # noqa: PLC0415  (slow, and not always needed)

    rows = measure()
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    cells = [(r.process, f"{r.start_ms:.0f}", f"{r.rss_mib:.0f}") for r in rows]
    print_table("footprint", ("process", "start ms", "RSS MiB"), cells)


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

    Example: fedask bench crash --runs 1000 --json
    """
    from fedask.simulations.bench.crash import measure  # noqa: PLC0415  (slow, and not always needed)

    def say(text: str) -> None:
        stderr().print(text, markup=False)

    tally = measure(runs, seed, say, cut=cut)
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


def read_sizes(text: str) -> list[int]:
    """Parse a list of fleet sizes.

    Raises
    ------
    ConfigError
        If one is no number between 2 and 10,000.
    """
    sizes = []
    for part in text.split(","):
        if not part.strip().isdigit() or not 2 <= int(part) <= 10_000:  # noqa: PLR2004  (told beside)
            msg = f"--sizes {text!r}: {part.strip()!r} is no number from 2 to 10000"
            raise ConfigError(msg)
        sizes.append(int(part))
    return sizes
