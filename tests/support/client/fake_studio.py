"""A Label Studio for tests: a real HTTP server on this machine, in memory.

Called by the tests of what uses ``studio``. It has what fedask asks of the API, answers
as Label Studio 1.23.2 was seen to, and refuses what that refuses
(``tasks/validation.py``, ``tasks/serializers.py``, ``data_import/api.py``): a wrong
token, a legacy one unless they are allowed, a task without the data that the labelling
configuration shows, or of the wrong type, a prediction of no class, an annotation of a
stranger. It fails when told to, as servers do. Never for use beside a device.
"""

import json
import re
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from typing_extensions import override

PROJECT = 1
LEGACY = "0123456789abcdef0123456789abcdef01234567"
PERSONAL = "eyJhbGciOi.eyJ0b2tlbl.c2lnbmVk"  # the form of a JWT

_TYPES: Mapping[str, tuple[type, ...]] = {
    "HyperText": (str,),
    "Image": (str, list),
    "Audio": (str,),
    "TimeSeries": (dict, list, str),
}


class StudioFault(StrEnum):
    """How the server fails once."""

    BUSY = "busy"  # 503, nothing done
    SLOW_DOWN = "slow down"  # 429 with Retry-After: 7
    LOST = "lost"  # done, and the connection ends without an answer
    DEAF = "deaf"  # the connection ends, nothing done
    BROKEN = "broken"  # 500
    MOVED = "moved"  # 302 to another server
    NONSENSE = "nonsense"  # 200, and no JSON
    EXPIRED = "expired"  # 401 once, as when a short-lived token has run out


