"""The connection of a client to a labelling service. Opened by the client alone.

Never sends a token to, or takes an answer from, another machine that has not shown a
certificate.
"""

from dataclasses import dataclass
from pathlib import Path

import grpc

from fedask.client.labelling.grpc.access import token_metadata
from fedask.client.labelling.grpc.secret import read_pem, read_token
from fedask.client.labelling.grpc.service_address import ServiceAddress
from fedask.common.errors import ConfigError

_RECEIVE_BYTES = 256 * 1024**2  # the service has a closer limit of its own
_OPTIONS = [
    ("grpc.max_receive_message_length", _RECEIVE_BYTES),
    # A service on this machine that was started again is to be found at once.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    ("grpc.enable_http_proxy", 0),  # samples must not pass through a proxy
    ("grpc.enable_retries", 0),  # the client does that, and knows what may be repeated
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTls:
    """Certificates of a client.

    Parameters
    ----------
    certificate, key
        Of the annotator, PEM. Others must not be able to read the key.
    authority
        Certificates, PEM, one of which must have signed the service's.
    """

    certificate: Path
    key: Path
    authority: Path


_Metadata = tuple[tuple[str, str], ...]


def connect(
    address: str, token: Path | None, tls: ClientTls | None
) -> tuple[grpc.Channel, _Metadata]:
    """Open a connection; nothing is sent yet.

    Returns
    -------
    tuple
        The channel, and the metadata to send along with every call.

    Raises
    ------
    ConfigError
        If the address is beyond this machine and there are no certificates, or a file
        cannot be used.
    """
    place = ServiceAddress.parse(address)
    if tls is not None:
        if token is not None or place.path is not None:
            raise ConfigError(
                f"{address}: certificates are for ports, and go without a token"
            )
        return grpc.secure_channel(place.target, _credentials(tls), _OPTIONS), ()
    if not place.is_local:
        raise ConfigError(
            f"{address} is beyond this machine: that needs certificates (tls)"
        )
    metadata = () if token is None else (token_metadata(read_token(token)),)
    return grpc.insecure_channel(place.target, _OPTIONS), metadata


def _credentials(tls: ClientTls) -> grpc.ChannelCredentials:
    key, chain, authority = read_pem(tls.key, tls.certificate, tls.authority)
    return grpc.ssl_channel_credentials(authority, key, chain)
