"""The labelling service of a device: gRPC over a socket of its owner's choice.

Started by the command line or by a program of the device's owner, as a process of its
own beside the SuperNode. Never by the server of the fleet, and never reachable from
other machines without certificates on both sides.
"""

import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Self

import grpc

from fedask.client.base.worker_threads import WorkerThreads
from fedask.client.labelling.desk.desk import Desk
from fedask.client.labelling.desk.desk_settings import DeskSettings
from fedask.client.labelling.grpc.access import Access
from fedask.client.labelling.grpc.error_table import StoppingError
from fedask.client.labelling.grpc.health import Health
from fedask.client.labelling.grpc.rpc_adapter import RpcAdapter
from fedask.client.labelling.grpc.secret import read_pem, token_at
from fedask.client.labelling.grpc.service_address import ServiceAddress
from fedask.client.labelling.grpc.service_settings import (
    ServerTls,
    ServiceLimits,
    ServiceSettings,
)
from fedask.client.labelling.grpc.servicer import DeskServicer, Guide
from fedask.client.labelling.grpc.store_watcher import StoreWatcher
from fedask.client.labelling.grpc.task_stream import TaskStreams
from fedask.client.labelling.grpc.v1 import labelling_pb2 as pb
from fedask.client.labelling.grpc.write_lock import WriteLock
from fedask.client.records.exhibit import Exhibit
from fedask.client.store.sqlite.connection import BUSY_TIMEOUT_MS
from fedask.client.store.sqlite.store import SqliteStore
from fedask.client.store.store_settings import StoreSettings
from fedask.common.clock import Clock
from fedask.common.errors import ConfigError, UnavailableError

logger = logging.getLogger(__name__)

_DESCRIPTION = pb.DESCRIPTOR.services_by_name["Labelling"]
SERVICE = _DESCRIPTION.full_name
GRACE_S = 10.0  # for calls that were begun: as long as the store waits for its lock
_OVERHEAD_BYTES = 1024**2  # of a message beside the content: a thousand leases
_METADATA_BYTES = 8 * 1024
_CONNECTION_CALLS = 64  # at the same time in one connection
_PING_MS = 20 * 1000
_IDLE_MS = 10 * 60 * 1000  # then a connection without calls is closed


def desks(
    open_store: Callable[[], SqliteStore],
    clock: Clock,
    settings: DeskSettings,
    classes: Sequence[str],
) -> Callable[[], AbstractContextManager[Desk]]:
    """Return a function that opens a desk for the thread that calls it."""
    write_lock = WriteLock(BUSY_TIMEOUT_MS / 1e3)

    @contextmanager
    def open_desk() -> Iterator[Desk]:
        with closing(open_store()) as store:
            store.classes.keep(classes)
            yield Desk(store.annotations, clock, settings, write_lock=write_lock)

    return open_desk


