import contextlib
from dataclasses import replace
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.common.wire import transport

from fedask.common.cut import Cut
from fedask.common.errors import ProtocolError
from fedask.common.fields import MAX_COUNT
from fedask.common.grid_record import GRID
from fedask.common.ids import parse_device_id
from fedask.common.records import (
    ACCURACY,
    ASK,
    REASONS,
    REPORT,
    UNFIT,
    Ask,
    Report,
    wire_bytes,
)

CHECK = settings(deadline=None)
COUNTS = st.integers(0, MAX_COUNT)
SHARES = st.floats(0, 1)
VERSIONS = st.text("0123456789abcdef", min_size=16, max_size=16)
DEVICES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", fullmatch=True)


@st.composite
def asks(draw: st.DrawFn) -> Ask:
    cycle = draw(st.integers(0, MAX_COUNT))
    if cycle == 0:
        return Ask(cycle=0, step=draw(COUNTS))
    cut = None
    if draw(st.booleans()):
        theta = tuple(draw(st.lists(st.integers(0, 4096), max_size=20)))
        cut = Cut(
            cycle=cycle,
            model_version=draw(st.one_of(st.just(""), VERSIONS)),
            nonce=draw(st.integers(0, 2**63 - 1)),
            theta=theta,
            boundary=draw(st.integers(-1, len(theta) - 1)),
            rho=draw(SHARES),
            take=draw(COUNTS),
            ticket=draw(SHARES),
            watch=draw(st.integers(-1, 4096)),
        )
    score = draw(st.one_of(st.just(""), VERSIONS))
    accuracy = draw(st.one_of(st.none(), SHARES))
    return Ask(cycle=cycle, step=draw(COUNTS), score=score, cut=cut, accuracy=accuracy)


@st.composite
def reports(draw: st.DrawFn) -> Report:
    asked = draw(COUNTS)
    answered = draw(st.integers(0, asked))
    skipped = draw(st.integers(0, asked - answered))
    grid = None
    if draw(st.booleans()):
        groups, bins = draw(st.integers(1, 5)), draw(st.integers(2, 8))
        most = draw(st.sampled_from([0, 1, 255, 256, 65_535, 65_536, 200_000]))
        cells = st.lists(
            st.integers(0, most), min_size=groups * bins, max_size=groups * bins
        )
        grid = np.array(draw(cells), dtype=np.int64).reshape(groups, bins)
    refused = draw(st.sampled_from(["", *REASONS]))
    return Report(
        device=parse_device_id(draw(DEVICES)),
        cut_cycle=draw(COUNTS),
        refused=refused,
        array="norm.running_var" if refused == UNFIT else "",
        asked=asked,
        answered=answered,
        skipped=skipped,
        expired=draw(st.integers(0, asked - answered - skipped)),
        class_counts=tuple(draw(st.lists(COUNTS, min_size=1, max_size=12))),
        grid=grid,
    )


@CHECK
@given(asks())
def test_an_ask_survives_the_wire(ask: Ask) -> None:
    content = transport(RecordDict(dict(ask.records)))

    assert Ask.from_content(content) == ask


@CHECK
@given(reports())
def test_a_report_survives_the_wire(report: Report) -> None:
    shape = report.grid.shape if report.grid is not None else (10, 64)
    content = transport(RecordDict(dict(report.records)))

    read = Report.from_content(
        content,
        num_classes=len(report.class_counts),
        grid_shape=(shape[0], shape[1]),
    )

    assert replace(read, grid=None) == replace(report, grid=None)
    if report.grid is None:
        assert read.grid is None
    else:
        assert read.grid is not None
        assert read.grid.dtype == np.int64
        assert np.array_equal(read.grid, report.grid)


@CHECK
@given(st.one_of(asks(), reports()))
def test_bytes_are_counted_the_same_on_both_sides(sent: Ask | Report) -> None:
    content = RecordDict(dict(sent.records))

    assert wire_bytes(content) == wire_bytes(transport(content))


# --- whatever another machine may send --------------------------------------------

SCALARS: tuple[st.SearchStrategy[Any], ...] = (
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-2, 12),
    st.floats(),
    st.text(max_size=20),
    st.binary(max_size=70),
    VERSIONS,
)
VALUES = st.one_of(*SCALARS, *(st.lists(s, max_size=3) for s in SCALARS[:6]))
ASK_KEYS = [
    "v",
    "cycle",
    "step",
    "score",
    "cut.nonce",
    "cut.model",
    "cut.theta",
    "cut.boundary",
    "cut.rho",
    "cut.take",
    "cut.ticket",
    "cut.watch",
]
REPORT_KEYS = ["v", "device", "refused", "counts"]


