from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from fedask.common.cut import MAX_GROUPS, Cut
from fedask.common.errors import ProtocolError
from fedask.common.fields import MAX_COUNT
from fedask.common.ids import DeviceId
from fedask.common.records import (
    ACCURACY,
    ASK,
    DIVERGED,
    REPORT,
    Ask,
    Report,
    wire_bytes,
)

MODEL = "0123456789abcdef"
CUT = Cut(
    cycle=3,
    model_version=MODEL,
    nonce=5,
    theta=(60, 61),
    boundary=1,
    rho=0.5,
    take=1,
    ticket=0.25,
    watch=9,
)
ASKED = Ask(cycle=3, step=1, score=MODEL, cut=CUT)
REPORTED = Report(
    device=DeviceId("device-1"),
    cut_cycle=2,
    refused="",
    asked=9,
    answered=3,
    skipped=1,
    expired=2,
    class_counts=(2, 1),
    grid=np.arange(8).reshape(2, 4),
)
GONE = object()


def ask_with(**fields: Any) -> RecordDict:  # noqa: ANN401
    """A valid ask with fields replaced, added, or GONE; ``_`` stands for a dot."""
    record = ASKED.records[ASK]
    for key, value in fields.items():
        name = key.replace("cut_", "cut.")
        if value is GONE:
            del record[name]
        else:
            record[name] = value
    return RecordDict({ASK: record})


SCORING_WARMUP = RecordDict(
    {ASK: ConfigRecord({"v": 1, "cycle": 0, "step": 1, "score": MODEL})}
)


def report_with(**fields: Any) -> RecordDict:  # noqa: ANN401
    records = dict(replace(REPORTED, cut_cycle=2).records)
    report = ConfigRecord(dict(records[REPORT].items()))  # type: ignore[arg-type]
    for key, value in fields.items():
        if value is GONE:
            del report[key]
        else:
            report[key] = value
    return RecordDict({**records, REPORT: report})


def counts(*values: int) -> bytes:
    return np.array(values, dtype="<u4").tobytes()


def read_report(content: RecordDict) -> Report:
    return Report.from_content(content, num_classes=2, grid_shape=(2, 4))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(RecordDict(), id="no record"),
        pytest.param(RecordDict({ASK: ArrayRecord()}), id="record of arrays"),
        pytest.param(RecordDict({ASK: MetricRecord({"v": 1})}), id="record of metrics"),
        pytest.param(ask_with(v=2), id="schema 2"),
        pytest.param(ask_with(v=0), id="schema 0"),
        pytest.param(ask_with(v=True), id="schema as bool"),
        pytest.param(ask_with(v=1.0), id="schema as float"),
        pytest.param(ask_with(v="1"), id="schema as text"),
        pytest.param(ask_with(v=[1]), id="schema as list"),
        pytest.param(ask_with(v=GONE), id="no schema"),
        pytest.param(ask_with(extra=1), id="unknown field"),
        pytest.param(ask_with(cut_extra=1), id="unknown field of the cut"),
        pytest.param(ask_with(cut_nonce=GONE), id="cut without nonce"),
        pytest.param(ask_with(cycle=GONE), id="no cycle"),
        pytest.param(ask_with(step=GONE), id="no step"),
        pytest.param(ask_with(cycle=0), id="cycle 0 with a cut"),
        pytest.param(SCORING_WARMUP, id="cycle 0 with scores"),
        pytest.param(ask_with(cycle=-1), id="cycle negative"),
        pytest.param(ask_with(cycle=MAX_COUNT + 1), id="cycle too large"),
        pytest.param(ask_with(cycle=True), id="cycle as bool"),
        pytest.param(ask_with(cycle=1.0), id="cycle as float"),
        pytest.param(ask_with(cycle="1"), id="cycle as text"),
        pytest.param(ask_with(cycle=[1]), id="cycle as list"),
        pytest.param(ask_with(step=-1), id="step negative"),
        pytest.param(ask_with(step=False), id="step as bool"),
        pytest.param(ask_with(score=""), id="score empty"),
        pytest.param(ask_with(score="latest"), id="score no version"),
        pytest.param(ask_with(score=MODEL.upper()), id="score in capitals"),
        pytest.param(ask_with(score=MODEL + "\n"), id="score with a newline"),
        pytest.param(ask_with(score=1), id="score as int"),
        pytest.param(ask_with(cut_model=MODEL[:15]), id="model version too short"),
        pytest.param(ask_with(cut_model=""), id="model version empty"),
        pytest.param(ask_with(cut_model=MODEL.encode()), id="model version as bytes"),
        pytest.param(ask_with(cut_nonce=-1), id="nonce negative"),
        pytest.param(ask_with(cut_nonce=2**63), id="nonce too large"),
        pytest.param(ask_with(cut_nonce=5.0), id="nonce as float"),
        pytest.param(ask_with(cut_theta=b"\x01\x00\x02"), id="theta of odd length"),
        pytest.param(ask_with(cut_theta=b""), id="theta empty"),
        pytest.param(ask_with(cut_theta=bytes(2 * MAX_GROUPS + 2)), id="theta long"),
        pytest.param(ask_with(cut_theta=b"\x01\x10\x00\x00"), id="theta 4097"),
        pytest.param(ask_with(cut_theta=[60, 61]), id="theta as list"),
        pytest.param(ask_with(cut_theta="<<=="), id="theta as text"),
        pytest.param(ask_with(cut_boundary=2), id="boundary beyond the groups"),
        pytest.param(ask_with(cut_boundary=-2), id="boundary negative"),
        pytest.param(ask_with(cut_boundary=True), id="boundary as bool"),
        pytest.param(ask_with(cut_theta=GONE), id="boundary without theta"),
        pytest.param(ask_with(cut_rho=float("nan")), id="rho NaN"),
        pytest.param(ask_with(cut_rho=float("inf")), id="rho infinite"),
        pytest.param(ask_with(cut_rho=-0.1), id="rho negative"),
        pytest.param(ask_with(cut_rho=1.1), id="rho above one"),
        pytest.param(ask_with(cut_rho=1), id="rho as int"),
        pytest.param(ask_with(cut_rho=[0.5]), id="rho as list"),
        pytest.param(ask_with(cut_take=-1), id="take negative"),
        pytest.param(ask_with(cut_take=MAX_COUNT + 1), id="take too large"),
        pytest.param(ask_with(cut_take=True), id="take as bool"),
        pytest.param(ask_with(cut_ticket=float("nan")), id="ticket NaN"),
        pytest.param(ask_with(cut_ticket=-0.1), id="ticket negative"),
        pytest.param(ask_with(cut_ticket=1.1), id="ticket above one"),
        pytest.param(ask_with(cut_ticket=True), id="ticket as bool"),
        pytest.param(ask_with(cut_watch=-2), id="watch negative"),
        pytest.param(ask_with(cut_watch=4097), id="watch above the bins"),
    ],
)
def test_a_malformed_ask_is_refused(content: RecordDict) -> None:
    with pytest.raises(ProtocolError):
        Ask.from_content(content)


