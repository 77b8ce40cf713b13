"""What could be lost in silence is done as in torch, or better, or it is refused with words."""

from __future__ import annotations

import copy
import math
import os
import subprocess
import sys
import threading
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch

import minigrad as mg
import minigrad.train
import torch_impl.train
from minigrad import checkpoint, functional as F, nn, optim
from minigrad.data import DataLoader
from minigrad.data.loader import collate
from minigrad.inspect import detect_anomaly
from minigrad.optim import lr_scheduler

Array = Any


def leaf(*values: float) -> mg.Tensor:
    return mg.tensor(list(values), requires_grad=True)


# ---- arguments -----------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["var", "std"])
def test_only_by_position_is_a_bool_no_dim(name: str) -> None:
    """As torch's overloads have it: var(x, False) is var(x, unbiased=False)."""
    values = [[1.0, 2.0, 5.0], [0.0, 3.0, 1.0]]
    ours, theirs = mg.tensor(values), torch.tensor(values)
    for unbiased in (True, False):
        for call in (lambda x, lib: getattr(lib, name)(x, unbiased),        # noqa: B023
                     lambda x, lib: getattr(x, name)(unbiased),             # noqa: B023
                     lambda x, lib: getattr(lib, name)(x, unbiased=unbiased)):      # noqa: B023
            assert float(call(ours, mg)) == pytest.approx(float(call(theirs, torch)))
        with pytest.raises(TypeError):
            getattr(torch, name)(theirs, dim=unbiased)
        with pytest.raises(TypeError, match=f"{name}: dim must be an int; got {unbiased}"):
            getattr(mg, name)(ours, dim=unbiased)


# ---- training ------------------------------------------------------------------------------------

SCHEDULERS: dict[str, Any] = {
    "StepLR": lambda o: lr_scheduler.StepLR(o, 2, 0.5),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, 20),
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda t: 1 / (1 + t)),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 0.1, 20)}


def rates(optimizer: Any, scheduler: Any, steps: int) -> list[Any]:
    found = []
    for _ in range(steps):
        group = optimizer.param_groups[0]
        found.append((group["lr"], group["momentum"]))
        scheduler.step()
    return found


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("load", ["alone", "first", "last"])
def test_a_loaded_scheduler_trains_with_the_rate_that_it_says(name: str, load: str) -> None:
    made = optim.SGD([leaf(1.0)], lr=0.1, momentum=0.9)
    scheduler = SCHEDULERS[name](made)
    rates(made, scheduler, 7)
    state, of_optimizer = copy.deepcopy(scheduler.state_dict()), made.state_dict()
    other = optim.SGD([leaf(1.0)], lr=0.1, momentum=0.9)
    resumed = SCHEDULERS[name](other)
    if load == "first":
        other.load_state_dict(of_optimizer)
    resumed.load_state_dict(state)
    if load == "last":
        other.load_state_dict(of_optimizer)
    assert resumed.get_last_lr() == [other.param_groups[0]["lr"]]
    assert rates(other, resumed, 7) == rates(made, scheduler, 7)


def test_a_scheduler_s_state_for_other_groups_is_refused() -> None:
    scheduler = SCHEDULERS["StepLR"](optim.SGD([leaf(1.0)], lr=0.1))
    state = scheduler.state_dict() | {"_last_lr": [0.1, 0.2]}
    with pytest.raises(ValueError, match="rates of 2 param groups; this scheduler has 1"):
        scheduler.load_state_dict(state)


def test_training_on_no_batch_is_refused() -> None:
    loader = DataLoader([(np.zeros(2, "f"), 0)] * 3, batch_size=4, drop_last=True)
    ours, theirs = nn.Linear(2, 2), torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match="the loader gives no batch"):
        minigrad.train.fit(ours, loader, F.cross_entropy, optim.SGD(ours.parameters()), epochs=1)
    with pytest.raises(ValueError, match="the loader gives no batch"):
        torch_impl.train.fit(theirs, loader, torch.nn.functional.cross_entropy,
                             torch.optim.SGD(theirs.parameters()), epochs=1)


