"""The standard ``grpc.health.v1`` service. Called by whatever watches over processes.

Tells nothing but whether the service takes calls, so it asks for no token; a deadline
it asks for, like all others. There is no ``Watch``: it would hold a thread for whoever
asks, and clients fall back to ``Check``.
"""

import grpc
from grpc_health.v1 import health_pb2

from fedask.client.labelling.grpc.access import Caller
from fedask.client.labelling.grpc.error_table import UnknownServiceError
from fedask.client.labelling.grpc.rpc_adapter import RpcAdapter

SERVICE = "grpc.health.v1.Health"


class Health:
    """Whether the service takes calls.

    Parameters
    ----------
    service
        Name of the service that is here, besides this one.
    """

    def __init__(self, service: str) -> None:
        self._names = {"", SERVICE, service}  # "" is the process as a whole
        self.serving = False

    def handler(self, adapter: RpcAdapter) -> grpc.GenericRpcHandler:
        """Return what a gRPC server takes."""
        check = adapter.unary(
            "Check", health_pb2.HealthCheckRequest, self._check, anonymous=True
        )
        return grpc.method_handlers_generic_handler(SERVICE, {"Check": check})

    def _check(
        self, request: health_pb2.HealthCheckRequest, _: Caller
    ) -> health_pb2.HealthCheckResponse:
        if request.service not in self._names:
            raise UnknownServiceError
        answer = health_pb2.HealthCheckResponse
        return answer(status=answer.SERVING if self.serving else answer.NOT_SERVING)
