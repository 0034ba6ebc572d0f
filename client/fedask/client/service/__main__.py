"""``python -m fedask.client.service FILE``: serve until SIGTERM or SIGINT.

Started by the owner of a device, as a unit beside the SuperNode. Exit codes: 0 stopped;
2 the file is wrong; the others as ``common/errors.py`` has them.
"""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from fedask.client.service.plan import read_plan
from fedask.client.service.server import serve
from fedask.common.clock import SystemClock
from fedask.common.errors import ConfigError, FedaskError


def main(arguments: Sequence[str]) -> int:
    """Read the file and serve; return the exit code."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("fedask").setLevel(logging.INFO)
    try:
        if len(arguments) != 1:
            msg = "usage: python -m fedask.client.service FILE"
            raise ConfigError(msg)
        serve(read_plan(Path(arguments[0])).open(SystemClock()), _tell)
    except FedaskError as err:
        sys.stderr.write(f"fedask: {type(err).__name__}: {err}\n")
        return err.exit_code
    return 0


def _tell(address: str) -> None:
    """Say on standard output that callers may come."""
    sys.stdout.write(f"listening at {address}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
