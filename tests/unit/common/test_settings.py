from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NewType

import pytest

from fedask.common.errors import ConfigError, DataError
from fedask.common.settings import (
    ADVICE,
    NOT_IN_FILE,
    Scalar,
    SettingError,
    Where,
    build,
    read_toml,
    require,
)

Name = NewType("Name", str)
WHERE = Where(Path("/srv/ward/device.toml"))


@dataclass(frozen=True, kw_only=True)
class Lamp:
    watts: float = 5.0
    colour: str = "white"

    def __post_init__(self) -> None:
        require(self.watts > 0, "watts", self.watts, "must be positive")
        if self.colour == "none":
            raise DataError("no lamp is so dark")


@dataclass(frozen=True, kw_only=True)
class Room:
    name: Name = field(metadata={ADVICE: ": every room has one"})
    plan: Path = Path("plan.png")
    key: Path | None = None
    door: Path | Literal["open"] = "open"
    people: frozenset[str] = frozenset()
    names: tuple[str, ...] = ()
    lamp: Lamp = field(default_factory=Lamp)
    spare: Lamp | None = None
    rates: Mapping[str, Scalar] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    area: int = field(default=1, metadata=NOT_IN_FILE)


def room(**table: Any) -> Room:  # noqa: ANN401
    return build(Room, {"name": "lab", **table}, WHERE)


def test_every_type_is_read_off_the_annotation() -> None:
    found = room(
        key="keys/a.key",
        door="/etc/door",
        people=["ann", "bob", "ann"],
        names=["b", "a"],
        lamp={"watts": 7},
        spare={"colour": "red"},
        rates={"a": 1, "b": 0.5, "c": "x", "d": True},
        words={"yes": "ja"},
    )

    assert found == Room(
        name=Name("lab"),
        plan=Path("/srv/ward/plan.png"),
        key=Path("/srv/ward/keys/a.key"),
        door=Path("/etc/door"),
        people=frozenset({"ann", "bob"}),
        names=("b", "a"),
        lamp=Lamp(watts=7.0),
        spare=Lamp(colour="red"),
        rates={"a": 1, "b": 0.5, "c": "x", "d": True},
        words={"yes": "ja"},
    )


def test_what_is_not_said_is_the_default_and_its_paths_count_from_the_folder() -> None:
    assert room() == Room(name=Name("lab"), plan=Path("/srv/ward/plan.png"))
    assert build(Room, {"name": "lab"}).plan == Path("plan.png")
    assert room(door="open").door == "open"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"name": 3}, "name = 3 must be of type str"),
        ({"key": 3}, "key must be a path, of type str"),
        ({"door": True}, "door must be a path, of type str"),
        ({"people": "ann"}, "people = 'ann' must be a list of texts"),
        ({"names": ["a", 3]}, "names = ['a', 3] must be a list of texts"),
        ({"lamp": 3}, "lamp must be a table, not 3"),
        ({"lamp": {"watts": "3"}}, "lamp.watts = '3' must be of type float"),
        ({"lamp": {"watts": True}}, "lamp.watts = True must be of type float"),
        ({"lamp": {"watts": 0}}, "lamp.watts = 0.0: must be positive"),
        ({"spare": {"watts": -1}}, "spare.watts = -1.0: must be positive"),
        ({"lamp": {"colour": "none"}}, "lamp: no lamp is so dark"),
        ({"lamp": {"wats": 1}}, "unknown key 'lamp.wats' (did you mean 'lamp.watts'?)"),
        ({"rates": 3}, "rates must be a table, not 3"),
        ({"rates": {"a": [1]}}, "rates.a = [1] must be a number, a text or a boolean"),
        ({"words": {"yes": 1}}, "words.yes = 1 must be a text"),
        ({"area": 3}, "unknown key 'area'"),
        ({"nam": "x"}, "unknown key 'nam' (did you mean 'name'?)"),
    ],
)
def test_an_error_names_file_table_and_key(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        room(**table)

    assert str(caught.value).startswith(f"/srv/ward/device.toml: {message}")


def test_a_missing_key_comes_with_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"toml: name is missing: every room has one"):
        build(Room, {}, WHERE)


def test_keys_that_somebody_else_reads_are_passed_over_and_suggested() -> None:
    assert build(Lamp, {"watts": 1, "shelf": 3}, beside={"shelf"}) == Lamp(watts=1.0)
    with pytest.raises(ConfigError, match=r"did you mean 'shelf'"):
        build(Lamp, {"shelve": 3}, beside={"shelf"})


def test_a_rule_names_its_field_and_knows_no_file() -> None:
    with pytest.raises(SettingError, match=r"^watts = -1: must be positive$"):
        Lamp(watts=-1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a = ", "cannot read .*s.toml"),
        (b"a = '\xff'", "cannot read .*s.toml"),
        (b"#" * 100, "larger than 99 bytes"),
    ],
)
def test_a_file_that_is_none_is_named(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "s.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_toml(tmp_path / "s.toml", 99)
    with pytest.raises(FileNotFoundError):
        read_toml(tmp_path / "none.toml", 99)
