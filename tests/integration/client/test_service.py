"""What an app gets from the service, over a real socket."""

import signal
import stat
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.support.client.permits import Nothing
from tests.support.client.services import (
    CLASSES,
    NOON,
    QUICK,
    Place,
    call,
    program,
    stub,
    uid,
)

from fedask.client.labelling.grpc.client import LabellingClient
from fedask.client.labelling.grpc.client_records import Content
from fedask.client.labelling.grpc.error_table import IdleError, ReplacedError
from fedask.client.labelling.grpc.v1 import labelling_pb2 as pb
from fedask.client.records.annotation import Kind, Receipt
from fedask.client.records.exhibit import Medium, Part
from fedask.client.records.label_queue import ItemState, QueryOrigin
from fedask.client.records.refusal import (
    LeaseError,
    NotLastError,
    RightEndedError,
)
from fedask.common.errors import ProtocolError, UnavailableError

KILLS = 2
MINUTE = timedelta(minutes=1)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(folder=tmp_path)


def test_an_app_learns_what_is_asked(place: Place) -> None:
    with place.serving(), place.client() as client:
        told = client.describe()

    assert (told.classes, told.guidelines) == (CLASSES, "An owl is no cat.")
    assert (told.version, told.rule, told.lease_s) == ("0.1.0", "one", 60.0)
    assert told.max_window == QUICK.window


def test_what_is_leased_and_answered_is_on_the_disk(place: Place) -> None:
    place.queue(1, 2, 3)
    with place.serving(), place.client() as client:
        one, two, three = client.lease(3)
        receipts = [client.label(one, "owl"), client.skip(two), client.unsure(three)]

    assert (one.uid, one.until, one.cycle) == (uid(1), NOON + MINUTE, 1)
    assert (one.origin, one.content, one.parts) == (
        QueryOrigin.CUT,
        Content.NOT_ASKED,
        (),
    )
    assert [r.kind for r in receipts] == [Kind.LABEL, Kind.SKIP, Kind.UNSURE]
    assert (receipts[0].label, receipts[0].at) == (2, NOON)
    kept = [(v.number, v.uid, v.kind, v.label) for v in place.annotations()]
    assert kept == [(r.number, r.uid, r.kind, r.label) for r in receipts]


def test_the_same_key_gives_the_same_receipt_and_counts_once(place: Place) -> None:
    place.queue(1)
    with place.serving(), place.client() as client:
        (sample,) = client.lease(1)
        first = client.label(sample, 1, key="k")
        place.clock.time += 400 * MINUTE

        assert client.label(sample, 1, key="k") == first
        assert client.skip(sample, key="k") == first

    assert len(place.annotations()) == 1


def test_an_answer_after_the_lease_is_taken(place: Place) -> None:
    place.queue(1)
    with place.serving(), place.client() as client:
        (sample,) = client.lease(1)
        place.clock.time += 2 * MINUTE

        assert client.label(sample, 1).label == 1


def test_content_comes_along_as_far_as_it_fits(place: Place) -> None:
    place.queue(1, 2, 3, 4)
    place.limits = replace(QUICK, content_bytes=100)
    place.exhibit.contents = {uid(1): b"a" * 60, uid(2): b"b" * 60, uid(3): b"c" * 101}
    with place.serving(), place.client() as client:
        leases = client.lease(4, content=True)
        states = [lease.content for lease in leases]
        assert states == [Content.HERE, Content.LATER, Content.TOO_LARGE, Content.GONE]
        shown = Part(name="", medium=Medium.TEXT, content=b"a" * 60)
        assert leases[0].parts == (shown,)
        assert [len(lease.parts) for lease in leases[1:]] == [0, 0, 0]
        (later,) = client.show(leases[1])

    assert later.content == b"b" * 60


def test_only_what_one_was_given_is_shown(place: Place) -> None:
    place.queue(1, 2)
    place.exhibit.contents = {uid(1): b"one", uid(2): b"two"}
    with place.serving(), place.client() as ann, place.client("bob") as bob:
        (mine,), (other,) = ann.lease(1), bob.lease(1)
        for stranger in (other, replace(mine, uid=other.uid), replace(mine, token="")):
            with pytest.raises(LeaseError):
                ann.show(stranger)

        assert ann.show(mine)[0].content == b"one"


def test_what_may_not_be_shown_any_more_is_not_shown_to_its_holder(
    place: Place,
) -> None:
    place.queue(1)
    place.exhibit.contents = {uid(1): b"one"}
    with place.serving(), place.client() as client:
        (sample,) = client.lease(1)
        assert client.show(sample)[0].content == b"one"
        with closing(place.opened()) as store:
            store.rights.apply(Nothing(), place.clock.now())

        with pytest.raises(RightEndedError):
            client.show(sample)


