"""What a device answers when parts of a message's model are missing."""

import numpy as np
from flwr.app import ConfigRecord, Message, RecordDict
from tests.support.client.messages import Site, ask_record, pose_as_server
from tests.support.client.world import NAME, TASK, model

from fedask.common.cut import Cut
from fedask.common.module_arrays import read_manifest
from fedask.common.part import ModelPart
from fedask.common.part_record import LACKING, read_lacking, write_parts
from fedask.common.records import LACKS_PARTS, REPORT, Report
from fedask.common.weights import to_record

MANIFEST = read_manifest(TASK.build(0))
ARRAYS = model()
BIAS, WEIGHT = sorted(ARRAYS, key=lambda name: ARRAYS[name].size)
PARTS = {WEIGHT: ModelPart.of(ARRAYS[WEIGHT])}
DIGEST = PARTS[WEIGHT].digest


def content(*, sent: bool) -> RecordDict:
    """Return a message whose weight is a part."""
    pose_as_server()
    named = write_parts(MANIFEST, PARTS, [DIGEST] * sent)
    given = RecordDict({"arrays": to_record({BIAS: ARRAYS[BIAS]}), **named})
    given["config"] = ConfigRecord()
    cut = Cut(cycle=1, model_version="", nonce=1, take=3)
    given["fedask.ask"] = ask_record(cut=cut)
    return given


def lacking(reply: Message) -> frozenset[str]:
    return frozenset(read_lacking(reply.content, [DIGEST]))


def test_a_round_without_a_part_is_a_report_and_a_question() -> None:
    site = Site()

    reply = site.send(content(sent=False))

    report = Report.from_content(reply.content, num_classes=3, grid_shape=(3, 16))
    assert (report.device, report.refused, report.asked) == (NAME, LACKS_PARTS, 0)
    assert lacking(reply) == {DIGEST}
    assert set(reply.content) == {REPORT, LACKING, "metrics"}
    assert site.world.store.queue.items() == []


def test_an_evaluation_without_a_part_counts_nothing() -> None:
    reply = Site().send(content(sent=False), "evaluate")

    assert dict(reply.content.metric_records["metrics"]) == {
        "accuracy": 0.0,
        "num-examples": 0,
    }
    assert lacking(reply) == {DIGEST}


def test_after_a_question_the_part_comes_and_the_round_is_as_always() -> None:
    whole, site = Site(), Site()
    plain = RecordDict({**content(sent=False), "arrays": to_record(ARRAYS)})
    del plain["fedask.parts"]
    expected = whole.send(plain)

    assert lacking(site.send(content(sent=False))) == {DIGEST}
    reply = site.send(content(sent=True))
    assert lacking(reply) == frozenset()
    assert site.world.store.queue.items() != []
    for name, array in expected.content.array_records["arrays"].items():
        found = reply.content.array_records["arrays"][name].numpy()
        assert found.tobytes() == array.numpy().tobytes()


def test_a_question_in_vain_is_an_error_in_full_and_no_endless_round() -> None:
    site = Site()
    site.send(content(sent=False))

    for kind in ("train", "evaluate"):
        reply = site.send(content(sent=False), kind)
        assert reply.has_error()
        assert reply.error.reason == (
            "ProtocolError: the server was asked for 1 parts of the model that this "
            "device lacks, and has not sent them"
        )
    assert not site.send(content(sent=True)).has_error()


def test_devices_that_share_a_message_have_parts_of_their_own() -> None:
    one, other = Site(), Site()
    one.send(content(sent=True))
    later = content(sent=False)

    assert lacking(one.send(later)) == frozenset()
    assert lacking(other.send(later)) == {DIGEST}
    assert np.array_equal(one.world.store.parts.get(DIGEST), ARRAYS[WEIGHT])  # type: ignore[arg-type]
