from collections.abc import Iterable
from unittest.mock import create_autospec

import pytest
from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid, ServerApp
from flwr.supercore.task_identity import TaskIdentity

from fedask.common.errors import DataError, UnavailableError
from fedask.simulations.runtimes.configured_app import (
    ConfiguredClient,
    ConfiguredServer,
)

CONFIG = {"seed": 7}


def context() -> Context:
    return Context(1, 1, {}, RecordDict(), {})


def sent() -> Message:
    # As ``runtimes.inline`` does, so that messages can be made in this process.
    TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = 1, 1, 1
    return Message(RecordDict(), 1, "train")


def pulling(*replies: Message) -> tuple[ConfiguredServer, list[Message], Grid]:
    """Return an app that pulls once, what it will have got, and its grid."""
    app = ServerApp()
    got: list[Message] = []

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        assert context.run_config == CONFIG
        got.extend(grid.pull_messages(["id"]))

    grid = create_autospec(Grid, instance=True)

    def pull(_: Iterable[str]) -> Iterable[Message]:
        return list(replies)

    grid.pull_messages = pull
    return ConfiguredServer(app, CONFIG), got, grid


def test_server_sees_its_configuration_and_its_replies() -> None:
    error = Error(ErrorCode.UNKNOWN, "UnavailableError: device-3 is away")
    reply = Message(error, reply_to=sent())
    server, got, grid = pulling(reply)
    server(grid, context())
    assert got == [reply]
    assert server.finished
    assert server.error is None


def test_error_that_the_engine_made_up_stops_the_run() -> None:
    reason = "<class 'ray.exceptions.ActorDiedError'>:<'The actor died'>"
    reply = Message(Error(ErrorCode.UNKNOWN, reason), reply_to=sent())
    server, got, grid = pulling(reply)
    with pytest.raises(UnavailableError, match=r"a worker of Ray failed: .*died"):
        server(grid, context())
    assert got == []
    assert isinstance(server.error, UnavailableError)
    assert not server.finished


def test_error_of_the_client_app_is_left_to_the_strategy() -> None:
    reason = "<class 'ray.exceptions.RayTaskError(ClientAppException)'>:<'no'>"
    error = Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason)
    server, got, grid = pulling(Message(error, reply_to=sent()))
    server(grid, context())
    assert len(got) == 1


def test_stopped_server_ends_at_its_next_look_for_replies() -> None:
    server, got, grid = pulling(sent())
    server.stop.set()
    with pytest.raises(UnavailableError, match="interrupted"):
        server(grid, context())
    assert got == []


@pytest.mark.parametrize("fails", [False, True])
def test_client_sees_its_configuration_and_gives_the_context_back_unchanged(
    *, fails: bool
) -> None:
    app, seen = ClientApp(), []

    @app.train()
    def train(message: Message, context: Context) -> Message:
        seen.append(dict(context.run_config))
        if fails:
            raise DataError
        return Message(RecordDict(), reply_to=message)

    client, given = ConfiguredClient(app, CONFIG, b""), context()
    try:
        client(sent(), given)
    except DataError:
        assert fails
    assert seen == [CONFIG]
    assert given.run_config == {}