def test_near_duplicates_are_shown_and_get_the_same_label(place: Place) -> None:
    place.queue(1, 2, 3, near=((1, 2),))
    place.exhibit.contents = {uid(2): b"two", uid(3): b"three"}
    with place.serving(), place.client() as client:
        (sample,) = client.lease(1)
        assert sample.near == (uid(2),)
        assert client.show(sample, near=uid(2))[0].content == b"two"
        with pytest.raises(ProtocolError, match="near-duplicate"):
            client.show(sample, near=uid(3))
        receipt = client.label(sample, "dog", also=sample.near)

    assert receipt.shared == (uid(2),)
    assert [(v.uid, v.label) for v in place.annotations()] == [(uid(1), 1), (uid(2), 1)]


def test_undo_with_a_key_takes_back_one_answer_however_often_it_comes(
    place: Place,
) -> None:
    place.queue(1, 2)
    with place.serving(), place.client() as client:
        for sample, key in zip(client.lease(2), ("one", "two"), strict=True):
            client.label(sample, 0, key=key)

        with pytest.raises(NotLastError):
            client.undo("one")
        assert [client.undo("two") for _ in range(3)] == [uid(2)] * 3
        assert [lease.uid for lease in client.lease(0)] == [uid(2)]
        assert client.undo() == uid(1)
        assert client.undo() is None

    assert [annotation.undone for annotation in place.annotations()] == [NOON, NOON]


def test_what_is_released_goes_to_somebody_else(place: Place) -> None:
    place.queue(1)
    with place.serving(), place.client() as ann, place.client("bob") as bob:
        ann.lease(1)
        assert bob.lease(1) == []
        ann.release()

        assert [lease.uid for lease in bob.lease(1)] == [uid(1)]


def test_statistics_tell_of_others_only_sums(place: Place) -> None:
    place.queue(1, 2, 3)
    with place.serving(), place.client() as ann, place.client("bob") as bob:
        for client in (ann, bob):
            (sample,) = client.lease(1)
            client.label(sample, 1)
        told = ann.statistics()

    assert (told.mine, told.today, dict(told.labels)) == (1, 2, {1: 2})
    assert told.states == {ItemState.QUEUED: 1, ItemState.LABELLED: 2}


def test_a_stream_gives_a_sample_for_every_answer_and_for_every_arrival(
    place: Place,
) -> None:
    place.queue(1, 2, 3)
    place.limits = replace(QUICK, heartbeat_s=1000.0)  # it must not look by chance
    with place.serving(), place.client() as client:
        tasks = client.tasks(2)
        one, two = islice(tasks, 2)
        assert place.leased("ann") == [uid(1), uid(2)]
        client.label(one, 1)
        three = next(tasks)
        client.label(two, 1)
        client.label(three, 1)
        place.queue(4)  # by another process
        four = next(tasks)
        tasks.close()

    assert [each.uid for each in (one, two, three, four)] == [
        uid(n) for n in (1, 2, 3, 4)
    ]


def test_a_stream_shows_signs_of_life_and_ends_at_its_deadline(place: Place) -> None:
    with place.serving(), grpc.insecure_channel(place.address) as channel:
        request = pb.TasksRequest(annotator="ann", window=1)
        events = list(stub(channel).Tasks(request, timeout=1.0))

    assert len(events) > 3
    assert {event.WhichOneof("event") for event in events} == {"heartbeat"}
    assert {event.heartbeat.at.ToDatetime() for event in events} == {
        NOON.replace(tzinfo=None)
    }


def test_a_longer_deadline_than_the_limit_counts_as_the_limit(place: Place) -> None:
    place.limits = replace(QUICK, stream_s=0.3)
    with place.serving(), grpc.insecure_channel(place.address) as channel:
        request = pb.TasksRequest(annotator="ann", window=1)
        assert list(stub(channel).Tasks(request, timeout=50.0))


def test_a_client_that_reads_nothing_loses_its_place_at_the_limit(
    place: Place,
) -> None:
    place.queue(1)
    place.exhibit.contents[uid(1)] = bytes(QUICK.content_bytes)  # waits to be read
    place.limits = replace(QUICK, streams=1, stream_s=0.3)
    request = pb.TasksRequest(annotator="bob", window=1, content=True)
    with place.serving(), grpc.insecure_channel(place.address) as channel:
        events = stub(channel).Tasks(request, timeout=50.0)
        next(events)

        with grpc.insecure_channel(place.address) as other:
            stream_when_free(other).cancel()
        events.cancel()


