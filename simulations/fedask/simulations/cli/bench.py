"""``fedask bench``: measure, as ratios in one run."""

from dataclasses import asdict
from typing import Annotated, Any, ClassVar

import typer

from fedask.client.cli.console import print_json, print_table, stderr
from fedask.common.command_table import CommandTable
from fedask.common.errors import ConfigError
from fedask.simulations.cli.options import Json


class Bench(CommandTable):
    """Measure speed and memory, as ratios against a peer or a floor in one run."""

    targets: ClassVar = {
        "runtime": "fedask.simulations.cli.bench:runtime_command",
        "footprint": "fedask.simulations.cli.bench:footprint_command",
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
    rows = growth(_read_sizes(sizes))
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
        _print_runtime(result)


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


def _print_runtime(result: dict[str, Any]) -> None:
    """Print the benchmark of the inline runtime as tables."""
    print_table(
        f"{result['devices']} devices, device-rounds/s in memory",
        ("", "inline", "bare PyTorch loop", "time inline / bare"),
        [
            (
                "training only",
                str(result["inline_train_per_s"]),
                str(result["bare_per_s"]),
                f"{result['over_bare']}x",
            )
        ],
    )
    if "ratio" in result:
        rows = (
            ("inline", "inline", ""),
            ("inline, SQLite files", "inline_sqlite", "_sqlite"),
        )
        print_table(
            f"{result['devices']} devices, device-rounds/s against Flower's Ray engine "
            f"({result['ray_per_s']} whole run, {result['ray_steady_per_s']} steady)",
            ("", "whole run", "ratio", "steady", "ratio"),
            [
                (
                    words,
                    str(result[f"{name}_per_s"]),
                    f"{result[f'ratio{suffix}']}x",
                    str(result[f"{name}_steady_per_s"]),
                    f"{result[f'ratio{suffix}_steady']}x",
                )
                for words, name, suffix in rows
            ],
        )
    print_table(
        f"growth (model {result['model_kib']} KiB)",
        ("devices", "us/device-round", "total s", "peak MiB"),
        [tuple(str(value) for value in row.values()) for row in result["growth"]],
    )


def _read_sizes(text: str) -> list[int]:
    """Parse a list of fleet sizes.

    Raises
    ------
    ConfigError
        If one is no number between 2 and 10,000.
    """
    sizes = []
    for part in text.split(","):
        if not part.strip().isdigit() or not 2 <= int(part) <= 10_000:  # noqa: PLR2004  (told beside)
            raise ConfigError(
                f"--sizes {text!r}: {part.strip()!r} is no number from 2 to 10000"
            )
        sizes.append(int(part))
    return sizes
