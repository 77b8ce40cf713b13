"""python -m minigrad.inspect, and what notebooks show."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import minigrad as mg
from minigrad import nn
from minigrad.inspect.__main__ import COMMANDS, main
from minigrad.inspect.commands.target import NAMES

USERS = """
import minigrad as mg
from minigrad import nn
net = nn.Linear(2, 1)
def loss():
    return net(mg.ones(3, 2)).square().mean()
def made():
    return net, mg.ones(3, 2)
def wrong():
    return net(mg.ones(3, 3)).mean()
number = 3
"""


@pytest.fixture
def users(tmp_path: Path) -> Path:
    (tmp_path / "users.py").write_text(USERS)
    return tmp_path / "users.py"


@pytest.mark.parametrize(("name", "limit"), [("neuron", 300), ("xor", 300), ("cnn", 5000)])
def test_the_examples(name: str, limit: int, tmp_path: Path, capsys: Any) -> None:
    assert name in NAMES
    page = tmp_path / "page.html"
    assert main(["step-through", name, "-o", str(page)]) == 0
    assert page.stat().st_size < 1000 * limit
    assert f"step by step: {name}</h1>" in page.read_text("utf-8")
    assert "kB" in capsys.readouterr().out
    assert main(["draw", name, "-o", str(tmp_path / "graph.svg")]) == 0


def test_what_dl_dw_of_the_first_layer_is_made_of(tmp_path: Path) -> None:
    """On the page of the XOR network, from its data: the chain of formulas, and each factor."""
    main(["step-through", "xor", "-o", str(tmp_path / "xor.html")])
    text = (tmp_path / "xor.html").read_text("utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', text)[1])
    vertices = data["vertices"]
    at = next(int(i) for i, v in vertices.items() if v["name"] == "0.weight")
    chain = []
    while at != data["loss"]:
        at, sent = next((int(i), s) for i, v in vertices.items() for s in v["sends"]
                        if s["to"] == at)
        chain.append((vertices[str(at)]["name"], sent["formula"]))
    assert chain == [("linear", "gᵀ @ x"), ("tanh", "g·(1 - y²)"), ("linear", "g @ w"),
                     ("mse_loss", "g · (x - t) · 2 · 0.25")]
    assert {v["line"] for v in vertices.values() if v["kind"] == "op"} == {
        "minigrad/inspect/examples/xor.py:14"}


def test_a_file_of_the_users(users: Path, capsys: Any) -> None:
    out = str(users.parent / "page.html")
    assert main(["step-through", f"{users}:loss", "-o", out]) == 0
    assert "users.py:6" in Path(out).read_text("utf-8")
    assert main(["draw", f"{users}:loss", "-o", out, "--depth", "1"]) == 0
    assert main(["summary", f"{users}:made"]) == 0
    assert "Linear" in capsys.readouterr().out
    assert main(["summary", "xor"]) == 0
    assert "Tanh" in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "message"), [
    (["step-through", "nothing"],
     "step-through: 'nothing' is neither cnn, neuron or xor, nor FILE.py:FUNCTION"),
    (["step-through", "absent.py:loss"], "step-through: there is no file absent.py"),
    (["draw", "{}:absent"], "draw: {} has no function 'absent'"),
    (["draw", "{}:number"], "draw: {} has no function 'number'"),
    (["draw", "{}:loss", "-o", "graph.png"],
     "draw: ValueError: save: the name must end in .svg or .html; got 'graph.png'"),
    (["step-through", "{}:wrong"], "step-through: RuntimeError: linear: "),
    (["step-through", "{}:made"], "step-through: ValueError: step_through: needs a loss"),
    (["summary", "neuron"], "summary: neuron has no function 'network'"),
    (["summary", "{}:loss"], "summary: {}:loss must return a network and its inputs"),
    (["step-through", "xor", "-o", "/nowhere/page.html"], "step-through: FileNotFoundError"),
])
def test_mistakes_are_one_line(arguments: list[str], message: str, users: Path, capsys: Any
                               ) -> None:
    assert main([a.format(users) for a in arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith(message.format(users))
    assert said.count("\n") == 1


def test_a_file_that_cannot_be_run(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "broken.py").write_text("def loss(:\n")
    assert main(["draw", f"{tmp_path / 'broken.py'}:loss"]) == 2
    assert "broken.py raises SyntaxError" in capsys.readouterr().err


def test_help() -> None:
    told = subprocess.run([sys.executable, "-m", "minigrad.inspect", "--help"],
                          capture_output=True, text=True, check=True).stdout
    assert all(name in told for name in COMMANDS)


def test_importing_minigrad_does_not_import_this() -> None:
    code = "import sys, minigrad; print([m for m in sys.modules if m.startswith('minigrad.insp')])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


# ---- notebooks -----------------------------------------------------------------------------------

def test_a_small_tensor_is_a_table() -> None:
    html = mg.tensor([[1.5, -2.0], [float("nan"), 0.0]], requires_grad=True)._repr_html_()
    assert "<b>2 × 2</b>, float32, requires grad" in html
    assert html.count("<td") == 4
    assert ">nan<" in html
    assert "made by exp" in mg.ones(2, requires_grad=True).exp()._repr_html_()
    assert "scalar" in mg.tensor(True)._repr_html_()
    assert "0 × 3" in mg.zeros(0, 3)._repr_html_()
    assert "<pre>" in mg.ones(2, 2, 2)._repr_html_()


def test_a_large_tensor_is_a_picture() -> None:
    x = np.zeros((20, 30), np.float32)
    x[3, 4], x[5, 6] = 2, -1
    html = mg.tensor(x)._repr_html_()
    png = html.partition("base64,")[2].partition("'")[0]
    picture = np.array(Image.open(io.BytesIO(base64.b64decode(png))))
    assert picture.shape == (20, 30, 4)
    assert picture[3, 4].tolist() == [180, 89, 28, 254]
    assert picture[5, 6, :3].tolist() == [11, 110, 105]
    assert 120 < picture[5, 6, 3] < 132
    assert picture[0, 0, 3] == 0
    assert "min -1, max 2" in html


def test_a_module_is_a_tree() -> None:
    html = nn.Sequential(nn.Linear(2, 3), nn.Tanh()).eval()._repr_html_()
    assert "<b>Linear</b>" in html
    assert "weight 3×2; bias 3" in html
    assert "9 parameters, in evaluation mode" in html
    assert html.count("<details") == html.count("</details>") == 1
