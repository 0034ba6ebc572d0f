"""Made-up comparisons for the tests of the plot and the report."""

from fedask.simulations.summary import LedgerTotals, Machine, PolicySummary, Summary

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
MACHINE: Machine = {
    "python": "3.11.2",
    "torch": "2.9.0",
    "flwr": "1.41.0",
    "fedask": "0.1.0",
    "cores": 4,
    "system": "Linux x86_64",
}


def policy(
    accuracy: list[list[float]],
    labels_to_target: int | None,
    labels_saved: float | None,
    labels: list[int] | None = None,
) -> PolicySummary:
    """Make what one policy found."""
    last = [seed[-1] for seed in accuracy if seed]
    return {
        "labels": LABELS if labels is None else labels,
        "accuracy": accuracy,
        "final_accuracy": sum(last) / max(1, len(last)),
        "labels_to_target": labels_to_target,
        "labels_saved": labels_saved,
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


def comparison() -> Summary:
    """Make a comparison of two policies over three seeds that went well."""
    shifts = (-0.012, 0.0, 0.012)
    random = [[value + shift for value in RANDOM] for shift in shifts]
    cut = [[value + shift for value in CUT] for shift in shifts]
    return {
        "schema": 1,
        "name": "digits",
        "command": "fedask compare digits --policies uniform-random,global-cut",
        "reference": "uniform-random",
        "target_accuracy": 0.919,
        "devices": 2,
        "classes": ["cat", "dog", "owl"],
        "seeds": [0, 1, 2],
        "runtime": "inline",
        "machine": MACHINE.copy(),
        "scenario": {"name": "digits", "ask.quota": 20, "train.restart": False},
        "partial": False,
        "seconds": 41.0,
        "policies": {
            "uniform-random": policy(random, 320, 0.0),
            "global-cut": policy(cut, 160, 0.5),
        },
    }
