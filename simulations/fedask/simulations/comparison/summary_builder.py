"""Turns finished runs into ``summary.json``. Called by the ``compare`` command."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from statistics import fmean
from typing import Any, cast

from fedask.common.config import Scenario
from fedask.server.figures import aulc
from fedask.simulations.comparison.arms import REFERENCE, Arm
from fedask.simulations.comparison.jobs import JobResult
from fedask.simulations.comparison.paired_statistics import compare_pairs, holm
from fedask.simulations.comparison.summary import (
    ArmSummary,
    ComparisonSummary,
    Figures,
    LedgerTotals,
    MachineSummary,
)
from fedask.simulations.run.doubts import far_below, learned_nothing

LEDGER: tuple[str, ...] = tuple(LedgerTotals.__annotations__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The arms, seeds and target of a comparison.

    Parameters
    ----------
    arms, seeds
        Every arm is run with every seed.
    reference
        Name of the arm that the others are measured against.
    target
        Accuracy to count labels to; None = the reference's mean accuracy with its last
        labels.
    command
        How to ask it again.
    runtime
        What the runs ran on.
    """

    arms: Sequence[Arm]
    seeds: Sequence[int]
    reference: str = REFERENCE
    target: float | None = None
    command: str = ""
    runtime: str = "inline"