def test_items_that_are_lists_are_batches_of_their_parts() -> None:
    items: list[Any] = [[np.full(3, i), i] for i in range(4)]
    for ours, theirs in zip(collate(items), torch.utils.data.default_collate(items), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(TypeError, match="DataLoader: part 0 of an item must be an array or a num"):
        collate([[[[1, 2], [3]], 0]])


@pytest.mark.parametrize("momentum", [0, 0.9])
def test_centred_rmsprop_stays_finite_under_a_constant_gradient(momentum: float) -> None:
    p = leaf(*[1.0] * 4)
    optimizer = optim.RMSprop([p], lr=1e-8, centered=True, momentum=momentum)
    p.grad = mg.tensor([0.1, 0.3, 1e-3, 1e3])
    for _ in range(1000):
        optimizer.step()
        assert np.isfinite(p.data).all()


def test_batch_norms_of_early_files_load_strictly_as_in_torch() -> None:
    ours, theirs = nn.Sequential(nn.BatchNorm1d(2)), torch.nn.Sequential(torch.nn.BatchNorm1d(2))
    ours(mg.ones(2, 2))
    theirs(torch.ones(2, 2))
    whole = theirs.state_dict()
    early = {key: value for key, value in whole.items() if "num_batches" not in key}
    for net in (ours, theirs):
        net.load_state_dict(early)          # type: ignore[attr-defined]
        assert net[0].num_batches_tracked.item() == 1
        lacking: Any = OrderedDict(early)
        lacking._metadata = whole._metadata         # type: ignore[attr-defined]
        with pytest.raises(RuntimeError, match="num_batches_tracked"):
            net.load_state_dict(lacking)    # type: ignore[attr-defined]
        with pytest.raises(RuntimeError, match="running_var"):
            net.load_state_dict({k: v for k, v in early.items() if "var" not in k})     # type: ignore[attr-defined]


# ---- what does not count -------------------------------------------------------------------------

@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}, {"weight": [1, 0, 2]},
                                     {"weight": [1, 0, 2], "label_smoothing": 0.1}])
@pytest.mark.parametrize("bad", [-math.inf, math.inf, math.nan])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_ignored_items_have_no_gradient(options: Any, bad: float, reduction: str) -> None:
    options = {key: np.array(value, "f") if key == "weight" else value
               for key, value in options.items()}
    x = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    t = np.array([0, -100, 2, 0])
    x[1] = bad
    for shape in ((4, 3), (4, 3, 1), (3,)):
        given = mg.tensor(x[1] if shape == (3,) else x.reshape(shape), requires_grad=True)
        target = t[1] if shape == (3,) else t.reshape(4, *shape[2:])
        loss = F.cross_entropy(given, mg.tensor(target), reduction=reduction, **options).sum()
        for create_graph in (False, True):
            (g,) = mg.grad(loss, given, create_graph=create_graph, retain_graph=True)
            if shape == (3,):
                assert not g.data.any()
                continue
            keep = [0, 2, 3]
            few = torch.tensor(x[keep], requires_grad=True)
            weight = {k: torch.tensor(v) if k == "weight" else v for k, v in options.items()}
            expected = torch.nn.functional.cross_entropy(few, torch.tensor(t[keep]),
                                                         reduction=reduction, **weight).sum()
            expected.backward()
            assert few.grad is not None
            np.testing.assert_allclose(loss.item(), expected.item(), 1e-5)
            np.testing.assert_allclose(g.data.reshape(4, 3)[keep], few.grad.numpy(), 1e-5, 1e-6)
            assert not g.data.reshape(4, 3)[1].any()


@pytest.mark.parametrize("loss", [
    F.mse_loss, F.l1_loss, F.huber_loss, F.binary_cross_entropy_with_logits,
    lambda x, t, **k: F.binary_cross_entropy_with_logits(x, t, pos_weight=np.ones(3, "f"), **k)])
@pytest.mark.parametrize("bad", [-math.inf, math.inf, math.nan])
def test_elements_of_weight_0_have_no_gradient(loss: Any, bad: float) -> None:
    weight = np.array([1, 0, 2], np.float32)
    x = mg.tensor([0.5, bad, 2.0], requires_grad=True)
    t = mg.tensor([1.0, bad, 0.0])
    y = loss(x, t, weight=weight)
    y.backward()
    assert x.grad is not None
    fine = mg.tensor([0.5, 1.0, 2.0], requires_grad=True)
    expected = loss(fine, mg.tensor([1.0, 1.0, 0.0]), weight=weight)
    expected.backward()
    assert fine.grad is not None
    assert y.item() == expected.item()
    np.testing.assert_array_equal(x.grad.data, fine.grad.data)


def test_a_class_of_weight_0_has_no_gradient() -> None:
    x = mg.tensor([[1.0, -math.inf], [0.5, 2.0]], requires_grad=True)
    for f in (F.cross_entropy, lambda *args: F.nll_loss(args[0] + 0, *args[1:])):
        x.grad = None
        y = f(x, np.array([1, 0]), np.array([1, 0], "f"))
        y.backward()
        assert np.isfinite(y.data)
        assert x.grad is not None
        assert not x.grad.data[0].any()


# ---- the engine ----------------------------------------------------------------------------------

