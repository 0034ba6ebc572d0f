"""What of a model the inner strategy sees, and what is added up beside it.

Called by what gathers the replies of a round for the inner strategy.
"""

from typing import Any

from flwr.app import ArrayRecord
from flwr.serverapp.strategy import Strategy
from numpy.typing import NDArray

from fedask.common.array_rules import check_model, fault_of, is_fit
from fedask.common.arrays import Arrays
from fedask.common.errors import ProtocolError
from fedask.common.manifest import MOVING, ArrayKind, Manifest
from fedask.common.state_sum import StateSum
from fedask.common.weights import ArraySpec, to_record


class ModelSplit:
    """Splits a model into what the inner strategy sees and the rest.

    Parameters
    ----------
    sent
        The model of this round's messages.
    seen
        The kinds of array that it sees.

    Attributes
    ----------
    spec
        Of what it sees.
    state
        Sums the statistics and counters that it does not see.
    """

    def __init__(
        self, manifest: Manifest, sent: Arrays, seen: tuple[ArrayKind, ...]
    ) -> None:
        self._update = ArraySpec.of_manifest(manifest, *MOVING)
        self._optional = frozenset(
            manifest.names(ArrayKind.STATISTIC, ArrayKind.COUNTER)
        )
        self._seen = manifest.of(*seen)
        self.spec = ArraySpec.of_manifest(manifest, *seen)
        hidden = tuple(e for e in manifest.entries if e.kind not in seen)
        self.state = StateSum(Manifest(hidden), sent)
        self._manifest, self._sent = manifest, sent

    def read(self, record: ArrayRecord) -> dict[str, NDArray[Any]]:
        """Decode an update; what did not change on the device is filled in.

        Raises
        ------
        ProtocolError
            If its arrays are not those of an update.
        """
        arrays = self._update.decode(record, self._optional)
        if len(arrays) == len(self._update.shapes):
            return arrays
        return {n: arrays.get(n, self._sent[n]) for n in self._update.shapes}

    def of_strategy(self, arrays: Arrays) -> dict[str, NDArray[Any]]:
        """Return the part of an update that the inner strategy sees."""
        return {entry.name: arrays[entry.name] for entry in self._seen}

    def check(self, arrays: Arrays, weight: int) -> None:
        """Refuse what no training can have made of the model that was sent.

        Raises
        ------
        ProtocolError
            Naming the array; or as ``StateSum.check``.
        """
        for entry in self._seen:
            if not is_fit(entry, self._sent[entry.name], arrays[entry.name]):
                raise ProtocolError(fault_of(entry))
        self.state.check(arrays, weight)

    def whole(self, inner: Strategy, record: ArrayRecord) -> ArrayRecord:
        """Complete what the inner strategy made, in the dtypes of the model.

        Raises
        ------
        ProtocolError
            If it does not fit the model, or has a value that no device takes.
        """
        cast_back = {
            name: record[name].numpy().astype(dtype)
            for name, (_, dtype) in self.spec.shapes.items()
            if name in record
        }
        made = {**self._sent, **self.state.result()}
        try:
            made |= self.spec.decode(to_record(cast_back))
            model = {name: made[name] for name in self._manifest.by_name}
            check_model(self._manifest, model)
        except ProtocolError as err:
            raise ProtocolError(f"strategy {type(inner).__name__}: {err}") from err
        return to_record(model)
