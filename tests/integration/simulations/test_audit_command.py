import json
from pathlib import Path

import pytest
from tests.unit.client.audits import KEY, UIDS, checked, opened, tampering
from typer.testing import CliRunner

from fedask.common.errors import PrivacyError, StoreError
from fedask.simulations.cli import app


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "device.db"
    with opened(path) as made:
        made.add(1, UIDS[:2])
        made.add(2, UIDS[2:3])
    key = tmp_path / "device.db.audit-key"
    key.write_bytes(KEY)
    key.chmod(0o600)
    return path


def run(*args: object) -> str:
    result = CliRunner().invoke(app, ["audit", *map(str, args)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return f"{result.exit_code} {result.stdout}"


def test_a_good_log_is_good_and_its_head_is_printed(store: Path) -> None:
    head = str(checked(store).head)

    assert run("head", store) == f"0 {head}\n"
    assert f"3 entries, all as written; head {head}" in run("verify", store)
    assert run("verify", store, "--since", head).startswith("0 ")


def test_a_cut_log_is_named_and_can_be_accepted(store: Path) -> None:
    head = str(checked(store).head)
    with tampering(store) as db:
        db.execute("DELETE FROM audit WHERE number = 3")

    with pytest.raises(PrivacyError, match=r"entry 3 .*: entries 3 to 3 were removed"):
        run("verify", store)
    with pytest.raises(PrivacyError, match="entry 3"):
        run("head", store)
    code, _, text = run("verify", store, "--json").partition(" ")
    assert int(code) == PrivacyError.exit_code
    assert json.loads(text)["bad"] == 3

    assert run("accept", store).startswith("0 3:")
    assert run("verify", store).startswith("0 3 entries")
    with pytest.raises(PrivacyError, match="another one than the head knows"):
        run("verify", store, "--since", head)


def test_a_store_that_is_none_is_named(store: Path, tmp_path: Path) -> None:
    key = store.with_name("device.db.audit-key")
    with pytest.raises(StoreError, match="there is no store"):
        run("accept", tmp_path / "none.db", "--key", key)
    with pytest.raises(PrivacyError, match="is gone"):
        run("verify", tmp_path / "none.db", "--key", key)
