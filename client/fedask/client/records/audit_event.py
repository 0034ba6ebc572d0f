"""The events that the audit log of a device records."""

from enum import StrEnum

from fedask.client.records.label_queue import ItemState


class Event(StrEnum):
    """An event on the device."""

    OPENED = "opened"  # a process opened the store
    SCORED = "scored"  # a model looked at the pool
    QUEUED = "queued"  # samples are to be asked
    LEASED = "leased"  # a person was given samples to look at
    RELEASED = "released"  # and gave them back unanswered
    LABELLED = "labelled"  # somebody gave a class
    UNSURE = "unsure"  # somebody gave none
    SKIPPED = "skipped"  # somebody declined
    UNDONE = "undone"  # an answer was taken back
    EXPIRED = "expired"  # a question ended without an answer
    TRAINED = "trained"  # labels went into an update
    LOCAL_TRAINED = "local model trained"  # labels went into the local model
    FORGOTTEN = "forgotten"  # samples were erased
    EXPORTED = "exported"
    IMPORTED = "imported"
    KEY_ROTATED = "key rotated"
    RIGHTS_CHANGED = "rights changed"  # another policy applies
    REFUSED = "refused"  # somebody asked for what they may not have
    ACCEPTED = "accepted"  # the owner took a log that is not what its head says


# What a plain move of the queue is called.
MOVED = {
    ItemState.QUEUED: Event.RELEASED,
    ItemState.SKIPPED: Event.SKIPPED,
    ItemState.EXPIRED: Event.EXPIRED,
    ItemState.TRAINED: Event.TRAINED,
}
Fact = int | str  # a number or a short word
