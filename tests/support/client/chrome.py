"""Drives a real Chromium over the DevTools protocol, and hears what it complains of.

Called by the acceptance tests of the labelling page.
"""

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any

from websockets.sync.client import ClientConnection, connect

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
START_S = 30.0
WAIT_S = 15.0
_NAMED = {"Enter": ("Enter", 13, "\r"), "Escape": ("Escape", 27, "")}
_NAMED |= {"ArrowDown": ("ArrowDown", 40, ""), "Tab": ("Tab", 9, "")}
_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # the tests may run as root, and load nothing but our own page
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--metrics-recording-only",
    "--no-first-run",
    "--mute-audio",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


def program() -> str | None:
    """Return where Chromium is, if it is installed."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class Browser:
    """One Chromium; each context has cookies and storage of its own."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0
        self._tabs: dict[str, Tab] = {}

    def call(self, method: str, session: str = "", **params: object) -> dict[str, Any]:
        self._number += 1
        number = self._number
        message: dict[str, object] = {"id": number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        self._socket.send(json.dumps(message))
        until = monotonic() + WAIT_S
        while monotonic() < until:
            told = self._next(until - monotonic())
            if told.get("id") != number:
                continue
            if "error" in told:
                raise AssertionError(f"{method}: {told['error']}")
            return dict(told["result"])
        raise AssertionError(f"{method}: no reply")

    def pump(self, timeout_s: float) -> None:
        """Take what the browser reports, for at most so long."""
        with suppress(TimeoutError):
            self._next(timeout_s)

    def _next(self, timeout_s: float) -> Mapping[str, Any]:
        told = json.loads(self._socket.recv(timeout=max(0.001, timeout_s)))
        tab = self._tabs.get(told.get("sessionId", ""))
        if tab is not None and "method" in told:
            tab.heard(told["method"], told["params"])
        return dict(told)

    def context(self) -> str:
        """Return a new context, as another person's browser would be."""
        return str(self.call("Target.createBrowserContext")["browserContextId"])

    def tab(self, context: str) -> "Tab":
        """Open a tab."""
        made = self.call(
            "Target.createTarget", url="about:blank", browserContextId=context
        )
        target = made["targetId"]
        found = self.call("Target.attachToTarget", targetId=target, flatten=True)
        tab = Tab(self, found["sessionId"], target)
        self._tabs[found["sessionId"]] = tab
        for domain in ("Page", "Network", "Runtime", "Log", "Audits"):
            tab.call(f"{domain}.enable")
        return tab


class Tab:
    """One tab, and all that it asked for or complained of."""

    def __init__(self, browser: Browser, session: str, target: str) -> None:
        self._browser = browser
        self._session = session
        self._target = target
        self.urls: list[str] = []
        self.complaints: list[str] = []

    def call(self, method: str, **params: object) -> dict[str, Any]:
        return self._browser.call(method, self._session, **params)

    def heard(self, method: str, params: Mapping[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.urls.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"])[:600])
        elif method == "Runtime.consoleAPICalled" and params["type"] != "debug":
            self.complaints.append(json.dumps(params["args"])[:300])
        elif method == "Log.entryAdded" and params["entry"]["level"] != "verbose":
            self.complaints.append(params["entry"]["text"])
        elif method == "Audits.issueAdded":
            self.complaints.append(params["issue"]["code"])

    def go(self, url: str) -> None:
        self.call("Page.navigate", url=url)

    def reload(self) -> None:
        self.run("window.stale = true")
        self.call("Page.reload")
        self.wait("!window.stale && document.readyState === 'complete'")

    def run(self, expression: str) -> Any:  # noqa: ANN401  (JSON)
        """Return the value of an expression; of a promise, what it becomes."""
        told = self.call(
            "Runtime.evaluate",
            expression=expression,
            returnByValue=True,
            awaitPromise=True,
        )
        if "exceptionDetails" in told:
            raise AssertionError(f"{expression}: {told['exceptionDetails']}")
        return told["result"].get("value")

    def wait(self, expression: str, timeout_s: float = WAIT_S) -> Any:  # noqa: ANN401
        """Return the value of an expression as soon as it is true."""
        until = monotonic() + timeout_s
        while True:
            with suppress(AssertionError):  # between two pages there is none
                value = self.run(expression)
                if value:
                    return value
            if monotonic() > until:
                seen = self.run("document.body.innerText")
                raise AssertionError(f"never: {expression}\n{seen}\n{self.complaints}")
            self._browser.pump(0.01)

    def press(self, key: str, modifiers: int = 0) -> None:
        """Press a key and let it go."""
        name, number, text = _NAMED.get(key, (key, ord(key[0].upper()), key))
        event = {"key": name, "windowsVirtualKeyCode": number, "modifiers": modifiers}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **event)
        self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def write(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        """Click in the middle of an element, as a mouse would."""
        box = self.wait(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " if (!e) return null; e.scrollIntoView({block: 'nearest'});"
            " const b = e.getBoundingClientRect();"
            " return b.width ? [b.x + b.width / 2, b.y + b.height / 2] : null })()"
        )
        at = {"x": box[0], "y": box[1], "button": "left", "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type="mousePressed", **at)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", **at)

    def screen(self, width: int, height: int, scheme: str = "light") -> None:
        """Be a phone or a desktop, by day or by night."""
        phone = width < 600
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )
        self.call("Emulation.setTouchEmulationEnabled", enabled=phone)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        if phone:
            features += [{"name": "hover", "value": "none"}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def shoot(self, path: Path) -> None:
        """Save what is to be seen as PNG."""
        shot = self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(shot["data"]))

    def close(self) -> None:
        self._browser.call("Target.closeTarget", targetId=self._target)


@contextmanager
def chromium(home: Path) -> Iterator[Browser]:
    """Start Chromium with an empty profile, and end it."""
    found = program()
    if found is None:
        raise AssertionError("Chromium is not installed: apt-get install chromium")
    args = [found, *_FLAGS, f"--user-data-dir={home}", "about:blank"]
    with (home / "errors.txt").open("wb") as errors:
        process = subprocess.Popen(args, stdout=errors, stderr=errors)  # noqa: S603
        try:
            with connect(_address(process, home), max_size=1 << 27) as socket:
                yield Browser(socket)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _address(process: "subprocess.Popen[bytes]", home: Path) -> str:
    """Return where the browser listens, as soon as it says so."""
    file = home / "DevToolsActivePort"
    until = monotonic() + START_S
    while monotonic() < until and process.poll() is None:
        lines = file.read_text().split("\n") if file.exists() else []
        if len(lines) > 1 and lines[1]:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
    raise AssertionError(f"Chromium did not start: {(home / 'errors.txt').read_text()}")
