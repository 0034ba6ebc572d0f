"""Nothing that was acknowledged is lost, whatever is killed when."""

import json
import sys

import pytest
from tests.support.benchmarks.program import benchmark

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="processes are stopped at system calls"
)


@pytest.mark.slow
@pytest.mark.parametrize("how", [(), ("--cut",)])
def test_answers_outlive_their_processes(how: tuple[str, ...]) -> None:
    done = benchmark("crash", "--runs", "8", "--seed", "7", "--json", *how)
    assert done.returncode == 0, done.stderr
    tally = json.loads(done.stdout)
    assert (tally["lost"], tally["twice"], tally["broken"]) == (0, 0, 0)
    assert sum(tally["killed"].values()) >= 3
    assert tally["acknowledged"] > 0