class LabellingService:
    """A running service; a context manager.

    Parameters
    ----------
    store
        The device's file; made if missing.
    open_store
        Opens it for the thread that calls. Default: with the key that lies beside it.
    settings
        Where it listens, and for whom.
    guide
        What they are told. As many classes as the desk has.
    exhibit
        What they are shown; called by several threads at once. None: nothing.

    Raises
    ------
    ConfigError
        If a file of the settings cannot be used, or the address is no one's to take.
    StoreError
        If the store cannot be opened.
    UnavailableError
        If the address is taken.
    """

    def __init__(  # noqa: PLR0913  (what a service is made of, in one place)
        self,
        *,
        store: Path,
        open_store: Callable[[], SqliteStore] | None = None,
        settings: ServiceSettings,
        desk: DeskSettings,
        guide: Guide,
        exhibit: Exhibit | None,
        clock: Clock,
    ) -> None:
        if len(guide.classes) != desk.classes:
            raise ConfigError(
                f"the guide names {len(guide.classes)} classes, "
                f"the desk has {desk.classes}"
            )
        self._settings = settings
        self._limits = settings.limits
        self._place = ServiceAddress.parse(settings.address)
        self._streams = TaskStreams(self._limits.streams)
        self._health = Health(SERVICE)
        if open_store is None:
            open_store = partial(StoreSettings().open, store, clock, "service")
        self._open_desk = desks(open_store, clock, desk, guide.classes)
        self._count = self._limits.calls + self._limits.streams
        self._threads = WorkerThreads("desk", self._count, self._open_desk)
        self._servicer = DeskServicer(
            desk=self._threads.own,
            settings=desk,
            guide=guide,
            exhibit=exhibit,
            limits=self._limits,
            streams=self._streams,
            clock=clock,
        )
        self._watcher = StoreWatcher(store, self._limits.look_s, self._streams.wake)
        self._stack = ExitStack()
        self._stop = threading.Lock()
        self._server: grpc.Server | None = None
        self.address = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start to listen; then ``address`` says where."""
        with ExitStack() as stack:
            with self._open_desk():
                pass  # an unusable store is refused now, not at the first call
            token = self._settings.token
            access = Access(self._settings, None if token is None else token_at(token))
            adapter = RpcAdapter(access, self._limits)
            stack.callback(self._threads.shutdown)
            server = grpc.server(
                self._threads,
                handlers=(
                    _handlers(self._servicer, adapter),
                    self._health.handler(adapter),
                ),
                options=_options(self._limits),
                maximum_concurrent_rpcs=self._count + self._limits.backlog,
            )
            self._bind(server, stack)
            self._server = server
            server.start()
            self._health.serving = True
            self._watcher.start()
            self._stack = stack.pop_all()
        logger.info("listening at %s", self.address)

    def stop(self, grace_s: float = GRACE_S) -> None:
        """Take no more calls, finish those that were begun, and close everything.

        May be called more than once, and from several threads.
        """
        with self._stop:
            server, self._server = self._server, None
            if server is None:
                return
            self._health.serving = False
            self._streams.stop(StoppingError())
            server.stop(grace_s).wait()
            self._watcher.stop()
            self._stack.close()
            logger.info("stopped")

    def _bind(self, server: grpc.Server, stack: ExitStack) -> None:
        path = self._place.path
        if path is not None:
            # Not on systems without such sockets.
            from fedask.client.labelling.grpc.unix_socket import (  # noqa: PLC0415  (imports gRPC)
                PRIVATE_FILE,
                private_socket,
            )

            stack.enter_context(private_socket(path))
            _listen(server, self._place, None)
            path.chmod(PRIVATE_FILE)
            self.address = self._settings.address
            return
        port = _listen(server, self._place, self._settings.tls)
        self.address = ServiceAddress(host=self._place.host, port=port).target


def _handlers(servicer: DeskServicer, adapter: RpcAdapter) -> grpc.GenericRpcHandler:
    """Return the methods of the service, by the names in its description."""
    handlers = {
        method.name: (adapter.stream if method.server_streaming else adapter.unary)(
            method.name,
            getattr(pb, method.input_type.name),
            getattr(servicer, method.name.lower()),
        )
        for method in _DESCRIPTION.methods
    }
    return grpc.method_handlers_generic_handler(SERVICE, handlers)


def _options(limits: ServiceLimits) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", limits.request_bytes),
        ("grpc.max_send_message_length", limits.content_bytes + _OVERHEAD_BYTES),
        ("grpc.max_metadata_size", _METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", _METADATA_BYTES),
        ("grpc.max_concurrent_streams", _CONNECTION_CALLS),
        ("grpc.max_connection_idle_ms", _IDLE_MS),
        ("grpc.keepalive_time_ms", _PING_MS),  # a client that lost its power is noticed
        ("grpc.keepalive_timeout_ms", _PING_MS),
        ("grpc.so_reuseport", 0),  # a second service must not share the port unseen
    ]


def _listen(server: grpc.Server, place: ServiceAddress, tls: ServerTls | None) -> int:
    """Listen at an address and return its port.

    Raises
    ------
    ConfigError
        If the certificates cannot be used.
    UnavailableError
        If the address is taken, or not of this machine.
    """
    try:
        if tls is None:
            return int(server.add_insecure_port(place.target))
        return int(server.add_secure_port(place.target, _credentials(tls)))
    except RuntimeError as err:  # gRPC tells one from the other on stderr alone
        if tls is not None and _is_free(place):
            raise ConfigError(
                f"{tls.certificate}, {tls.key} and {tls.clients} cannot be used: "
                "no PEM, or the certificate is not of this key"
            ) from err
        raise UnavailableError(
            f"cannot listen at {place.target}: it is taken, or not of this machine"
        ) from err


def _is_free(place: ServiceAddress) -> bool:
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    try:
        socket.create_server((place.host, place.port), family=family).close()
    except OSError:
        return False
    return True


def _credentials(tls: ServerTls) -> grpc.ServerCredentials:
    key, chain, clients = read_pem(tls.key, tls.certificate, tls.clients)
    return grpc.ssl_server_credentials(
        [(key, chain)], root_certificates=clients, require_client_auth=True
    )


def serve(service: LabellingService, ready: Callable[[str], None]) -> None:
    """Run a service until SIGTERM or SIGINT; from the main thread.

    Parameters
    ----------
    ready
        Told the address once it listens.
    """
    asked = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: asked.set())
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        with service:
            ready(service.address)
            asked.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
