"""What crosses the wire beside the model: typed, versioned, checked on both sides.

``Ask`` travels down inside every train message, ``Report`` up inside every reply; both
are frozen, and reading one from a message refuses whatever does not fit. There is no
other active-learning message. How fields are read is in ``fields``, the grid in
``grid_record``.

===================  ============  ================================================
record               kind          holds
===================  ============  ================================================
``fedask.ask``       ConfigRecord  ``v``, ``cycle``, ``step``; ``score``; ``centres``,
                                   see ``groups``; ``cut.*``, of which ``cut.theta``
                                   is (g,) little-endian uint16
``fedask.accuracy``  ConfigRecord  ``v``; ``last``: ``Ask.accuracy``; ``run``. Beside
                                   the ask, not in it: a device that does not know it
                                   passes over it, as over the inner strategy's own
``fedask.report``    ConfigRecord  ``v``, ``device``, ``refused``, ``array``;
                                   ``counts``: (5 + c,) little-endian uint32: last cut,
                                   asked, answered, skipped, expired, then labels per
                                   class
``fedask.grid``      ArrayRecord   ``counts``: (g, b) of the narrowest unsigned type;
                                   ``sums``, see ``groups``: (g, 17) of the narrowest
                                   signed one
===================  ============  ================================================

Those of the model's parts are in ``part_record``.
"""

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, RecordDict

from fedask.common.cut import MAX_GROUPS, Cut
from fedask.common.errors import ProtocolError
from fedask.common.fields import MAX_COUNT, SCHEMA, Fields, check_range
from fedask.common.grid import IntArray
from fedask.common.grid_record import GRID, read_grid, read_sums, to_record
from fedask.common.ids import (
    DeviceId,
    parse_device_id,
    parse_model_version,
)

__all__ = ["Ask", "Cut", "Report"]