class _RefusedError(Exception):
    """The request is wrong."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


@dataclass(slots=True)
class FakeStudio:
    """The state of the server, to be looked at and changed by tests.

    Parameters
    ----------
    config
        Labelling configuration of the project; "" for a new one.
    tasks
        Of the project, by number.
    users
        E-mail address by number.
    faults
        Of the next requests to a path that contains the first, in order.
    asked
        Method and path of every request.
    stubs
        Whether annotations in a list of tasks are stubs, as an Enterprise server may
        give them.
    legacy
        Whether legacy tokens are allowed; a new organisation does not.
    overlap
        How many annotations a task may have before nobody else is asked.
    cookies
        Those that came with requests: its answers all set one.
    imported
        When annotations are imported; their own times are not kept.
    """

    config: str = ""
    tasks: dict[int, dict[str, Any]] = field(default_factory=dict)
    users: dict[int, str] = field(default_factory=lambda: {1: "admin@site.org"})
    faults: list[tuple[str, StudioFault]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    stubs: bool = False
    legacy: bool = False
    overlap: int = 1
    cookies: list[str] = field(default_factory=list)
    imported: str = "2026-03-01T12:30:00.000000Z"
    url: str = ""
    access: int = 0  # short-lived tokens given out
    annotated: int = 0  # the last number of an annotation: none is used twice

    def annotate(self, uid: str, **annotation: Any) -> None:  # noqa: ANN401  (JSON)
        """Let somebody annotate the first task of a sample."""
        task = next(t for t in self.tasks.values() if t["meta"]["uid"] == uid)
        usual = {"was_cancelled": False, "ground_truth": False, "completed_by": 1}
        self.annotated += 1
        task["annotations"].append({"id": self.annotated, **usual, **annotation})

    def uids(self) -> list[str]:
        """Return the samples of all tasks, by number of the task."""
        return [task["meta"]["uid"] for _, task in sorted(self.tasks.items())]

    def answer(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Any,  # noqa: ANN401  (JSON)
    ) -> tuple[int, Any]:
        """Do what a request asks; returns the status and the answer."""
        project = f"/api/projects/{PROJECT}"
        routes: dict[tuple[str, str], Callable[[], tuple[int, Any]]] = {
            ("GET", f"{project}/"): lambda: (200, self._project()),
            ("PATCH", f"{project}/"): lambda: (200, self._change(body)),
            ("POST", f"{project}/import"): lambda: (201, self._import(body)),
            ("GET", "/api/tasks/"): lambda: (200, self._page(query)),
            ("GET", "/api/users/"): lambda: (200, self._users()),
        }
        if (method, path) in routes:
            return routes[method, path]()
        one = re.fullmatch(r"/api/tasks/(\d+)/(annotations/)?", path)
        if method == "GET" and one:
            task = self._task(int(one[1]))
            said = [a for a in task["annotations"] if not a["was_cancelled"]]
            return 200, said if one[2] else task
        raise _RefusedError(404, "Not found.")

    def _project(self) -> dict[str, Any]:
        return {
            "id": PROJECT,
            "label_config": self.config or "<View></View>",
            "parsed_label_config": _parsed(self.config),
            "maximum_annotations": self.overlap,
        }

    def _change(self, body: Any) -> dict[str, Any]:  # noqa: ANN401  (JSON)
        self.config = body.get("label_config", self.config)
        self.overlap = body.get("maximum_annotations", self.overlap)
        return self._project()

    def _task(self, number: int) -> dict[str, Any]:
        """Return a task alone: its annotations name their people in full."""
        task = self.tasks[number]
        people = {n: {"id": n, "email": mail} for n, mail in self.users.items()}
        return {
            **task,
            "annotations": [
                {**a, "completed_by": people[a["completed_by"]]}
                for a in task["annotations"]
            ],
        }

    def _users(self) -> list[dict[str, Any]]:
        return [{"id": n, "email": mail} for n, mail in self.users.items()]

    def _page(self, query: Mapping[str, str]) -> dict[str, Any]:
        if query.get("project") != str(PROJECT):
            raise _RefusedError(404, "Neither project nor view id specified")
        size, page = int(query.get("page_size", "100")), int(query.get("page", "1"))
        tasks = [dict(task) for _, task in sorted(self.tasks.items())]
        begin = (page - 1) * size
        if page > 1 and begin >= len(tasks):
            raise _RefusedError(404, "Invalid page.")
        shown = tasks[begin : begin + size]
        for task in shown:
            if query.get("fields") != "all":
                del task["annotations"], task["predictions"]
            elif self.stubs:
                keys = {"id", "completed_by", "was_cancelled", "ground_truth"}
                task["annotations"] = [
                    {**{k: v for k, v in a.items() if k in keys}, "is_stub": True}
                    for a in task["annotations"]
                ]
        return {
            "total": len(tasks),
            "total_annotations": sum(len(t.get("annotations", [])) for t in tasks),
            "total_predictions": 0,
            "tasks": shown,
        }

    def _import(self, body: Any) -> dict[str, Any]:  # noqa: ANN401  (JSON)
        if not isinstance(body, list) or not body:
            raise _RefusedError(400, "load_tasks: Data root must be list")
        for task in body:
            _check_task(task, self.config, set(self.users.values()))
        for task in body:
            number = max(self.tasks, default=0) + 1
            self.tasks[number] = {
                "id": number,
                "project": PROJECT,
                "data": task["data"],
                "meta": task.get("meta", {}),
                "annotations": [self._imported(a) for a in task.get("annotations", [])],
                "predictions": task.get("predictions", []),
            }
        return {"task_count": len(body), "annotation_count": 0, "found_formats": {}}

    def _imported(self, told: Mapping[str, Any]) -> dict[str, Any]:
        """Return what an import makes of an annotation."""
        self.annotated += 1
        numbers = {mail: number for number, mail in self.users.items()}
        return {
            "id": self.annotated,
            "completed_by": numbers[told["completed_by"]["email"]],
            "was_cancelled": told["was_cancelled"],
            "ground_truth": told["ground_truth"],
            "created_at": self.imported,
            "updated_at": self.imported,
            "result": told["result"],
        }


def _parsed(config: str) -> dict[str, Any]:
    """Return what Label Studio says of a configuration beside its text."""
    if not config:
        return {}
    view = ET.fromstring(config)  # noqa: S314  (of a test)
    shown = {tag.get("name"): tag for tag in view.iter() if tag.get("value")}
    return {
        str(control.get("name")): {
            "type": control.tag,
            "to_name": [control.get("toName")],
            "inputs": [
                {"type": tag.tag, "value": str(tag.get("value")).lstrip("$")}
                for tag in [shown[control.get("toName")]]
            ],
            "labels": [choice.get("value") for choice in control.findall("Choice")],
        }
        for control in view.findall("Choices")
    }


def _check_task(task: Any, config: str, members: set[str]) -> None:  # noqa: ANN401  (JSON)
    """Refuse a task as Label Studio does."""
    if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
        raise _RefusedError(400, 'Task root must be dict with "data"')
    if not isinstance(task.get("meta", {}), (dict, list)):
        raise _RefusedError(400, "Task[meta] must be dict or list")
    for tag in ET.fromstring(config or "<View/>"):  # noqa: S314  (our own text)
        key = str(tag.get("value", ""))[1:]
        if tag.tag not in _TYPES:
            continue
        if not isinstance(task["data"].get(key), _TYPES[tag.tag]):
            raise _RefusedError(400, f'"{key}" key is expected in task data')
    for prediction in task.get("predictions", []):
        _check_result(prediction, _parsed(config))
    for annotation in task.get("annotations", []):
        _check_result(annotation, _parsed(config))
        if annotation.get("completed_by", {}).get("email") not in members:
            raise _RefusedError(400, "Unknown annotator's email")


def _check_result(said: Any, config: Mapping[str, Any]) -> None:  # noqa: ANN401  (JSON)
    if not isinstance(said.get("result"), list):
        raise _RefusedError(400, 'must have "result" fields')
    for region in said["result"]:
        control = config.get(region["from_name"])
        if control is None or region["to_name"] not in control["to_name"]:
            raise _RefusedError(400, "'from_name' not found in configuration")
        wrong = set(region["value"]["choices"]) - set(control["labels"])
        if region["type"] != control["type"].lower() or wrong:
            raise _RefusedError(400, "the value does not fit the control")


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or every answer waits 40 ms
    studio: FakeStudio
    lock: threading.Lock

    @override
    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _handle(self) -> None:
        with self.lock:
            target = urlsplit(self.path)
            size = int(self.headers.get("Content-Length", "0"))
            body = self.rfile.read(size)
            self.studio.asked.append(f"{self.command} {target.path}")
            self.studio.cookies += self.headers.get_all("Cookie", [])
            fault = self._fault(target.path)
            if fault is StudioFault.DEAF:
                self.close_connection = True
                return
            if fault is not None and fault is not StudioFault.LOST:
                self._fail(fault)
                return
            status, told = self._answer(target.path, target.query, body)
            if fault is StudioFault.LOST:
                self.close_connection = True
                return
            self._send(status, json.dumps(told).encode())

    do_GET = do_POST = do_PATCH = _handle  # noqa: N815  (names of http.server)

    def _fault(self, path: str) -> StudioFault | None:
        faults = self.studio.faults
        if faults and faults[0][0] in path:
            return faults.pop(0)[1]
        return None

    def _fail(self, fault: StudioFault) -> None:
        status = {"busy": 503, "slow down": 429, "broken": 500, "moved": 302}
        headers = {
            "slow down": {"Retry-After": "7"},
            "moved": {"Location": "http://x/"},
        }
        if fault is StudioFault.EXPIRED:
            self._send(401, b'{"detail": "Token is expired"}')
            return
        self._send(status.get(fault, 200), b"<html>", headers.get(fault, {}))

    def _answer(self, path: str, query: str, body: bytes) -> tuple[int, Any]:
        told = json.loads(body) if body else None
        if path == "/api/token/refresh/":
            if told != {"refresh": PERSONAL}:
                return 401, {"detail": "Token is invalid"}
            self.studio.access += 1
            return 200, {"access": f"access-{self.studio.access}"}
        given = self.headers.get("Authorization", "")
        allowed = {f"Bearer access-{self.studio.access}"}
        if self.studio.legacy:
            allowed.add(f"Token {LEGACY}")
        if given not in allowed:
            return 401, {"detail": "Invalid token."}
        if told is not None and self.headers["Content-Type"] != "application/json":
            return 415, {"detail": "Unsupported media type"}
        flat = {name: values[-1] for name, values in parse_qs(query).items()}
        try:
            return self.studio.answer(self.command, path, flat, told)
        except _RefusedError as err:
            return err.status, {"detail": str(err)}

    def _send(
        self, status: int, content: bytes, headers: Mapping[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Set-Cookie", "sessionid=begun; HttpOnly; Path=/")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients of tests go away as they like."""


@contextmanager
def fake_studio() -> Iterator[FakeStudio]:
    """Run a Label Studio on a free port of this machine."""
    studio = FakeStudio()
    handler = type("Handler", (_Handler,), {"studio": studio, "lock": threading.Lock()})
    server = _Server(("127.0.0.1", 0), handler)
    studio.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
    )
    thread.start()
    try:
        yield studio
    finally:
        with suppress(OSError):
            server.shutdown()
        server.server_close()
        thread.join()
