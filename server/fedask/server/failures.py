"""Whether the devices of a run failed: then it is no success, whatever it ends with.

Called by the ServerApp when a run is over.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from fedask.common.records import DIVERGED, REASONS

# Chosen by the scenario, or mended by the next message.
_NO_FAULT = (
    "UnavailableError",
    *(said for key, said in REASONS.items() if key != DIVERGED),
)


def failed(server: Mapping[str, Any]) -> str:
    """Say that most devices failed in most rounds, and of what, or "".

    Parameters
    ----------
    server
        The account of the server: ``refused`` and ``wire`` are read, and the rounds.
    """
    rounds = max((row["round"] for row in server["rows"]), default=0)
    if not rounds:
        return ""
    asked = server["wire"]["messages"] / rounds
    lost: defaultdict[int, set[str]] = defaultdict(set)
    reasons: Counter[str] = Counter()
    for number, device, reason in server["refused"]:
        if not reason.startswith(_NO_FAULT):
            lost[number].add(device)
            reasons[reason] += 1
    bad = sum(2 * len(devices) > asked for devices in lost.values())
    if 2 * bad <= rounds:
        return ""
    cause, times = reasons.most_common(1)[0]
    return (
        f"most devices failed in {bad} of {rounds} rounds; {times} times with: {cause}"
    )
