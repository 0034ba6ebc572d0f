"""Arms: the cross product, names, folders, and what is refused before a run."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedask.common.config import Scenario
from fedask.common.errors import ConfigError, StoreError
from fedask.common.sections import AskConfig
from fedask.simulations.comparison.arms import (
    Arm,
    check_arms,
    cross,
    pick_reference,
    read_arm,
    read_names,
)
from fedask.simulations.comparison.jobs import ARMS, keep_arms
from fedask.simulations.run.programs import Program

MIX = "0.7*margin + 0.3*entropy"
SCENARIO = Scenario()


def names(policies: str, scorers: str = "", batchers: str = "") -> list[str]:
    first, second, third = (
        text.split(",") if text else [] for text in (policies, scorers, batchers)
    )
    return [arm.name for arm in cross(first, second, third, AskConfig())]


def folder(name: str) -> str:
    return Arm(name=name, settings={}).folder


def test_names_say_the_policy_and_what_varies() -> None:
    assert names("global-cut,local-topk") == ["global-cut", "local-topk"]
    assert names("global-cut", "entropy", "top") == ["global-cut"]
    assert names("global-cut", "margin,entropy", "top") == [
        "global-cut + margin",
        "global-cut + entropy",
    ]
    assert names("global-cut", "margin", "top,cluster") == [
        "global-cut + top",
        "global-cut + cluster",
    ]
    assert names("global-cut", f"margin,{MIX}", "top,cluster") == [
        "global-cut + margin + top",
        "global-cut + margin + cluster",
        f"global-cut + ({MIX}) + top",
        f"global-cut + ({MIX}) + cluster",
    ]


@pytest.mark.parametrize("policy", ["uniform-random", "proportional-random"])
def test_policy_that_insists_on_its_scorer_has_one_arm(policy: str) -> None:
    arms = cross([policy, "global-cut"], ["margin", "bald"], ["top"], AskConfig())
    assert [arm.name for arm in arms] == [
        policy,
        "global-cut + margin",
        "global-cut + bald",
    ]
    assert arms[0].settings == {"ask.policy": policy}


def test_arm_sets_what_was_chosen_even_if_its_name_does_not_say_so() -> None:
    (arm,) = cross(["global-cut"], ["entropy"], ["top"], AskConfig())
    ask = arm.applied(SCENARIO).ask
    assert (ask.policy, ask.scorer, ask.batcher) == ("global-cut", "entropy", "top")


@pytest.mark.parametrize(
    ("policies", "scorers", "batchers", "word"),
    [
        ("globalcut", "", "", "'global-cut'"),
        ("global-cut", "entropi", "", "'entropy'"),
        ("global-cut", "0.7*margin + entropi", "", "'entropy'"),
        ("global-cut", "", "clustr", "'cluster'"),
        ("uniform-random", "entropi", "", "'entropy'"),
        ("uniform-random", "", "clustr", "'cluster'"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(
    policies: str, scorers: str, batchers: str, word: str
) -> None:
    with pytest.raises(ConfigError, match=f"did you mean {word}"):
        names(policies, scorers, batchers)


def test_free_arm_sets_anything() -> None:
    arm = read_arm(f"deep: ask.scorer={MIX}, ask.quota=10,ask.calibrate=true")
    assert arm.name == "deep"
    assert arm.settings == {
        "ask.scorer": MIX,
        "ask.quota": 10,
        "ask.calibrate": True,
    }
    assert read_arm("as it is:").applied(SCENARIO) == SCENARIO
    assert read_arm("own:ask.policy=my.policies:Mine").settings == {
        "ask.policy": "my.policies:Mine"
    }


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("ask.quota=3", "NAME:key=value"),
        (":ask.quota=3", "must be printable"),
        ("a|b:ask.quota=3", "must be printable"),
        ("a\tb:ask.quota=3", "must be printable"),
        ("x" * 81 + ":", "at most 80 letters"),
        ("a:ask.quota", "'ask.quota' must be written key=value"),
        ("a:ask.quota=3,ask.quota=4", "sets ask.quota twice"),
        ("a:seed=3", "cannot set seed"),
        ("a:name=other", "cannot set name"),
        ("a:run.out=here", "cannot set run.out"),
    ],
)
def test_free_arm_that_cannot_be_is_refused(text: str, word: str) -> None:
    with pytest.raises(ConfigError, match=word.replace(".", r"\.")):
        read_arm(text)


def test_wrong_setting_of_an_arm_names_the_arm() -> None:
    with pytest.raises(ConfigError, match=r"arm 'a': unknown key 'ask\.quoat'"):
        check_arms([read_arm("a:ask.quoat=3")], SCENARIO)


@pytest.mark.parametrize(
    "texts",
    [
        ["a:ask.quota=3", "a:ask.quota=4"],
        ["a:ask.quota=3", "b:ask.quota=3"],
        ["a:", f"b:ask.quota={AskConfig().quota}"],
        [f"a:ask.scorer={MIX}", f"b:ask.scorer={MIX.replace(' ', '')}"],
        ["a:ask.policy=uniform-random", "b:ask.policy=uniform-random,ask.scorer=bald"],
        ["a:ask.policy=uniform-random", "b:ask.policy=uniform-random,ask.batcher=top"],
    ],
)
def test_arms_that_are_the_same_are_refused(texts: list[str]) -> None:
    with pytest.raises(ConfigError, match="'a'"):
        check_arms([read_arm(text) for text in texts], SCENARIO)


def test_arms_that_differ_are_not_refused() -> None:
    texts = ["a:", "b:ask.quota=3", "A:ask.scorer=entropy", "c:ask.batcher=top"]
    check_arms([read_arm(text) for text in texts], SCENARIO)


def test_lists_are_split_at_commas_and_hold_nothing_twice() -> None:
    assert read_names("--scorers", f" margin, {MIX} ,") == ["margin", MIX]
    with pytest.raises(ConfigError, match="--scorers ' , ' names nothing"):
        read_names("--scorers", " , ")
    with pytest.raises(ConfigError, match="names 'top' twice"):
        read_names("--batchers", "top,cluster,top")


def test_reference_is_the_one_named_else_random_else_the_first() -> None:
    arms = cross(["global-cut", "uniform-random"], [], [], AskConfig())
    assert pick_reference(None, arms) == "uniform-random"
    assert pick_reference("global-cut", arms) == "global-cut"
    assert pick_reference(None, arms[:1]) == "global-cut"
    with pytest.raises(ConfigError, match="did you mean 'global-cut'"):
        pick_reference("globalcut", arms)


def test_plain_names_are_their_own_folders() -> None:
    assert folder("global-cut") == "global-cut"
    assert folder("global-cut + entropy + top") == "global-cut+entropy+top"
    assert folder(f"global-cut + ({MIX})").startswith(
        "global-cut-0-7-margin-0-3-entropy."
    )


# What could be taken for each other, for a path, or for nothing.
ODD = [
    "a+b",
    "a + b",
    "a  +  b",
    "a b",
    "a-b",
    "A-B",
    "a/b",
    "..",
    ".",
    "-",
    "~",
    "CON",
]
ODD += ["CON", "x" * 79, "x" * 80, "x" * 81, "y" * 300, "é", "e", "k", "k++", "a.b"]


def test_no_two_names_share_a_folder() -> None:
    every = {*ODD, *map(folder, ODD)}
    assert len({folder(name).casefold() for name in every}) == len(every)


@given(st.text("aA-+. /é", min_size=1), st.text("aA-+. /é", min_size=1))
def test_folders_are_safe_and_differ_as_names_do(one: str, other: str) -> None:
    for made in (folder(one), folder(other)):
        assert set(made) <= set("abcdefghijklmnopqrstuvwxyz0123456789+-.")
        assert made[0].isalnum()
        assert len(made) <= 80
    assert (one == other) == (folder(one) == folder(other))


def test_arm_that_was_another_cannot_resume(tmp_path: Path) -> None:
    program = Program(tmp_path / "tiny.toml", SCENARIO)
    out = tmp_path / "out"
    keep_arms(program, [read_arm("a:ask.quota=3")], out)
    keep_arms(program, [read_arm("a:ask.quota=3"), read_arm("b:ask.quota=4")], out)
    keep_arms(program, [read_arm("b:ask.quota=4")], out)
    with pytest.raises(ConfigError, match=r"'a' had other settings .*ask\.quota"):
        keep_arms(program, [read_arm("a:ask.quota=5")], out)
    other = Program(program.path, SCENARIO.with_values({"train.lr": 0.25}))
    with pytest.raises(ConfigError, match=r"train\.lr"):
        keep_arms(other, [read_arm("b:ask.quota=4")], out)


@pytest.mark.parametrize("text", ["{", "[1]", '{"a": 1}', '{"a": {"settings": 3}}'])
def test_damaged_list_of_arms_is_a_store_error(tmp_path: Path, text: str) -> None:
    (tmp_path / ARMS).write_text(text)
    with pytest.raises(StoreError, match=r"arms\.json is damaged"):
        keep_arms(Program(tmp_path, SCENARIO), [read_arm("a:")], tmp_path)
