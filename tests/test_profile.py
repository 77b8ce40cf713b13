"""The profile: times add up, a vjp belongs to the module of its op, the trace is well formed."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

import minigrad as mg
from minigrad import nn, optim
from minigrad.inspect import profile
from minigrad.inspect.profiler import Profile
from minigrad.kernels import memory
from minigrad.modes import mode
from minigrad.tensor import Tensor


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
        self.head = nn.Linear(4 * 36, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).flatten(1))


@pytest.fixture
def found() -> Profile:
    net, x, y = Net(), mg.randn(16, 1, 8, 8), mg.tensor([0, 1, 2, 0] * 4)
    optimizer, loss_fn = optim.SGD(net.parameters(), lr=0.1), nn.CrossEntropyLoss()

    def step() -> None:
        optimizer.zero_grad()
        loss_fn(net(x), y).backward()
        optimizer.step()

    result = profile(step, warmup=1, repeat=2)
    assert mode.observer is None
    return result


def test_times_add_up(found: Profile) -> None:
    assert found.steps == 2
    assert 0 < found.observed < found.wall
    assert found.python > 0
    assert found.profiler > 0
    assert found.wall == pytest.approx(found.observed + found.python + found.profiler)
    assert found.plain is not None
    for rows in (found.by_op(), found.by_module()):
        assert sum(row.seconds for row in rows) == pytest.approx(found.observed / 2)
    for event in found.events:
        assert 0 <= event.own <= event.seconds


def test_gradients_belong_to_the_module_of_their_op(found: Profile) -> None:
    rows = {row.name: row for row in found.by_module()}
    assert list(rows) == ["body.0 (Conv2d)", "body.1 (ReLU)", "(Net)", "head (Linear)",
                          "(CrossEntropyLoss)"]
    assert all(row.backward > 0 for row in rows.values())
    conv, head = rows["body.0 (Conv2d)"], rows["head (Linear)"]
    assert conv.products == 2 * 16 * 4 * 36 * 9         # forward, and by w; not by the images
    assert head.products == 3 * 16 * 3 * 144
    assert conv.calls == head.calls == 1


def test_what_is_kept(found: Profile) -> None:
    rows = {row.name: row for row in found.by_module()}
    activations = 4 * 16 * 4 * 36
    assert rows["body.0 (Conv2d)"].predicted == rows["body.1 (ReLU)"].predicted == activations
    assert rows["body.0 (Conv2d)"].held == 0            # its input is the batch
    assert rows["body.1 (ReLU)"].held == activations    # its output, also the head's input
    assert rows["head (Linear)"].held == 0


def test_what_is_kept_is_what_the_pool_has_lent() -> None:
    net, x = nn.Sequential(nn.Linear(256, 512), nn.Tanh(), nn.Linear(512, 256)), mg.randn(512, 256)
    with profile() as p:
        before = memory.bytes_in_use()
        loss = net(x).square().mean()
        lent = memory.bytes_in_use() - before
        loss.backward()
    held = sum(event.held for event in p.events)
    assert held == 4 * 512 * (512 + 256)        # what tanh has returned, and what is squared
    assert held <= lent <= memory.WASTE * held
    assert p.peak >= lent


def test_a_block() -> None:
    with profile() as p:
        (mg.ones(3).requires_grad_() * 2).sum().backward()
    assert [(e.name, e.phase) for e in p.events if e.phase != "inside"] == [
        ("mul", "forward"), ("sum", "forward"), ("sum", "backward"), ("mul", "backward")]
    assert p.plain is None
    assert p.events[0].line.startswith("test_profile.py:")
    assert "outside of them" in str(p)


def test_an_error_leaves_no_observer() -> None:
    with pytest.raises(RuntimeError), profile() as p:
        mg.ones(3) + mg.ones(2)
    assert mode.observer is None
    str(p)


def test_trace_events(found: Profile, tmp_path: Path) -> None:
    found.chrome_trace(tmp_path / "step.json")
    trace = json.loads((tmp_path / "step.json").read_text(encoding="utf-8"))
    events: list[dict[str, Any]] = trace["traceEvents"]
    for event in events:
        assert {"ph", "name", "pid", "tid", "ts"} <= event.keys()
        assert event["ph"] in "XCM"
        assert isinstance(event["ts"], int)
        assert event["ts"] >= 0
    spans = [event for event in events if event["ph"] == "X"]
    assert all(event["dur"] >= 0 for event in spans)
    open_until: list[tuple[int, str]] = []              # as a viewer nests them
    for event in sorted(spans, key=lambda e: (e["ts"], -e["dur"])):
        end = event["ts"] + event["dur"]
        while open_until and open_until[-1][0] <= event["ts"]:
            open_until.pop()
        assert all(end <= until for until, _ in open_until), (event, open_until)
        open_until.append((end, event["name"]))
    names = {event["name"] for event in spans}
    assert {"body", "body.0", "head", "conv2d", "vjp of conv2d"} <= names
    assert all(event["args"].keys() == {"bytes"} for event in events if event["ph"] == "C")


def test_tables(found: Profile) -> None:
    text = str(found)
    assert "Without the profiler it takes" in text
    assert "GFLOP/s" in text
    assert all(len(line) <= 100 for line in text.splitlines() if "  " in line)
    ET.fromstring(f"<div>{found._repr_html_()}</div>")


# ---- MINIGRAD_DEBUG ------------------------------------------------------------------------------

PROGRAM = "import minigrad as mg; x = mg.ones(2, 3).requires_grad_(); (x * 2).sum().backward()"


def printed(level: str, program: str = PROGRAM) -> list[str]:
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True,
                         text=True, env={"MINIGRAD_DEBUG": level, "PYTHONPATH": ":".join(sys.path),
                                         "PYTHONIOENCODING": "utf-8",
                                         "MINIGRAD_KERNELS": "numpy"})      # none is compiled
    assert run.stdout == ""
    return run.stderr.splitlines()


def test_each_op_is_printed() -> None:
    lines = printed("1")
    assert [line.partition(" ms")[0].rpartition("  ")[0] for line in lines] == [
        "mul (2, 3) () -> (2, 3)", "sum (2, 3) -> ()"]
    assert all(" B" in line for line in lines)


def test_gradients_and_ranges_are_printed() -> None:
    lines = printed("2")
    assert sum(line.startswith("vjp of ") for line in lines) == 2
    assert any(line.startswith("  ") for line in lines)
    assert "2 … 2" in lines[0]


def test_other_threads_are_heard() -> None:
    program = ("import minigrad as mg, threading; "
               "t = threading.Thread(target=lambda: mg.ones(2).exp()); t.start(); t.join()")
    assert [line.split()[0] for line in printed("1", program)] == ["exp"]


def test_nothing_is_loaded_or_printed_otherwise() -> None:
    program = "import sys, minigrad; assert 'minigrad.inspect' not in sys.modules"
    assert printed("", program) == []
    assert printed("0") == []
