import json
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.benchmarks.cases import (
    Case,
    Judge,
    badge_judge,
    cases,
    core_set_judge,
    mixture,
    predictions,
    top_judge,
)
from tests.benchmarks.contenders import CONTENDERS, FLOOR, main
from tests.benchmarks.peers import PEERS, Peers, install
from tests.benchmarks.select import PeerLimits, TimedRow, run_case, summarised

from fedask.client.learning.scorers.uncertainty import entropy, least_confidence, margin

LIMITS = PeerLimits(small=True, seconds=0.01, timeout_s=30.0)
SCORES = {"margin": margin, "entropy": entropy, "least-confidence": least_confidence}


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("kind", SCORES)
def test_the_top_is_correct_and_any_row_below_it_is_not(kind: str) -> None:
    probs = predictions(rng(), (3000, 7))
    judge = top_judge(kind, "probs", {"probs": probs}, 20)
    order = np.argsort(-SCORES[kind](probs))

    assert judge.fault(order[:20], 20) == ""
    assert judge.fault(order[[*range(19), 40]], 20).startswith("cost")
    assert judge.fault(order[-20:], 20).startswith("cost")


def test_information_about_the_model_is_judged_by_its_definition() -> None:
    # Two members that contradict each other, and two that are unsure alike.
    draws = np.array([[[1, 0], [0.5, 0.5]], [[0, 1], [0.5, 0.5]]], dtype=np.float32)
    judge = top_judge("bald", "draws", {"draws": draws}, 1)

    assert judge.fault(np.array([0]), 1) == ""
    assert judge.fault(np.array([1]), 1) != ""


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ([0, 1], "(2,) rows instead of 3"),
        ([0, 1, 1], "1 rows twice"),
        ([0, 1, 5], "rows that are not there"),
        ([-1, 1, 2], "rows that are not there"),
        ([0, 1, 2], ""),
    ],
)
def test_what_is_no_choice_of_k_rows_is_a_fault(rows: list[int], fault: str) -> None:
    assert Judge(5, lambda _: 0.0, 0.0).fault(np.array(rows), 3) == fault


def greedy(points: NDArray[np.float32], labelled: NDArray[np.float32]) -> list[int]:
    """Three picks, each the farthest, the slow way."""
    covered, rows = list(labelled), []
    for _ in range(3):
        gaps = [min(float(np.linalg.norm(p - q)) for q in covered) for p in points]
        rows.append(int(np.argmax(gaps)))
        covered.append(points[rows[-1]])
    return rows


def test_a_core_set_is_judged_by_its_radius() -> None:
    arrays = {"features": mixture(rng(), 200, 8), "labelled": mixture(rng(), 4, 8)}
    judge = core_set_judge(arrays, 3)

    rows = np.array(greedy(arrays["features"], arrays["labelled"]))

    assert judge.fault(rows, 3) == ""
    assert judge.cost(rows) * 1.01 == pytest.approx(judge.bar)
    near = np.linalg.norm(arrays["features"] - arrays["labelled"][0], axis=1)
    assert judge.fault(np.argsort(near)[:3], 3) != ""


def test_gradients_are_judged_by_what_is_left_to_cover() -> None:
    n, k = 2000, 50
    arrays = {
        "features": mixture(rng(), n, 16),
        "probs": predictions(rng(), (n, 5)),
    }
    judge = badge_judge(arrays, k)
    residual = arrays["probs"].astype(np.float64)
    residual[np.arange(n), residual.argmax(axis=1)] -= 1
    whole = (residual[:, :, None] * arrays["features"][:, None, :]).reshape(n, -1)
    rows = np.argsort((whole**2).sum(axis=1))[:k]  # the smallest gradients: nothing

    gaps = ((whole[:, None, :] - whole[None, rows]) ** 2).sum(axis=2).min(axis=1)

    assert judge.cost(rows) == pytest.approx(gaps.sum())
    assert judge.fault(rows, k) != ""


