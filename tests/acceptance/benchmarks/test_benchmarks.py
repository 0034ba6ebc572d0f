import json

from tests.support.benchmarks.program import benchmark, measured


def test_select_measures_fedask_against_the_floor() -> None:
    done = benchmark(
        "select", "--alone", "--quick", "--only", "least-confidence", "--json"
    )

    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    (case,) = result["cases"]
    floor, ours = case["rows"]
    assert (floor["library"], ours["library"]) == ("copy", "fedask")
    assert ours["fault"] == ""
    assert ours["ms"] > 0
    assert ours["over_floor"] > 0
    assert case["fastest_peer"] is None
    assert result["pool"] == []
    assert "peers" not in result


def test_select_measures_a_pool_beside_its_model() -> None:
    done = benchmark("select", "--alone", "--quick", "--only", "pool: mlp")

    assert done.returncode == 0, done.stderr
    assert "scoring a pool on one thread" in done.stdout
    assert "50000" in done.stdout
    assert "wrong" not in done.stdout


def test_desk_measures_leases_and_answers() -> None:
    done = measured("desk", "--queued", "50", "--calls", "10", "--json")

    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["queued"], result["calls"]) == (50, 10)
    for rule in ("one", "two"):
        for call in ("lease", "submit", "progress"):
            waits = result[rule][call]
            assert 0 < waits["p50_ms"] <= waits["p99_ms"] <= waits["max_ms"]


def test_desk_prints_a_table() -> None:
    done = measured("desk", "--queued", "50", "--calls", "5")

    assert done.exit_code == 0, done.stderr
    assert "50 samples wait" in done.stdout
    assert "submit, rule two" in done.stdout


def test_service_keeps_every_answer_once() -> None:
    done = measured("service", "--samples", "64", "--clients", "8", "--json")

    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert [row["window"] for row in result["windows"]] == [1, 16]
    for row in result["windows"]:
        assert (row["acknowledged"], row["lost"], row["twice"]) == (64, 0, 0)
        assert row["labels_per_s"] > 0


def test_service_prints_a_table() -> None:
    done = measured("service", "--samples", "8", "--clients", "2")

    assert done.exit_code == 0, done.stderr
    assert "8 samples, 2 apps" in done.stdout
