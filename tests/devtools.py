"""Chromium without a window, driven from Python as a person drives it: by mouse and by keyboard.

    with Browser(program) as browser:
        browser.size(390, 844, dark=True)
        browser.goto("http://127.0.0.1:8000/")
        browser.click("#play")
        browser.wait("document.title === 'done'")

It speaks the DevTools protocol over a WebSocket (RFC 6455), and needs nothing but Python.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit
from urllib.request import urlopen

PATIENCE = 30               # seconds to wait for the browser, or for a page
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
KEYS = {" ": ("Space", 32), "ArrowLeft": ("ArrowLeft", 37), "ArrowRight": ("ArrowRight", 39),
        "Enter": ("Enter", 13), "Tab": ("Tab", 9), "Escape": ("Escape", 27), "End": ("End", 35),
        "Home": ("Home", 36)}
"""Keys that have no letter: the names of their places, and their numbers."""

Place = str | tuple[float, float]
"""What the mouse points at: a CSS selector, whose middle is meant, or a place in CSS pixels."""


class PageError(Exception):
    """The page cannot do what it is asked to."""


def find() -> str | None:
    """The path of Chromium or Chrome, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class WebSocket:
    """A connection over which texts are sent and received."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        assert address.hostname is not None
        self.socket = socket.create_connection((address.hostname, address.port), PATIENCE)
        self.stream = self.socket.makefile("rb")
        self.socket.sendall(
            f"GET {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n\r\n".encode())
        status = self.stream.readline()
        if b" 101 " not in status:
            raise ConnectionError(f"no WebSocket: {status!r}")
        while self.stream.readline().strip():
            pass

    def send(self, text: str) -> None:
        """Send a text, as one frame, masked as those of clients are."""
        content, mask = text.encode(), os.urandom(4)
        length = (struct.pack("!B", 128 | len(content)) if len(content) < 126 else
                  struct.pack("!BH", 128 | 126, len(content)) if len(content) < 2**16 else
                  struct.pack("!BQ", 128 | 127, len(content)))
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(content))
        self.socket.sendall(b"\x81" + length + mask + masked)

    def receive(self) -> str:
        """The next text, from one frame or several."""
        content = b""
        while True:
            first, second = self.stream.read(2)
            length = second & 127
            if length > 125:
                kind = "!H" if length == 126 else "!Q"
                (length,) = struct.unpack(kind, self.stream.read(struct.calcsize(kind)))
            piece = self.stream.read(length)
            if first & 15 == 8:
                raise ConnectionError("the browser has closed the connection")
            if first & 15 in (0, 1):            # a text, or more of it; not a ping
                content += piece
                if first & 128:
                    return content.decode()

    def close(self) -> None:
        self.stream.close()
        self.socket.close()


class Browser:
    """Chromium with one page.  errors: what the page has reported, or failed to load."""

    def __init__(self, program: str) -> None:
        self.errors: list[str] = []
        self.loaded = 0                         # how many pages have been loaded
        self._number = 0
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.process = subprocess.Popen(
            [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
             "--no-first-run", "--remote-debugging-port=0",
             f"--user-data-dir={self.profile.name}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            self.socket = WebSocket(self._page())
        except BaseException:
            self.process.terminate()
            self._end()
            raise
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def _page(self) -> str:
        """The address at which the page is driven."""
        port = Path(self.profile.name, "DevToolsActivePort")
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            lines = port.read_text().split() if port.exists() else []
            if len(lines) == 2:
                with urlopen(f"http://127.0.0.1:{lines[0]}/json/list", timeout=PATIENCE) as told:
                    for target in json.load(told):
                        if target["type"] == "page":
                            return str(target["webSocketDebuggerUrl"])
            time.sleep(0.05)
        raise ConnectionError("Chromium does not begin")

    def _end(self) -> None:
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.profile.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        with suppress(OSError, PageError):
            self.call("Browser.close")
        self.socket.close()
        self._end()

    # ---- the protocol ----------------------------------------------------------------------------

    def call(self, method: str, **parameters: Any) -> Any:
        """The result of a method of the protocol.  Raises: PageError if it fails."""
        self._number += 1
        self.socket.send(json.dumps({"id": self._number, "method": method,
                                     "params": parameters}))
        while (message := self._next()).get("id") != self._number:
            pass
        if "error" in message:
            raise PageError(f"{method}: {message['error']['message']}")
        return message["result"]

    def _next(self) -> dict[str, Any]:
        """The next message, after a look at what it reports."""
        message: dict[str, Any] = json.loads(self.socket.receive())
        told = message.get("params", {})
        match message.get("method"):
            case "Page.loadEventFired":
                self.loaded += 1
            case "Runtime.exceptionThrown":
                details = told["exceptionDetails"]
                self.errors.append(str(details.get("exception", {}).get("description")
                                       or details["text"]))
            case "Runtime.consoleAPICalled" if told["type"] in ("error", "assert", "warning"):
                self.errors.append(" ".join(str(a.get("value", a.get("description")))
                                            for a in told["args"]))
            case "Log.entryAdded" if told["entry"]["level"] in ("error", "warning"):
                self.errors.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
        return message

    # ---- what a person does ----------------------------------------------------------------------

    def size(self, width: int, height: int, *, dark: bool = False) -> None:
        """Show the page in a window of this size, in light or in dark."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def goto(self, url: str) -> None:
        """Open a page, and wait until it is loaded.  Raises: PageError if it cannot be loaded."""
        before = self.loaded
        told = self.call("Page.navigate", url=url)
        if "errorText" in told:
            raise PageError(f"{url}: {told['errorText']}")
        while "loaderId" in told and self.loaded == before:     # else only the part after # changed
            self._next()

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in JavaScript, or what its promise is fulfilled with."""
        told = self.call("Runtime.evaluate", expression=expression, returnByValue=True,
                         awaitPromise=True)
        if "exceptionDetails" in told:
            raise PageError(f"{expression}: {told['result'].get('description')}")
        return told["result"].get("value")

    def wait(self, expression: str) -> Any:
        """The value of an expression as soon as it is true.  Raises: PageError if it stays false.
        """
        deadline = time.monotonic() + PATIENCE
        while not (value := self.evaluate(expression)):
            if time.monotonic() > deadline:
                raise PageError(f"waited {PATIENCE} seconds for {expression}")
            time.sleep(0.02)
        return value

    def at(self, place: Place) -> tuple[float, float]:
        """A place in the window; an element is scrolled into it."""
        if not isinstance(place, str):
            return place
        found = self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(place)}); if (!e) return null;"
            "e.scrollIntoView({block: 'center', inline: 'center', behavior: 'instant'});"
            "const r = e.getBoundingClientRect();"
            "return [r.left + r.width / 2, r.top + r.height / 2]; })()")
        if found is None:
            raise PageError(f"there is no {place}")
        return found[0], found[1]

    def mouse(self, kind: str, x: float, y: float, *, down: bool = False) -> None:
        """One event of the mouse: mouseMoved, mousePressed or mouseReleased."""
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, buttons=int(down), clickCount=1,
                  button="left" if down or kind != "mouseMoved" else "none")

    def point(self, place: Place) -> None:
        """Move the mouse to a place."""
        self.mouse("mouseMoved", *self.at(place))

    def click(self, place: Place) -> None:
        """Press and release the button of the mouse at a place."""
        x, y = self.at(place)
        self.mouse("mouseMoved", x, y)
        self.mouse("mousePressed", x, y, down=True)
        self.mouse("mouseReleased", x, y)

    def drag(self, start: Place, *way: tuple[float, float]) -> None:
        """Press the button at a place, move the mouse along a way, in steps, and release it."""
        x, y = self.at(start)
        self.mouse("mouseMoved", x, y)
        self.mouse("mousePressed", x, y, down=True)
        for u, v in way:
            for step in range(1, 6):
                self.mouse("mouseMoved", x + (u - x) * step / 5, y + (v - y) * step / 5, down=True)
            x, y = u, v
        self.mouse("mouseReleased", x, y)

    def key(self, name: str) -> None:
        """Press and release a key: a letter or a digit, or one of KEYS."""
        place, number = KEYS.get(name, (f"Key{name.upper()}", ord(name[0].upper())))
        letter = "\r" if name == "Enter" else name if len(name) == 1 else ""
        text = {"text": letter} if letter else {}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", key=name,
                  code=place, windowsVirtualKeyCode=number, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=name, code=place,
                  windowsVirtualKeyCode=number)

    def type(self, text: str) -> None:
        """Enter a text where the page has its focus."""
        self.call("Input.insertText", text=text)

    def screenshot(self) -> bytes:
        """The window as a PNG."""
        self.evaluate("new Promise(done => requestAnimationFrame("
                      "() => requestAnimationFrame(done)))")
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
