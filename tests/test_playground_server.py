"""The playground's server: a session by requests, refusals in one line of JSON, and a clean end."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from minigrad.inspect.__main__ import main
from minigrad.inspect.pages import filled
from minigrad.inspect.playground.model import Playground
from minigrad.inspect.playground.server import PAGE, serve
from minigrad.inspect.server import BODY, HOST, Server

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def server():
    with serve(Playground((3,)), 0).start() as running:
        yield running


def ask(server: Server, method: str, path: str, body: bytes | None = None,
        **headers: str) -> tuple[int, Any]:
    """The status and the content, decoded if it is JSON."""
    connection = http.client.HTTPConnection(HOST, server.server_port, timeout=100)
    try:
        connection.request(method, path, body,
                           {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        content = answer.read()
        if answer.getheader("Content-Type") == "application/json":
            return answer.status, json.loads(content or "null")
        return answer.status, content.decode()
    finally:
        connection.close()


def do(server: Server, action: str, **arguments: Any) -> Any:
    status, state = ask(server, "POST", "/do", json.dumps({"do": action, **arguments}).encode())
    assert status == 200, state
    return state


def test_a_session(server):
    status, state = ask(server, "GET", "/state")
    assert (status, state["step"], state["sizes"]) == (200, 0, [3])
    assert do(server, "train", steps=5)["step"] == 5
    assert do(server, "reshape", sizes=[4, 2])["sizes"] == [4, 2]
    assert do(server, "set", name="lr", value=0.1)["settings"]["lr"] == 0.1
    assert do(server, "set", name="data", value="drawn")["history"] == []
    do(server, "add", x=-1, y=0, label=0)
    do(server, "add", x=1, y=0, label=1)
    assert ask(server, "GET", "/points")[1]["train"] == [[-1, 0, 0], [1, 0, 1]]
    for _ in range(3):
        state = do(server, "train", steps=100)
    assert state["accuracy"] == [1, None]
    assert do(server, "choose", point=1)["chosen"]["label"] == 1
    status, explained = ask(server, "GET", "/gradient?point=1")
    assert status == 200
    assert "The gradient of the point (1.00, 0.00) of class 1, at step 300" in explained
    assert do(server, "choose", point=None)["chosen"] is None
    assert do(server, "reset")["step"] == 0


def test_the_page_needs_nothing_from_elsewhere(server):
    status, text = ask(server, "GET", "/")
    assert (status, text) == (200, filled(PAGE))
    assert "src=" not in text
    assert "url(" not in text
    assert "<!--" not in text
    assert "http://www.w3.org/2000/svg" in text
    assert "//" not in "".join(line.split("// ", 1)[0] for line in text.replace(
        "http://www.w3.org/2000/svg", "").splitlines())


@pytest.mark.parametrize(("method", "path", "body", "headers", "status", "words"), [
    ("GET", "/nothing", None, {}, 404, "no such page"),
    ("GET", "/../../etc/passwd", None, {}, 404, "no such page"),
    ("GET", "/page.js", None, {}, 404, "no such page"),
    ("GET", "/do", None, {}, 404, "no such page"),
    ("POST", "/state", b"{}", {}, 404, "no such page"),
    ("PUT", "/do", b"{}", {}, 501, "PUT"),
    ("GET", "/", None, {"Host": "elsewhere.example"}, 403, "only http://127.0.0.1"),
    ("POST", "/do", b"{}", {"Origin": "http://elsewhere.example"}, 403, "only http://127.0.0.1"),
    ("POST", "/do", b"{}", {"Origin": "null"}, 403, "only http://127.0.0.1"),
    ("POST", "/do", b"{}", {"Content-Length": "many"}, 411, "length"),
    ("POST", "/do", b"{}", {"Content-Length": str(BODY + 1)}, 413, "more than 64 kB"),
    ("POST", "/do", b"steps=1", {}, 400, "not JSON"),
    ("POST", "/do", b"\xff", {}, 400, "not JSON"),
    ("POST", "/do", b"[" * 60_000, {}, 400, "not JSON"),
    ("POST", "/do", b"[]", {}, 400, "do: must be one of train, reset"),
    ("POST", "/do", b'{"do":"eval"}', {}, 400, "do: must be one of train, reset"),
    ("POST", "/do", b'{"do":["train"]}', {}, 400, "unhashable"),
    ("POST", "/do", b'{"do":"train","steps":101}', {}, 400, "steps: must be from 0 to 100"),
    ("POST", "/do", b'{"do":"train","stride":1}', {}, 400, "unexpected keyword argument"),
    ("POST", "/do", b'{"do":"reshape","sizes":[9]}', {}, 400, "sizes: must be"),
    ("POST", "/do", b'{"do":"set","name":"lr","value":NaN}', {}, 400, "not JSON"),
    ("POST", "/do", b'{"do":"add","x":9,"y":0,"label":0}', {}, 400, "point: x and y must be"),
    ("GET", "/gradient", None, {}, 400, "point: must be"),
    ("GET", "/gradient?point=-1", None, {}, 400, "point: must be"),
    ("GET", "/gradient?point=200", None, {}, 400, "point: must be"),
])
def test_refusals_are_one_line_of_json_and_change_nothing(server, method, path, body, headers,
                                                          status, words):
    before = ask(server, "GET", "/state")
    got, answer = ask(server, method, path, body, **headers)
    assert got == status
    assert answer.keys() == {"error"}
    assert words in answer["error"]
    assert "\n" not in answer["error"]
    assert ask(server, "GET", "/state") == before


def test_a_fault_within_is_one_line_too(server):
    def broken(*_: Any) -> None:
        raise RuntimeError("two\nlines")

    server.routes = {"GET /state": broken}
    assert ask(server, "GET", "/state") == (500, {"error": "RuntimeError: two lines"})


def test_a_client_that_goes_away_is_no_event(server, capsys):
    begun = b"POST /do HTTP/1.1\r\n"
    headers = b"Host: 127.0.0.1:%d\r\nContent-Length: 100\r\n\r\n" % server.server_port
    for sent in (b"", begun, begun + headers, begun + headers + b"ten bytes!"):
        with socket.create_connection((HOST, server.server_port)) as client:
            client.sendall(sent)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert ask(server, "GET", "/state")[0] == 200
    assert capsys.readouterr().err == ""


def test_only_this_machine_is_listened_to(server):
    assert server.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize("port", ["in use", "99999"])
def test_a_port_that_cannot_be_had_is_one_line(server, port, capsys):
    number = str(server.server_port) if port == "in use" else port
    assert main(["playground", "--no-browser", "--port", number]) == 2
    line = capsys.readouterr().err.splitlines()[-1]         # compiling may be announced before
    assert line.startswith(f"playground: --port {number}: ")


COMMAND = [sys.executable, "-m", "minigrad.inspect", "playground", "--no-browser"]


def test_ctrl_c_ends_it_cleanly():
    process = subprocess.Popen(COMMAND, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "Traceback" not in err
