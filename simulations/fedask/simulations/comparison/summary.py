"""The shape of ``summary.json``: what a comparison found, ready to be shown.

Written by the comparison, read by the report. Types only: nothing here
computes or checks anything. Accuracies and shares lie in [0, 1].
"""

from typing import TypedDict

from fedask.common.settings import Scalar


class MachineSummary(TypedDict):
    """Where a comparison ran: versions, processor cores, operating system."""

    python: str
    torch: str
    flwr: str
    fedask: str
    cores: int
    system: str


class LedgerTotals(TypedDict):
    """Labels of one arm in the server's ledgers, summed over all seeds."""

    bought: int
    spent: int
    answered: int
    skipped: int
    expired: int
    returned: int


class Stopped(TypedDict):
    """After which cycle a run ended early, and why."""

    cycle: int
    reason: str


class Figures(TypedDict):
    """Key figures at the end of each cycle, means over the seeds; None = not defined.

    The server's are explained in ``fedask.server.figures``; ``diversity`` is the mean
    cosine distance between the samples that the cycle asked.
    """

    labels_per_point: list[float | None]
    answered_share: list[float | None]
    capacity_used: list[float | None]
    spent_per_label: list[float | None]
    class_balance: list[float | None]
    diversity: list[float | None]


class Paired(TypedDict):
    """An arm against the reference, by the area under the curve of the same seeds.

    ``shift`` is the Hodges-Lehmann estimate of the difference, ``effect`` the
    matched-pairs rank-biserial correlation, ``p`` the exact two-sided Wilcoxon
    signed-rank p-value, ``p_holm`` that adjusted for all arms that are compared with
    the reference (Holm), ``p_least`` the smallest ``p`` that so many pairs can give.
    """

    pairs: int
    shift: float
    effect: float
    p: float
    p_holm: float
    p_least: float


class ArmSummary(TypedDict):
    """Results of one arm: curves, figures, ledger and wire.

    ``baseline_accuracy`` is that of a ridge regression on the labels that the arm
    bought, the mean over the seeds; None if not known. ``failed`` says that most of its
    devices failed in most rounds of a seed, or "".

    ``settings`` are the dotted keys of the scenario that it replaces. ``labels`` is per
    cycle, the mean over the seeds, rounded; ``accuracy`` is one list per seed, one
    value per cycle, and the lists differ in length after an interrupted run.
    ``labels_saved`` is the share of the reference's labels that was not needed: 0.5 =
    half as many, -0.5 = half as many again. ``bytes_per_device_per_cycle`` is what
    active learning adds, ask and report together, without the model. ``messages``,
    ``extra_messages``, ``ledger`` and ``seconds`` are over all seeds,
    ``labels_by_device`` is of the first seed, per class, by device pseudonym.
    ``aulc`` is the normalised area under each seed's curve within the summary's
    ``aulc_labels``; ``against`` compares it with the reference's, None for the
    reference itself. ``stopped`` has an entry per seed, None = all cycles were run.
    """

    settings: dict[str, Scalar]
    labels: list[int]
    accuracy: list[list[float]]
    final_accuracy: float
    baseline_accuracy: float | None
    failed: str
    labels_to_target: int | None
    labels_saved: float | None
    aulc: list[float | None]
    against: Paired | None
    figures: Figures
    stopped: list[Stopped | None]
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


class ComparisonSummary(TypedDict):
    """One comparison of arms over the same seeds.

    ``policies`` holds the arms by name, in the order they were asked for; the key is
    older than the word. ``reference`` names the arm the others are measured against,
    ``target_accuracy`` the accuracy that ``labels_to_target`` counts to,
    ``aulc_labels`` the range of labels that every finished run covers. ``scenario`` has
    dotted keys, before any arm's settings. ``partial`` is set when the run was
    interrupted. ``doubts`` say, in sentences, why the reference is none (no arm has
    ``labels_saved`` then), or which arm did not work (it has none). ``worthless`` is
    set when the reference learned next to nothing, or most of its devices failed.
    """

    schema: int
    doubts: list[str]
    worthless: bool
    name: str
    command: str
    reference: str
    target_accuracy: float | None
    aulc_labels: tuple[int, int] | None
    devices: int
    classes: list[str]
    seeds: list[int]
    runtime: str
    machine: MachineSummary
    scenario: dict[str, Scalar]
    partial: bool
    seconds: float
    policies: dict[str, ArmSummary]