ASK = "fedask.ask"
ACCURACY = "fedask.accuracy"
REPORT = "fedask.report"
_RUN = re.compile(r"[0-9a-f]{16}")
# Why a device did not do all it was asked; what the server's account says of it.
OTHER_MODEL, OTHER_GROUPS = "model-version", "groups"
DIVERGED, UNFIT, LACKS_PARTS = "diverged", "unfit", "parts"
REASONS = {
    OTHER_MODEL: "cut refused: the device's scores are of another model",
    OTHER_GROUPS: "cut refused: its groups are not those of the policy",
    DIVERGED: "no update: training diverged, its loss is not finite; lower train.lr",
    UNFIT: "no update: an array of the model is not fit to send",
    LACKS_PARTS: "no update: it lacks parts of the model, which come with its next "
    "message",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """The server's side of one round.

    Parameters
    ----------
    cycle
        From 1; 0 in a round of warm-up, which has neither scores nor a cut.
    step
        Round within the cycle or the warm-up, from 0; decides the learning rate.
    score
        Version of the model in this message if the device shall score its pool with it,
        else "".
    cut
        What to queue for labelling now, if the device has not done so in this cycle.
    centres
        Of the groups to count scores in, where they are not the predicted classes; in
        the form of ``groups.to_wire``, which the device checks.
    accuracy
        In [0, 1], on the server's held-out data, of the model that the last cycle ended
        with; None if the server does not know it, or has told this device. That is the
        model in this message where a cycle begins with it (without ``train.restart``),
        and up to a cycle's rounds older for a device that missed the beginning. For
        people to see: nothing that a device does depends on it.
    run
        Names the run that the accuracy is of, through all its restarts: 16 hexadecimal
        digits, or "" from a server that names none. Accuracies of two runs say nothing
        of each other.
    """

    cycle: int
    step: int
    score: str = ""
    cut: Cut | None = None
    centres: bytes = b""
    accuracy: float | None = None
    run: str = ""

    def __post_init__(self) -> None:
        check_range("ask cycle", self.cycle, 0, MAX_COUNT)
        check_range("ask step", self.step, 0, MAX_COUNT)
        if self.accuracy is not None:
            check_range("ask accuracy", self.accuracy, 0.0, 1.0)
        if self.run and not _RUN.fullmatch(self.run):
            raise ProtocolError("ask accuracy: its run is no 16 hexadecimal digits")
        if self.warms_up and (self.score or self.cut is not None):
            raise ProtocolError(
                "ask: a round of warm-up (cycle 0) must not score or ask"
            )

    @property
    def warms_up(self) -> bool:
        """Whether the encoder is trained without a label, and nothing else done."""
        return self.cycle == 0

    @property
    def records(self) -> dict[str, ConfigRecord]:
        """The wire form, by record name; ``from_content`` of it gives an equal ask."""
        record = ConfigRecord({"v": SCHEMA, "cycle": self.cycle, "step": self.step})
        if self.score:
            record["score"] = self.score
        if self.centres:
            record["centres"] = self.centres
        if self.cut is not None:
            for name, value in self.cut.to_fields().items():
                record[f"cut.{name}"] = value
        records = {ASK: record}
        if self.accuracy is not None:
            told = ConfigRecord({"v": SCHEMA, "last": self.accuracy})
            if self.run:
                told["run"] = self.run
            records[ACCURACY] = told
        return records

    @classmethod
    def from_content(cls, content: RecordDict) -> "Ask":
        """Read and check the ask of a train message.

        Raises
        ------
        ProtocolError
            If there is none, a schema version is not ours, or a field is missing,
            unknown, of the wrong type or out of range.
        """
        fields = Fields(content, ASK)
        cycle = fields.take("cycle", int)
        step = fields.take("step", int)
        score = fields.take("score", str, "")
        centres = fields.take("centres", bytes, b"")
        cut = None
        if fields.has("cut.nonce"):
            version = fields.take("cut.model", str, "")
            cut = Cut(
                cycle=cycle,
                model_version=parse_model_version(version) if version else "",
                nonce=fields.take("cut.nonce", int),
                theta=fields.take_array("cut.theta", "<u2", MAX_GROUPS),
                boundary=fields.take("cut.boundary", int, -1),
                rho=fields.take("cut.rho", float, 0.0),
                take=fields.take("cut.take", int, 0),
                ticket=fields.take("cut.ticket", float, 0.0),
                watch=fields.take("cut.watch", int, -1),
            )
        fields.done()
        if score:
            parse_model_version(score)
        accuracy, run = _read_accuracy(content)
        return cls(
            cycle=cycle,
            step=step,
            score=score,
            cut=cut,
            centres=centres,
            accuracy=accuracy,
            run=run,
        )


@dataclass(frozen=True, kw_only=True)  # no slots: the wire form is kept
class Report:
    """A device's side of one round. Counts are totals since the device was set up.

    Parameters
    ----------
    device
        Its pseudonym.
    cut_cycle
        Last cycle whose cut it has applied; 0 = none.
    refused
        A key of ``REASONS``: why the cut was not applied or there is no update; or "".
    array
        The array of the manifest that training made unfit, if it was that; or "".
    asked, answered, skipped, expired
        Samples ever queued, labelled by people, skipped by them, run out of time.
    class_counts
        (c,) labels it holds, per class.
    grid
        (g, b) counts of its best scores, or None if it was not asked to score.
    sums
        (g, 17) of ``groups.Grouping.tally``, where groups are not predicted classes;
        only beside a grid.
    """

    device: DeviceId
    cut_cycle: int
    refused: str
    asked: int
    answered: int
    skipped: int
    expired: int
    class_counts: tuple[int, ...]
    grid: IntArray | None = None
    sums: IntArray | None = None
    array: str = ""

    def __post_init__(self) -> None:
        check_range("report cut_cycle", self.cut_cycle, 0, MAX_COUNT)
        for name in ("asked", "answered", "skipped", "expired"):
            check_range(f"report {name}", getattr(self, name), 0, MAX_COUNT)
        check_range("report classes", len(self.class_counts), 1, MAX_GROUPS)
        check_range("report class counts", max(self.class_counts), 0, MAX_COUNT)
        check_range("report class counts", min(self.class_counts), 0, MAX_COUNT)
        if self.refused and self.refused not in REASONS:
            raise ProtocolError(f"report: unknown reason {self.refused!r:.40}")
        if (self.array and self.refused not in {DIVERGED, UNFIT}) or (
            self.refused == UNFIT and not self.array
        ):
            raise ProtocolError(
                "report: an array without a reason, or a reason for one"
            )
        if self.answered + self.skipped + self.expired > self.asked:
            raise ProtocolError("report: more answered, skipped and expired than asked")

    @property
    def labelled(self) -> int:
        """Labels it holds, over all classes."""
        return sum(self.class_counts)

    @cached_property
    def records(self) -> dict[str, ConfigRecord | ArrayRecord]:
        """The wire form, by record name. Not to be changed."""
        totals = (self.cut_cycle, self.asked, self.answered, self.skipped, self.expired)
        counts = np.array([*totals, *self.class_counts], dtype="<u4").tobytes()
        report = ConfigRecord({"v": SCHEMA, "device": self.device, "counts": counts})
        if self.refused:
            report["refused"] = self.refused
        if self.array:
            report["array"] = self.array
        records: dict[str, ConfigRecord | ArrayRecord] = {REPORT: report}
        if self.grid is not None:
            records[GRID] = to_record(self.grid, self.sums)
        return records

    @classmethod
    def from_content(
        cls,
        content: RecordDict,
        *,
        num_classes: int,
        grid_shape: tuple[int, int],
        sums_shape: tuple[int, int] | None = None,
    ) -> "Report":
        """Read and check the report of a reply.

        Parameters
        ----------
        num_classes
            c of the task.
        grid_shape
            (g, b) that a grid must have, if there is one.
        sums_shape
            (g, 17) that sums must have, if there are any; None: there must be none.

        Raises
        ------
        ProtocolError
            If there is none, its schema version is not ours, or anything in it is
            missing, unknown, of the wrong type, shape or size, or out of range.
        """
        if ASK in content:
            raise ProtocolError(f"a reply must not hold {ASK}")
        fields = Fields(content, REPORT)
        device = parse_device_id(fields.take("device", str))
        refused = fields.take("refused", str, "")
        array = fields.take("array", str, "")
        counts = fields.take_array("counts", "<u4", 5 + num_classes)
        fields.done()
        if len(counts) != 5 + num_classes:
            raise ProtocolError(
                f"report has {len(counts) - 5} classes, not {num_classes}"
            )
        return cls(
            device=device,
            cut_cycle=counts[0],
            refused=refused,
            array=array,
            asked=counts[1],
            answered=counts[2],
            skipped=counts[3],
            expired=counts[4],
            class_counts=counts[5:],
            grid=read_grid(content.get(GRID), grid_shape, sums_shape),
            sums=read_sums(content.get(GRID), sums_shape),
        )


def _read_accuracy(content: RecordDict) -> tuple[float | None, str]:
    """Return the accuracy of the last cycle, and the run that it is of."""
    if ACCURACY not in content:
        return None, ""
    fields = Fields(content, ACCURACY)
    accuracy, run = fields.take("last", float), fields.take("run", str, "")
    fields.done()
    return accuracy, run


def wire_bytes(content: RecordDict) -> int:
    """Count the bytes of our own records in a message, as Flower counts them."""
    return sum(
        len(name) + content[name].count_bytes()
        for name in (ASK, ACCURACY, REPORT, GRID)
        if name in content
    )
