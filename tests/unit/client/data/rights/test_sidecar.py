import logging
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support.client.places import INDEX_KEY

from fedask.client.data.rights.rights_policy import ASK, Right, RightsPolicy
from fedask.client.data.rights.sample_rights import SampleRights
from fedask.client.data.rights.sidecar import stated_provenance
from fedask.client.data.sources.array_source import ArraySource
from fedask.client.data.sources.index import Index
from fedask.client.data.sources.indexed_source import ScanContext
from fedask.client.data.sources.source import open_source
from fedask.client.records.pool import Pool
from fedask.client.records.provenance import FOREVER, UNKNOWN, Provenance
from fedask.client.store.memory import MemoryStore
from fedask.common.errors import DataError
from fedask.common.ids import Uid

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HEADER = "file,consent"


class Folder:
    """Texts in files, and what is said of them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files: list[str] = []

    def put(self, name: str, text: str = "") -> None:
        path = self.path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text or name)
        self.files.append(name)

    def say(self, *lines: str, folder: str = "") -> None:
        path = self.path / "data" / folder / "provenance.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines))

    def source(self, **options: str):  # type: ignore[no-untyped-def]  # noqa: ANN201
        index = Index(self.path / "index")
        given = {"data": str(self.path / "data"), **options}
        return open_source(given, ScanContext(index=index, now=NOW))

    def known(self, **defaults: str) -> dict[str, Provenance]:
        """Return what is known of each file."""
        source = self.source()
        (stated,) = stated_provenance(source, Provenance(**defaults))  # type: ignore[arg-type]
        texts = source.load(np.arange(len(source.uids()))).tolist()
        kinds = [stated.kinds[kind] for kind in stated.kind_of.tolist()]
        return dict(zip(texts, kinds, strict=True))

    def consents(self, **defaults: str) -> dict[str, str]:
        return {name: each.consent for name, each in self.known(**defaults).items()}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path)
    for name in ("a.txt", "b.txt", "sub/c.txt", "sub/deep/d.txt"):
        made.put(name)
    return made


def test_what_says_more_about_a_sample_wins(folder: Folder) -> None:
    uid = folder.source().uids()[0]
    folder.say(HEADER, "*,some", "a.txt,file", "sub/c.txt,outer", "sub/deep/d.txt,no")
    folder.say(HEADER, "*,deeper", "c.txt,inner", folder="sub")

    assert folder.consents(consent="default") == {
        "a.txt": "file",
        "b.txt": "some",
        "sub/c.txt": "inner",
        "sub/deep/d.txt": "no",
    }
    folder.say("uid,file,consent", f"{uid},,uid", ",a.txt,file")
    assert folder.consents(consent="default")["a.txt"] == "uid"


def test_a_spreadsheet_with_semicolons_is_read(folder: Folder) -> None:
    folder.say("file;consent", "a.txt;yes", '"b.txt";no')

    assert {known.consent for known in folder.known().values()} >= {"yes", "no"}


def test_a_missing_column_is_filled_and_an_empty_cell_is_not(folder: Folder) -> None:
    folder.say("file,licence,consent", "a.txt,cc0,", "b.txt,,yes")

    known = folder.known(source="ward", consent="yes", licence="default")

    assert known["a.txt"] == Provenance(source="ward", licence="cc0", consent="")
    assert known["b.txt"] == Provenance(source="ward", licence="", consent="yes")
    assert known["sub/c.txt"].consent == "yes"


def test_an_empty_until_is_unknown_and_a_missing_one_is_not(folder: Folder) -> None:
    folder.say("file,until", "a.txt,", "b.txt,never")

    known = folder.known()

    assert [known[f].until for f in ("a.txt", "b.txt")] == [UNKNOWN, FOREVER]
    assert known["sub/c.txt"].until == FOREVER


def test_a_row_by_id_finds_a_row_of_a_table(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.put("notes.csv", "patient,note\np1,one\np2,two\np3,three\n")
    folder.say("id,consent", "p2,withdrawn", "p3,yes")

    source = folder.source(column="note", id="patient")
    (stated,) = stated_provenance(source, Provenance())

    kinds = [stated.kinds[kind].consent for kind in stated.kind_of.tolist()]
    assert kinds == ["", "withdrawn", "yes"]


def test_a_sidecar_is_no_data(folder: Folder) -> None:
    folder.put("notes.csv", "note\none\n")
    folder.say(HEADER, "*,yes")

    assert len(folder.source(kind="texts", column="note").uids()) == 1


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["file,concent", "a.txt,x"], "did you mean 'consent'"),
        (["file,consent,consent", "a.txt,x,y"], "a column stands twice"),
        (["consent", "x"], "needs a column file, id or uid"),
        ([HEADER, "a.txt,x", "a.txt,y"], "line 3: this file stands twice"),
        ([HEADER, "*,x", "*,y"], r"line 3: \* stands twice"),
        ([HEADER, ",x"], "line 2: fill exactly one"),
        (["file,uid,consent", "a.txt,00,x"], "line 2: fill exactly one"),
        ([HEADER, "a.txt"], "line 2: has 1 cells for 2 columns"),
        ([HEADER, '"a.txt,x'], "line 2: is no csv"),
        (["file,until", "a.txt,soon"], "line 2: until must be a date"),
        ([HEADER, "a.txt," + "x" * 300], "line 2: .*is no field"),
    ],
)
def test_a_sidecar_that_cannot_be_understood_is_refused_whole(
    folder: Folder, lines: list[str], message: str
) -> None:
    folder.say(*lines)

    with pytest.raises(DataError, match=f"provenance.csv.*{message}") as caught:
        folder.known()
    assert "a.txt" not in str(caught.value)  # it may be sent to the server


def test_a_sidecar_that_is_a_link_is_refused(folder: Folder) -> None:
    (folder.path / "list.csv").write_text(f"{HEADER}\na.txt,yes\n")
    (folder.path / "data" / "provenance.csv").symlink_to(folder.path / "list.csv")

    with pytest.raises(DataError, match=r"cannot read .*provenance\.csv"):
        folder.known()


def test_rows_about_no_sample_are_counted_without_their_names(
    folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    folder.say(HEADER, "a.tx,withdrawn", "b.txt,yes", "mallory.txt,no")

    with caplog.at_level(logging.DEBUG):
        folder.known()

    assert "2 rows are about no sample" in caplog.text
    assert "mallory" not in caplog.text


def test_of_equal_samples_the_strictest_word_counts(folder: Folder) -> None:
    folder.put("copy.txt", "a.txt")
    folder.say(HEADER, "copy.txt,yes", "b.txt,yes", "a.txt,withdrawn")
    policy = RightsPolicy.parse(
        b'[[rule]]\nwhen={consent="yes"}\nmay=["score","show","train"]'
    )

    rights = SampleRights(folder.source(), policy, MemoryStore().rights, NOW)

    assert Pool(rights.may(ASK)).load(list(map(Uid, rights.may(ASK).uids()))) == "b.txt"


def test_what_the_source_says_stands_between_folder_and_sample() -> None:
    class Described(ArraySource):
        def described(self) -> dict[str, NDArray[np.str_]]:
            return {"consent": np.array(["Yes", "", "no"])}

    source = Described(np.eye(3, dtype=np.float32))

    (stated,) = stated_provenance(source, Provenance(consent="default", licence="l"))

    kinds = [stated.kinds[kind] for kind in stated.kind_of.tolist()]
    assert [kind.consent for kind in kinds] == ["yes", "", "no"]
    assert {kind.licence for kind in kinds} == {"l"}


def test_a_joined_sample_needs_the_rights_of_all_its_parts(tmp_path: Path) -> None:
    for part in ("scan", "note"):
        (tmp_path / part).mkdir()
        for name in ("p1", "p2", "p3"):
            (tmp_path / part / f"{name}.txt").write_text(f"{part} of {name}")
    (tmp_path / "scan" / "provenance.csv").write_text("file,consent\n*,yes\np1.txt,no")
    (tmp_path / "note" / "provenance.csv").write_text("id,consent\np1,yes\np2,yes")
    (tmp_path / "all.toml").write_text('[scan]\ndata="scan"\n[note]\ndata="note"')
    index = Index(tmp_path / "index", INDEX_KEY)
    source = open_source(
        {"data": str(tmp_path / "all.toml")}, ScanContext(index=index, now=NOW)
    )
    policy = RightsPolicy.parse(b'[[rule]]\nwhen={consent="yes"}\nmay=["train"]')

    may = SampleRights(source, policy, MemoryStore().rights, NOW).may(Right.TRAIN)

    assert may.load(np.arange(len(may.uids())))["note"].tolist() == ["note of p2"]
    index.close()
