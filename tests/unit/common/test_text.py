import numpy as np
import pytest
import torch

from fedask.common import Task
from fedask.common.errors import ConfigError
from fedask.common.text import TEXT_SIZE, hashed, hashed_text

KNOWN = [211, 839, 1327, 1584, 1624, 1693, 1965]
TEXTS = np.array(["My card was stolen", "my CARD was stolen!", "What is the rate?"])


def test_texts_with_the_same_words_are_the_same() -> None:
    rows = hashed_text(TEXTS)

    assert rows.shape == (3, TEXT_SIZE)
    assert rows.dtype == torch.float32
    assert torch.equal(rows[0], rows[1])
    assert torch.allclose(rows.norm(dim=1), torch.ones(3))


def test_texts_that_share_words_are_nearer_than_those_that_do_not() -> None:
    rows = hashed(np.array(["lost my card", "my card is lost", "exchange rates today"]))

    assert rows[0] @ rows[1] > 0.4
    assert abs(rows[0] @ rows[2]) < 0.2


def test_a_misspelt_word_is_still_near() -> None:
    rows = hashed(np.array(["withdrawal", "withdrawel", "passcode"]))

    assert rows[0] @ rows[1] > 0.3 > abs(rows[0] @ rows[2])


def test_a_text_without_a_word_is_no_number() -> None:
    assert not hashed(np.array(["", " ?!"])).any()


def test_every_machine_hashes_alike() -> None:
    """Known numbers: what a device computes must be what another does."""
    row = hashed(np.array(["card"]))[0]

    assert np.flatnonzero(row).tolist() == KNOWN


def test_a_task_of_texts_is_told_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"such as fedask\.common\.text\.hashed_text"):
        Task(classes=["a", "b"]).to_inputs(TEXTS)