@pytest.mark.parametrize("mode", [mg.no_grad(), mg.enable_grad(), mg.no_grad, mg.enable_grad,
                                  detect_anomaly()])
def test_modes_refuse_to_decorate_what_runs_later(mode: Any) -> None:
    async def coroutine() -> None:
        pass

    async def asynchronous_generator() -> Any:
        yield 1

    def generator() -> Any:
        yield 1

    class Later:
        async def __call__(self) -> None:
            pass

    for function in (coroutine, asynchronous_generator, generator, Later()):
        with pytest.raises(TypeError, match=r"runs after the call; write `with` inside it"):
            mode(function)


def test_a_mode_that_threads_share_leaves_each_as_it_was() -> None:
    shared, found = mg.no_grad(), []
    entered, left = threading.Event(), threading.Event()

    def work() -> None:
        with mg.no_grad(), mg.enable_grad(), shared:
            entered.set()
            left.wait(5)
        found.append((leaf(1.0) * 2).requires_grad)

    thread = threading.Thread(target=work)
    with mg.no_grad():
        with shared:
            thread.start()
            entered.wait(5)
        assert not (leaf(1.0) * 2).requires_grad
        with mg.enable_grad(), shared, shared:
            pass
        left.set()
        thread.join()
        assert not (leaf(1.0) * 2).requires_grad
    assert (leaf(1.0) * 2).requires_grad
    assert found == [True]


@pytest.mark.parametrize("wrong", [lambda g: g.double(), lambda g: g.long(), lambda g: g.sum()])
def test_a_hook_may_not_change_what_a_gradient_is(wrong: Any) -> None:
    x = leaf(1.0, 2.0)
    for t in (x, y := x * 2):
        with t.register_hook(wrong), \
                pytest.raises(RuntimeError, match=r"a hook returned .* for a gradient of float32"):
            y.sum().backward(retain_graph=True)
    assert x.grad is None


def test_deepcopy_keeps_gradients_as_torch_does() -> None:
    for lib in (mg, torch):
        p: Any = lib.tensor([1.0, 2.0], requires_grad=True)
        (p * p).sum().backward()
        pair = copy.deepcopy([p, p])
        assert pair[0] is pair[1]
        assert pair[0].grad.tolist() == [2.0, 4.0]
        pair[0].grad.zero_()
        assert p.grad.tolist() == [2.0, 4.0]
        net: Any = (nn if lib is mg else torch.nn).Linear(2, 1)         # a Parameter's has none
        net(lib.ones(1, 2)).sum().backward()
        assert net.weight.grad is not None
        assert copy.deepcopy(net).weight.grad is None


@pytest.mark.parametrize("value", [3, 2.5, "abc", None, [1.0, 2.0], b"x", np.array(["a"])])
def test_data_takes_arrays_of_numbers_only(value: Any) -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(TypeError, match=r"data: needs an array or a Tensor|cannot hold data"):
        x.data = value
    with pytest.raises(RuntimeError, match="data: a tensor that requires grad needs floats"):
        x.data = np.array([1, 2])
    assert x.tolist() == [1.0, 2.0]
    x.data = mg.tensor([3.0, 4.0])
    assert x.tolist() == [3.0, 4.0]


def test_weights_in_another_byte_order_are_saved_and_loaded(tmp_path: Any) -> None:
    order = ">" if sys.byteorder == "little" else "<"
    foreign, net = np.arange(6, dtype=f"{order}f4").reshape(2, 3), nn.Linear(3, 2)
    net.weight.data = foreign
    assert net.weight.data.dtype.isnative
    net.weight._data = foreign
    checkpoint.save(tmp_path / "a", model=net)
    other = nn.Linear(3, 2)
    checkpoint.restore(tmp_path / "a", model=other)
    np.testing.assert_array_equal(other.weight.data, foreign)
    other.load_state_dict({"weight": foreign, "bias": foreign[:, 0]})
    np.testing.assert_array_equal(other.bias.data, [0.0, 3.0])      # type: ignore[union-attr]


@pytest.mark.parametrize(("name", "value", "message"), [
    ("MINIGRAD_KERNELS", "NumPy", "MINIGRAD_KERNELS: must be numpy, or not set; got 'NumPy'"),
    ("MINIGRAD_DEBUG", "yes", "MINIGRAD_DEBUG: must be 0, 1 or 2; got 'yes'")])
def test_a_variable_that_is_misspelt_is_refused(name: str, value: str, message: str) -> None:
    run = subprocess.run([sys.executable, "-c", "import minigrad"], capture_output=True, text=True,
                         env=os.environ | {name: value}, check=False)
    assert run.returncode != 0
    assert message in run.stderr
