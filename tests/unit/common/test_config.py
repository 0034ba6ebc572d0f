import math
from pathlib import Path
from typing import Any

import pytest

from fedask.common.config import Scenario, parse_setting, read_scenario, unflatten
from fedask.common.errors import ConfigError

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("seed", -1, "must be 0 to 2147483647"),
        ("seed", 2**31, "must be 0 to 2147483647"),
        ("data.test_share", 0.0, "must lie between 0 and 1"),
        ("data.test_share", 1.0, "must lie between 0 and 1"),
        ("data.test_share", NAN, "must lie between 0 and 1"),
        ("data.limit", -1, "must be 0 .all. or positive"),
        ("fleet.devices", 0, "must be at least 1"),
        ("fleet.alpha", 0.0, "must be positive"),
        ("fleet.alpha", NAN, "must be positive"),
        ("fleet.participation", 0.0, r"must lie in \(0, 1\]"),
        ("fleet.participation", 1.1, r"must lie in \(0, 1\]"),
        ("fleet.store", "disk", "must be 'sqlite' or 'memory'"),
        ("ask.quota", 0, "must be at least 1"),
        ("ask.cycles", 0, "must be at least 1"),
        ("ask.initial", -1, "must be positive, or 0"),
        ("ask.initial", 11, "must not exceed ask.capacity = 10"),
        ("ask.capacity", 0, "must be 1 to 65535"),
        ("ask.capacity", 65_536, "must be 1 to 65535"),
        ("ask.shortlist", 0.9, "must be 1 to 1000"),
        ("ask.shortlist", 1000.1, "must be 1 to 1000"),
        ("ask.shortlist", NAN, "must be 1 to 1000"),
        ("ask.cost_unit", 0.0, "must be positive"),
        ("ask.committee", 0, "must be at least 1"),
        ("ask.device_labels", -1, r"must be 0 .no limit. or at least ask\.initial = 1"),
        ("ask.patience", -1, "must not be negative"),
        ("ask.bins", 1, "must be 2 to 4096"),
        ("ask.bins", 4097, "must be 2 to 4096"),
        ("ask.temperature", 0.0, "must be positive"),
        ("ask.temperature", NAN, "must be positive"),
        ("ask.balance", -0.1, r"must lie in \[0, 1\]"),
        ("ask.balance", 1.1, r"must lie in \[0, 1\]"),
        ("stream.budget", -0.1, r"must lie in \[0, 1\]"),
        ("stream.budget", 1.1, r"must lie in \[0, 1\]"),
        ("stream.explore", -0.1, r"must lie in \[0, 1\]"),
        ("stream.explore", NAN, r"must lie in \[0, 1\]"),
        ("stream.period_s", 0.0, "must be positive"),
        ("stream.period_s", INF, "must be positive"),
        ("stream.memory", 0, "must be 1 to 10000"),
        ("stream.memory", 10_001, "must be 1 to 10000"),
        ("stream.tolerance", 0.0, "must be positive"),
        ("stream.tolerance", NAN, "must be positive"),
        ("stream.step", 0.0, "must lie between 0 and 1"),
        ("stream.step", 1.0, "must lie between 0 and 1"),
        ("stop.labels", -1, "must be finite and not negative"),
        ("stop.money", INF, "must be finite and not negative"),
        ("stop.price", NAN, "must be finite and not negative"),
        ("stop.value_per_point", -0.1, "must be finite and not negative"),
        ("stop.patience", 0, "must be at least 1"),
        ("stop.window", 0, "must be at least 1"),
        ("stop.min_gain", 0.0, "must lie between 0 and 1"),
        ("stop.min_gain", 1.0, "must lie between 0 and 1"),
        ("stop.uncertainty", 1.0, r"must lie in \[0, 1\)"),
        ("stop.kappa", 1.0, r"must lie in \[0, 1\)"),
        ("stop.labels", 9, "is read by 'budget' only, which stop.when does not name"),
        ("stop.money", 9.0, "is read by 'budget' only, which stop.when does not name"),
        ("stop.uncertainty", 0.1, "is read by 'uncertainty' only"),
        ("stop.value_per_point", 1.0, "is read by 'value' only"),
        ("stop.when", "budget", "budget needs stop.labels or stop.money"),
        ("stop.when", "plateau, value", "value needs stop.value_per_point"),
        ("stop.when", "uncertainty", "uncertainty needs stop.uncertainty"),
        ("train.rounds", 0, "must be at least 1"),
        ("train.steps", 0, "must be at least 1"),
        ("train.batch_size", 0, "must be at least 1"),
        ("train.threads", 0, "must be at least 1"),
        ("train.lr", 0.0, "must be positive"),
        ("train.lr", NAN, "must be positive"),
        ("train.momentum", -0.1, r"must lie in \[0, 1\)"),
        ("train.momentum", 1.0, r"must lie in \[0, 1\)"),
        ("train.weight_decay", -0.1, "must not be negative"),
        ("train.prox", -0.1, "must not be negative"),
        ("train.prox", NAN, "must not be negative"),
        ("train.logit_shift", -0.1, "must not be negative"),
        ("run.round_timeout_s", 0.0, "must be positive"),
    ],
)
def test_a_broken_rule_names_key_value_and_rule(
    key: str, value: object, rule: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{key} = .*: {rule}") as caught:
        Scenario.from_flat({key: value})

    assert f"= {value!r}:" in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", 2**31 - 1),
        ("data.limit", 0),
        ("fleet.devices", 1),
        ("fleet.participation", 1.0),
        ("fleet.store", "memory"),
        ("ask.capacity", 65_535),
        ("ask.shortlist", 1.0),
        ("ask.shortlist", 1000.0),
        ("ask.bins", 2),
        ("ask.bins", 4096),
        ("ask.balance", 0.0),
        ("train.momentum", 0.0),
        ("train.prox", 0.0),
    ],
)
def test_a_rule_includes_its_own_limits(key: str, value: object) -> None:
    assert Scenario.from_flat({key: value}).to_flat()[key] == value


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("seed", "1", "seed = '1' must be of type int"),
        ("seed", True, "seed = True must be of type int"),
        ("seed", 1.0, "seed = 1.0 must be of type int"),
        ("name", 7, "name = 7 must be of type str"),
        ("ask.quota", 2.0, "ask.quota = 2.0 must be of type int"),
        ("ask.quota", [1], "ask.quota = [1] must be of type int"),
        ("ask.balance", "1", "ask.balance = '1' must be of type float"),
        ("ask.balance", True, "ask.balance = True must be of type float"),
        ("train.restart", 1, "train.restart = 1 must be of type bool"),
        ("train.restart", "true", "train.restart = 'true' must be of type bool"),
        ("train.lr", 10**400, "train.lr is too large"),
        ("ask", 3, "ask must be a table, not 3"),
        ("strategy.options", 3, "strategy.options must be a table, not 3"),
        ("strategy.options.eta", [1], "strategy.options.eta = [1] must be a number"),
        ("strategy.options.a.b", 1, "strategy.options.a = {'b': 1} must be a number"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(
    key: str, value: object, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Scenario.from_flat({key: value})

    assert str(caught.value).startswith(message)


def test_a_whole_number_may_stand_for_a_float() -> None:
    lr = Scenario.from_flat({"train.lr": 1}).train.lr

    assert (type(lr), lr) == (float, 1.0)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("ask.qouta", "unknown key 'ask.qouta' (did you mean 'ask.quota'?)"),
        ("aks.quota", "unknown key 'aks' (did you mean 'ask'?)"),
        ("trian.lr", "unknown key 'trian' (did you mean 'train'?)"),
        ("train.learning_rate", "unknown key 'train.learning_rate'"),
        ("zzz", "unknown key 'zzz' (valid: ask, auto, data, fleet, name, run, seed, "),
    ],
)
def test_an_unknown_key_names_the_nearest(key: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Scenario.from_flat({key: 1})

    assert str(caught.value).startswith(message)


def test_dotted_keys_become_tables() -> None:
    tables = unflatten({"ask.quota": 2, "ask.bins": 3, "seed": 1})

    assert tables == {"ask": {"quota": 2, "bins": 3}, "seed": 1}


@pytest.mark.parametrize(
    "keys", [("ask", "ask.quota"), ("ask.quota", "ask"), ("seed.low", "seed")]
)
def test_a_key_is_either_a_value_or_a_table(keys: tuple[str, str]) -> None:
    with pytest.raises(ConfigError, match="table"):
        Scenario.from_flat(dict.fromkeys(keys, 1))


def test_values_are_replaced_in_a_copy_and_checked_like_a_file() -> None:
    scenario = Scenario()

    changed = scenario.with_values({"ask.quota": 7, "strategy.options.eta": 0.5})

    assert changed.ask.quota == 7
    assert changed.strategy.options == {"eta": 0.5}
    assert scenario == Scenario()
    with pytest.raises(ConfigError, match=r"ask\.quota"):
        scenario.with_values({"ask.quota": 0})


def test_a_run_writes_to_a_folder_of_its_own() -> None:
    assert Scenario.of_run({"run.out": "runs/{run}"}, 17).run.out == "runs/17"
    assert Scenario.of_run({"ask.quota": 3}, 17).run.out == ""


def test_a_scenario_is_hashable_and_frozen() -> None:
    assert len({Scenario(), Scenario(), Scenario(seed=1)}) == 2
    with pytest.raises(AttributeError):
        Scenario().seed = 3  # type: ignore[misc]


def test_money_and_worth_need_the_price_of_a_label() -> None:
    for values in (
        {"stop.when": "budget", "stop.money": 5.0},
        {"stop.when": "value", "stop.value_per_point": 5.0},
    ):
        with pytest.raises(ConfigError, match=r"^stop\.price = 0\.0: must be given"):
            Scenario.from_flat(values)
        Scenario.from_flat({**values, "stop.price": 0.5})


def test_criteria_are_named_once_each_and_in_order() -> None:
    stop = Scenario.from_flat({"stop.when": " plateau,, stabilised ,plateau"}).stop

    assert stop.criteria == ("plateau", "stabilised")
    assert Scenario().stop.criteria == ()


@pytest.mark.parametrize(
    ("labels", "money", "price", "budget"),
    [
        (90, 0.0, 0.0, 90),
        (0, 0.3, 0.1, 3),
        (0, 1.0, 0.3, 3),
        (0, 0.1, 0.5, 0),
        (2, 0.3, 0.1, 2),
        (9, 0.3, 0.1, 3),
        (0, 1e308, 1e-308, 10**9),
    ],
)
def test_budget_is_the_smaller_of_labels_and_what_the_money_buys(
    labels: int, money: float, price: float, budget: int
) -> None:
    values = {"stop.labels": labels, "stop.money": money, "stop.price": price}

    assert Scenario.from_flat({"stop.when": "budget", **values}).stop.budget == budget
    assert Scenario().stop.budget is None


# --- files ----------------------------------------------------------------------------


def test_a_file_gives_what_its_tables_say(tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    path.write_text('name = "small"\n[ask]\nquota = 3\nbalance = 1\n')

    scenario = read_scenario(path)

    expected = {"name": "small", "ask.quota": 3, "ask.balance": 1.0}
    assert scenario == Scenario.from_flat(expected)


def test_an_app_folder_gives_its_flower_configuration(tmp_path: Path) -> None:
    text = '[project]\nname = "app"\n[tool.flwr.app.config]\nseed = 5\nask.quota = 3\n'
    (tmp_path / "pyproject.toml").write_text(text)

    assert read_scenario(tmp_path) == Scenario.from_flat({"seed": 5, "ask.quota": 3})


def test_an_app_folder_without_configuration_gives_the_defaults(
    tmp_path: Path,
) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "app"\n')

    assert read_scenario(tmp_path) == Scenario()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[ask\nquota = 3", "cannot read"),
        (b"name = '\xff'", "cannot read"),
        (b"seed = " + b"1" * 5000, "cannot read"),
        (b"[ask]\nqouta = 3", r"s\.toml: unknown key 'ask\.qouta' .*'ask\.quota'"),
        (b"ask = 3", r"s\.toml: ask must be a table"),
        (b"seed = -1", r"s\.toml: seed = -1: must be"),
        (b"seed = 2024-01-01", r"s\.toml: seed = .* must be of type int"),
    ],
)
def test_a_bad_file_is_named_with_what_is_wrong(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "s.toml"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match=message):
        read_scenario(path)


@pytest.mark.parametrize("table", ["tool", "tool.flwr", "tool.flwr.app.config"])
def test_an_app_whose_configuration_is_no_table_is_refused(
    tmp_path: Path, table: str
) -> None:
    (tmp_path / "pyproject.toml").write_text(f"{table} = 3")

    with pytest.raises(ConfigError, match="must be a table"):
        read_scenario(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no scenario at .*none\.toml"):
        read_scenario(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match=r"no scenario at .*pyproject\.toml"):
        read_scenario(tmp_path)


# --- settings on the command line -----------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("ask.quota=3", "ask.quota", 3),
        ("ask.quota = 3", "ask.quota", 3),
        ("seed=-3", "seed", -3),
        ("seed=1_000", "seed", 1000),
        ("train.lr=0.5", "train.lr", 0.5),
        ("train.lr=1e-3", "train.lr", 1e-3),
        ("train.restart=true", "train.restart", True),
        ("train.restart=false", "train.restart", False),
        ("train.restart=True", "train.restart", "True"),
        ("name=small", "name", "small"),
        ("name=two words", "name", "two words"),
        ("name = small ", "name", "small"),
        ('name="small"', "name", "small"),
        ("name='7'", "name", "7"),
        ("task.model=my.module:make", "task.model", "my.module:make"),
        ("run.out=/tmp/a=b", "run.out", "/tmp/a=b"),  # noqa: S108
        ("run.out=", "run.out", ""),
        ("seed=" + "1" * 5000, "seed", "1" * 5000),
    ],
)
def test_a_setting_is_read_as_toml_and_else_as_text(
    text: str,
    key: str,
    value: Any,  # noqa: ANN401
) -> None:
    parsed = parse_setting(text)

    assert parsed == (key, value)
    assert type(parsed[1]) is type(value)