def summarise(
    found: JobResult, scenario: Scenario, question: Question
) -> ComparisonSummary:
    """Summarise a comparison: returns what ``summary.json`` holds."""
    seeds, reference, target = question.seeds, question.reference, question.target
    found_any = next(iter(found.results.values()), None)
    rows = {arm.name: _summarise_arm(arm, found, seeds) for arm in question.arms}
    doubts = _doubts(rows, reference, found)
    measured = reference in rows and rows[reference]["accuracy"]
    if target is None and measured and not doubts.reference:
        target = rows[reference]["final_accuracy"]
    _count_labels(rows, "" if doubts.reference else reference, target)
    between = _common_labels(found)
    _compare_areas(rows, found, question, between)
    return {
        "schema": 1,
        "doubts": doubts.told,
        "worthless": doubts.worthless,
        "name": scenario.name,
        "command": question.command,
        "reference": reference,
        "target_accuracy": target,
        "aulc_labels": between,
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


@dataclass(frozen=True, slots=True)
class _Doubts:
    """What speaks against a comparison.

    Parameters
    ----------
    told
        In sentences.
    reference
        Whether they are about the arm that the others are measured against: where it
        learned far less than its labels say, any other would seem to save labels.
    worthless
        Whether nothing is shown at all.
    """

    told: list[str]
    reference: bool
    worthless: bool


def _doubts(rows: dict[str, ArmSummary], reference: str, found: JobResult) -> _Doubts:
    """Doubt arms whose devices failed, and a reference that learned too little."""
    told = [f"{name}: {row['failed']}" for name, row in rows.items() if row["failed"]]
    row = rows.get(reference)
    if row is None or not any(row["accuracy"]):
        return _Doubts(told, reference=bool(told), worthless=bool(told))
    chances = [r["chance"] for r in found.results.values() if "chance" in r]
    nothing = doubt = ""
    if chances:
        nothing = learned_nothing(row["final_accuracy"], fmean(chances))
        doubt = nothing or far_below(row["final_accuracy"], row["baseline_accuracy"])
    if doubt:
        told.append(f"the reference, {reference}: {doubt}; no saving can be claimed")
    worthless = bool(nothing or row["failed"])
    return _Doubts(told, reference=bool(doubt or row["failed"]), worthless=worthless)


def machine() -> MachineSummary:
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


def _summarise_arm(arm: Arm, found: JobResult, seeds: Sequence[int]) -> ArmSummary:
    """Summarise the runs of one arm, one per seed."""
    keys = [(arm.name, seed) for seed in seeds]
    results = [found.results[key] for key in keys if key in found.results]
    curves = [[row["accuracy"] for row in _cycles(r)] for r in results]
    labels = [[row["labels"] for row in _cycles(r)] for r in results]
    length = max((len(curve) for curve in curves), default=0)
    mean = [round(fmean(c[i] for c in labels if i < len(c))) for i in range(length)]
    finals = [curve[-1] for curve in curves if curve]
    first = results[0] if results else {}
    given = [r.get("baseline") for r in results]  # older runs have none
    known = [accuracy for accuracy in given if accuracy is not None]
    return {
        "settings": dict(arm.settings),
        "labels": mean,
        "accuracy": curves,
        "final_accuracy": fmean(finals) if finals else 0.0,
        "baseline_accuracy": fmean(known) if known else None,
        "failed": next(filter(None, (r.get("failed") for r in results)), ""),
        "labels_to_target": None,
        "labels_saved": None,
        "aulc": [],
        "against": None,
        "figures": _figures(results),
        "stopped": [r["stopped"] for r in results],
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


def _figures(results: Sequence[dict[str, Any]]) -> Figures:
    """Return the mean of every figure over the runs, cycle by cycle."""
    cycles = [_cycles(r) for r in results]
    table: dict[str, list[float | None]] = {
        name: _means([[row[name] for row in rows] for rows in cycles])
        for name in Figures.__annotations__
        if name != "diversity"
    }
    table["diversity"] = _means([r["diversity"] for r in results])
    return cast("Figures", table)


def _means(columns: Sequence[Sequence[float | None]]) -> list[float | None]:
    """Return the mean per cycle over the runs where it is defined; None if nowhere."""
    longest = max((len(column) for column in columns), default=0)
    means: list[float | None] = []
    for cycle in range(longest):
        here = [column[cycle] for column in columns if cycle < len(column)]
        known = [value for value in here if value is not None]
        means.append(fmean(known) if known else None)
    return means


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
    rows: dict[str, ArmSummary], reference: str, target: float | None
) -> None:
    """Fill in the labels each arm needs, and what it saves against the reference.

    Labels to target: those bought when the mean accuracy over the seeds first reaches
    the target; for the reference too, which may be before its last cycle.
    """
    if target is None:
        return
    for row in rows.values():
        row["labels_to_target"] = _labels_to(row["labels"], row["accuracy"], target)
    base = rows[reference]["labels_to_target"] if reference in rows else None
    if base is None:
        return
    for row in rows.values():
        needed = row["labels_to_target"]
        if needed is not None and not row["failed"]:
            row["labels_saved"] = round(1.0 - needed / base, 4)


def _common_labels(found: JobResult) -> tuple[int, int] | None:
    """Return the range of labels that the curves of all finished runs cover."""
    curves = [[row["labels"] for row in _cycles(r)] for r in found.results.values()]
    curves = [curve for curve in curves if curve]
    if not curves:
        return None
    low, high = max(curve[0] for curve in curves), min(curve[-1] for curve in curves)
    return (low, high) if low < high else None


def _compare_areas(
    rows: dict[str, ArmSummary],
    found: JobResult,
    question: Question,
    between: tuple[int, int] | None,
) -> None:
    """Fill in the areas, and what an arm has over the reference, seed by seed."""
    areas: dict[tuple[str, int], float | None] = {}
    for run, result in found.results.items():
        curve = _cycles(result)
        labels = [row["labels"] for row in curve]
        accuracy = [row["accuracy"] for row in curve]
        areas[run] = aulc(labels, accuracy, between) if between else None
    compared = []
    for name, row in rows.items():
        done = [seed for seed in question.seeds if (name, seed) in areas]
        row["aulc"] = [areas[name, seed] for seed in done]
        if name == question.reference:
            continue
        pairs = [
            (ours, theirs)
            for seed in done
            if (ours := areas[name, seed]) is not None
            and (theirs := areas.get((question.reference, seed))) is not None
        ]
        row["against"] = compare_pairs([a for a, _ in pairs], [b for _, b in pairs])
        if row["against"] is not None:
            compared.append(row["against"])
    for paired, p in zip(compared, holm([p["p"] for p in compared]), strict=True):
        paired["p_holm"] = p


def _labels_to(
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
