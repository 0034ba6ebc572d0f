"""Flower's log, told true: how many devices answered a round, and how.

Called by ``AskStrategy``. A strategy of Flower counts the messages that it is given. It
is given what passed our checks, often one exact mean for the whole fleet, so its
"Received 1 results and 0 failures" reads like an outage, and never names a failure.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from flwr.common.logger import log
from typing_extensions import override

_FLOWER = logging.getLogger("flwr")


class _WithoutCounts(logging.Filter):
    @override
    def filter(self, record: logging.LogRecord) -> bool:
        return "Received %s results and %s failures" not in str(record.msg)


@contextmanager
def own_counts(step: str, results: int, failures: int) -> Iterator[None]:
    """Log these counts in Flower's words, in place of those of the inner strategy.

    Parameters
    ----------
    step
        Flower's name of it: ``aggregate_train`` or ``aggregate_evaluate``.
    results
        Devices whose answer was taken.
    failures
        Devices that failed, were away, or whose answer was refused.
    """
    counts = "%s: received %d results and %d failures"
    log(logging.INFO, counts, step, results, failures)
    silence = _WithoutCounts()
    _FLOWER.addFilter(silence)
    try:
        yield
    finally:
        _FLOWER.removeFilter(silence)