def test_the_ask_of_these_tests_is_otherwise_accepted() -> None:
    assert Ask.from_content(ask_with()) == ASKED


def told(**fields: Any) -> RecordDict:  # noqa: ANN401
    """A valid ask, and beside it an accuracy of these fields."""
    return RecordDict({**ASKED.records, ACCURACY: ConfigRecord({"v": 1, **fields})})


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(told(last=float("nan")), id="NaN"),
        pytest.param(told(last=float("inf")), id="infinite"),
        pytest.param(told(last=-0.01), id="negative"),
        pytest.param(told(last=1.01), id="above one"),
        pytest.param(told(last=93.0), id="in percent"),
        pytest.param(told(last=1), id="as int"),
        pytest.param(told(last=True), id="as bool"),
        pytest.param(told(last="0.9"), id="as text"),
        pytest.param(told(last=[0.9]), id="as list"),
        pytest.param(told(), id="missing"),
        pytest.param(told(last=0.9, best=0.95), id="unknown field"),
        pytest.param(told(last=0.9, v=2), id="schema 2"),
        pytest.param(told(last=0.9, run="a run"), id="a run of other letters"),
        pytest.param(told(last=0.9, run="a" * 17), id="a run of 17 digits"),
        pytest.param(told(last=0.9, run=1), id="a run that is a number"),
        pytest.param(
            RecordDict({**ASKED.records, ACCURACY: MetricRecord({"last": 0.9})}),
            id="record of metrics",
        ),
    ],
)
def test_a_malformed_accuracy_is_refused(content: RecordDict) -> None:
    with pytest.raises(ProtocolError, match="accuracy"):
        Ask.from_content(content)


def test_an_accuracy_stands_beside_the_ask_for_those_that_do_not_know_it() -> None:
    knows = replace(ASKED, accuracy=0.875)

    assert knows.records[ASK] == ASKED.records[ASK]
    content = RecordDict(dict(knows.records))
    assert Ask.from_content(content) == knows
    assert wire_bytes(content) - wire_bytes(RecordDict(dict(ASKED.records))) == 36


def test_an_accuracy_says_its_run() -> None:
    knows = replace(ASKED, accuracy=0.875, run="0123456789abcdef")

    assert Ask.from_content(RecordDict(dict(knows.records))) == knows


