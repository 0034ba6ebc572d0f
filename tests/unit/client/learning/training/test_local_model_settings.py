import pytest

from fedask.client.learning.training.local_model_settings import LocalModelSettings
from fedask.common.errors import ConfigError
from fedask.common.settings import build


def test_the_owner_says_how_many_answers_it_takes() -> None:
    assert build(LocalModelSettings, {}) == LocalModelSettings(answers=10)
    assert build(LocalModelSettings, {"answers": 3}).answers == 3
    assert not build(LocalModelSettings, {"answers": 0}).on


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"answer": 3}, r"unknown key 'answer' \(did you mean 'answers'"),
        ({"answers": -1}, "answers = -1: must be 0"),
        ({"answers": True}, "answers = True must be of type int"),
        ({"answers": "3"}, "answers = '3' must be of type int"),
    ],
)
def test_wrong_settings_are_told(table: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(LocalModelSettings, table)
