"""The standard ``grpc.health.v1`` service. Called by whatever watches over processes.

Tells nothing but whether the service takes calls, so it asks for no token; a deadline
it asks for, like all others. There is no ``Watch``: it would hold a thread for whoever
asks, and clients fall back to ``Check``.
"""

import grpc
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from fedask.client.labelling.grpc import conversion
from fedask.client.labelling.grpc.error_table import UnknownServiceError
from fedask.client.labelling.grpc.rpc_adapter import (
    RpcContext,
    refuse,
    remaining,
    serialise,
)

SERVICE = "grpc.health.v1.Health"


class Health:
    """Whether the service takes calls.

    Parameters
    ----------
    names
        Of the services that are here.
    call_s
        Longer deadlines count as this.
    """

    def __init__(self, names: frozenset[str], call_s: float) -> None:
        self._names = names | {"", SERVICE}  # "" is the process as a whole
        self._call_s = call_s
        self.serving = False

    def handler(self) -> grpc.GenericRpcHandler:
        """Return what a gRPC server takes."""
        check = grpc.unary_unary_rpc_method_handler(self._check, None, serialise)
        return grpc.method_handlers_generic_handler(SERVICE, {"Check": check})

    def _check(self, raw: bytes, context: RpcContext) -> Message:
        try:
            remaining(context, self._call_s)
            self._know(conversion.parse(health_pb2.HealthCheckRequest, raw).service)
        except Exception as err:  # noqa: BLE001  (nothing leaves but the table)
            return refuse("Check", err, context)
        answer = health_pb2.HealthCheckResponse
        status = answer.SERVING if self.serving else answer.NOT_SERVING
        return answer(status=status)

    def _know(self, name: str) -> None:
        if name not in self._names:
            raise UnknownServiceError
