import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Origin(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ORIGIN_UNSPECIFIED: _ClassVar[Origin]
    ORIGIN_CUT: _ClassVar[Origin]
    ORIGIN_SCORE: _ClassVar[Origin]
    ORIGIN_CHANCE: _ClassVar[Origin]

class ContentState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONTENT_STATE_UNSPECIFIED: _ClassVar[ContentState]
    CONTENT_STATE_HERE: _ClassVar[ContentState]
    CONTENT_STATE_LATER: _ClassVar[ContentState]
    CONTENT_STATE_TOO_LARGE: _ClassVar[ContentState]
    CONTENT_STATE_GONE: _ClassVar[ContentState]
ORIGIN_UNSPECIFIED: Origin
ORIGIN_CUT: Origin
ORIGIN_SCORE: Origin
ORIGIN_CHANCE: Origin
CONTENT_STATE_UNSPECIFIED: ContentState
CONTENT_STATE_HERE: ContentState
CONTENT_STATE_LATER: ContentState
CONTENT_STATE_TOO_LARGE: ContentState
CONTENT_STATE_GONE: ContentState

class DescribeRequest(_message.Message):
    __slots__ = ("annotator",)
    ANNOTATOR_FIELD_NUMBER: _ClassVar[int]
    annotator: str
    def __init__(self, annotator: _Optional[str] = ...) -> None: ...

class DescribeResponse(_message.Message):
    __slots__ = ("version", "classes", "guidelines", "rule", "lease_s", "max_window", "max_content_bytes")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    GUIDELINES_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    LEASE_S_FIELD_NUMBER: _ClassVar[int]
    MAX_WINDOW_FIELD_NUMBER: _ClassVar[int]
    MAX_CONTENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    version: str
    classes: _containers.RepeatedScalarFieldContainer[str]
    guidelines: str
    rule: str
    lease_s: float
    max_window: int
    max_content_bytes: int
    def __init__(self, version: _Optional[str] = ..., classes: _Optional[_Iterable[str]] = ..., guidelines: _Optional[str] = ..., rule: _Optional[str] = ..., lease_s: _Optional[float] = ..., max_window: _Optional[int] = ..., max_content_bytes: _Optional[int] = ...) -> None: ...

class LeaseRequest(_message.Message):
    __slots__ = ("annotator", "limit", "content")
    ANNOTATOR_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    annotator: str
    limit: int
    content: bool
    def __init__(self, annotator: _Optional[str] = ..., limit: _Optional[int] = ..., content: bool = ...) -> None: ...

class LeaseResponse(_message.Message):
    __slots__ = ("leases",)
    LEASES_FIELD_NUMBER: _ClassVar[int]
    leases: _containers.RepeatedCompositeFieldContainer[Lease]
    def __init__(self, leases: _Optional[_Iterable[_Union[Lease, _Mapping]]] = ...) -> None: ...

class TasksRequest(_message.Message):
    __slots__ = ("annotator", "window", "content")
    ANNOTATOR_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    annotator: str
    window: int
    content: bool
    def __init__(self, annotator: _Optional[str] = ..., window: _Optional[int] = ..., content: bool = ...) -> None: ...

class TasksResponse(_message.Message):
    __slots__ = ("lease", "heartbeat")
    LEASE_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    lease: Lease
    heartbeat: Heartbeat
    def __init__(self, lease: _Optional[_Union[Lease, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("at",)
    AT_FIELD_NUMBER: _ClassVar[int]
    at: _timestamp_pb2.Timestamp
    def __init__(self, at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Lease(_message.Message):
    __slots__ = ("uid", "token", "until", "cycle", "origin", "near", "content_state", "parts")
    UID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    CYCLE_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    NEAR_FIELD_NUMBER: _ClassVar[int]
    CONTENT_STATE_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    uid: str
    token: str
    until: _timestamp_pb2.Timestamp
    cycle: int
    origin: Origin
    near: _containers.RepeatedScalarFieldContainer[str]
    content_state: ContentState
    parts: _containers.RepeatedCompositeFieldContainer[Part]
    def __init__(self, uid: _Optional[str] = ..., token: _Optional[str] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., cycle: _Optional[int] = ..., origin: _Optional[_Union[Origin, str]] = ..., near: _Optional[_Iterable[str]] = ..., content_state: _Optional[_Union[ContentState, str]] = ..., parts: _Optional[_Iterable[_Union[Part, _Mapping]]] = ...) -> None: ...

class Part(_message.Message):
    __slots__ = ("name", "medium", "content")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MEDIUM_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    name: str
    medium: str
    content: bytes
    def __init__(self, name: _Optional[str] = ..., medium: _Optional[str] = ..., content: _Optional[bytes] = ...) -> None: ...

class ShowRequest(_message.Message):
    __slots__ = ("annotator", "uid", "token", "near")
    ANNOTATOR_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    NEAR_FIELD_NUMBER: _ClassVar[int]
    annotator: str
    uid: str
    token: str
    near: str
    def __init__(self, annotator: _Optional[str] = ..., uid: _Optional[str] = ..., token: _Optional[str] = ..., near: _Optional[str] = ...) -> None: ...

class ShowResponse(_message.Message):
    __slots__ = ("parts",)
    PARTS_FIELD_NUMBER: _ClassVar[int]
    parts: _containers.RepeatedCompositeFieldContainer[Part]
    def __init__(self, parts: _Optional[_Iterable[_Union[Part, _Mapping]]] = ...) -> None: ...

class SubmitRequest(_message.Message):
    __slots__ = ("annotator", "uid", "token", "key", "label", "skip", "unsure", "also")
    ANNOTATOR_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    SKIP_FIELD_NUMBER: _ClassVar[int]
    UNSURE_FIELD_NUMBER: _ClassVar[int]
    ALSO_FIELD_NUMBER: _ClassVar[int]
    annotator: str
    uid: str
    token: str
    key: str
    label: int
    skip: Skip
    unsure: Unsure
    also: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, annotator: _Optional[str] = ..., uid: _Optional[str] = ..., token: _Optional[str] = ..., key: _Optional[str] = ..., label: _Optional[int] = ..., skip: _Optional[_Union[Skip, _Mapping]] = ..., unsure: _Optional[_Union[Unsure, _Mapping]] = ..., also: _Optional[_Iterable[str]] = ...) -> None: ...

class Skip(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Unsure(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SubmitResponse(_message.Message):
    __slots__ = ("number", "uid", "label", "skip", "unsure", "at", "shared")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    SKIP_FIELD_NUMBER: _ClassVar[int]
    UNSURE_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    SHARED_FIELD_NUMBER: _ClassVar[int]
    number: int
    uid: str
    label: int
    skip: Skip
    unsure: Unsure
    at: _timestamp_pb2.Timestamp
    shared: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, number: _Optional[int] = ..., uid: _Optional[str] = ..., label: _Optional[int] = ..., skip: _Optional[_Union[Skip, _Mapping]] = ..., unsure: _Optional[_Union[Unsure, _Mapping]] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., shared: _Optional[_Iterable[str]] = ...) -> None: ...

class UndoRequest(_message.Message):
    __slots__ = ("annotator", "key")
    ANNOTATOR_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    annotator: str
    key: str
    def __init__(self, annotator: _Optional[str] = ..., key: _Optional[str] = ...) -> None: ...

class UndoResponse(_message.Message):
    __slots__ = ("uid",)
    UID_FIELD_NUMBER: _ClassVar[int]
    uid: str
    def __init__(self, uid: _Optional[str] = ...) -> None: ...

class ReleaseRequest(_message.Message):
    __slots__ = ("annotator",)
    ANNOTATOR_FIELD_NUMBER: _ClassVar[int]
    annotator: str
    def __init__(self, annotator: _Optional[str] = ...) -> None: ...

class ReleaseResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatisticsRequest(_message.Message):
    __slots__ = ("annotator",)
    ANNOTATOR_FIELD_NUMBER: _ClassVar[int]
    annotator: str
    def __init__(self, annotator: _Optional[str] = ...) -> None: ...

class StatisticsResponse(_message.Message):
    __slots__ = ("states", "labels", "today", "mine")
    class StatesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: int
        def __init__(self, key: _Optional[int] = ..., value: _Optional[int] = ...) -> None: ...
    STATES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    TODAY_FIELD_NUMBER: _ClassVar[int]
    MINE_FIELD_NUMBER: _ClassVar[int]
    states: _containers.ScalarMap[str, int]
    labels: _containers.ScalarMap[int, int]
    today: int
    mine: int
    def __init__(self, states: _Optional[_Mapping[str, int]] = ..., labels: _Optional[_Mapping[int, int]] = ..., today: _Optional[int] = ..., mine: _Optional[int] = ...) -> None: ...
