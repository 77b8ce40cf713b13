"""step_through: every value and gradient on the page is PyTorch's."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import numpy as np
import pytest
import torch
from inspected import NETWORKS, Stateful, built

import minigrad as mg
import minigrad.functional as F
from minigrad import nn
from minigrad.inspect import step_through
from minigrad.inspect.encode import encoded
from minigrad.inspect.graph import tensors_in


def values(data: dict[str, Any], index: int) -> np.ndarray:
    """A small array of the page."""
    entry = data["arrays"][index]
    return np.array([float(x) for x in entry["values"]]).reshape(entry["shape"])


def on_page(html: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)
    assert found
    return json.loads(found[1])


def agrees(data: dict[str, Any], index: int, expected: np.ndarray) -> None:
    """That an array of the page, small or large, shows these values."""
    entry, wanted = data["arrays"][index], encoded(expected)
    assert entry["shape"] == list(expected.shape)
    if "values" in wanted:      # six digits, of sums in float32
        atol = 1e-5 * abs(expected).max(initial=0.0)
        np.testing.assert_allclose(values(data, index), expected, rtol=1e-5, atol=atol)
        return
    # minimum, maximum, mean, deviation, norm
    np.testing.assert_allclose(entry["stats"][:5], wanted["stats"][:5], rtol=1e-3, atol=1e-6)
    cells, theirs = (np.frombuffer(base64.b64decode(e["map"]), np.uint8).astype(int)
                     for e in (entry, wanted))
    assert abs(cells - theirs).max() <= 1


# ---- by hand -------------------------------------------------------------------------------------

def test_five_operations() -> None:
    x, target = mg.tensor(0.5), mg.tensor(1.0)
    w, b = mg.tensor(0.8, requires_grad=True), mg.tensor(-0.1, requires_grad=True)
    data = step_through(lambda: ((w * x + b).tanh() - target).square()).data
    tw, tb = torch.tensor(0.8, requires_grad=True), torch.tensor(-0.1, requires_grad=True)
    steps = [tw * 0.5]
    steps.append(steps[-1] + tb)
    steps.append(steps[-1].tanh())
    steps.append(steps[-1] - 1.0)
    steps.append(steps[-1].square())
    for t in steps:
        t.retain_grad()
    steps[-1].backward()
    ours = [data["vertices"][i] for i in data["forward"]]
    assert [v["name"] for v in ours] == ["mul", "add", "tanh", "sub", "square"]
    for v, t in zip(ours, steps, strict=True):
        agrees(data, v["value"], t.detach().numpy())
        agrees(data, v["gradient"], t.grad.numpy())
    leaves = {v["name"]: v for v in data["vertices"].values() if v["kind"] == "input"}
    assert set(leaves) == {"w", "x", "b", "target"}
    agrees(data, leaves["w"]["gradient"], tw.grad.numpy())
    agrees(data, leaves["b"]["gradient"], tb.grad.numpy())
    assert "gradient" not in leaves["x"]
    assert [v["sends"][0]["formula"] for v in ours] == [
        "g · b", "g", "g·(1 - y²)", "g", "g · x · 2"]
    assert ours[0]["code"].startswith("data = step_through(lambda: ((w * x")
    assert re.fullmatch(r"test_step_through\.py:\d+", ours[0]["line"])
    assert re.fullmatch(r"minigrad/ops/elementwise\.py:\d+", ours[0]["sends"][0]["where"])
    assert ours[0]["sends"][0]["code"] == "lambda g: g * b"


def test_what_adds_up_and_what_is_summed() -> None:
    a = mg.tensor([2.0, 3.0], requires_grad=True)
    b = mg.tensor([[1.0], [4.0], [5.0]], requires_grad=True)
    data = step_through(lambda: (a * b + a * a).sum()).data
    ta, tb = (torch.tensor(t.tolist(), requires_grad=True) for t in (a, b))
    (ta * tb + ta * ta).sum().backward()
    leaves = {v["name"]: (number, v) for number, v in data["vertices"].items()}
    sent = [s for v in data["vertices"].values() for s in v["sends"] if s["to"] == leaves["a"][0]]
    assert len(sent) == 3
    agrees(data, leaves["a"][1]["gradient"], ta.grad.numpy())
    np.testing.assert_allclose(sum(values(data, s["gradient"]) for s in sent), ta.grad.numpy())
    (to_b,) = [s for v in data["vertices"].values() for s in v["sends"]
               if s["to"] == leaves["b"][0]]
    assert to_b["summed"] == "1"
    assert data["arrays"][to_b["sent"]]["shape"] == [3, 2]
    agrees(data, to_b["gradient"], tb.grad.numpy())
    assert sorted(s["summed"] for s in sent) == ["", "", "0"]


def test_a_loss_that_is_there_already() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    loss = net(mg.ones(4, 2)).square().mean()
    data = step_through(loss, net=net).data
    assert [data["vertices"][i]["name"] for i in data["forward"]] == [
        "linear", "tanh", "linear", "square", "mean"]
    assert all(p.grad is None for p in net.parameters())
    loss.backward()                                     # the graph is still there
    by_name = {v["name"]: v for v in data["vertices"].values()}
    for name, p in net.named_parameters():
        agrees(data, by_name[name]["gradient"], p.grad.data)
    assert data["vertices"][data["forward"][0]]["value"] is None    # no gradient needs it
    assert data["vertices"][data["forward"][1]]["value"] is not None
    with pytest.raises(RuntimeError, match="through mean was freed by backward"):
        step_through(loss)


# ---- networks against PyTorch --------------------------------------------------------------------

@pytest.mark.parametrize("name", [n for n in NETWORKS if n != "stateful"])
def test_each_layers_output_and_gradient(name: str) -> None:
    net, inputs = built(name, nn, mg)
    twin, _ = built(name, torch.nn, torch)
    twin.load_state_dict({k: torch.from_numpy(v.data.copy()) for k, v in net.state_dict().items()})
    found: dict[str, list[Any]] = {}

    def keep(path: str) -> Any:
        def hook(module: Any, args: Any, y: torch.Tensor) -> None:
            y.retain_grad()
            found.setdefault(path, []).append(y)
        return hook

    for path, module in twin.named_modules():
        if not list(module.children()):
            module.register_forward_hook(keep(path))
    sum(y.square().sum() for y in torch.utils._pytree.tree_leaves(
        twin(*map(torch.from_numpy, inputs)))).backward()

    def loss() -> Any:
        squares = [y.square().sum() for y in tensors_in(net(*map(mg.Tensor, inputs)))]
        return sum(squares[1:], squares[0])

    page = step_through(loss)
    data = page.data
    assert on_page(page.html) == json.loads(json.dumps(data))
    compared = 0
    for path, outputs in found.items():
        ours = [data["vertices"][i] for i in data["forward"]
                if data["vertices"][i]["module"].split(" ")[0] == path]
        if len(ours) != len(outputs):                   # several ops in a layer
            continue
        for v, y in zip(ours, outputs, strict=True):
            agrees(data, v["value"], y.detach().numpy())
            agrees(data, v["gradient"], y.grad.numpy())
            compared += 1
    assert compared >= len(found) // 2
    by_name = {v["name"]: v for v in data["vertices"].values() if v["kind"] == "parameter"}
    for parameter, p in twin.named_parameters():
        if p.grad is not None:
            agrees(data, by_name[parameter]["gradient"], p.grad.numpy())


@pytest.mark.parametrize("name", NETWORKS)
def test_the_gradients_that_arrive_add_up(name: str) -> None:
    net, inputs = built(name, nn, mg)
    data = step_through(lambda: sum([y.square().mean() for y in tensors_in(
        net(*map(mg.Tensor, inputs)))], mg.zeros(()))).data
    for number, vertex in data["vertices"].items():
        arriving = [s for v in data["vertices"].values() for s in v["sends"] if s["to"] == number]
        entries = [data["arrays"][s["gradient"]] for s in arriving]
        if "gradient" not in vertex or not arriving or "values" not in entries[0]:
            continue
        whole = values(data, vertex["gradient"])
        np.testing.assert_allclose(sum(values(data, s["gradient"]) for s in arriving), whole,
                                   rtol=1e-5, atol=1e-5 * abs(whole).max(initial=0.0))
    order = [data["vertices"][i] for i in data["backward"]]
    assert order[0]["sends"]
    assert {v["kind"] for v in order[-2:]} == {"parameter"}


def test_the_network_is_left_as_it_was() -> None:
    net = Stateful(nn, mg)
    before = {name: t.data.copy() for name, t in net.state_dict().items()}
    step_through(lambda: net(mg.ones(6, 4)).sum())
    assert net.seen == []
    for name, t in net.state_dict().items():
        np.testing.assert_array_equal(t.data, before[name])
    assert all(p.grad is None for p in net.parameters())


def test_also_one_that_is_hidden_in_an_object() -> None:
    class Trainer:
        def __init__(self) -> None:
            self.nets = [Stateful(nn, mg)]

        def loss(self) -> Any:
            return self.nets[0](mg.ones(6, 4)).sum()

    trainer = Trainer()
    page = step_through(trainer.loss)
    norm = trainer.nets[0].net[1]
    assert norm.num_batches_tracked.item() == 0
    assert norm.running_mean.tolist() == [0.0] * 8
    assert "net.0.weight" in [v["name"] for v in page.data["vertices"].values()]


# ---- the page ------------------------------------------------------------------------------------

def test_the_page_stands_alone(tmp_path: Any) -> None:
    net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    x, y = mg.tensor([[0.0, 1.0], [1.0, 1.0]]), mg.tensor([[1.0], [0.0]])
    page = step_through(lambda: F.mse_loss(net(x), y), title="<one> & only")
    assert "<title>&lt;one&gt; &amp; only</title>" in page.html
    assert "<h1>&lt;one&gt; &amp; only</h1>" in page.html
    assert not re.search(r"<!--\w+-->", page.html)
    outside = re.findall(r'(?:src|href)="([^"]+)"|url\(([^)]+)\)|@import|https?://[^"\s]+',
                         page.html)
    assert all(link in ("#minigrad-arrow", "") for pair in outside for link in pair)
    assert "fetch(" not in page.html
    page.save(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text("utf-8") == page.html
    assert len(page.html.encode()) < 300_000
    assert page._repr_html_().startswith("<iframe")


def test_a_closing_tag_in_the_program_does_not_end_the_data() -> None:
    x = mg.tensor([1.0], requires_grad=True)
    html = step_through(lambda: (x * 2).sum() if "</script>" else x).html
    assert on_page(html)["vertices"]["2"]["code"].endswith('"</script>" else x).html')


def test_values_that_json_does_not_have() -> None:
    x = mg.tensor([1.0, float("nan"), float("inf"), -float("inf")], requires_grad=True)
    html = step_through(lambda: (x * float("inf")).sum()).html
    (vertex,) = [v for v in on_page(html)["vertices"].values() if v["name"] == "x"]
    assert on_page(html)["arrays"][vertex["value"]]["values"] == [1.0, "nan", "inf", "-inf"]


@pytest.mark.parametrize(("loss", "error", "message"), [
    (lambda: mg.ones(2, requires_grad=True) * 2, ValueError, r"one number; got shapes \(2,\)"),
    (lambda: mg.ones(()), RuntimeError, "does not require grad"),
    (lambda: 3, ValueError, "returned no Tensor; got 3"),
    (3, TypeError, "needs a network, a function, or Tensors; got int"),
])
def test_errors(loss: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        step_through(loss)


# ---- large arrays --------------------------------------------------------------------------------

def test_a_heat_map_is_right_to_its_step() -> None:
    x = np.random.default_rng(0).standard_normal((40, 30))
    entry = encoded(x)
    cells = np.frombuffer(base64.b64decode(entry["map"]), np.uint8).reshape(entry["tiles"][1:])
    np.testing.assert_allclose((cells.astype(float) - 128) / 127 * entry["peak"], x,
                               atol=entry["peak"] / 254 * 1.001)
    assert (entry["tiles"], entry["every"]) == ([1, 40, 30], 1)
    assert sum(entry["histogram"]) == x.size
    np.testing.assert_allclose(entry["stats"][:5], [x.min(), x.max(), x.mean(), x.std(),
                                                    np.linalg.norm(x)], rtol=1e-5)


def test_large_maps_are_means_and_stacks_are_tiles() -> None:
    x = np.arange(200.0 * 100).reshape(200, 100)
    entry = encoded(x)
    assert (entry["tiles"], entry["every"]) == ([1, 67, 34], 3)
    cells = np.frombuffer(base64.b64decode(entry["map"]), np.uint8).reshape(67, 34)
    assert abs((cells[0, 0] - 128) / 127 * entry["peak"] - x[:3, :3].mean()) < entry["peak"] / 127
    stack = encoded(np.ones((9, 8, 28, 28)))
    assert (stack["tiles"], stack["of"]) == ([12, 28, 28], 72)
    assert encoded(np.ones((64, 32, 3, 3)))["tiles"] == [48, 3, 3]
    odd = encoded(np.append(np.full(500, np.nan), np.inf))
    assert odd["stats"][6] == 501
