import functools
import json

import numpy as np
import pytest
import torch

from fedask.common.errors import ConfigError, DataError
from fedask.common.user_code import defined_at, told, user_code

HERE = r"test_user_code\.py:\d+"


def broken() -> None:
    raise ValueError("no such\n   ward")


class Own:
    def __call__(self) -> None:
        raise AssertionError


def test_the_sentence_says_what_failed_how_and_where() -> None:
    words = rf"^the task's model fails: ValueError: no such ward \(.*{HERE}\)$"
    with pytest.raises(ConfigError, match=words), user_code("the task's model"):
        broken()


def test_an_error_of_fedask_goes_through() -> None:
    with pytest.raises(DataError, match=r"^ours$"), user_code("the task's model"):
        raise DataError("ours")


def test_the_innermost_line_of_the_user_is_told_not_that_of_a_library() -> None:
    with (
        pytest.raises(ConfigError, match=rf"JSONDecodeError: .*{HERE}"),
        user_code("x"),
    ):
        json.loads("{")


def test_what_only_a_library_raised_is_placed_where_the_user_defined_it() -> None:
    """A ``Sequential`` of the user's that does not fit has no line of the user's."""

    def model() -> torch.nn.Module:
        return torch.nn.Linear(2, 2)

    err = RuntimeError("mat1 and mat2")  # never raised: no line at all
    assert told(err, model).endswith(f"{model.__code__.co_firstlineno})")
    assert "test_user_code.py" in told(err, functools.partial(model))
    assert "test_user_code.py" in defined_at(Own())
    assert defined_at(np.zeros) == ""
    assert defined_at(torch.nn.Linear(2, 2)) == ""
    assert defined_at(None) == ""


def test_a_syntax_error_is_placed_in_the_file_that_has_it() -> None:
    with pytest.raises(ConfigError, match=r"SyntaxError: .*task\.py:2"), user_code("x"):
        compile("a = 1\ndef (\n", "/app/task.py", "exec")


def test_pages_of_text_become_one_line() -> None:
    text = told(RuntimeError("\n".join(["a long line of a library"] * 100)))

    assert len(text) < 350
    assert "\n" not in text


def test_an_interruption_is_no_fault_of_the_user() -> None:
    with pytest.raises(KeyboardInterrupt), user_code("x"):
        raise KeyboardInterrupt
