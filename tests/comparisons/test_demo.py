"""`demo`: its answers are the predictor's, it refuses in one line of JSON, and it ends cleanly."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import clients
import numpy as np
import pytest
from PIL import Image
from untrained import enlarged, grey, write

from comparisons.cli import main
from comparisons.datasets.base import unit
from comparisons.datasets.mnist import load_subset
from comparisons.datasets.pictures import read_picture
from comparisons.predict import demo
from comparisons.predict.predictor import Predictor
from minigrad import checkpoint
from minigrad.inspect.server import HOST, Server

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def predictors(tmp_path_factory):
    """A network for digits and one for faces."""
    folder = tmp_path_factory.mktemp("demo")
    return [Predictor.load(write(folder, task, "minigrad")[0])
            for task in ("mnist-cnn", "dexpression")]


@pytest.fixture(scope="module")
def server(predictors):
    with demo.serve(predictors, 0).start() as running:
        yield running


@pytest.fixture(scope="module")
def drawing():
    """A digit drawn on white, as the bytes of a PNG."""
    stream = io.BytesIO()
    grey(1 - enlarged(unit(load_subset().x_test[3, 0]), 200)).save(stream, "PNG")
    return stream.getvalue()


def ask(server: Server, method: str, path: str, body: bytes | None = None,
        **headers: str) -> tuple[int, Any]:
    """The status and the content, decoded if it is JSON."""
    # the first answer may have to wait until the kernels are compiled
    status, told, content = clients.ask(server, method, path, body, timeout=200, **headers)
    if told["Content-Type"] == "application/json":
        return status, json.loads(content or "null")
    return status, content.decode()


def test_the_page_needs_nothing_from_elsewhere(server):
    status, page = ask(server, "GET", "/")
    assert status == 200
    assert "src=" not in page
    assert "href=" not in page.replace('href="data:,"', "")
    assert "url(" not in page
    assert "//" not in "".join(line.split("//", 1)[0] for line in page.splitlines())
    for name in ("/models", "/predict?model="):
        assert name in page


def test_the_networks_are_named(server):
    assert ask(server, "GET", "/models") == (200, [
        {"name": "mnist-cnn-minigrad", "noun": "digit", "classes": [str(d) for d in range(10)],
         "unsure": ""},
        {"name": "dexpression-minigrad", "noun": "face", "classes":
         ["anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise"],
         "unsure": ""}])


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("model", [0, 1])
def test_answers_are_the_predictors(server, predictors, drawing, model, whole):
    status, answer = ask(server, "POST", f"/predict?model={model}&whole={whole:d}", drawing)
    assert status == 200
    assert (answer["width"], answer["height"]) == (200, 200)
    expected = predictors[model](read_picture(drawing, "drawing"), whole)
    assert bool(expected) == (whole or model == 0)
    assert len(answer["found"]) == len(expected)
    for found, prediction in zip(answer["found"], expected, strict=True):
        assert found["box"] == list(prediction.crop.box)
        assert found["probabilities"] == list(prediction.probabilities.values())
        seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(found["crop"]))), float)
        np.testing.assert_allclose(seen / 255, prediction.crop.pixels, atol=0.005)


@pytest.mark.parametrize(("method", "path", "headers", "status", "words"), [
    ("GET", "/nothing", {}, 404, "no such page"),
    ("GET", "/../../etc/passwd", {}, 404, "no such page"),
    ("GET", "/demo.html", {}, 404, "no such page"),
    ("POST", "/", {}, 404, "no such page"),
    ("PUT", "/predict", {}, 501, "PUT"),
    ("GET", "/", {"Host": "elsewhere.example"}, 403, "only http://127.0.0.1"),
    ("POST", "/predict", {"Origin": "http://elsewhere.example"}, 403, "only http://127.0.0.1"),
    ("POST", "/predict?model=2", {}, 400, "from 0 to 1"),
    ("POST", "/predict?model=-1", {}, 400, "from 0 to 1"),
    ("POST", "/predict?model=/etc/passwd", {}, 400, "from 0 to 1"),
    ("POST", "/predict", {"Content-Length": "many"}, 411, "length"),
    ("POST", "/predict", {"Content-Length": str(demo.BODY + 1)}, 413, "more than 20 MB"),
    ("POST", "/predict", {}, 422, "not a picture"),
])
def test_refusals_are_one_line_of_json(server, method, path, headers, status, words):
    got, answer = ask(server, method, path, b"no picture" if method == "POST" else None, **headers)
    assert got == status
    assert answer.keys() == {"error"}
    assert words in answer["error"]
    assert "\n" not in answer["error"]
    assert ask(server, "GET", "/models")[0] == 200


def test_a_fault_within_is_one_line_too(server, drawing, monkeypatch):
    def broken(*_: Any) -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(Predictor, "__call__", broken)
    assert ask(server, "POST", "/predict", drawing) == (500, {"error": "RuntimeError: two lines"})


def test_too_large_a_picture_is_refused_even_if_all_of_it_is_sent(server):
    assert ask(server, "POST", "/predict", bytes(demo.BODY + 1)) == (
        413, {"error": "the request has more than 20 MB"})


def test_a_picture_that_is_still_on_its_way_delays_nobody(server, drawing):
    with socket.create_connection((HOST, server.server_port), timeout=200) as slow:
        slow.sendall(clients.request(server, "POST /predict HTTP/1.1", "Connection: close",
                                     f"Content-Length: {len(drawing)}", body=drawing[:100]))
        assert ask(server, "POST", "/predict", drawing)[0] == 200
        slow.sendall(drawing[100:])
        with slow.makefile("rb") as answer:
            assert answer.readline() == b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_network_that_has_diverged_says_so_for_each_picture(tmp_path, drawing, capsys, value):
    path, model = write(tmp_path, "mnist-cnn", "minigrad")
    next(iter(model.parameters())).data.fill(value)
    checkpoint.save(path, model=model, config=checkpoint.load(path).config)
    words = f"{path}: the network's outputs are not finite numbers"
    with demo.serve([Predictor.load(path)], 0).start() as server:
        for _ in range(2):
            status, answer = ask(server, "POST", "/predict", drawing)
            assert status == 422
            assert answer["error"].startswith(words)
    picture = tmp_path / "seven.png"
    picture.write_bytes(drawing)
    assert main(["predict", str(path), str(picture), "--json", str(tmp_path / "told.json")]) == 1
    assert f"comparisons: {picture}: {words}" in capsys.readouterr().err
    (told,) = json.loads((tmp_path / "told.json").read_text("utf-8"))["images"]
    assert words in told["error"]


def test_a_client_that_goes_away_is_no_event(server, capsys):
    begun = b"POST /predict HTTP/1.1\r\n"
    headers = b"Host: 127.0.0.1:%d\r\nContent-Length: 100\r\n\r\n" % server.server_port
    for sent in (b"", begun, begun + headers, begun + headers + b"ten bytes!"):
        with socket.create_connection((HOST, server.server_port)) as client:
            client.sendall(sent)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert ask(server, "GET", "/models")[0] == 200
    assert capsys.readouterr().err == ""


def test_only_this_machine_is_listened_to(server):
    assert server.server_address[0] == "127.0.0.1"


def test_without_checkpoints_it_says_how_to_make_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 1
    assert "python -m comparisons run mnist-cnn" in capsys.readouterr().err


def test_minigrads_newest_checkpoint_of_each_task_is_the_default(tmp_path, monkeypatch):
    """PyTorch's newest is shown only if minigrad has none, even if it is newer than minigrad's."""
    for i, (run, name) in enumerate([
            ("1", "mnist-mlp-minigrad"), ("2", "mnist-mlp-minigrad"), ("3", "mnist-mlp-torch"),
            ("1", "dexpression-torch"), ("2", "dexpression-torch"), ("1", "regression-minigrad")]):
        path = tmp_path / "runs" / run / name / "last.safetensors"
        path.parent.mkdir(parents=True)
        path.touch()
        os.utime(path, (i, i))
    monkeypatch.chdir(tmp_path)
    assert [str(path) for path in demo.newest()] == [
        "runs/2/mnist-mlp-minigrad/last.safetensors", "runs/2/dexpression-torch/last.safetensors"]


def test_a_port_in_use_is_one_line(server, tmp_path, capsys):
    path, _ = write(tmp_path, "mnist-cnn", "minigrad")
    assert main(["demo", str(path), "--port", str(server.server_port)]) == 1
    line = capsys.readouterr().err.splitlines()[-1]     # compiling may be announced before
    assert line.startswith(f"comparisons: --port {server.server_port}: ")


def test_ctrl_c_ends_it_cleanly(tmp_path):
    path, _ = write(tmp_path, "mnist-cnn", "minigrad")
    process = subprocess.Popen(
        [sys.executable, "-m", "comparisons", "demo", str(path), "--port", "0"], cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "Traceback" not in err
