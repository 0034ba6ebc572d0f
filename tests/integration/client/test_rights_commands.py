"""``fedask device audit``, ``forget --expired``, ``init --rights`` and the doctor."""

import json
import os
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from tests.support.client.audits import NOON, tampering
from tests.support.client.clock import FakeClock
from tests.support.client.world import SAMPLES, UIDS
from typer.testing import CliRunner

from fedask.client.site.checkup import CHECKS
from fedask.client.site.data_watcher import DataWatcher
from fedask.client.site.device_folder import DeviceFolder
from fedask.client.site.device_settings import read_device_settings
from fedask.client.site.finding import Grade
from fedask.common.command_line import app
from fedask.common.errors import ConfigError, DataError, PrivacyError, StoreError

PROJECT = '[tool.flwr.app.config.task]\nname = "ward_rights_task:task"\n'
TASK = "from fedask.common.task import Task\ntask = Task(classes=['cat', 'dog'])\n"
POLICY = """
[[rule]]
when = {consent = "yes"}
may = ["score", "show", "train"]
[retention]
days = 30
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "app" / "ward_rights_task.py").write_text(TASK)
    (tmp_path / "data").mkdir()
    np.save(tmp_path / "data" / "pool.npy", SAMPLES)
    (tmp_path / "rights.toml").write_text(POLICY)
    say(tmp_path, {3: "yes", 5: "yes"})
    (tmp_path / "device.toml").write_text(
        'device = "ward-3"\napp = "app"\nrights = "rights.toml"\n'
        '[data]\ndata = "data"\nkind = "array"\n'
    )
    return tmp_path


def say(folder: Path, consents: dict[int, str], until: str = "never") -> None:
    rows = [f"{UIDS[row]},{said},{until}" for row, said in consents.items()]
    text = "\n".join(["uid,consent,until", *rows])
    (folder / "data" / "provenance.csv").write_text(text)


def run(*args: object) -> str:
    result = CliRunner().invoke(app, ["device", *map(str, args)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return f"{result.exit_code} {result.stdout}"


def audit(folder: Path, *args: object) -> str:
    return run("audit", "--site", folder, *args)


def made(folder: Path) -> None:
    with DeviceFolder.open(folder, "command", FakeClock(NOON)) as site:
        _ = site.pool
        site.store.queue.add(1, [UIDS[3]])


def test_what_is_forgotten_is_in_the_index_of_the_data_no_more(folder: Path) -> None:
    made(folder)
    traces = [bytes.fromhex(UIDS[row]) for row in (3, 5)]

    def found() -> list[bool]:
        content = b"".join(p.read_bytes() for p in folder.glob("device.db.index*"))
        return [trace in content for trace in traces]

    assert found() == [True, True]
    assert run("forget", UIDS[3], "--site", folder).startswith("0 ")
    assert found() == [False, True]


def test_the_last_entries_are_listed_and_a_good_log_is_good(folder: Path) -> None:
    made(folder)

    said = json.loads(audit(folder, "--json").partition(" ")[2])
    assert [each["event"] for each in said] == ["opened", "rights changed", "queued"]
    assert "queued" in audit(folder)
    last = json.loads(audit(folder, "--json", "--last", 1).partition(" ")[2])
    assert [each["number"] for each in last] == [3]
    head = audit(folder, "--head").split()[1]
    assert head.startswith("3:")
    assert f"3 entries, all as written; head {head}" in audit(folder, "--verify")
    assert audit(folder, "--since", head).startswith("0 ")
    with pytest.raises(ConfigError, match="choose one"):
        audit(folder, "--verify", "--accept")


def test_a_cut_log_is_named_and_can_be_accepted(folder: Path) -> None:
    made(folder)
    head = audit(folder, "--head").split()[1]
    with tampering(folder / "device.db") as db:
        db.execute("DELETE FROM audit WHERE number = 3")

    with pytest.raises(PrivacyError, match=r"entry 3 .*: entries 3 to 3 were removed"):
        audit(folder, "--verify")
    code, _, text = audit(folder, "--verify", "--json").partition(" ")
    assert int(code) == PrivacyError.exit_code
    assert json.loads(text)["bad"] == 3
    with pytest.raises(StoreError, match="ends at entry 2"):
        made(folder)

    assert audit(folder, "--accept").startswith("0 3:")
    assert audit(folder, "--verify").startswith("0 3 entries")
    with pytest.raises(PrivacyError, match="another one than the head knows"):
        audit(folder, "--since", head)


def test_there_is_no_log_without_a_store(folder: Path) -> None:
    with pytest.raises(StoreError, match="there is no store"):
        audit(folder, "--verify")
    with pytest.raises(StoreError, match="cannot read the audit log"):
        audit(folder)


def test_a_key_of_the_log_elsewhere_is_named_in_the_settings(folder: Path) -> None:
    (folder / "log.key").write_bytes(os.urandom(32))
    (folder / "log.key").chmod(0o600)
    with (folder / "device.toml").open("a") as file:
        file.write('[seal]\naudit_key = "log.key"\n')
    made(folder)
    assert audit(folder, "--verify").startswith("0 3 entries")
    (folder / "log.key").write_bytes(os.urandom(32))
    with pytest.raises(PrivacyError):
        audit(folder, "--verify")


def test_samples_past_their_time_are_erased_at_a_word(folder: Path) -> None:
    say(folder, {3: "yes"}, until="2026-02-01")

    told = json.loads(run("forget", "--expired", "--json", "--site", folder)[2:])
    assert set(told["cycles"]) == {UIDS[3]}
    again = json.loads(run("forget", "--expired", "--json", "--site", folder)[2:])
    assert again["cycles"] == {}
    with DeviceFolder.open(folder, "command", FakeClock(NOON)) as site:
        assert site.store.erasure.forgotten([UIDS[3]]) == {UIDS[3]}
    for wrong in ([], [UIDS[0], "--expired"]):
        with pytest.raises(ConfigError, match="one of the two"):
            run("forget", "--site", folder, *wrong)


def test_a_folder_is_not_made_without_a_word_on_rights(folder: Path) -> None:
    args = ("init", folder / "new", "--app", folder / "app", "--data", folder / "data")
    with pytest.raises(ConfigError, match=r"--rights rights\.toml, or say --rights"):
        run(*args)
    with pytest.raises(ConfigError, match="cannot read the policy"):
        run(*args, "--rights", folder / "none.toml")
    assert not (folder / "new").exists()

    run(*args, "--rights", folder / "rights.toml")
    rights = read_device_settings(folder / "new").rights
    assert Path(rights).samefile(folder / "rights.toml")
    run("init", folder / "free", *args[2:], "--rights", "open")
    assert read_device_settings(folder / "free").rights == "open"


def test_init_makes_nothing_over_data_that_it_cannot_read(folder: Path) -> None:
    args = ("init", folder / "new", "--app", folder / "app", "--rights", "open")

    with pytest.raises(DataError, match=r"unknown kind of data 'arrray' \(did you"):
        run(*args, "--data", folder / "data", "--kind", "arrray")
    with pytest.raises(DataError, match="there is no such file or folder"):
        run(*args, "--data", folder / "gone", "--kind", "array")

    assert not (folder / "new").exists()


def test_the_doctor_looks_at_rights_and_log(folder: Path) -> None:
    clock = FakeClock(NOON)
    with DeviceFolder.open(folder, "command", clock) as site:
        found = CHECKS["rights"](site)
        assert found.grade is Grade.GOOD
        assert found.text.startswith("60 samples: 2 may be asked, 2 trained on, 0 past")
        assert CHECKS["audit"](site).grade is Grade.GOOD
        with tampering(folder / "device.db") as db:
            db.execute("UPDATE audit SET event = 'scored' WHERE number = 2")
        assert CHECKS["audit"](site).text.startswith("entry 2 of the audit log")
        assert CHECKS["audit"](site).grade is Grade.WRONG


def test_a_policy_that_leaves_nothing_is_doubtful(folder: Path) -> None:
    say(folder, {})
    with DeviceFolder.open(folder, "command", FakeClock(NOON)) as site:
        assert CHECKS["rights"](site).grade is Grade.DOUBTFUL
        assert CHECKS["model"](site).grade is Grade.DOUBTFUL


def test_a_row_about_no_sample_is_doubtful(folder: Path) -> None:
    with (folder / "data" / "provenance.csv").open("a") as file:
        file.write(f"\n{'0' * 32},withdrawn,never")  # misspelt: whose is it?

    with DeviceFolder.open(folder, "command", FakeClock(NOON)) as site:
        found = CHECKS["rights"](site)

    assert found.grade is Grade.DOUBTFUL
    assert "; 1 rows of provenance.csv are about none of them" in found.text
    assert "correct the names" in found.advice


def test_every_look_judges_anew(folder: Path) -> None:
    clock = FakeClock(NOON)
    still = (NOON - timedelta(days=1)).timestamp()
    os.utime(folder / "data" / "pool.npy", (still, still))
    with DeviceFolder.open(folder, "command", clock) as site:
        watcher = DataWatcher(site)
        first = watcher.look()
        assert (first.samples, first.new) == (2, 2)
        site.store.queue.add(1, [UIDS[3], UIDS[5]])
        say(folder, {5: "yes", 7: "yes"})
        looked = watcher.look()
        assert (looked.samples, looked.new) == (2, 1)
        states = {item.uid: item.state.value for item in site.store.queue.items()}
        assert states == {UIDS[3]: "expired", UIDS[5]: "queued"}
        clock.time += timedelta(days=31)
        assert watcher.look().samples == 0


def test_the_doctor_goes_on_where_no_store_can_be_made(folder: Path) -> None:
    phrase = folder / "phrase"
    phrase.write_text("four plain words here")
    phrase.chmod(0o644)
    with (folder / "device.toml").open("a") as file:
        file.write('[seal]\npassphrase = "phrase"\n')

    found = json.loads(run("doctor", "--json", "--site", folder).partition(" ")[2])

    told = {each["check"]: each["text"] for each in found}
    causes = [text for text in told.values() if "others may read the key" in text]
    assert len(causes) == 1  # told once, by the first check that meets it
    assert told["owner"] == "there is no store yet"