def test_a_call_that_goes_on_for_longer_than_the_limit_is_cancelled(
    place: Place,
) -> None:
    place.queue(1)
    with place.serving(), place.client() as client:
        (sample,) = client.lease(1)
    place.limits = replace(QUICK, call_s=0.2)
    go_on = threading.Event()

    def slow(_: object) -> tuple[Part, ...]:
        assert go_on.wait(20)
        return ()

    place.exhibit.parts = slow  # type: ignore[method-assign,assignment]
    with place.serving(), place.client() as client:
        with pytest.raises(UnavailableError, match="CANCELLED"):
            client.show(sample)
        go_on.set()


def test_looking_for_more_does_not_write_to_the_disk(place: Place) -> None:
    place.queue(1)
    place.limits = replace(QUICK, heartbeat_s=0.01)
    with place.serving(), grpc.insecure_channel(place.address) as channel:
        request = pb.TasksRequest(annotator="ann", window=2)
        events = iter(stub(channel).Tasks(request, timeout=20.0))
        kinds = [next(events).WhichOneof("event") for _ in range(2)]
        wal = place.path.with_name("device.db-wal")
        size = wal.stat().st_size
        assert [next(events).WhichOneof("event") for _ in range(9)] == ["heartbeat"] * 9
        assert wal.stat().st_size == size

    assert kinds == ["heartbeat", "lease"]


def test_what_is_released_is_not_taken_again_by_the_stream(place: Place) -> None:
    place.queue(1)
    with place.serving(), place.client() as client:
        tasks = client.tasks(1)
        next(tasks)
        client.release()

        assert list(tasks) == []
        assert place.leased("ann") == []


def test_a_newer_stream_of_the_same_annotator_ends_the_older(place: Place) -> None:
    place.queue(1)
    with place.serving(), place.client() as old, place.client() as new:
        first, second = old.tasks(2), new.tasks(2)
        assert next(first).uid == next(second).uid == uid(1)
        with pytest.raises(ReplacedError):
            next(first)
        second.close()


def test_who_answers_nothing_for_a_whole_lease_gets_nothing_more(place: Place) -> None:
    place.queue(1, 2)
    with place.serving(), place.client() as ann, place.client("bob") as bob:
        tasks = ann.tasks(1)
        assert next(tasks).uid == uid(1)
        place.clock.time += MINUTE + timedelta(seconds=1)
        with pytest.raises(IdleError):
            next(tasks)

        assert [lease.uid for lease in bob.lease(1)] == [uid(1)]


def test_a_client_that_goes_leaves_its_place_to_the_next(place: Place) -> None:
    place.limits = replace(QUICK, streams=1, heartbeat_s=1000.0)
    with (
        place.serving(),
        place.client() as client,
        grpc.insecure_channel(place.address) as channel,
    ):
        for _ in range(4):
            events = stream_when_free(channel)
            client.statistics()  # meanwhile the stream has begun to wait
            events.cancel()


def stream_when_free(channel: grpc.Channel) -> Any:  # noqa: ANN401
    """Open a stream as soon as the service has seen that the last client went."""
    request = pb.TasksRequest(annotator="ann", window=1)
    for _ in range(5000):
        events = stub(channel).Tasks(request, timeout=50.0)
        try:
            next(events)
        except grpc.RpcError as err:
            if err.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise
        else:
            return events
    pytest.fail("the place stays taken")


def test_stopping_ends_streams_and_finishes_what_was_begun(place: Place) -> None:
    place.queue(1)
    begun, go_on = threading.Event(), threading.Event()

    def slow(_: object) -> tuple[Part, ...]:
        begun.set()
        assert go_on.wait(20)
        return (Part(name="", medium=Medium.TEXT, content=b"late"),)

    place.exhibit.parts = slow  # type: ignore[method-assign,assignment]
    with (
        ThreadPoolExecutor(2) as pool,
        place.serving() as service,
        place.client() as client,
        grpc.insecure_channel(place.address) as channel,
    ):
        (sample,) = client.lease(1)
        request = pb.TasksRequest(annotator="bob", window=1)
        events = stub(channel).Tasks(request, timeout=20.0)
        next(events)
        showing = pool.submit(client.show, sample)
        assert begun.wait(20)
        stopping = pool.submit(service.stop)
        with pytest.raises(grpc.RpcError) as refused:
            list(events)
        go_on.set()

        assert showing.result()[0].content == b"late"
        stopping.result()
        assert not client.is_serving()

    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert not (place.folder / "run" / "desk").exists()


def test_all_connections_to_the_store_are_closed_at_the_end(place: Place) -> None:
    place.queue(*range(20))
    with place.serving(), ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: _answers(place, f"p{n}"), range(8)))

    assert not place.path.with_name("device.db-wal").exists()  # the last one removes it