@pytest.mark.parametrize("text", ["", "ask.quota", "ask.quota 3", "=3", " =3"])
def test_a_setting_without_key_or_equals_sign_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"must be written section\.key=value"):
        parse_setting(text)


def test_warm_up_comes_before_the_cycles_and_is_counted_backwards() -> None:
    scenario = Scenario.from_flat(
        {"train.warmup": 2, "train.rounds": 3, "ask.cycles": 2}
    )
    train = scenario.train

    places = [train.position(number) for number in range(1, scenario.rounds + 1)]

    cycles = [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]
    assert places == [(0, 0), (0, 1), *cycles]
    assert [train.tick(*place) for place in places] == list(range(-2, 6))


def test_warm_up_that_a_restart_would_undo_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"train\.warmup = 3: train\.restart would"):
        Scenario.from_flat({"train.warmup": 3, "train.restart": True})


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ({"ask.initial": 3}, 3),
        ({"ask.quota": 20, "fleet.devices": 4}, 5),
        ({"ask.quota": 20, "fleet.devices": 50}, 1),
        ({"ask.quota": 90, "fleet.devices": 1, "ask.capacity": 30}, 30),
        ({"ask.quota": 20, "fleet.devices": 1, "ask.device_labels": 7}, 7),
    ],
)
def test_the_first_questions_are_a_share_of_the_quota(
    values: dict[str, int], labels: int
) -> None:
    scenario = Scenario.from_flat({"ask.capacity": 20, **values})
    assert scenario.first_labels == labels
