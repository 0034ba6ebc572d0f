from dataclasses import replace

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from numpy.typing import NDArray
from tests.support.common.npy import UNREADABLE
from tests.support.common.wire import transport

from fedask.common.cut import Cut
from fedask.common.errors import ProtocolError
from fedask.common.grid_record import GRID
from fedask.common.ids import DeviceId
from fedask.common.records import OTHER_MODEL, Ask, Report, wire_bytes

MODEL = "0123456789abcdef"


def report(grid: NDArray[np.int64] | None, classes: int = 2) -> Report:
    return Report(
        device=DeviceId("device-1"),
        cut_cycle=2,
        refused="",
        asked=9,
        answered=3,
        skipped=1,
        expired=2,
        class_counts=(1,) * classes,
        grid=grid,
    )


def read(record: ArrayRecord | ConfigRecord | MetricRecord) -> Report:
    content = RecordDict({**report(None).records, GRID: record})
    return Report.from_content(content, num_classes=2, grid_shape=(2, 4))


def of(array: NDArray[np.generic], name: str = "counts") -> ArrayRecord:
    return ArrayRecord({name: Array(array)})


@pytest.mark.parametrize("what", UNREADABLE)
def test_a_grid_that_is_no_plain_array_is_refused(what: str) -> None:
    array = Array("uint8", (2, 4), "numpy.ndarray", UNREADABLE[what])

    with pytest.raises(ProtocolError, match=r"fedask\.grid"):
        read(ArrayRecord({"counts": array}))


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(ConfigRecord({"counts": b"12345678"}), id="record of settings"),
        pytest.param(MetricRecord({"counts": [1, 2]}), id="record of metrics"),
        pytest.param(ArrayRecord(), id="empty"),
        pytest.param(of(np.zeros((2, 4), np.uint8), "grid"), id="another name"),
        pytest.param(
            ArrayRecord(
                {
                    "counts": Array(np.zeros((2, 4), np.uint8)),
                    "more": Array(np.zeros(1, np.uint8)),
                }
            ),
            id="two arrays",
        ),
        pytest.param(of(np.zeros((4, 2), np.uint8)), id="transposed"),
        pytest.param(of(np.zeros((2, 5), np.uint8)), id="a bin too many"),
        pytest.param(of(np.zeros((2, 4, 1), np.uint8)), id="an axis too many"),
        pytest.param(of(np.zeros((2, 4), np.int64)), id="signed"),
        pytest.param(of(np.zeros((2, 4), np.uint64)), id="too wide"),
        pytest.param(of(np.full((2, 4), np.nan)), id="floats"),
        pytest.param(of(np.zeros((2, 4), np.bool_)), id="booleans"),
        pytest.param(of(np.full((2, 4), 2**32 - 1, np.uint32)), id="too many samples"),
        pytest.param(
            ArrayRecord({"counts": Array("uint8", (2, 4), "torch", b"12345678")}),
            id="another serialisation",
        ),
    ],
)
def test_a_grid_that_does_not_fit_is_refused(
    record: ArrayRecord | ConfigRecord | MetricRecord,
) -> None:
    with pytest.raises(ProtocolError, match=r"fedask\.grid"):
        read(record)


def test_a_grid_of_too_many_bytes_is_refused_unread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_: Array) -> NDArray[np.generic]:
        pytest.fail("was parsed")

    record = of(np.zeros((1000, 1000), np.uint8))
    monkeypatch.setattr(Array, "numpy", fail)

    with pytest.raises(ProtocolError, match="at most 1056 bytes"):
        read(record)


@pytest.mark.parametrize(
    ("largest", "width"), [(255, 1), (256, 2), (65_535, 2), (65_536, 4)]
)
def test_counts_travel_in_the_narrowest_type_and_arrive_whole(
    largest: int, width: int
) -> None:
    grid = np.zeros((2, 4), dtype=np.int64)
    grid[1, 3] = largest
    content = transport(RecordDict(dict(report(grid).records)))

    received = Report.from_content(content, num_classes=2, grid_shape=(2, 4)).grid

    assert received is not None
    assert received.tolist() == grid.tolist()
    array = content[GRID]["counts"]
    assert isinstance(array, Array)
    assert array.numpy().itemsize == width


def test_ask_and_report_of_ten_classes_stay_below_one_kilobyte_three() -> None:
    cut = Cut(
        cycle=9_999_999,
        model_version=MODEL,
        nonce=2**63 - 1,
        theta=(4096,) * 10,
        boundary=9,
        rho=1 / 3,
        ticket=1 / 3,
    )
    ask = Ask(cycle=9_999_999, step=9_999_999, score=MODEL, cut=cut, accuracy=1 / 3)
    full = replace(
        report(np.full((10, 64), 255), classes=10),
        device=DeviceId("d" * 63),
        refused=OTHER_MODEL,
    )

    down = wire_bytes(RecordDict(dict(ask.records)))
    up = wire_bytes(RecordDict(dict(full.records)))

    # The longest of each field. 640 counts of a byte and a .npy header of 128 are most
    # of it; a device with more than 255 samples in one bin sends 640 bytes more.
    assert (down, up) == (225, 962)
    assert down + up <= 1300


def test_bytes_of_other_records_are_not_ours() -> None:
    content = RecordDict(dict(Ask(cycle=1, step=0).records))
    alone = wire_bytes(content)
    content["arrays"] = of(np.zeros((100, 100), np.float32))
    content["config"] = ConfigRecord({"lr": 0.1})

    assert wire_bytes(content) == alone
    assert wire_bytes(RecordDict()) == 0


def test_sums_of_groups_survive_the_wire_beside_the_grid() -> None:
    grid = np.ones((2, 4), dtype=np.int64)
    sums = np.arange(34, dtype=np.int64).reshape(2, 17) - 40_000
    sent = replace(report(grid), sums=sums)

    content = transport(RecordDict({**sent.records}))
    received = Report.from_content(
        content, num_classes=2, grid_shape=(2, 4), sums_shape=(2, 17)
    )

    assert received.sums is not None
    assert np.array_equal(received.sums, sums)
    with pytest.raises(ProtocolError, match="counts alone"):
        Report.from_content(content, num_classes=2, grid_shape=(2, 4))


def test_sums_of_another_shape_are_refused() -> None:
    grid = np.ones((2, 4), dtype=np.int64)
    sums = np.zeros((3, 17), dtype=np.int64)
    content = RecordDict({**replace(report(grid), sums=sums).records})

    with pytest.raises(ProtocolError, match=r"sums has shape \(3, 17\)"):
        Report.from_content(
            content, num_classes=2, grid_shape=(2, 4), sums_shape=(2, 17)
        )
