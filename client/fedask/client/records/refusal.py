"""The errors of the desk, one class for each reason of a refusal.

Raised by the desk and the store; read by the code that turns errors into answers for a
client. Each is a child of the class that says who must act.
"""

from fedask.common.errors import PrivacyError, ProtocolError, StoreError


class LeaseError(ProtocolError):
    """The token is not of the annotator's lease: lease the sample again."""


class KeyReusedError(ProtocolError):
    """The idempotency key was used for another sample: every answer needs its own."""


class NotNearError(ProtocolError):
    """A sample to share the label with is no near-duplicate that waits."""


class NotLastError(ProtocolError):
    """Only the last answer can be taken back, and this is not it."""


class RightEndedError(PrivacyError):
    """The right to use the sample has ended: nobody's answer can be used any more."""


class UnknownSampleError(StoreError):
    """The sample is not in the queue."""
