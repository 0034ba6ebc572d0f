"""When samples came, as a device's file knows it: as a dictionary would."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedask.client.store.sqlite.store import SqliteStore
from fedask.common.errors import DataError
from fedask.common.ids import Uid

START = datetime(2026, 3, 1, tzinfo=UTC)
# Zeros at the ends: what reads names as text would lose them.
UIDS = [
    Uid(f"{head}{body}") for head in ("00", "7f", "ff") for body in ("0" * 30, "1" * 30)
]
some = st.sampled_from(UIDS)
looks = st.lists(
    st.tuples(st.lists(some), st.just(set()) | st.sets(some, max_size=2)), max_size=4
)


@settings(max_examples=15, deadline=None)
@given(looks=looks)
def test_a_sample_came_when_it_was_first_looked_at(
    looks: list[tuple[list[Uid], set[Uid]]],
) -> None:
    known: dict[Uid, int] = {}
    gone: set[Uid] = set()
    with (
        TemporaryDirectory() as folder,
        closing(SqliteStore(Path(folder) / "device.sqlite")) as store,
    ):
        for hour, (seen, erased) in enumerate(looks):
            now = START + timedelta(hours=hour)
            found = store.rights.first_seen(np.array(seen, dtype=np.str_), now)
            second = int(now.timestamp())
            known = dict.fromkeys(set(seen) - gone, second) | known
            assert found.tolist() == [known.get(uid, second) for uid in seen]
            if erased:  # takes its time: the file is cleaned each time
                store.erasure.forget(erased)
            gone |= erased
            known = {uid: at for uid, at in known.items() if uid not in gone}


@pytest.mark.parametrize(
    "uids", [["AB" * 16], ["ab" * 15], ["ab" * 15, "ab" * 17], ["ab " * 16], ["é" * 32]]
)
def test_what_is_no_uid_cannot_be_kept(uids: list[str], tmp_path: Path) -> None:
    with (
        closing(SqliteStore(tmp_path / "device.sqlite")) as store,
        pytest.raises(DataError, match="32 hexadecimal digits"),
    ):
        store.rights.first_seen(np.array(uids), START)
