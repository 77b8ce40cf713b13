"""The server of the live pages: what it withstands, and how it begins and ends."""

from __future__ import annotations

import http.client
import os
import random
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from clients import ROUTES, alive, ask, exchange, posted, request, status_and_error

from minigrad.inspect import connection as connections, server as servers
from minigrad.inspect.server import HOST, Answer, Query, Server

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def server():
    with Server(ROUTES, 0).start() as running:
        yield running


# ---- what it withstands --------------------------------------------------------------------------

def test_a_hundred_connections_at_once_are_all_answered():
    """Even if they come before the server has answered any."""
    with Server(ROUTES, 0) as server:
        clients = [socket.create_connection((HOST, server.server_port), timeout=10)
                   for _ in range(100)]
        server.start()
        for client in clients:
            client.sendall(request(server, "GET /query?a=1 HTTP/1.1", "Connection: close"))
        for client in clients:
            with client, client.makefile("rb") as answer:
                assert answer.read().endswith(b'{"a":"1"}')


def test_there_is_a_bound_on_connections(server, monkeypatch):
    monkeypatch.setattr(servers, "CONNECTIONS", 5)
    before = threading.active_count()
    clients = [socket.create_connection((HOST, server.server_port), timeout=10) for _ in range(5)]
    assert exchange(server, b"", ends=False) == b""            # closed at once
    assert threading.active_count() <= before + 5
    for client in clients:
        client.close()
    deadline = time.monotonic() + 10
    while server.clients and time.monotonic() < deadline:
        time.sleep(0.01)
    assert alive(server)


@pytest.mark.parametrize("part", ["line", "header", "body"])
def test_a_client_that_drips_bytes_has_a_deadline(server, monkeypatch, part):
    monkeypatch.setattr(connections, "PATIENCE", 0.2)
    begun = {"line": b"", "header": request(server, "GET / HTTP/1.1")[:-2] + b"A: ",
             "body": request(server, "POST /bytes HTTP/1.1", "Content-Length: 1000")}[part]
    with socket.create_connection((HOST, server.server_port), timeout=0.02) as client:
        client.sendall(begun)
        began, answer = time.monotonic(), b""
        while not answer and time.monotonic() < began + 5:
            try:
                client.sendall(b"a")
                answer = client.recv(10_000)
            except TimeoutError:
                pass
        assert time.monotonic() < began + 2
    status, error = status_and_error(answer)
    assert (status, error) == (408, "the request took longer than 0.2 seconds")


def test_a_silent_client_is_let_go(server, monkeypatch):
    monkeypatch.setattr(connections, "PATIENCE", 0.3)
    assert exchange(server, b"", ends=False) == b""
    kept = exchange(server, request(server, "GET /query HTTP/1.1"), ends=False)
    assert kept.endswith(b"\r\n\r\n{}")


def test_a_client_that_does_not_read_is_let_go(monkeypatch):
    monkeypatch.setattr(connections, "PATIENCE", 0.1)
    routes = {"GET /": lambda query, content: Answer(bytes(2**25), "application/octet-stream")}
    with Server(routes, 0).start() as server, \
            socket.create_connection((HOST, server.server_port), timeout=10) as client:
        client.sendall(request(server, "GET / HTTP/1.1"))
        assert client.recv(4) == b"HTTP"
        deadline = time.monotonic() + 5
        while server.clients and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not server.clients


def test_routes_run_one_at_a_time_unless_they_lock_by_themselves():
    def most_at_once(one_at_a_time: bool) -> int:
        running, most, lock = 0, 0, threading.Lock()

        def route(query: Query, content: Any) -> None:
            nonlocal running, most
            with lock:
                running, most = running + 1, max(most, running + 1)
            time.sleep(0.02)
            with lock:
                running -= 1

        with Server({"GET /": route}, 0, one_at_a_time=one_at_a_time).start() as server:
            asking = [threading.Thread(target=ask, args=(server, "GET", "/")) for _ in range(4)]
            for thread in asking:
                thread.start()
            for thread in asking:
                thread.join()
        return most

    assert most_at_once(True) == 1
    assert most_at_once(False) > 1


