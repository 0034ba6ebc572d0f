"""Turns finished runs into ``summary.json``. Called by the ``compare`` command."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from statistics import fmean
from typing import Any, cast

from fedask.common.config import Scenario
from fedask.simulations.compare import Found
from fedask.simulations.summary import LedgerTotals, Machine, PolicySummary, Summary

LEDGER: tuple[str, ...] = tuple(LedgerTotals.__annotations__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is compared with what.

    Parameters
    ----------
    policies, seeds
        Every policy is run with every seed.
    reference
        The policy that the others are measured against.
    target
        Accuracy to count labels to; None = the reference's mean accuracy with its last
        labels.
    command
        How to ask it again.
    runtime
        What the runs ran on.
    """

    policies: Sequence[str]
    seeds: Sequence[int]
    reference: str = "uniform-random"
    target: float | None = None
    command: str = ""
    runtime: str = "inline"


def summarise(found: Found, scenario: Scenario, question: Question) -> Summary:
    """Summarise a comparison: returns what ``summary.json`` holds."""
    seeds, reference, target = question.seeds, question.reference, question.target
    runs = {
        policy: [
            found.results[policy, s] for s in seeds if (policy, s) in found.results
        ]
        for policy in question.policies
    }
    found_any = next(iter(found.results.values()), None)
    rows = {policy: _policy(results) for policy, results in runs.items()}
    if target is None and reference in rows and rows[reference]["accuracy"]:
        target = rows[reference]["final_accuracy"]
    _count_labels(rows, reference, target)
    return {
        "schema": 1,
        "name": scenario.name,
        "command": question.command,
        "reference": reference,
        "target_accuracy": target,
        "devices": scenario.fleet.devices,
        "classes": found_any["classes"] if found_any else [],
        "seeds": list(seeds),
        "runtime": question.runtime,
        "machine": machine(),
        "scenario": scenario.to_flat(),
        "partial": found.partial,
        "seconds": round(found.seconds, 1),
        "policies": rows,
    }


def machine() -> Machine:
    """Describe where this runs."""
    return {
        "python": platform.python_version(),
        "torch": metadata.version("torch"),
        "flwr": metadata.version("flwr"),
        "fedask": metadata.version("fedask"),
        "cores": os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.machine()}",
    }


def _cycles(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows at the end of each cycle."""
    return [row for row in result["rows"] if "accuracy" in row]


def _policy(results: Sequence[dict[str, Any]]) -> PolicySummary:
    """Summarise the runs of one policy, one per seed."""
    curves = [[row["accuracy"] for row in _cycles(r)] for r in results]
    labels = [[row["labels"] for row in _cycles(r)] for r in results]
    length = max((len(curve) for curve in curves), default=0)
    mean = [round(fmean(c[i] for c in labels if i < len(c))) for i in range(length)]
    finals = [curve[-1] for curve in curves if curve]
    first = results[0] if results else {}
    return {
        "labels": mean,
        "accuracy": curves,
        "final_accuracy": fmean(finals) if finals else 0.0,
        "labels_to_target": None,
        "labels_saved": None,
        "bytes_per_device_per_cycle": _per_cycle(results, "ask_bytes", "report_bytes"),
        "ask_bytes_per_device_per_cycle": _per_cycle(results, "ask_bytes"),
        "report_bytes_per_device_per_cycle": _per_cycle(results, "report_bytes"),
        "model_bytes_per_device_per_cycle": _per_cycle(results, "model_bytes"),
        "messages": sum(r["wire"]["messages"] for r in results),
        "extra_messages": sum(
            r["wire"]["messages"] - r["wire"]["inner_messages"] for r in results
        ),
        "ledger": _ledger(results),
        "labels_by_device": first.get("labels_by_device", {}),
        "seconds": round(sum(r["seconds"] for r in results), 1),
        "selected_digest": [r["digest"]["selected"] for r in results],
        "model_digest": [r["digest"]["model"] for r in results],
    }


def _per_cycle(results: Sequence[dict[str, Any]], *counters: str) -> float:
    """Return bytes per device and cycle, the mean over the runs."""
    shares = [
        sum(r["wire"][c] for c in counters) / (r["devices"] * max(1, len(_cycles(r))))
        for r in results
    ]
    return round(fmean(shares), 1) if shares else 0.0


def _ledger(results: Sequence[dict[str, Any]]) -> LedgerTotals:
    sums = {name: sum(r["ledger"][name] for r in results) for name in LEDGER}
    return cast("LedgerTotals", sums)


def _count_labels(
    rows: dict[str, PolicySummary], reference: str, target: float | None
) -> None:
    """Fill in the labels each policy needs, and what it saves against the reference.

    Labels to target: those bought when the mean accuracy over the seeds first reaches
    the target; for the reference too, which may be before its last cycle.
    """
    if target is None:
        return
    for row in rows.values():
        row["labels_to_target"] = labels_to(row["labels"], row["accuracy"], target)
    base = rows[reference]["labels_to_target"] if reference in rows else None
    if base is None:
        return
    for row in rows.values():
        needed = row["labels_to_target"]
        if needed is not None:
            row["labels_saved"] = round(1.0 - needed / base, 4)


def labels_to(
    labels: Sequence[int], curves: Sequence[Sequence[float]], target: float
) -> int | None:
    """Return the labels at which the mean curve first reaches the target, or None.

    Cycles that not every seed has finished do not count.
    """
    whole = min((len(curve) for curve in curves), default=0)
    for cycle in range(whole):
        if fmean(curve[cycle] for curve in curves) >= target - 1e-12:
            return labels[cycle]
    return None
