"""Reads a train message and writes its reply. Called by the ClientApp.

Reads what came from the server: everything is checked here or by the records
themselves. Never touches a store.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from fedask.common.errors import ProtocolError
from fedask.common.ids import PartDigest
from fedask.common.part_record import PART_ARRAYS, write_lacking
from fedask.common.records import Ask
from fedask.common.weights import to_record

if TYPE_CHECKING:
    from fedask.client.round.device import RoundOutcome  # imports torch

_KEPT = 4  # contents of one round: with and without the cut, train and evaluate
_MAX_PROX = 2.0**127  # float32 holds no more


@dataclass(frozen=True, slots=True)
class TrainMessage:
    """The content of a train message beside the model.

    Parameters
    ----------
    ask
        What to do besides training.
    prox
        The mu that Flower's FedProx strategy puts into its config, or 0.
    """

    ask: Ask
    prox: float


_read: dict[int, tuple[RecordDict, TrainMessage]] = {}


def read_train(content: RecordDict) -> TrainMessage:
    """Read a train message but for its model; once per content, which devices share.

    Raises
    ------
    ProtocolError
        If the ask is missing or wrong.
    """
    kept = _read.get(id(content))
    if kept is None or kept[0] is not content:
        given = TrainMessage(Ask.from_content(content), _prox(content))
        if len(_read) >= _KEPT:
            _read.clear()
        _read[id(content)] = kept = (content, given)
    return kept[1]


def read_model(content: RecordDict) -> ArrayRecord:
    """Return the one array record of a message's model, whatever the strategy calls it.

    Raises
    ------
    ProtocolError
        If there is not exactly one array record beside that of parts.
    """
    records = [
        record
        for name, record in content.items()
        if isinstance(record, ArrayRecord) and name != PART_ARRAYS
    ]
    if len(records) != 1:
        raise ProtocolError(
            f"the message has {len(records)} array records, must have one: the model"
        )
    return records[0]


def _prox(content: RecordDict) -> float:
    for record in content.values():
        if isinstance(record, ConfigRecord):
            value = record.get("proximal-mu")
            if isinstance(value, (int, float)) and 0.0 <= value <= _MAX_PROX:
                return float(value)
    return 0.0


def write_reply(
    outcome: "RoundOutcome", lacking: Collection[PartDigest] = ()
) -> RecordDict:
    """Return the content of a reply: report, and update and metrics if there are any.

    The metrics are there in any case: Flower's strategies look for them.

    Parameters
    ----------
    lacking
        Parts of the model to be sent with the next message.
    """
    content = RecordDict(dict(write_lacking(lacking)))
    for name, record in outcome.report.records.items():
        content[name] = record
    if outcome.arrays is not None:
        content["arrays"] = to_record(outcome.arrays)
    content["metrics"] = MetricRecord(
        {"num-examples": outcome.weight, "train-loss": outcome.loss}
    )
    return content
