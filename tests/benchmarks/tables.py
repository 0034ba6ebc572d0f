"""Benchmarks as tables. Called by ``python -m tests.benchmarks``."""

from typing import Any

from fedask.client.cli.console import print_table, stderr


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
