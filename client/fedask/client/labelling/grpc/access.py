"""Finds out who calls, and as which annotator they may work. Called for every call.

Beyond this machine a caller is who their certificate names, by the site's list. On
this machine it is whoever can open the socket or read the token file; such an app says
itself which annotator sits before it.
"""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fedask.client.labelling.grpc.error_table import (
    ForbiddenError,
    MalformedError,
    UnauthenticatedError,
)
from fedask.client.labelling.grpc.service_settings import ServiceSettings
from fedask.common.errors import ProtocolError
from fedask.common.ids import Annotator, parse_annotator

_SCHEME = "Bearer "
_TOKEN_KEY = "authorization"  # noqa: S105  (of the metadata)
_ALTERNATIVE, _COMMON = "x509_subject_alternative_name", "x509_common_name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A caller who is allowed to work here.

    Parameters
    ----------
    annotator
        Whom the certificate names; None where the app says it.
    allowed
        Whom an app may name; empty: anybody.
    """

    annotator: Annotator | None
    allowed: frozenset[Annotator]

    def resolve(self, name: str) -> Annotator:
        """Return the annotator as whom this caller works.

        Parameters
        ----------
        name
            Of the annotator, in the request.

        Raises
        ------
        MalformedError
            If it is no name.
        ForbiddenError
            If it is another's, or not on the list.
        """
        if self.annotator is not None:
            if name not in {"", self.annotator}:
                raise ForbiddenError
            return self.annotator
        try:
            who = parse_annotator(name)
        except ProtocolError as err:
            raise MalformedError from err
        if self.allowed and who not in self.allowed:
            raise ForbiddenError
        return who


class Access:
    """Checks the certificate or the token of a caller.

    Parameters
    ----------
    token
        That every call must bring; None: none.
    """

    def __init__(self, settings: ServiceSettings, token: str | None) -> None:
        self._settings = settings
        self._token = None if token is None else (_SCHEME + token).encode()

    def caller(
        self,
        metadata: Iterable[tuple[str, str | bytes]],
        peer: Mapping[str, Iterable[bytes]],
    ) -> Caller:
        """Return the caller of a call.

        Parameters
        ----------
        peer
            gRPC's ``auth_context``.

        Raises
        ------
        UnauthenticatedError
            If the token is missing or wrong.
        ForbiddenError
            If the certificate names nobody of the site's list, or several.
        """
        if self._settings.tls is not None:
            return Caller(annotator=self._named(peer), allowed=frozenset())
        if self._token is not None:
            brought = [value for key, value in metadata if key == _TOKEN_KEY]
            one = brought[0] if len(brought) == 1 else b""
            sent = one.encode() if isinstance(one, str) else one
            if not hmac.compare_digest(sent, self._token):
                raise UnauthenticatedError
        return Caller(annotator=None, allowed=self._settings.annotators)

    def _named(self, peer: Mapping[str, Iterable[bytes]]) -> Annotator:
        # A common name counts only where there is no alternative name (RFC 6125).
        names = list(peer.get(_ALTERNATIVE, ())) or list(peer.get(_COMMON, ()))
        people = self._settings.people
        found = {
            person
            for name in names
            if (person := people.get(name.decode("utf-8", "replace"))) is not None
        }
        if len(found) != 1:
            raise ForbiddenError
        return Annotator(found.pop())


def token_metadata(token: str) -> tuple[str, str]:
    """Return the entry of the metadata in which a client sends its token."""
    return _TOKEN_KEY, _SCHEME + token
