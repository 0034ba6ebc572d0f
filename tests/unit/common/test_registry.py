import math
from enum import StrEnum

import pytest

from fedask.common.errors import ConfigError, PrivacyError
from fedask.common.registry import load_attr, make, nearest, resolve

TABLE = {"root": "math:sqrt", "power": "math:pow"}


def test_a_name_of_the_table_is_loaded() -> None:
    assert resolve("function", "root", TABLE) is math.sqrt


def test_anything_importable_is_loaded() -> None:
    assert resolve("function", "math:floor", TABLE) is math.floor
    assert load_attr("os.path:sep") in "/\\"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rot", "unknown function 'rot' (did you mean 'root'?)"),
        ("Power", "unknown function 'Power' (did you mean 'power'?)"),
        ("zzz", "unknown function 'zzz' (valid: power, root)"),
        ("", "unknown function '' (valid: power, root)"),
    ],
)
def test_an_unknown_name_names_the_nearest_or_all(name: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve("function", name, TABLE)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("math", r"'math' must be written package\.module:attr"),
        ("math:", r"must be written package\.module:attr"),
        (":sqrt", r"must be written package\.module:attr"),
        (".math:sqrt", r"must be written package\.module:attr"),
        ("no_such_module:sqrt", "cannot import 'no_such_module' of .*No module named"),
        ("math.sub:sqrt", "cannot import 'math.sub'"),
        ("math..sub:sqrt", "cannot import"),
        ("math:sqrrt", r"module 'math' has no 'sqrrt' \(did you mean 'sqrt'\?\)"),
        ("math:sqrt:pi", "module 'math' has no 'sqrt:pi'"),
    ],
)
def test_what_does_not_import_is_refused(target: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_attr(target)


def test_the_cause_of_a_failed_import_is_kept() -> None:
    with pytest.raises(ConfigError) as caught:
        load_attr("no_such_module:sqrt")

    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_nearest_names_a_word_as_it_is_typed() -> None:
    class Colour(StrEnum):
        RED = "red"

    assert nearest("rde", set(Colour)) == " (did you mean 'red'?)"


def test_nearest_is_case_sensitive_and_sorted() -> None:
    assert nearest("b", ["cc", "aa", "bb"]) == " (did you mean 'bb'?)"
    assert nearest("x", ["cc", "aa"]) == " (valid: aa, cc)"
    assert nearest("x", []) == " (valid: )"


def test_what_a_name_stands_for_is_called() -> None:
    assert make("function", "root", TABLE, 9.0) == 3.0


def refuse(given: float) -> float:
    msg = f"{given} is too much"
    raise PrivacyError(msg)


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("power", ConfigError, r"function 'power' .* call with \(float\): TypeError"),
        ("math:sqrt", ConfigError, "function 'math:sqrt' lacks needs"),
        (f"{__name__}:refuse", PrivacyError, "is too much"),
    ],
)
def test_what_cannot_be_made_is_named(
    name: str, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        make("function", name, TABLE, 9.0, offers=("needs",))
