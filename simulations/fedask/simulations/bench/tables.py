"""Benchmarks as tables. Called by ``fedask bench``."""

from typing import Any

from fedask.client.cli.console import print_table, stderr


def print_runtime(result: dict[str, Any]) -> None:
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


def print_selection(result: dict[str, Any]) -> None:
    """Print the selection benchmark as tables, one per case."""
    for peer, reason in result.get("peers", {}).get("failed", {}).items():
        stderr().print(f"{peer} left out: {reason}", markup=False)
    for case in result["cases"]:
        title = case["case"]
        if case["speedup"] is not None:
            peer, ratio = case["fastest_peer"], case["speedup"]
            title += f": fedask {ratio}x as fast as the fastest correct peer, {peer}"
        print_table(
            title,
            ("", "ms", "runs", "extra MiB", "/ fedask", "/ floor", "wrong"),
            [tuple(_cell(value) for value in row.values()) for row in case["rows"]],
        )
    if result["pool"]:
        print_table(
            "scoring a pool on one thread, per sample",
            (
                "model",
                "samples",
                "bare ns",
                "with softmax ns",
                "scored ns",
                "/ bare",
                "/ with softmax",
                "extra MiB",
            ),
            [tuple(_cell(value) for value in row.values()) for row in result["pool"]],
        )


def print_service(result: dict[str, Any]) -> None:
    """Print the benchmark of the service as a table, one row per window."""
    disk = result["disk"]
    print_table(
        f"{result['samples']} samples, {result['clients']} apps; a bare fsync takes "
        f"{disk['p50_ms']} ms (p99 {disk['p99_ms']})",
        (
            "at a time",
            "labels/s",
            "lease ms",
            "p99",
            "submit ms",
            "p99",
            "lost",
            "twice",
        ),
        [
            (
                str(row["window"]),
                str(row["labels_per_s"]),
                *(
                    str(row[call][each])
                    for call in ("lease", "submit")
                    for each in ("p50_ms", "p99_ms")
                ),
                str(row["lost"]),
                str(row["twice"]),
            )
            for row in result["windows"]
        ],
    )


def print_desk(result: dict[str, Any]) -> None:
    """Print the benchmark of the desk as a table."""
    rows = [("bare fsync", result["disk"])]
    for rule in ("one", "two"):
        rows += [(f"{call}, rule {rule}", row) for call, row in result[rule].items()]
    print_table(
        f"{result['queued']} samples wait, {result['file_mib']} MiB, opened in "
        f"{result['open_ms']} ms",
        ("", "p50 ms", "p99 ms", "max ms"),
        [(name, *(str(value) for value in row.values())) for name, row in rows],
    )


def _cell(value: float | str | None) -> str:
    return "-" if value is None else str(value)