def changed(valid: dict[str, Any], keys: list[str]) -> st.SearchStrategy[ConfigRecord]:
    """A valid record with some fields replaced, added or gone, or a wild one."""
    names = st.one_of(st.sampled_from(keys), st.text(max_size=8))
    changes = st.dictionaries(names, VALUES, max_size=3)
    gone = st.sets(st.sampled_from(keys), max_size=1)

    def build(new: dict[str, Any], without: set[str]) -> ConfigRecord:
        fields = {k: v for k, v in {**valid, **new}.items() if k not in without}
        return ConfigRecord(fields)

    wild = st.dictionaries(names, VALUES, max_size=12).map(ConfigRecord)
    return st.one_of(st.builds(build, changes, gone), wild)


VALID_ASK = dict(
    Ask(
        cycle=3,
        step=1,
        score="0" * 16,
        cut=Cut(
            cycle=3,
            model_version="0" * 16,
            nonce=5,
            theta=(60, 61),
            boundary=1,
            rho=0.5,
            take=1,
            ticket=0.5,
            watch=7,
        ),
    )
    .records[ASK]
    .items()
)
VALID_REPORT: dict[str, Any] = {
    "v": 1,
    "device": "device-1",
    "refused": "groups",
    "counts": np.array([1, 9, 3, 1, 1, 2, 1], dtype="<u4").tobytes(),
}


@settings(max_examples=100, deadline=None)
@given(changed(VALID_ASK, ASK_KEYS))
def test_an_ask_is_read_or_refused_whatever_it_holds(record: ConfigRecord) -> None:
    content = RecordDict({ASK: record})
    try:
        ask = Ask.from_content(content)
    except ProtocolError:
        return
    again = RecordDict(dict(ask.records))
    assert Ask.from_content(again) == ask
    assert wire_bytes(content) > 0  # accepted means that it can be accounted for


@settings(max_examples=100, deadline=None)
@given(changed({"v": 1, "last": 0.5}, ["v", "last"]))
def test_an_accuracy_is_read_or_refused_whatever_it_holds(record: ConfigRecord) -> None:
    content = RecordDict({ASK: ConfigRecord(VALID_ASK), ACCURACY: record})
    try:
        ask = Ask.from_content(content)
    except ProtocolError:
        return
    assert ask.accuracy is not None
    assert 0.0 <= ask.accuracy <= 1.0
    assert RecordDict(dict(ask.records)) == content


@settings(max_examples=100, deadline=None)
@given(changed(VALID_REPORT, REPORT_KEYS))
def test_a_report_is_read_or_refused_whatever_it_holds(record: ConfigRecord) -> None:
    content = RecordDict({REPORT: record})
    try:
        report = Report.from_content(content, num_classes=2, grid_shape=(2, 4))
    except ProtocolError:
        return
    again = RecordDict(dict(report.records))
    assert Report.from_content(again, num_classes=2, grid_shape=(2, 4)) == report
    assert wire_bytes(content) > 0


def npy(header: bytes, body: bytes) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + body


LITERALS = st.recursive(
    st.one_of(st.none(), st.integers(), st.text(max_size=5), st.sampled_from(["|u1"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.lists(inner, max_size=3).map(tuple)
    ),
    max_leaves=5,
)
HEADERS = st.fixed_dictionaries(
    {
        "descr": st.one_of(st.sampled_from(["|u1", "<u2", "|O", "|V0"]), LITERALS),
        "fortran_order": st.one_of(st.booleans(), LITERALS),
        "shape": st.one_of(
            st.just((2, 4)), st.lists(st.integers(-1, 2**70), max_size=3).map(tuple)
        ),
    }
)
NPY_BYTES = st.one_of(
    st.binary(max_size=64),
    st.binary(max_size=64).map(lambda b: b"\x93NUMPY" + b),
    st.binary(max_size=64).map(lambda b: b"PK\x03\x04" + b),
    st.builds(npy, st.binary(max_size=80), st.binary(max_size=16)),
    st.builds(
        npy, HEADERS.map(repr).map(str.encode), st.binary(min_size=8, max_size=16)
    ),
)


@settings(max_examples=100, deadline=None)
@given(NPY_BYTES)
def test_a_grid_is_read_or_refused_whatever_its_bytes_are(data: bytes) -> None:
    record = ArrayRecord({"counts": Array("uint8", (2, 4), "numpy.ndarray", data)})
    content = RecordDict({REPORT: ConfigRecord(VALID_REPORT), GRID: record})

    with contextlib.suppress(ProtocolError):
        report = Report.from_content(content, num_classes=2, grid_shape=(2, 4))
        assert report.grid is not None
        assert report.grid.shape == (2, 4)
