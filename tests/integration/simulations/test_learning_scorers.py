"""Scorers that learn, in whole runs of the ``tiny`` scenario."""

from pathlib import Path
from typing import Any

import pytest

from fedask.simulations.run.programs import open_program
from fedask.simulations.run.simulation import simulate

EXPERTS = ("margin", "entropy", "density")
# A bandit explores all but evenly when few cycles are planned, and a regression waits
# for eight answers: this is enough for both to matter before the last cuts.
SIZE = {"ask.quota": 12, "ask.cycles": 12, "train.rounds": 2}


def run(out: Path, **ask: str) -> tuple[dict[str, Any], str]:
    """Run, and return the result and what was asked."""
    store = ask.pop("store", "sqlite")
    values = {f"ask.{key}": value for key, value in ask.items()}
    program = open_program("tiny", {**SIZE, **values, "fleet.store": store})
    result = simulate(program.load_apps(), program.scenario, out)
    del result["seconds"]
    return result, (out / "asked.csv").read_text()


@pytest.fixture(scope="module")
def mean_of_experts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, str]:
    """Run with the plain mean of the experts, which learns nothing."""
    out = tmp_path_factory.mktemp("unlearnt") / "out"
    return run(out, scorer=" + ".join(EXPERTS), store="memory")


@pytest.mark.slow
@pytest.mark.parametrize("scorer", ["learned", "albl"])
def test_a_run_learns_what_to_ask_and_sends_nothing_more(
    tmp_path: Path, scorer: str, mean_of_experts: tuple[Any, str]
) -> None:
    experts = ", ".join(EXPERTS)
    unlearnt, others = mean_of_experts

    learnt, asked = run(tmp_path / "learnt", scorer=scorer, experts=experts)
    same_way = {"scorer": scorer, "experts": experts}
    again, same = run(tmp_path / "again", store="memory", **same_way)

    assert asked != others  # it is more than the mean of its experts
    assert (again, same) == (learnt, asked)
    assert learnt["wire"].keys() == unlearnt["wire"].keys()
    # Of a message to a device, the size depends on where its cut falls.
    for key in ("messages", "inner_messages", "replies", "report_bytes", "model_bytes"):
        assert learnt["wire"][key] == unlearnt["wire"][key]
    assert learnt["ledger"]["spent"] == unlearnt["ledger"]["spent"] > 80
    assert learnt["rows"][-1]["accuracy"] > 0.6