@pytest.mark.parametrize("accuracy", [float("nan"), -0.1, 1.1])
def test_an_accuracy_that_is_no_share_is_never_sent(accuracy: float) -> None:
    with pytest.raises(ProtocolError, match="ask accuracy"):
        replace(ASKED, accuracy=accuracy)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (ask_with(cut_theta=bytes(10**6)), "cut.theta must be at most 8192 bytes"),
        (report_with(counts=bytes(10**6)), "counts must be at most 28 bytes"),
    ],
)
def test_a_field_of_too_many_bytes_is_refused_unread(
    content: RecordDict, message: str
) -> None:
    with pytest.raises(ProtocolError, match=message):
        (Ask.from_content if ASK in content else read_report)(content)


def test_a_refusal_shows_a_short_piece_of_what_was_sent() -> None:
    with pytest.raises(ProtocolError) as caught:
        Ask.from_content(ask_with(cycle="x" * 10_000, extra=1))

    assert "fedask.ask: cycle must be int" in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(RecordDict(), id="no record"),
        pytest.param(RecordDict({REPORT: ArrayRecord()}), id="record of arrays"),
        pytest.param(report_with(v=2), id="schema 2"),
        pytest.param(report_with(v=True), id="schema as bool"),
        pytest.param(report_with(v=GONE), id="no schema"),
        pytest.param(report_with(extra=1), id="unknown field"),
        pytest.param(
            RecordDict({**report_with(), ASK: ConfigRecord({"v": ""})}), id="an ask"
        ),
        pytest.param(report_with(device=GONE), id="no device"),
        pytest.param(report_with(device=""), id="device empty"),
        pytest.param(report_with(device="a" * 64), id="device too long"),
        pytest.param(report_with(device="../etc"), id="device a path"),
        pytest.param(report_with(device="a b"), id="device with a space"),
        pytest.param(report_with(device="a\n"), id="device with a newline"),
        pytest.param(report_with(device="\u0663"), id="device of other digits"),
        pytest.param(report_with(device=b"a"), id="device as bytes"),
        pytest.param(report_with(device=1), id="device as int"),
        pytest.param(report_with(refused="because"), id="unknown reason"),
        pytest.param(report_with(refused=""), id="reason empty"),
        pytest.param(report_with(refused=[DIVERGED]), id="reason as list"),
        pytest.param(report_with(counts=GONE), id="no counts"),
        pytest.param(report_with(counts=b""), id="counts empty"),
        pytest.param(report_with(counts=counts(2, 9, 3, 1, 2)), id="no classes"),
        pytest.param(report_with(counts=counts(2, 9, 3, 1, 2, 2)), id="class missing"),
        pytest.param(
            report_with(counts=counts(2, 9, 3, 1, 2, 2, 1, 0)), id="class too many"
        ),
        pytest.param(report_with(counts=bytes(10**6)), id="a megabyte of counts"),
        pytest.param(
            report_with(counts=counts(2, 9, 3, 1, 2, 2, 1)[:-1]), id="odd byte length"
        ),
        pytest.param(report_with(counts="2931221"), id="counts as text"),
        pytest.param(report_with(counts=[2, 9, 3, 1, 2, 2, 1]), id="counts as list"),
        pytest.param(
            report_with(counts=counts(0, 2, 3, 0, 0, 2, 1)), id="answered > asked"
        ),
        pytest.param(
            report_with(counts=counts(0, 5, 2, 2, 2, 1, 1)), id="their sum > asked"
        ),
        pytest.param(
            report_with(counts=counts(0, MAX_COUNT + 1, 0, 0, 0, 0, 0)),
            id="asked too many",
        ),
        pytest.param(
            report_with(counts=counts(2, 9, 3, 1, 2, 0, 2**32 - 1)),
            id="class count too large",
        ),
        pytest.param(
            report_with(counts=counts(MAX_COUNT + 1, 0, 0, 0, 0, 0, 0)),
            id="cycle too large",
        ),
    ],
)
def test_a_malformed_report_is_refused(content: RecordDict) -> None:
    with pytest.raises(ProtocolError):
        read_report(content)


def test_the_report_of_these_tests_is_otherwise_accepted() -> None:
    read = read_report(report_with())

    assert replace(read, grid=None) == replace(REPORTED, grid=None)
    assert read.labelled == 3


@pytest.mark.parametrize(
    ("field", "value"),
    [("asked", -1), ("answered", -1), ("class_counts", ()), ("class_counts", (1, -1))],
)
def test_a_device_cannot_make_a_malformed_report(field: str, value: object) -> None:
    with pytest.raises(ProtocolError):
        replace(REPORTED, **{field: value})  # type: ignore[arg-type]


def test_a_round_of_warm_up_is_cycle_zero_and_nothing_more() -> None:
    ask = Ask(cycle=0, step=2)

    assert ask.warms_up
    assert not Ask(cycle=1, step=2).warms_up
    (record,) = ask.records.values()
    assert dict(record.items()) == {"v": 1, "cycle": 0, "step": 2}
    assert Ask.from_content(RecordDict({ASK: record})) == ask
