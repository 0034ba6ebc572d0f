"""The shape of ``summary.json``: what a comparison found, ready to be shown.

Written by the comparison, read by ``plot`` and ``report``. Types only: nothing here
computes or checks anything. Accuracies and shares lie in [0, 1].
"""

from typing import TypedDict


class Machine(TypedDict):
    """Where a comparison ran: versions, processor cores, operating system."""

    python: str
    torch: str
    flwr: str
    fedask: str
    cores: int
    system: str


class LedgerTotals(TypedDict):
    """Labels of one policy in the server's ledgers, summed over all seeds."""

    bought: int
    spent: int
    answered: int
    skipped: int
    expired: int
    returned: int


class PolicySummary(TypedDict):
    """What one policy did with the labels it bought.

    ``labels`` is per cycle, the mean over the seeds, rounded; ``accuracy`` is one list
    per seed, one value per cycle, and the lists differ in length after an interrupted
    run. ``labels_saved`` is the share of the reference's labels that was not needed:
    0.5 = half as many, -0.5 = half as many again. ``bytes_per_device_per_cycle`` is
    what active learning adds, ask and report together, without the model.
    ``messages``, ``extra_messages``, ``ledger`` and ``seconds`` are over all seeds,
    ``labels_by_device`` is of the first seed, per class, by device pseudonym.
    """

    labels: list[int]
    accuracy: list[list[float]]
    final_accuracy: float
    labels_to_target: int | None
    labels_saved: float | None
    bytes_per_device_per_cycle: float
    extra_messages: int
    messages: int
    model_bytes_per_device_per_cycle: float
    ask_bytes_per_device_per_cycle: float
    report_bytes_per_device_per_cycle: float
    ledger: LedgerTotals
    labels_by_device: dict[str, list[int]]
    seconds: float
    selected_digest: list[str]
    model_digest: list[str]


class Summary(TypedDict):
    """One comparison of policies over the same seeds.

    ``reference`` names the policy the others are measured against, ``target_accuracy``
    the accuracy that ``labels_to_target`` counts to. ``scenario`` has dotted keys.
    ``partial`` is set when the run was interrupted.
    """

    schema: int
    name: str
    command: str
    reference: str
    target_accuracy: float | None
    devices: int
    classes: list[str]
    seeds: list[int]
    runtime: str
    machine: Machine
    scenario: dict[str, bool | int | float | str]
    partial: bool
    seconds: float
    policies: dict[str, PolicySummary]
