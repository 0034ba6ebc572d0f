"""Made-up comparisons for the tests of the drawing and the report."""

from fedask.simulations.comparison.summary import (
    ArmSummary,
    ComparisonSummary,
    Figures,
    LedgerTotals,
    MachineSummary,
    Paired,
)

LABELS = [20, 60, 100, 160, 240, 320]
RANDOM = [0.41, 0.717, 0.806, 0.877, 0.909, 0.919]
CUT = [0.41, 0.824, 0.893, 0.919, 0.947, 0.955]
LEDGER: LedgerTotals = {
    "bought": 961,
    "spent": 953,
    "answered": 947,
    "skipped": 6,
    "expired": 13,
    "returned": 21,
}
FIGURES: Figures = {
    "labels_per_point": [None, 0.97, 1.66, 2.75, 4.1, 5.5],
    "answered_share": [1.0, 0.985, 0.98, 0.975, 0.97, 0.96],
    "capacity_used": [0.1, 0.2, 0.2, 0.3, 0.4, 0.4],
    "spent_per_label": [1.0, 1.02, 1.02, 1.03, 1.03, 1.04],
    "class_balance": [None, 0.81, 0.83, 0.85, 0.86, 0.87],
    "diversity": [0.31, 0.36, 0.35, 0.34, 0.33, None],
}
MACHINE: MachineSummary = {
    "python": "3.11.2",
    "torch": "2.9.0",
    "flwr": "1.41.0",
    "fedask": "0.1.0",
    "cores": 4,
    "system": "Linux x86_64",
}


def arm(
    accuracy: list[list[float]],
    labels_to_target: int | None,
    labels_saved: float | None,
    labels: list[int] | None = None,
) -> ArmSummary:
    """Make what one arm found."""
    last = [seed[-1] for seed in accuracy if seed]
    return {
        "settings": {},
        "labels": LABELS if labels is None else labels,
        "accuracy": accuracy,
        "final_accuracy": sum(last) / max(1, len(last)),
        "baseline_accuracy": 0.92,
        "failed": "",
        "labels_to_target": labels_to_target,
        "labels_saved": labels_saved,
        "aulc": [0.75 + 0.01 * seed for seed in range(len(accuracy))],
        "against": None,
        "figures": FIGURES.copy(),
        "stopped": [None for _ in accuracy],
        "bytes_per_device_per_cycle": 2345.0,
        "extra_messages": 0,
        "messages": 1800,
        "model_bytes_per_device_per_cycle": 456_789.0,
        "ask_bytes_per_device_per_cycle": 812.0,
        "report_bytes_per_device_per_cycle": 1533.0,
        "ledger": LEDGER.copy(),
        "labels_by_device": {"device-000": [3, 0, 17], "device-001": [0, 9, 4]},
        "seconds": 12.5,
        "selected_digest": ["5e1ec7ed" * 8 for _ in accuracy],
        "model_digest": ["0de1d16e" * 8 for _ in accuracy],
    }


def comparison() -> ComparisonSummary:
    """Make a comparison of two arms over three seeds that went well."""
    shifts = (-0.012, 0.0, 0.012)
    random = [[value + shift for value in RANDOM] for shift in shifts]
    cut = [[value + shift for value in CUT] for shift in shifts]
    return {
        "schema": 1,
        "doubts": [],
        "worthless": False,
        "name": "digits",
        "command": "fedask compare digits --policies uniform-random,global-cut",
        "reference": "uniform-random",
        "target_accuracy": 0.919,
        "aulc_labels": (20, 320),
        "devices": 2,
        "classes": ["cat", "dog", "owl"],
        "seeds": [0, 1, 2],
        "runtime": "inline",
        "machine": MACHINE.copy(),
        "scenario": {"name": "digits", "ask.quota": 20, "train.restart": False},
        "partial": False,
        "seconds": 41.0,
        "policies": {
            "uniform-random": arm(random, 320, 0.0),
            "global-cut": arm(cut, 160, 0.5),
        },
    }


def paired(p: float = 0.25, p_holm: float = 0.5) -> Paired:
    """Make what an arm of three seeds has over the reference."""
    return {
        "pairs": 3,
        "shift": 0.0821,
        "effect": 1.0,
        "p": p,
        "p_holm": p_holm,
        "p_least": 0.25,
    }


def many(count: int) -> ComparisonSummary:
    """Make a comparison of the reference and ``count`` arms, each worse by 0.01."""
    summary = comparison()
    summary["policies"] = {"uniform-random": summary["policies"]["uniform-random"]}
    summary["policies"]["uniform-random"]["aulc"] = [0.705] * 3
    for rank in range(count):
        found = arm([[v - 0.01 * rank for v in CUT]] * 3, 160, 0.5)
        found["aulc"] = [0.9 - 0.01 * rank] * 3
        found["settings"] = {"ask.policy": "global-cut", "ask.quota": 20 + rank}
        found["against"] = paired()
        summary["policies"][f"global-cut + s{rank:02}"] = found
    return summary
