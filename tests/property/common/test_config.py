from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fedask.common.config import Scenario, flatten, parse_setting, unflatten
from fedask.common.errors import ConfigError

CHECK = settings(max_examples=150, deadline=None)
SHARES = st.floats(0.0, 1.0)
NAMES = st.text(min_size=1, max_size=10)
POSITIVE = st.floats(min_value=0.0, exclude_min=True)
WORDS = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
SCALARS = st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False), NAMES)

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "name": NAMES,
    "seed": st.integers(0, 2**31 - 1),
    "task.name": NAMES,
    "task.model": NAMES,
    "data.source": NAMES,
    "data.test_share": st.floats(0.0, 1.0, exclude_min=True, exclude_max=True),
    "data.limit": st.integers(0, 10**6),
    "fleet.devices": st.integers(1, 10**6),
    "fleet.alpha": POSITIVE,
    "fleet.participation": st.floats(0.0, 1.0, exclude_min=True),
    "fleet.store": st.sampled_from(["sqlite", "memory"]),
    "ask.policy": NAMES,
    "ask.quota": st.integers(1, 10**6),
    "ask.capacity": st.integers(1, 65_535),
    "ask.shortlist": st.floats(1, 1000),
    "ask.bins": st.integers(2, 4096),
    "ask.balance": SHARES,
    "stream.controller": NAMES,
    "stream.budget": SHARES,
    "stream.memory": st.integers(1, 10_000),
    "stream.step": st.floats(0.0, 1.0, exclude_min=True, exclude_max=True),
    "train.rounds": st.integers(1, 100),
    "train.lr": POSITIVE,
    "train.momentum": st.floats(0.0, 1.0, exclude_max=True),
    "train.restart": st.booleans(),
    "strategy.name": NAMES,
    "run.out": NAMES,
    "run.resume": st.booleans(),
}
FLAT = st.fixed_dictionaries({}, optional=VALUES)
OPTIONS = st.dictionaries(WORDS.map("strategy.options.{}".format), SCALARS, max_size=3)


@CHECK
@given(FLAT, OPTIONS)
def test_a_scenario_survives_flowers_flat_configuration(
    values: dict[str, Any], options: dict[str, Any]
) -> None:
    scenario = Scenario.from_flat({**values, **options})

    assert Scenario.from_flat(scenario.to_flat()) == scenario
    assert Scenario.from_dict(scenario.to_dict()) == scenario
    assert {**values, **options}.items() <= scenario.to_flat().items()


@CHECK
@given(FLAT, FLAT)
def test_replaced_values_win_and_the_others_stay(
    values: dict[str, Any], replaced: dict[str, Any]
) -> None:
    scenario = Scenario.from_flat(values).with_values(replaced)

    assert scenario == Scenario.from_flat({**values, **replaced})


@CHECK
@given(st.dictionaries(st.lists(WORDS, min_size=1, max_size=3).map(tuple), SCALARS))
def test_flattening_undoes_unflattening(tree: dict[tuple[str, ...], Any]) -> None:
    # No key may be a value and a table at once.
    keys = [k for k in tree if not any(k != o and k == o[: len(k)] for o in tree)]
    flat = {".".join(key): tree[key] for key in keys}

    assert flatten(unflatten(flat)) == flat


KEYS = st.one_of(st.sampled_from([*VALUES, "ask", "strategy.options", "seed.a"]), NAMES)
ANYTHING = st.one_of(SCALARS, st.lists(SCALARS, max_size=2), st.none())


@CHECK
@given(st.dictionaries(KEYS, ANYTHING, max_size=4))
def test_any_configuration_is_read_or_refused(flat: dict[str, Any]) -> None:
    try:
        scenario = Scenario.from_flat(flat)
    except ConfigError:
        return
    assert Scenario.from_flat(scenario.to_flat()) == scenario


@CHECK
@given(st.sampled_from(sorted(VALUES)), st.text(max_size=20))
def test_any_setting_is_read(key: str, raw: str) -> None:
    assert parse_setting(f"{key}={raw}")[0] == key


@CHECK
@given(st.integers(), st.floats(allow_nan=False), st.booleans())
def test_numbers_and_booleans_of_a_setting_come_back(
    whole: int, real: float, flag: bool
) -> None:
    assert parse_setting(f"a={whole}") == ("a", whole)
    assert parse_setting(f"a={real!r}") == ("a", real)
    assert parse_setting(f"a={str(flag).lower()}") == ("a", flag)
