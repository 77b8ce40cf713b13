"""The page of a watched training: as a file, and as it is served while the training runs."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from typing import Any

import numpy as np
import pytest
from watched import network, silent, train

import minigrad as mg
from minigrad import nn, optim
from minigrad.inspect import Watching, watch
from minigrad.modes import mode

# ---- the block and the file ----------------------------------------------------------------------

def test_the_file_holds_everything_and_no_name_ends_its_script(tmp_path):
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.add_module("</script><b>", nn.Linear(6, 3))

        def forward(self, x: mg.Tensor) -> mg.Tensor:
            return getattr(self, "</script><b>")(x)

    net = Odd()
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    with silent(net, optimizer, tmp_path) as watched:
        train(net, optimizer, 2)
    page = (tmp_path / "t.html").read_text()
    assert page.count("</script>") == 2
    told = json.loads(page.partition("const RECORDED = ")[2].partition(";</script>")[0])
    assert told == json.loads(json.dumps(watched.training.everything()))
    assert told["description"]["layers"][0]["path"] == "</script><b>"
    assert "srcdoc" in watched._repr_html_()
    assert "2 steps" in repr(watched)
    assert list(tmp_path.iterdir()) == [tmp_path / "t.html"]


def test_a_training_that_is_not_finite_is_recorded(tmp_path):
    net = nn.Sequential(nn.Linear(6, 3))
    optimizer = optim.SGD(net.parameters(), lr=np.inf)
    with silent(net, optimizer, tmp_path) as watched, np.errstate(all="ignore"):
        train(net, optimizer, 2)
    json.dumps(watched.training.everything(), allow_nan=False)
    assert watched.training.state()["curves"]["loss"][1][-1] == "nan"
    assert watched.training.state()["records"][-1]["layers"][0]["values"][0][4] == 18


def test_whatever_ends_the_block_all_is_put_back_and_the_page_is_written(tmp_path):
    net = network()
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    for error in (ValueError, KeyboardInterrupt):
        def fails(i: int, error: type[BaseException] = error) -> None:
            if i == 1:
                raise error
        with pytest.raises(error), silent(net, optimizer, tmp_path):
            train(net, optimizer, 5, fails)
        assert '"step":2' in (tmp_path / "t.html").read_text()
        assert mode.observer is None
        assert not any(m._forward_hooks for m in net.modules())
        assert not optimizer._before_step
        assert not optimizer._after_step


def test_a_page_that_cannot_be_written_is_told_before_the_training_or_loses_nothing(tmp_path):
    net = network()
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    with pytest.raises(OSError, match="nowhere"), \
            watch(net, optimizer, file=tmp_path / "nowhere" / "t.html", live=False):
        raise AssertionError
    assert mode.observer is None
    folder = tmp_path / "there"
    folder.mkdir()
    watched = silent(net, optimizer, folder)
    watched.__enter__()
    train(net, optimizer, 1)
    (folder / "t.html").unlink()
    folder.rmdir()
    with pytest.warns(UserWarning, match="the page was not written to .*t.html: No such file"):
        watched.__exit__(None, None, None)


@pytest.mark.parametrize(("arguments", "options", "error", "message"), [
    ((lambda x: x, None), {}, TypeError, "net must be a Module; got function"),
    ((nn.ReLU(), 3), {}, TypeError, "optimizer must be an Optimizer; got int"),
    ((nn.ReLU(), optim.SGD([mg.ones(1, requires_grad=True)], 1)), {"every": 0}, ValueError,
     "every must be a positive number of steps; got 0"),
    ((nn.ReLU(), optim.SGD([mg.ones(1, requires_grad=True)], 1)), {"live": False}, ValueError,
     "live=False needs a file"),
])
def test_arguments_that_cannot_be(arguments, options, error, message):
    with pytest.raises(error, match=message):
        watch(*arguments, **options)


def test_a_training_is_watched_once(tmp_path):
    net = network()
    watched = silent(net, optim.SGD(net.parameters(), lr=0.1), tmp_path)
    with watched, pytest.raises(RuntimeError, match="watched once"):
        watched.__enter__()
    with pytest.raises(RuntimeError, match="watched once"), watched:
        raise AssertionError


# ---- the live page -------------------------------------------------------------------------------

def ask(watched: Watching, path: str, body: Any = None) -> Any:
    host = watched.url.removeprefix("http://").removesuffix("/")
    connection = http.client.HTTPConnection(host, timeout=60)
    try:
        connection.request("GET" if body is None else "POST", path,
                           None if body is None else json.dumps(body))
        answer = connection.getresponse()
        text = answer.read().decode()
        return json.loads(text) if answer.getheader("Content-Type") == "application/json" else text
    finally:
        connection.close()


def test_a_session_on_the_page(capfd):
    net = network()
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    watched = watch(net, optimizer, paused=True, every=1000)
    found: dict[str, Any] = {}
    ready, went_on = threading.Event(), threading.Event()

    def visit() -> None:
        assert ready.wait(60)
        found["page"] = ask(watched, "/")
        found["description"] = ask(watched, "/description")
        found["waiting"] = ask(watched, "/state")
        for n in (1, 2):                        # each of these steps is looked at
            ask(watched, "/do", {"do": "step"})
            while ask(watched, "/state")["step"] < n:
                time.sleep(0.01)
        found["stepped"] = ask(watched, "/state?thinned=0&known=1")
        found["drawing"] = ask(watched, "/drawing?number=0")
        found["pictures"] = ask(watched, "/pictures?path=4")
        found["refused"] = [ask(watched, "/do", {"do": "dance"}), ask(watched, "/do", []),
                            ask(watched, "/do", {"do": ["step"]}),
                            ask(watched, "/state?known=-1"), ask(watched, "/drawing?number=9"),
                            ask(watched, "/pictures?path=9"), ask(watched, "/etc/passwd")]
        found["saved"] = ask(watched, "/save")
        ask(watched, "/do", {"do": "go"})
        went_on.set()
        while not (state := ask(watched, "/state"))["ended"]:
            time.sleep(0.01)
        found["ended"] = state
        found["everything"] = ask(watched, "/everything")

    visitor = threading.Thread(target=visit)
    visitor.start()
    server_began = watched._begin
    watched._begin = lambda: (ready.set(), server_began())
    with watched:
        train(net, optimizer, 5, lambda i: i == 4 and went_on.wait(60))
    visitor.join()
    assert watched.url in capfd.readouterr().err
    assert "<title>Training</title>" in found["page"]
    assert found["description"] == watched.training.description()
    assert found["waiting"]["step"] == 0
    assert found["waiting"]["paused"]
    assert [record["step"] for record in found["stepped"]["records"]] == [2]
    assert found["stepped"]["first"] == 1
    assert found["drawing"]["svg"].startswith("<svg")
    assert [each["name"] for each in found["pictures"]["pictures"]] == ["weight", "bias", "output"]
    assert [each["error"] for each in found["refused"]] == [
        *["do: must be one of pause, step, go"] * 3,
        "known: must be a number; got '-1'", "number: there are 1 drawings",
        "path: there is no layer '9'", "there is no such page"]
    assert "const RECORDED = {" in found["saved"]
    assert found["ended"]["step"] == 5
    assert found["everything"]["state"]["step"] == 5
    with pytest.raises(OSError, match="refused"):
        ask(watched, "/")


def test_pausing_between_steps(tmp_path):
    net = network()
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    with watch(net, optimizer, every=1) as watched:
        ask(watched, "/do", {"do": "pause"})
        goes_on = threading.Event()
        timer = threading.Timer(0.2, lambda: (goes_on.set(), ask(watched, "/do", {"do": "go"})))
        timer.start()
        train(net, optimizer, 1)                # the step ends when the timer says so
        assert goes_on.is_set()
        timer.join()
        assert not watched.training.gate.paused


def test_a_port_that_is_in_use():
    net = network()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(OSError, match="in use"), \
                watch(net, optim.SGD(net.parameters(), 0.1), port=other.getsockname()[1]):
            raise AssertionError
    assert mode.observer is None