def test_the_server_survives_arbitrary_requests(server, capsys):
    """Mutants of good requests: every answer is one of HTTP, and the next request is answered."""
    rng = random.Random(16)
    good = [request(server, "GET /query?a=1&b=%C3%A9 HTTP/1.1", "Origin: null"),
            request(server, "GET /fail?how=value HTTP/1.0", "Connection: keep-alive"),
            posted(server, b'{"do":"train","steps":[1,2.5e3,"\\ud800",null]}'),
            request(server, "POST /bytes HTTP/1.1", "Content-Length: 6", "Expect: 100-continue",
                    "Content-Type: multipart/form-data; boundary=x", body=b"\0\xff\r\n\r\n")]
    pieces = [b"\r\n", b"\0", b":", b" ", b"HTTP/1.1", b"Content-Length: 5", b"Host:", b"\xff",
              b"9" * 5000, b"[" * 3000, b"NaN", b"Transfer-Encoding: chunked\r\n", b"%00", b"//"]
    for number in range(400):
        sent = bytearray(b"".join(rng.choices(good, k=rng.choice([1, 1, 1, 2]))))
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(sent) + 1)
            until = min(len(sent), at + rng.choice([0, 1, 1, 4, 40]))
            sent[at:until] = rng.choice([b"", rng.randbytes(rng.randint(1, 5)), rng.choice(pieces)])
        answer = exchange(server, bytes(sent))
        assert answer == b"" or answer.startswith(b"HTTP/1.1 "), (number, sent, answer)
        assert not answer.startswith(b"HTTP/1.1 500"), (number, sent, answer)
        if number % 40 == 0:
            assert alive(server)
    assert alive(server)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("error", "said"), [
    (ConnectionResetError("gone"), ""),
    (RuntimeError("no\nthreads"), "RuntimeError: no threads\n")])
def test_a_client_that_cannot_be_served_leaves_no_traceback(server, monkeypatch, capsys, error,
                                                           said):
    def failing(*_: Any) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", failing)
        assert exchange(server, b"", ends=False) == b""
    assert not server.clients
    assert alive(server)
    assert capsys.readouterr().err == said


# ---- beginning and ending ------------------------------------------------------------------------

def test_it_can_be_started_and_closed():
    server = Server(ROUTES, 0).start()
    kept = http.client.HTTPConnection(HOST, server.server_port, timeout=10)
    kept.request("GET", "/query")
    assert kept.getresponse().read() == b"{}"
    server.close()
    server.close()                                          # changes nothing
    assert kept.sock.recv(1) == b""                         # it has hung up
    kept.close()
    with socket.socket() as client:
        assert client.connect_ex((HOST, server.server_port)) != 0
    Server(ROUTES, server.server_port).close()              # the port is free again


SERVE = ("from minigrad.inspect.server import Server; "
         "s = Server({'GET /': lambda query, content: 1}, 0); "
         "s.serve(lambda: print(s.server_port, flush=True))")


def test_ctrl_c_ends_it_at_once_with_connections_open():
    process = subprocess.Popen([sys.executable, "-c", SERVE], cwd=ROOT, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline())
        with socket.create_connection((HOST, port)), \
                socket.create_connection((HOST, port)) as begun:
            begun.sendall(b"GET / HT")
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=20)
            assert time.monotonic() < began + 5
    finally:
        process.kill()
    assert (process.returncode, out, err) == (0, "\nstopped\n", "")


BEGINS = "import subprocess, sys; p = subprocess.Popen(sys.argv[1:], stderr=1, stdout="


@pytest.mark.parametrize(("starter", "told"), [
    (BEGINS + "subprocess.PIPE); print(int(p.stdout.readline()))", r"\d+\n"),
    (BEGINS + "1)", "the process that started this server has ended\n")],
    ids=["later", "before it could look"])
def test_it_ends_with_the_process_that_started_it(starter, told):
    """The pipe is at its end once the server, the last to hold it, has ended."""
    read, write = os.pipe()
    process = subprocess.Popen([sys.executable, "-c", starter, sys.executable, "-c", SERVE],
                               cwd=ROOT, stdout=write, stderr=write, start_new_session=True)
    os.close(write)
    try:
        said = piece = b"begun"
        while piece:
            assert select.select([read], [], [], 20)[0], "the server goes on"
            said += (piece := os.read(read, 1000))
        assert re.fullmatch("begun" + told, said.decode())
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(read)
