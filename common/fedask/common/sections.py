"""The sections of a scenario: every setting, its default, its rule.

Read by ``config``, which builds them from a file, and by whoever is configured. Each
default carries its reason; each rule is checked in the constructor.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from fedask.common.settings import Scalar, require

MAX_CAPACITY = 65_535  # labels per device and cycle
MAX_SHORTLIST = 1000.0  # times the batch
MIN_BINS, MAX_BINS = 2, 4096
WARMUP_SAMPLES = 1024  # of a device's pool in a round of warm-up: four large batches
MAX_CELLS = 1024
MAX_PAUSE_S = 31 * 86_400
MAX_MEMORY = 10_000  # utilities, written with every batch of arrivals


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskConfig:
    """What is learned."""

    name: str = "auto"  # auto: from the data; or package.module:attr of a Task
    model: str = "mlp"  # for auto: linear, mlp, cnn, or package.module:attr


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """Where a simulated fleet gets its samples. A deployed device ignores it."""

    source: str = "digits"  # digits, fashion-mnist, idx, npz, package.module:attr
    folder: str = ""  # idx: folder of the files; npz: the file. "" = $FEDASK_DATA
    test_share: float = 0.2  # held out at the server, where the source has no split
    limit: int = 0  # use at most this many training samples; 0 = all

    def __post_init__(self) -> None:
        require(
            0.0 < self.test_share < 1.0,
            "test_share",
            self.test_share,
            "must lie between 0 and 1",
        )
        require(self.limit >= 0, "limit", self.limit, "must be 0 (all) or positive")


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetConfig:
    """The simulated devices and the people beside them."""

    devices: int = 20
    partition: str = "dirichlet"  # dirichlet, iid
    alpha: float = 0.1  # Dirichlet concentration; smaller = more skewed devices
    participation: float = 1.0  # share of rounds a device answers; the rest it misses
    people: str = "perfect"  # who answers: perfect, absent, or package.module:attr
    store: str = "sqlite"  # sqlite (durable, any runtime) or memory (inline only)

    def __post_init__(self) -> None:
        require(self.devices >= 1, "devices", self.devices, "must be at least 1")
        require(self.alpha > 0, "alpha", self.alpha, "must be positive")
        require(
            0.0 < self.participation <= 1.0,
            "participation",
            self.participation,
            "must lie in (0, 1]",
        )
        require(
            self.store in {"sqlite", "memory"},
            "store",
            self.store,
            "must be 'sqlite' or 'memory'",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AskConfig:
    """Which samples are asked, and how many."""

    policy: str = "global-cut"
    scorer: str = "margin"
    # What learned and albl learn from: scorers, or expressions, with commas between.
    experts: str = "margin, entropy, least-confidence, density, gradient-length"
    batcher: str = "cluster"
    committee: int = 3  # past global models that bald, flips, ... look through
    cost: str = ""  # package.module:attr: raw batch -> what each answer costs
    cost_unit: float = 1.0  # a low price: dearer answers must be worth it (cheap)
    calibrate: bool = False  # a temperature per device before scores are compared
    quota: int = 20  # labels the fleet may buy per cycle
    cycles: int = 16
    initial: int = 0  # labels a device asks in the first cycle; 0 = its share of quota
    first: str = "typicality"  # how it chooses them: a scorer, or random
    capacity: int = 10  # labels one device's people give per cycle
    shortlist: float = 4.0  # m: the batcher chooses k out of the best m * k
    bins: int = 64  # of the score grid, per group
    groups: str = "predicted"  # what the grid counts in: predicted, prototype, cells
    cells: int = 0  # of groups = "cells"; 0 = as many as classes
    device_labels: int = 0  # most asked on one device, expired ones aside; 0 = no limit
    patience: int = 0  # cycles a question waits before it expires; 0 = for ever
    balance: float = 0.25  # 0: quota follows the scores; 1: even labelled class mix
    near: float = 0.0  # cosine of features from which one answer may serve; 0 = off
    temperature: float = 1.0  # of class-cut: 1 = inverse counts, large = equal shares

    def __post_init__(self) -> None:
        require(self.quota >= 1, "quota", self.quota, "must be at least 1")
        require(self.cycles >= 1, "cycles", self.cycles, "must be at least 1")
        require(
            self.initial >= 0,
            "initial",
            self.initial,
            "must be positive, or 0: the device's share of ask.quota",
        )
        require(
            1 <= self.capacity <= MAX_CAPACITY,
            "capacity",
            self.capacity,
            "must be 1 to 65535",
        )
        require(
            self.initial <= self.capacity,
            "initial",
            self.initial,
            f"must not exceed ask.capacity = {self.capacity}, what people give a cycle",
        )
        require(
            self.device_labels == 0 or self.device_labels >= max(1, self.initial),
            "device_labels",
            self.device_labels,
            f"must be 0 (no limit) or at least ask.initial = {max(1, self.initial)}",
        )
        require(
            1.0 <= self.shortlist <= MAX_SHORTLIST,
            "shortlist",
            self.shortlist,
            "must be 1 to 1000: a shortlist smaller than the batch cannot fill it",
        )
        require(self.cost_unit > 0, "cost_unit", self.cost_unit, "must be positive")
        require(self.committee >= 1, "committee", self.committee, "must be at least 1")
        require(self.patience >= 0, "patience", self.patience, "must not be negative")
        require(
            MIN_BINS <= self.bins <= MAX_BINS, "bins", self.bins, "must be 2 to 4096"
        )
        require(
            self.groups in {"predicted", "prototype", "cells"},
            "groups",
            self.groups,
            "must be 'predicted', 'prototype' or 'cells'",
        )
        require(
            0 <= self.cells <= MAX_CELLS and self.cells != 1,
            "cells",
            self.cells,
            "must be 2 to 1024, or 0: as many as classes",
        )
        require(
            self.groups == "cells" or not self.cells,
            "cells",
            self.cells,
            "is read with ask.groups = 'cells' alone",
        )
        require(
            self.temperature > 0, "temperature", self.temperature, "must be positive"
        )
        require(
            0.0 <= self.balance <= 1.0, "balance", self.balance, "must lie in [0, 1]"
        )
        require(0.0 <= self.near <= 1.0, "near", self.near, "must lie in [0, 1]")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamConfig:
    """What a device asks of samples that arrive between rounds.

    These questions come on top of the server's; all are paid from ``ask.quota``: what
    was asked on arrival is missing from the next cuts.
    """

    controller: str = "off"  # off, biqf, split, fixed-cut or package.module:attr
    budget: float = 0.0  # labels per sample; 0 = ask.capacity over a period's arrivals
    explore: float = 0.05  # share of the budget left to chance: sees drift anywhere
    period_s: float = 86_400.0  # in which people give ask.capacity labels: a day
    memory: int = 100  # samples remembered; this and below: scikit-activeml's defaults
    tolerance: float = 50.0  # biqf: labels that may be ahead of or behind the budget
    step: float = 0.01  # split: by which share of itself the threshold moves

    def __post_init__(self) -> None:
        for key in ("budget", "explore"):
            value = getattr(self, key)
            require(0.0 <= value <= 1.0, key, value, "must lie in [0, 1]")
        for key in ("period_s", "tolerance"):
            value = getattr(self, key)
            require(0.0 < value < math.inf, key, value, "must be positive")
        require(
            1 <= self.memory <= MAX_MEMORY, "memory", self.memory, "must be 1 to 10000"
        )
        require(0.0 < self.step < 1.0, "step", self.step, "must lie between 0 and 1")

    @property
    def on(self) -> bool:
        """Whether samples are asked on arrival at all."""
        return self.controller != "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class StopConfig:
    """When a run ends before its last cycle. ``ask.cycles`` is always the end."""

    # budget, plateau, uncertainty, stabilised, value, or package.module:attr; several
    # with commas, the first to hold ends the run. "": none, so that runs compare.
    when: str = ""
    labels: int = 0  # budget: most labels asked in all; 0 = no such limit
    money: float = 0.0  # budget: most to pay for labels; 0 = no such limit
    price: float = 0.0  # of one label, in euros or a person's seconds; 0 = not known
    patience: int = 3  # plateau: cycles without a gain; a single one is often chance
    min_gain: float = 0.005  # plateau: twice the sampling error of 95 % on 10,000
    uncertainty: float = (
        0.0  # mean score to fall below; must be set: no value suits all
    )
    kappa: float = 0.99  # stabilised: as published (Bloodgood & Vijay-Shanker 2009)
    window: int = 3  # stabilised: as published; value: a slope over as many steps
    value_per_point: float = 0.0  # value: of 1 % accuracy, in the unit of the price

    def __post_init__(self) -> None:
        for key in ("labels", "money", "price", "value_per_point"):
            value = getattr(self, key)
            ok = 0 <= value < math.inf
            require(ok, key, value, "must be finite and not negative")
        for key in ("patience", "window"):
            value = getattr(self, key)
            require(value >= 1, key, value, "must be at least 1")
        for key in ("uncertainty", "kappa"):
            value = getattr(self, key)
            require(0 <= value < 1, key, value, "must lie in [0, 1)")
        ok = 0 < self.min_gain < 1
        require(ok, "min_gain", self.min_gain, "must lie between 0 and 1")
        self._check_named()

    def _check_named(self) -> None:
        """Refuse a limit that no criterion reads, and a criterion without a limit."""
        limits = {
            "budget": ("labels", "money"),
            "uncertainty": ("uncertainty",),
            "value": ("value_per_point",),
        }
        for name, keys in limits.items():
            given = [key for key in keys if getattr(self, key)]
            needed = " or ".join(f"stop.{key}" for key in keys)
            if name in self.criteria:
                require(bool(given), "when", self.when, f"{name} needs {needed}")
            for key in given:
                rule = f"is read by {name!r} only, which stop.when does not name"
                require(name in self.criteria, key, getattr(self, key), rule)
        if self.money or self.value_per_point:
            rule = "must be given with stop.money and stop.value_per_point"
            require(self.price > 0, "price", self.price, rule)

    @property
    def criteria(self) -> tuple[str, ...]:
        """Names of the criteria, in order."""
        names = (name.strip() for name in self.when.split(","))
        return tuple(dict.fromkeys(name for name in names if name))

    @property
    def budget(self) -> int | None:
        """Most labels that may be asked in all; None = no limit."""
        limits = [self.labels] if self.labels else []
        if self.money:  # 0.3 / 0.1 is a little less than 3
            limits.append(int(min(self.money / self.price + 1e-9, 1e9)))
        return min(limits, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeakConfig:
    """Labelling functions, which stand in for people where these said little yet."""

    # package.module:attr, several with commas; each maps a raw batch (n, ...) to (n,)
    # int classes, -1 = abstains. "": none.
    functions: str = ""
    samples: int = 256  # of each device's pool, drawn by hash, that they are applied to
    weight: float = (
        0.1  # of a weak label beside a person's in training: it may be wrong
    )
    until: int = 5  # labels per class that people named on a device; then no weak ones
    judges: int = 0  # labels on a device from which they weigh functions; 0 = majority

    def __post_init__(self) -> None:
        rule = f"must be 1 to {MAX_CAPACITY}"
        require(1 <= self.samples <= MAX_CAPACITY, "samples", self.samples, rule)
        require(0.0 < self.weight <= 1.0, "weight", self.weight, "must lie in (0, 1]")
        require(self.until >= 1, "until", self.until, "must be at least 1")
        require(self.judges >= 0, "judges", self.judges, "must not be negative")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the functions, in order."""
        names = (name.strip() for name in self.functions.split(","))
        return tuple(dict.fromkeys(name for name in names if name))

    def counts_as(self, labels: int) -> int:
        """Return how many of people's labels so many weak ones count as, rounded up.

        For the weight of an update, which is a whole number.
        """
        return math.ceil(round(self.weight * labels, 6))  # 0.1 * 30 is more than 3


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoConfig:
    """Labels that a device gives itself where its calibrated model is sure."""

    sure: float = 0.0  # probability from which a sample counts as sure; 0 = off
    most: int = 256  # such labels of a device at once, the surest first
    weight: float = 0.5  # of one beside a person's in training: it may be wrong
    controls: float = (
        0.1  # share of the sure samples that people are asked all the same
    )
    fewest: int = 20  # answered controls before any such label counts
    window: int = 100  # controls, the latest, that the error is measured on
    error: float = 0.05  # share of wrong ones above which none counts

    def __post_init__(self) -> None:
        require(
            self.sure == 0.0 or 0.5 < self.sure < 1.0,  # noqa: PLR2004  (more likely than not)
            "sure",
            self.sure,
            "must be 0 (off) or lie between 0.5 and 1",
        )
        require(
            0.0 < self.controls < 1.0,
            "controls",
            self.controls,
            "must lie between 0 and 1: without controls nothing is measured",
        )
        require(0.0 <= self.error < 1.0, "error", self.error, "must lie in [0, 1)")
        require(0.0 < self.weight <= 1.0, "weight", self.weight, "must lie in (0, 1]")
        rule = f"must be 1 to {MAX_CAPACITY}"
        for key in ("most", "fewest", "window"):
            value = getattr(self, key)
            require(1 <= value <= MAX_CAPACITY, key, value, rule)
        require(
            self.fewest <= self.window,
            "fewest",
            self.fewest,
            f"must be at most auto.window = {self.window}",
        )

    @property
    def on(self) -> bool:
        """Whether devices label for themselves at all."""
        return self.sure > 0.0

    def counts_as(self, labels: int) -> int:
        """Return how many of people's labels so many automatic ones count as."""
        return math.ceil(round(self.weight * labels, 6))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """How a device trains on the labels it has."""

    rounds: int = 5  # train messages per cycle
    steps: int = 5  # SGD steps per round
    batch_size: int = 32  # all labels in one batch when there are fewer
    lr: float = 0.1  # decays over the cycle's rounds as half a cosine
    momentum: float = 0.9
    weight_decay: float = 0.0
    prox: float = 0.0  # FedProx mu (Li et al. 2020); 0 = FedAvg
    logit_shift: float = 0.2  # tau: logits + tau * log(1 + class counts); 0 = off
    restart: bool = False  # begin every cycle from the initial model
    warmup: int = 0  # rounds before cycle 1 that train the encoder without a label
    threads: int = 1  # torch threads per device; 1 keeps runtimes bit-equal

    def __post_init__(self) -> None:
        for key in ("rounds", "steps", "batch_size", "threads"):
            value = getattr(self, key)
            require(value >= 1, key, value, "must be at least 1")
        require(self.lr > 0, "lr", self.lr, "must be positive")
        require(
            0.0 <= self.momentum < 1.0, "momentum", self.momentum, "must lie in [0, 1)"
        )
        for key in ("weight_decay", "prox", "logit_shift", "warmup"):
            value = getattr(self, key)
            require(value >= 0, key, value, "must not be negative")
        rule = "train.restart would undo it: every cycle begins from the initial model"
        require(not (self.warmup and self.restart), "warmup", self.warmup, rule)

    def position(self, number: int) -> tuple[int, int]:
        """Return (cycle, step from 0) of a round from 1; cycle 0 is the warm-up."""
        if number <= self.warmup:
            return 0, number - 1
        cycle, step = divmod(number - self.warmup - 1, self.rounds)
        return cycle + 1, step

    def tick(self, cycle: int, step: int) -> int:
        """Count rounds from the first of cycle 1, which is 0; before it, backwards."""
        if cycle == 0:
            return step - self.warmup
        return (cycle - 1) * self.rounds + step


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyConfig:
    """The inner Flower strategy that aggregates the updates."""

    name: str = "FedAvg"  # any of flwr.serverapp.strategy, or package.module:attr
    # Its own arguments: [strategy.options] eta = 0.1. Not hashed: a dict cannot be.
    options: Mapping[str, Scalar] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """Where results go."""

    out: str = ""  # folder for results, ~ is home, {run} the run's id; "" = none
    resume: bool = False  # continue from the checkpoint in ``out``
    evaluate: str = ""  # held-out (simulations), package.module:attr, or "" for none
    round_timeout_s: float = 3600.0  # how long a round waits for devices
    pause_s: float = (
        0.0  # after each cycle, for people to answer; simulations need none
    )

    def __post_init__(self) -> None:
        require(
            0.0 <= self.pause_s <= MAX_PAUSE_S,
            "pause_s",
            self.pause_s,
            f"must be 0 to {MAX_PAUSE_S}, a month",
        )
        require(
            self.round_timeout_s > 0,
            "round_timeout_s",
            self.round_timeout_s,
            "must be positive",
        )