def test_a_wrong_peer_is_never_the_fastest() -> None:
    (case, *_) = cases(small=True)
    rows = [
        TimedRow(library=FLOOR, seconds=0.5, runs=3),
        TimedRow(library="fedask", seconds=1.0, runs=3, extra_mib=2.0),
        TimedRow(library="quick", seconds=0.1, runs=3, fault="cost 2 > 1"),
        TimedRow(library="slow", seconds=9.0, runs=1),
        TimedRow(library="right", seconds=4.0, runs=2),
        TimedRow(library="broken", fault="No module named 'broken'"),
    ]

    result = summarised(case, rows)

    assert (result["fastest_peer"], result["speedup"]) == ("right", 4.0)
    by_name = {row["library"]: row for row in result["rows"]}
    assert by_name["right"]["over_floor"] == 8.0
    assert by_name["broken"]["ms"] is None
    assert by_name["quick"]["fault"] == "cost 2 > 1"


def test_without_a_correct_peer_there_is_no_ratio() -> None:
    (case, *_) = cases(small=True)
    rows = [
        TimedRow(library=FLOOR, seconds=1.0),
        TimedRow(library="fedask", seconds=1.0),
    ]

    result = summarised(case, rows)

    assert (result["fastest_peer"], result["speedup"]) == (None, None)


def tiny() -> Case:
    """A case that takes no time."""
    return Case(
        name="tiny",
        kind="margin",
        k=5,
        make=lambda draw: {"probs": predictions(draw, (200, 3))},
        judge=lambda arrays, k: top_judge("margin", "probs", arrays, k),
    )


def test_a_peer_that_does_not_run_is_a_row_with_its_reason() -> None:
    peers = Peers(
        python=sys.executable,
        versions={"modAL-python": "0", "cleanlab": "0"},
        failed={},
    )

    rows = run_case(tiny(), peers, LIMITS, lambda _: None)

    # cleanlab has no margin and takes no part.
    assert [row.library for row in rows] == [FLOOR, "fedask", "modAL-python"]
    assert [row.fault for row in rows[:2]] == ["", ""]
    assert "No module named 'modAL'" in rows[2].fault
    assert rows[2].seconds is None


def test_whoever_takes_too_long_is_stopped_and_listed() -> None:
    limits = PeerLimits(small=True, seconds=0.01, timeout_s=0.01)

    rows = run_case(tiny(), None, limits, lambda _: None)

    assert [row.fault for row in rows] == ["took more than 0.01 s"] * 2


@pytest.mark.parametrize("kind", SCORES)
def test_the_script_leaves_what_fedask_chose(tmp_path: Path, kind: str) -> None:
    probs = predictions(rng(), (500, 4))
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "probs.npy", probs)

    main(["fedask", kind, "7", str(tmp_path), "0.01"])

    rows = np.load(tmp_path / "rows.npy")
    assert top_judge(kind, "probs", {"probs": probs}, 7).fault(rows, 7) == ""
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["seconds"] > 0
    assert result["runs"] >= 1


def test_every_case_has_a_choice_of_fedask_and_a_peer() -> None:
    for case in cases(small=False):
        takes_part = [name for name, kinds in CONTENDERS.items() if case.kind in kinds]
        assert "fedask" in takes_part
        assert len(takes_part) > 1
    distributions = {name.partition(":")[0] for name in CONTENDERS} - {"fedask"}
    assert distributions <= set(PEERS)


@pytest.mark.slow
def test_a_peer_that_does_not_install_is_listed_and_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # no network: nothing can be found
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    folder = tmp_path / "peers"

    peers = install(folder, ["modAL-python"])

    assert peers.versions == {}
    assert "No matching distribution" in peers.failed["modAL-python"]
    assert Path(peers.python).exists()
    (folder / "pyvenv.cfg").unlink()
    assert install(folder, ["modAL-python"]) == peers
    assert not (folder / "pyvenv.cfg").exists()
