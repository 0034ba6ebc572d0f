from pathlib import Path

from fedask.server.checkpoint import HISTORY, replace_file
from fedask.simulations.run.history import Follower


def test_follower_sees_whole_lines_only(tmp_path: Path) -> None:
    follower = Follower(tmp_path)
    assert follower.look() == {}
    path = tmp_path / HISTORY
    path.write_text('{"round": 1}\n{"rou')
    assert follower.look() == {"round": 1}
    with path.open("a") as file:
        file.write('nd": 2, "accuracy": 0.5}\n{"round": 3}\n')
    assert follower.look() == {"round": 3, "accuracy": 0.5}


def test_follower_survives_a_resumed_run_that_trims_the_history(tmp_path: Path) -> None:
    path = tmp_path / HISTORY
    path.write_text('{"round": 1}\n{"round": 2}\n{"round": 3}\n')
    follower = Follower(tmp_path)
    assert follower.look()["round"] == 3
    replace_file(path, b'{"round": 1, "labels": 10}\n{"round": 2, "labels": 10}\n')
    assert follower.look()["round"] == 2
