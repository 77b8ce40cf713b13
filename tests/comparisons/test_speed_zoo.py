"""`speed --zoo`, `--ops` and `--against jax`: all sides do equal work; what is printed and written.

No test asks how fast.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from op_cases import elementwise, linalg, reduce
from running import one_line
from timing import is_picture, no_compiler

import minigrad
from comparisons import implementations
from comparisons.cli import main
from comparisons.speed import against_jax, clock, functions, models, networks, ops, zoo
from comparisons.speed.functions import FUNCTIONS
from comparisons.speed.models import Case
from comparisons.speed.networks import ZOO, Network
from minigrad import functional, nn

BAG = Network("bag", networks.bag_of_words, (7,), 5, tokens=True)
DROPPING = Network("dropping", networks.normalised, (784,), 6)


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """As few rounds as possible, without a compiler."""
    monkeypatch.setattr(clock, "MIN_ROUNDS", 1)
    monkeypatch.setattr(clock, "SHORTEST", 1e-6)
    for module in (zoo, ops, against_jax):
        monkeypatch.setattr(module, "SECONDS", 0.0)
    monkeypatch.setattr(torch, "compile", no_compiler)


# ---- the zoo -------------------------------------------------------------------------------------

@pytest.mark.parametrize("network", ZOO, ids=lambda network: network.title)
def test_outputs_and_losses_of_the_zoo_agree(network):
    few = replace(network, batch=4)
    ours, theirs = (zoo.Contestant(few, side, 0) for side in implementations.NAMES)
    assert zoo.apart([ours.outputs(), theirs.outputs()]) < zoo.OUTPUT_BOUND
    for each in (ours, theirs):
        each.training(dropout=False)
    losses = {"minigrad": [ours.step() for _ in range(3)],
              "torch": [theirs.step() for _ in range(3)]}
    assert models.difference(losses) < models.LOSS_BOUND


def test_a_dozen_networks_have_names_of_their_own():
    assert len({network.title for network in ZOO}) == len(ZOO) >= 12


def test_the_zoo_is_printed_written_and_drawn(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(networks, "ZOO", (BAG, DROPPING))
    files = [tmp_path / name for name in ("zoo.json", "zoo.png")]
    assert main(["speed", "--zoo", "--json", str(files[0]), "--plot", str(files[1])]) == 0
    content, out = json.loads(files[0].read_text()), capsys.readouterr().out
    assert content["measured"] == "zoo"
    rows = content["rows"]
    assert [(row["title"], row["kind"], row["batch"]) for row in rows] == [
        (network.title, kind, batch) for network in (BAG, DROPPING)
        for kind, batch in zip(zoo.KINDS, (network.batch, network.batch, 4, 1), strict=True)]
    for row in rows:
        assert row["ratio_torch"] == row["torch"]["median_ms"] / row["minigrad"]["median_ms"]
        assert (row["ratio_torch_recorded"]
                == row["torch"]["median_ms"] / row["recorded"]["median_ms"])
        assert row["ratio_compiled"] is None
        assert row["compiled"]["failed"] == "inductor raised: No working C++ compiler"
        assert row["output_difference"] < zoo.OUTPUT_BOUND
        assert row["loss_difference"] < models.LOSS_BOUND
    ratios = [row["ratio_torch"] for row in rows if row["kind"] == "single"]
    mean = np.sqrt(ratios[0] * ratios[1])
    assert re.search(rf"prediction of 1 +{min(ratios):.2f} +{mean:.2f} .* +– +–\n", out)
    assert "torch.compile failed for bag, dropping: inductor raised" in out
    assert is_picture(files[1])


def test_the_compiler_may_be_left_out(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(networks, "ZOO", (BAG,))
    monkeypatch.setattr(torch, "compile", lambda *_, **__: pytest.fail("compiled"))
    files = [tmp_path / name for name in ("zoo.json", "zoo.png")]
    assert main(["speed", "--zoo", "--eager", "--json", str(files[0]), "--plot", str(files[1])]
                ) == 0
    for row in json.loads(files[0].read_text())["rows"]:
        assert not {"compiled", "ratio_compiled"} & row.keys()
    assert is_picture(files[1])


def test_dropout_is_off_where_losses_are_compared_and_on_where_steps_are_timed():
    for side in implementations.NAMES:
        contestant = zoo.Contestant(DROPPING, side, 0)
        contestant.training(dropout=False)
        first = contestant.step()
        step = zoo.call(contestant, "step", DROPPING.batch)
        layers = [each for each in contestant.module.modules() if type(each).__name__ == "Dropout"]
        assert all(each.training for each in layers)
        assert step() != first
        zoo.call(contestant, "single", 1)
        assert not any(each.training for each in layers)


@pytest.mark.parametrize(("wrong", "told"), [
    ("outputs", "The outputs differ by more than 0.0001 of the largest one: bag"),
    ("gradients", "The losses differ by more than 0.05 of their own change: bag")])
def test_different_results_are_noticed(wrong, told, monkeypatch, capsys):
    monkeypatch.setattr(networks, "ZOO", (BAG,))
    if wrong == "outputs":
        forward = nn.Linear.forward
        monkeypatch.setattr(nn.Linear, "forward", lambda self, x: forward(self, x) * 1.001)
    else:
        backward = minigrad.Tensor.backward
        monkeypatch.setattr(minigrad.Tensor, "backward", lambda self: backward(-self))
    assert main(["speed", "--zoo", "--eager"]) == 1
    assert told in capsys.readouterr().out


def test_the_geometric_mean():
    assert zoo.geometric_mean([0.5, 2.0, 1.0]) == pytest.approx(1)
    assert zoo.geometric_mean([2.0, 8.0]) == pytest.approx(4)


@pytest.mark.parametrize("network", ZOO, ids=lambda network: network.title)
def test_a_recorded_step_is_the_step_itself(network):
    ours = [zoo.Contestant(replace(network, batch=8), side, 0) for side in ("minigrad", "recorded")]
    losses = []
    for each in ours:
        each.training(dropout=False)
        losses.append([each.step() for _ in range(4)])
    assert losses[0] == losses[1]


@pytest.mark.parametrize("network", ZOO, ids=lambda network: network.title)
def test_a_recorded_prediction_is_the_prediction_itself(network):
    """Also for other items, for another number of them, and after a training step."""
    each = zoo.Contestant(replace(network, batch=4), "minigrad", 0)
    each.module.eval()
    predict = minigrad.compile(each.outputs_for)
    for _ in range(2):
        for items in (each.items[:1], each.items[1:2], each.items[2:3], each.items[1:3]):
            x = each.tensor(items)
            np.testing.assert_array_equal(predict(x).numpy(), each.outputs_for(x).numpy())
        each.training(dropout=True)
        each.step()
        each.module.eval()


@pytest.mark.parametrize("case", [Case("mnist-cnn", 8), Case("dexpression", 8, 48, "compact"),
                                  Case("dexpression", 8, 48, "paper")], ids=lambda case: case.title)
def test_a_recorded_step_of_our_models_is_the_step_itself(case):
    data = models.batch_of(case, 0)
    plain, recorded = (models.stepper(case, data, side, 0) for side in ("minigrad", "recorded"))
    assert [plain() for _ in range(4)] == [recorded() for _ in range(4)]


# ---- JAX -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("one", [
    Case("regression", 5), Case("diabetes", 7), Case("mnist-mlp", 5), Case("mnist-cnn", 3),
    Case("dexpression", 3, 24, "paper"), Case("dexpression", 3, 24, "compact"),
    *(network for network in ZOO if "perceptron" in network.title or "GELU" in network.title)],
    ids=lambda one: one.title)
def test_losses_in_jax_agree(one):
    against_jax.insist_on_jax()
    row = against_jax.measure(one, 0)
    assert row["loss_difference"] < 0.01
    for ratio, side in (("ratio_jax", "minigrad"), ("ratio_jax_recorded", "recorded")):
        assert row[ratio] == row["jax"]["median_ms"] / row[side]["median_ms"]


def test_dropout_in_jax_draws_anew():
    against_jax.insist_on_jax()
    network = next(network for network in ZOO if network.title == "layer norm, GELU, dropout")
    from comparisons.speed import jax_models
    x = jax_models.jnp.ones((1, 1000))
    keys = jax_models.jax.random.split(jax_models.jax.random.key(0))
    first, second = (jax_models.dropout(x, 0.1, key) for key in keys)
    assert (first != second).any()
    assert set(np.unique(first)) == {0, np.float32(1 / 0.9)}
    steps, with_dropout = against_jax.of_network(network, 0)
    loss = steps["jax"]()
    assert [steps[side]() for side in against_jax.OURS] == pytest.approx([loss] * 2, rel=1e-5)
    with_dropout()
    loss = steps["jax"]()
    assert all(steps[side]() != pytest.approx(loss, rel=1e-5) for side in against_jax.OURS)


def test_jax_is_printed_written_and_drawn(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(models, "CASES", (Case("regression", 10), Case("diabetes", 10)))
    files = [tmp_path / name for name in ("jax.json", "jax.png")]
    assert main(["speed", "--against", "jax", "regression", "--json", str(files[0]),
                 "--plot", str(files[1])]) == 0
    content, out = json.loads(files[0].read_text()), capsys.readouterr().out
    (row,) = content["rows"]
    assert (content["measured"], row["title"], row["batch"]) == ("jax", "regression", 10)
    assert {"jax", "optax"} <= content["environment"]["versions"].keys()
    assert "jax " in out
    assert is_picture(files[1])


def test_the_perceptrons_come_with_all_the_tasks(monkeypatch):
    asked = []
    monkeypatch.setattr(against_jax, "run", lambda *given: asked.append(given[1]) or [])
    for argv in ([], ["all"], ["regression"]):
        assert main(["speed", "--against", "jax", *argv]) == 0
    assert asked == [True, True, False]


def test_a_missing_jax_is_told_in_one_line(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "jax", None)
    assert main(["speed", "--against", "jax"]) == 1
    assert 'jax is not installed; pip install -e ".[jax]"' in one_line(capsys)


# ---- functions -----------------------------------------------------------------------------------

def test_every_function_has_a_row():
    named = {function.name for function in FUNCTIONS}
    public = {case.op.__name__ for family in (elementwise, reduce, linalg)
              for case in family.CASES if hasattr(minigrad, case.op.__name__)}
    assert len(public) > 40
    assert {*functional.__all__, *public} - named == set()
    assert len({function.title for function in FUNCTIONS}) == len(FUNCTIONS)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.title)
def test_both_sides_compute_the_same(function):
    arrays = function.inputs(np.random.default_rng(0), ops.SIZES["L1"])
    assert all(array.dtype in (np.float32, np.int64, bool) for array in arrays)
    found = []
    for name in implementations.NAMES:
        implementation = implementations.get(name, "cpu")
        forward, wanted = ops.prepared(implementation, function, arrays)
        y = forward()
        values = [y]
        if y.requires_grad:
            values += implementation.grad(y, wanted, ops.gradient_of(implementation, y))
        found.append([np.asarray(value.detach().numpy()) for value in values])
    ours, theirs = found
    assert [value.shape for value in ours] == [value.shape for value in theirs]
    for a, b in zip(ours, theirs, strict=True):
        if function.name != "dropout":          # which draws different numbers
            np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4 * np.abs(b).max())


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.title)
def test_inputs_have_about_the_size_that_is_said(function):
    n = ops.SIZES["L2"]
    for array in function.inputs(np.random.default_rng(0), n)[:1]:
        assert n / functions.WIDTH <= array.size <= n


def test_functions_are_printed_written_and_drawn(tmp_path, monkeypatch, capsys):
    few = [function for function in FUNCTIONS if function.title in ("exp", "argmax", "cat")]
    monkeypatch.setattr(ops, "FUNCTIONS", few)
    monkeypatch.setattr(ops, "SIZES", dict.fromkeys(ops.SIZES, 2**12))
    files = [tmp_path / name for name in ("ops.json", "ops.png")]
    assert main(["speed", "--ops", "--json", str(files[0]), "--plot", str(files[1])]) == 0
    rows, out = json.loads(files[0].read_text())["rows"], capsys.readouterr().out
    assert [(row["title"], row["size"], row["pass"]) for row in rows] == [
        (title, size, passing) for title in ("exp", "argmax", "cat") for size in ops.SIZES
        for passing in ops.PASSES if (title, passing) != ("argmax", "backward")]
    worst = {}
    for row in rows:
        key = row["title"], row["pass"]
        worst[key] = min(worst.get(key, np.inf), row["ratio_torch"])
    printed = re.findall(r"^(exp|argmax|cat) +(forward|backward)", out, re.M)
    assert printed == sorted(worst, key=worst.get)
    assert is_picture(files[1])