def test_a_client_repeats_with_the_same_key_until_the_service_is_back(
    place: Place,
) -> None:
    place.queue(1)
    with place.serving(), place.client() as client:
        (sample,) = client.lease(1)
    pauses: list[float] = []
    with ThreadPoolExecutor(1) as pool:
        back = threading.Event()

        def pause(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 3:
                back.set()
            done.wait(seconds)

        done = threading.Event()
        with LabellingClient(place.address, "ann", pause=pause) as client:
            receipt = pool.submit(client.label, sample, 1)
            assert back.wait(20)
            with place.serving():
                assert receipt.result(20).label == 1

    assert len(place.annotations()) == 1
    assert pauses[:3] == [0.05, 0.1, 0.2]


def test_tasks_go_on_after_a_restart_and_give_nothing_twice(place: Place) -> None:
    place.queue(1)
    with place.client() as client:
        tasks = client.tasks(2)
        with place.serving():
            first = next(tasks)
        with place.serving():
            place.queue(2)
            second = next(tasks)
            client.label(first, 1)
            client.label(second, 1)
            assert client.undo() == second.uid
            third = next(tasks)  # on the screen again
        tasks.close()

    assert [each.uid for each in (first, second, third)] == [uid(1), uid(2), uid(2)]


def test_a_client_gives_up_when_its_time_is_over(place: Place) -> None:
    with (
        LabellingClient(place.address, "ann", timeout_s=0.2) as client,
        pytest.raises(UnavailableError, match="no answer"),
    ):
        client.lease(1)


def test_eight_clients_lose_nothing_and_count_nothing_twice(place: Place) -> None:
    count = 400
    place.queue(*range(count))
    with place.serving(), ThreadPoolExecutor(8) as pool:
        answered = pool.map(lambda n: _answers(place, f"p{n}"), range(8))
        receipts = [receipt for some in answered for receipt in some]

    assert Counter(r.uid for r in receipts) == {uid(n): 1 for n in range(count)}
    annotations = place.annotations()
    assert {v.number: v.uid for v in annotations} == {r.number: r.uid for r in receipts}
    assert len(annotations) == count


def test_what_was_acknowledged_survives_kill_9_and_nothing_counts_twice(
    place: Place,
) -> None:
    count = 120
    place.queue(*range(count))
    acknowledged: list[int] = []
    enough = [threading.Event() for _ in range(KILLS)]

    def work(who: str) -> None:
        with place.client(who) as client:
            while held := client.lease(4):
                for sample in held:
                    acknowledged.append(
                        client.label(sample, int(sample.uid, 16) % 3).number
                    )
                    reached = len(acknowledged) * (KILLS + 1) // count
                    for event in enough[:reached]:
                        event.set()

    with ThreadPoolExecutor(4) as pool:
        working = [pool.submit(work, f"p{n}") for n in range(4)]
        for event in enough:
            with program(place.path, place.address) as process:
                assert event.wait(30)
                process.send_signal(signal.SIGKILL)
        with program(place.path, place.address):
            for each in working:
                each.result(30)

    annotations = place.annotations()
    assert sorted(acknowledged) == [v.number for v in annotations]
    assert Counter(v.uid for v in annotations) == {uid(n): 1 for n in range(count)}
    assert all(v.label == int(v.uid, 16) % 3 for v in annotations)


def test_sigterm_ends_a_service_in_good_order(place: Place) -> None:
    with program(place.path, place.address) as process:
        socket = place.folder / "run" / "desk"
        assert stat.S_IMODE(socket.stat().st_mode) == 0o600
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        assert process.stdout.readline() == "stopped\n"
        assert process.wait(20) == 0
        assert not socket.exists()


def test_a_second_service_at_the_same_socket_is_refused(place: Place) -> None:
    with (
        place.serving(),
        pytest.raises(UnavailableError, match="another service"),
        place.serving(),
    ):
        pass


def test_the_socket_of_a_killed_service_is_taken_over(place: Place) -> None:
    with program(place.path, place.address) as process:
        process.send_signal(signal.SIGKILL)
        process.wait(20)
    assert (place.folder / "run" / "desk").exists()

    with place.serving(), place.client() as client:
        assert client.is_serving()


def test_other_unknown_calls_are_answered_by_the_transport(place: Place) -> None:
    with place.serving(), grpc.insecure_channel(place.address) as channel:
        with pytest.raises(grpc.RpcError) as refused:
            call(channel, "Erase", b"")
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
        with pytest.raises(grpc.RpcError) as refused:
            call(channel, "Describe", bytes(QUICK.request_bytes + 1))
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def _answers(place: Place, who: str) -> list[Receipt]:
    with place.client(who) as client:
        receipts: list[Receipt] = []
        while held := client.lease(3):
            receipts += [client.label(sample, 1) for sample in held]
        return receipts
