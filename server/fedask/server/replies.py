"""The replies of one round: read, checked, booked, or refused by name.

Called by the strategy. A device is believed nothing that cannot be: a second reply,
totals that shrink, more scores than it may count.
"""

import logging
from collections import Counter

import numpy as np
from flwr.app import Message, RecordDict
from flwr.common.constant import ErrorCode

from fedask.common.array_rules import fault_of
from fedask.common.errors import ProtocolError, kind_of
from fedask.common.grid import IntArray
from fedask.common.grid_record import GRID
from fedask.common.groups import check_sums
from fedask.common.ids import DeviceId
from fedask.common.manifest import Manifest
from fedask.common.records import (
    LACKS_PARTS,
    REASONS,
    REPORT,
    UNFIT,
    Report,
    wire_bytes,
)
from fedask.server.inner_strategy import Gathered
from fedask.server.part_delivery import PartDelivery
from fedask.server.progress import RunProgress

_REASONS_LOGGED = 3  # per round
# Flower's codes for what no app has said: a device may be there another time.
_AWAY = frozenset(
    {
        ErrorCode.MESSAGE_UNAVAILABLE,
        ErrorCode.REPLY_MESSAGE_UNAVAILABLE,
        ErrorCode.NODE_UNAVAILABLE,
    }
)

logger = logging.getLogger(__name__)


class ReplyReader:
    """Reads reports; one for a whole run.

    Parameters
    ----------
    num_classes
        c of the task.
    grid_shape
        (g, b) that a grid must have.
    sums_shape
        (g, 17) that sums must have; None: there must be none.
    most
        Scores that a device may count.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        grid_shape: tuple[int, int],
        sums_shape: tuple[int, int] | None,
        most: int,
    ) -> None:
        self._classes = num_classes
        self.grid_shape = grid_shape
        self.sums_shape = sums_shape
        self.most = most
        self._kept: dict[int, tuple[object, Report, int]] = {}  # by node

    def read(self, node: int, content: RecordDict) -> tuple[Report, int]:
        """Read a report and count its bytes, grid included.

        Once per record, which an unchanged device of this process sends again.

        Raises
        ------
        ProtocolError
            If it does not fit.
        """
        record = content.get(REPORT)
        kept = self._kept.get(node)
        if kept is not None and kept[0] is record and GRID not in content:
            return kept[1:]
        report = Report.from_content(
            content,
            num_classes=self._classes,
            grid_shape=self.grid_shape,
            sums_shape=self.sums_shape,
        )
        size = wire_bytes(content)
        if report.grid is None:
            self._kept[node] = (record, report, size)
        return report, size


class Replies:
    """Collects what the replies of one round report.

    Parameters
    ----------
    progress
        Where reports are booked.
    gathered
        Takes the updates.
    manifest
        Of the model.
    delivery
        Notes which parts of the model a device lacks.
    scoring
        Whether devices score in this round.

    Attributes
    ----------
    grid, sums
        Of all that scored; sums are None where groups are predicted classes.
    scored
        Devices whose grids are in it.
    refused
        (device, reason) of what was dropped.
    taken
        How many replies fit, with an update or without.
    """

    def __init__(
        self,
        reader: ReplyReader,
        progress: RunProgress,
        gathered: Gathered,
        manifest: Manifest,
        delivery: PartDelivery,
        *,
        scoring: bool,
    ) -> None:
        self.grid: IntArray = np.zeros(reader.grid_shape, dtype=np.int64)
        self.sums: IntArray | None = None
        if reader.sums_shape is not None:
            self.sums = np.zeros(reader.sums_shape, dtype=np.int64)
        self.scored: list[DeviceId] = []
        self.refused: list[tuple[str, str]] = []
        self.taken = 0
        self._reader = reader
        self._progress = progress
        self._gathered = gathered
        self._manifest = manifest
        self._delivery = delivery
        self._scoring = scoring
        self._seen: set[DeviceId] = set()
        self._failed = 0  # devices whose app raised an error, wrong set-up included

    def take(self, reply: Message) -> None:
        """Take one reply, or drop what does not fit and name the device.

        A report that fits is booked even if the update beside it is refused: labels
        that people gave are counted whatever became of the training.
        """
        node = reply.metadata.src_node_id
        device = f"node {node}"
        if reply.has_error():
            self._delivery.take_error(reply)
            reason = str(reply.error.reason)[:200]
            self.refused.append((device, reason))
            away = reply.error.code in _AWAY or reason.startswith("UnavailableError")
            self._failed += not away
            return
        try:
            report, size = self._reader.read(node, reply.content)
            device = report.device
            self._check(report)
            self._book(report, node)
            idle = report.refused == LACKS_PARTS
            self._delivery.take(node, reply.content, idle=idle)
            trained = self._gathered.add(reply, report)
        except ProtocolError as err:
            self.refused.append((device, str(err)))
            return
        self.taken += 1
        self._progress.wire.count_reply(size, reply.content if trained else None)

    def tell(self, number: int) -> None:
        """Log why replies were refused; stop a run that nobody could begin.

        Raises
        ------
        FedaskError
            If in the first round the app of every device fails: of the kind that most
            of them fail with.
        """
        reasons = Counter(reason for _, reason in self.refused)
        for reason, count in reasons.most_common(_REASONS_LOGGED):
            logger.warning("round %d: refused %d replies: %s", number, count, reason)
        if number == 1 and not self._seen and 0 < self._failed == reasons.total():
            reason = reasons.most_common(1)[0][0]
            raise kind_of(reason)(f"no device could begin: {reason}")

    def _book(self, report: Report, node: int) -> None:
        """Book a report that passed every check."""
        self._seen.add(report.device)
        self._progress.ledger.note(report)
        self._progress.applied[node] = report.cut_cycle
        self._progress.classes[report.device] = report.class_counts
        if report.refused:
            self.refused.append((report.device, self._reason(report)))
        if report.grid is not None and self._scoring:
            self.grid += report.grid
            self.scored.append(report.device)
            if self.sums is not None and report.sums is not None:
                self.sums += report.sums

    def _reason(self, report: Report) -> str:
        """Say why a device did not do all it was asked, and which array shows it."""
        reason = REASONS[report.refused]
        if not report.array:
            return reason
        fault = fault_of(self._manifest.by_name[report.array])
        return (
            f"no update: {fault}" if report.refused == UNFIT else f"{reason} ({fault})"
        )

    def _check(self, report: Report) -> None:
        """Refuse a second report, totals that shrink, or what it cannot have."""
        if report.array and report.array not in self._manifest.by_name:
            raise ProtocolError(
                f"device {report.device} names {report.array!r:.80}, no array of the "
                "model"
            )
        if report.device in self._seen:
            raise ProtocolError(f"device {report.device} replied twice")
        before = self._progress.ledger.totals.get(report.device)
        now = (report.asked, report.answered, report.skipped, report.expired)
        if before is not None and any(n < b for n, b in zip(now, before, strict=True)):
            raise ProtocolError(
                f"device {report.device} reports less than before: {before} to {now}"
            )
        if report.grid is not None and int(report.grid.sum()) > self._reader.most:
            raise ProtocolError(
                f"device {report.device} counts more scores than its capacity"
            )
        if report.sums is not None:
            check_sums(report.sums)
