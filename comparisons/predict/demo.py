"""`demo`: a local web page on which to draw a digit, drop a photo or use the webcam.

    GET  /                          the page, demo.html
    GET  /models                    [{"name", "noun", "classes"}, …]
    POST /predict?model=I[&whole=1] a picture as the body → {"width", "height", "found": […]}

Every error is answered with {"error": one line}. The server listens on 127.0.0.1 only, refuses
requests from pages of other sites, limits the size of a request, and stores nothing. No request can
name a file.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

from comparisons.datasets.pictures import png, read_picture
from comparisons.errors import Fault
from comparisons.implementations import NAMES
from comparisons.predict.predictor import Predictor, readers

HOST = "127.0.0.1"
BODY = 20 * 2**20                       # bytes: a photo from a phone has 3 to 12 MB
PATIENCE = 20                           # seconds that a client may be silent
PAGE = Path(__file__).with_name("demo.html")
# the page may use its own script, style and pictures, and nothing from other servers
POLICY = ("default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
          "img-src data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
          "frame-ancestors 'none'")


class Refusal(Exception):
    """A request that is refused: the HTTP status, and the reason in one line."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Server(ThreadingHTTPServer):
    """Holds the predictors. Connections have threads, but predictions run one at a time."""

    daemon_threads = True               # open connections of browsers do not delay the exit

    def __init__(self, predictors: Sequence[Predictor], port: int) -> None:
        self.predictors = predictors
        self.busy = threading.Lock()
        super().__init__((HOST, port), Handler)
        self.names = {f"{host}:{self.server_port}" for host in (HOST, "localhost")}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about a client that has gone away."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://{HOST}:{self.server_port}/"

    def models(self) -> list[dict[str, Any]]:
        """The networks to choose from."""
        return [{"name": p.name, "noun": p.subject.noun, "classes": p.classes}
                for p in self.predictors]

    def predict(self, number: int, content: bytes, whole: bool) -> dict[str, Any]:
        """What a network finds in a picture, given as the content of its file."""
        with self.busy:
            picture = read_picture(content, "picture")
            found = self.predictors[number](picture, whole)
        return {"width": picture.width, "height": picture.height, "found": [
            {"box": p.crop.box, "probabilities": list(p.probabilities.values()),
             "crop": png(p.crop.pixels)} for p in found]}


class Handler(BaseHTTPRequestHandler):
    """Answers one request after another on a connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = PATIENCE

    def do_GET(self) -> None:
        self.answer({"/": self.page, "/models": lambda: self.say(self.server.models())})

    def do_POST(self) -> None:
        self.answer({"/predict": self.predict})

    def answer(self, routes: dict[str, Callable[[], None]]) -> None:
        """Answer by the route for this path; every error becomes one line of JSON."""
        try:
            # refuse pages of other sites, even if their host name resolves to this machine
            origin = self.headers.get("Origin")
            if self.headers.get("Host") not in self.server.names or (
                    origin is not None and origin.removeprefix("http://") not in self.server.names):
                raise Refusal(403, f"this server answers only {self.server.url}")
            path = urlsplit(self.path).path
            if path not in routes:
                raise Refusal(404, "there is no such page")
            routes[path]()
        except Refusal as refusal:
            self.send_error(refusal.status, str(refusal))
        except Fault as fault:
            self.say({"error": str(fault)}, 422)
        except OSError:
            raise                       # the connection is broken, so no answer is possible
        except Exception as error:
            self.send_error(500, " ".join(f"{type(error).__name__}: {error}".split()))

    def page(self) -> None:
        """Answer with the page itself."""
        self.send(200, "text/html; charset=utf-8", PAGE.read_bytes())

    def predict(self) -> None:
        """Answer with the predictions for the picture in the request's body."""
        query = parse_qs(urlsplit(self.path).query)
        number, models = query.get("model", ["0"])[0], len(self.server.predictors)
        if not number.isascii() or not number.isdigit() or int(number) >= models:
            raise Refusal(400, f"model: must be from 0 to {models - 1}")
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit():
            raise Refusal(411, "the request must state the length of the picture")
        if int(length) > BODY:
            raise Refusal(413, f"picture: more than {BODY // 2**20} MB")
        content = self.rfile.read(int(length))
        self.say(self.server.predict(int(number), content, query.get("whole") == ["1"]))

    def say(self, content: Any, status: int = 200) -> None:
        """Answer in JSON."""
        self.send(status, "application/json", json.dumps(content).encode())

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer in JSON and close the connection, which may still hold an unread body."""
        self.close_connection = True
        self.say({"error": message or self.responses[code][0]}, code)

    def send(self, status: int, kind: str, content: bytes) -> None:
        """Answer with a content of some kind, a MIME type."""
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(content))),
                            ("Cache-Control", "no-store"), ("Content-Security-Policy", POLICY),
                            ("X-Content-Type-Options", "nosniff")):
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing, because what people try is private."""


def newest(folder: Path = Path("runs")) -> list[Path]:
    """For each task that reads pictures, the newest checkpoint of minigrad, or else of PyTorch."""
    found = []
    for task in readers():
        for name in NAMES:
            paths = sorted(folder.glob(f"*/{task}-{name}/last.safetensors"),
                           key=lambda p: p.stat().st_mtime)
            if paths:
                found.append(paths[-1])
                break
    return found


def main(paths: Sequence[Path], port: int) -> int:
    """Serve until Ctrl-C."""
    paths = paths or newest()
    if not paths:
        raise Fault("demo: no checkpoint was given, and runs/ holds none; this command makes one: "
                    "python -m comparisons run mnist-cnn --impl minigrad")
    predictors = [Predictor.load(path) for path in paths]
    for p in predictors:                # compile the kernels before the first request
        p.probabilities(np.zeros((1, 1, *p.size), np.float32))
    try:
        server = Server(predictors, port)
    except OSError as error:
        raise Fault(f"--port {port}: {error.strerror}") from None
    try:
        with server:
            print(f"{server.url}  shows {', '.join(str(path) for path in paths)}\n"
                  "Press Ctrl-C to stop.", flush=True)
            server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        print("\nstopped")
    return 0
