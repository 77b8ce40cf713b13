"""What the op table does not say of minigrad.functional: signatures, state, randomness, second
gradients through several ops at once."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as TF

import minigrad
from minigrad import functional as F

WITH_INDICES = {name: f"{name}_with_indices" for name in (
    "max_pool1d", "max_pool2d", "adaptive_max_pool1d", "adaptive_max_pool2d")}


def real(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape)


# ---- signatures ----------------------------------------------------------------------------------

def torch_parameters(name: str) -> dict[str, Any]:
    """Names and defaults in order, from the signature or, for built-ins, the docstring."""
    function = getattr(TF, WITH_INDICES.get(name, name))
    try:
        parameters = inspect.signature(function).parameters.values()
        return {p.name: p.default for p in parameters if p.name != "_stacklevel"}   # private
    except ValueError:
        listed = re.search(r"\((.*?)\) ->", function.__doc__).group(1)
        pairs = [argument.partition("=") for argument in listed.replace(" ", "").split(",")]
        return {n: eval(value) if value else inspect.Parameter.empty for n, _, value in pairs}


@pytest.mark.parametrize("name", F.__all__)
def test_signatures_are_torchs(name: str) -> None:
    ours = {p.name: p.default for p in inspect.signature(getattr(F, name)).parameters.values()}
    theirs = torch_parameters(name)
    theirs.pop("out", None)             # normalize's: results are new tensors, everywhere
    if name in WITH_INDICES:
        ours["return_indices"] = theirs["return_indices"]       # what picks the variant looked at
    assert list(ours.items()) == list(theirs.items())


def test_inplace_gives_the_same_and_leaves_x_as_it_was() -> None:
    taking = [name for name in F.__all__ if "inplace" in torch_parameters(name)]
    assert len(taking) > 4
    for name in taking:
        x = minigrad.tensor([-0.5, 2.0])
        options = {"training": False} if name == "dropout" else {}
        y = getattr(F, name)(x, inplace=True, **options)
        expected = getattr(torch.nn.functional, name)(torch.tensor([-0.5, 2.0]), inplace=True,
                                                      **options)
        np.testing.assert_allclose(y.data, expected.numpy(), rtol=1e-6)
        assert x.tolist() == [-0.5, 2.0]


@pytest.mark.parametrize("name", F.__all__)
def test_what_is_no_array_is_refused_by_name(name: str) -> None:
    more = {"kernel_size": 2, "output_size": 2, "pad": (1, 1), "num_groups": 1, "size": 2,
            "normalized_shape": (2,), "dim": 0, "running_mean": None, "running_var": None}
    function = getattr(F, name)
    arguments = {p.name: more.get(p.name, np.ones((2, 2, 2, 2)))
                 for p in [*inspect.signature(function).parameters.values()][1:]
                 if p.default is p.empty}
    with pytest.raises(TypeError, match=f"{name}: needs a Tensor, an array or numbers; got 'x'"):
        function("x", **arguments)


@pytest.mark.parametrize("name", ["conv2d", "max_pool2d", "gelu", "batch_norm", "cross_entropy",
                                  "unfold", "interpolate", "local_response_norm", "normalize"])
def test_float16_is_refused(name: str) -> None:
    x = np.ones((2, 2, 2, 2), np.float16)
    more = {"conv2d": {"weight": x}, "max_pool2d": {"kernel_size": 2}, "unfold": {"kernel_size": 2},
            "batch_norm": {"running_mean": None, "running_var": None},
            "cross_entropy": {"target": np.zeros((2, 2, 2), np.int64)}, "interpolate": {"size": 3},
            "local_response_norm": {"size": 2}}
    with pytest.raises(RuntimeError, match=rf"{name}: .*float32 or float64; got float16"):
        getattr(F, name)(x, **more.get(name, {}))


# ---- second gradients ----------------------------------------------------------------------------

def conv_net(f: Any, x: Any, w: Any, v: Any, *_: Any) -> Any:
    y = f.max_pool2d(f.softplus(f.conv2d(x, w, None, 1, 1)), 3, 2, ceil_mode=True)
    return f.conv2d(f.local_response_norm(y, 3, 0.5), v, groups=2, stride=2)


def norm_net(f: Any, x: Any, w: Any, v: Any, *affine: Any) -> Any:
    y = f.batch_norm(f.conv2d(x, w, padding=1), None, None, *affine, training=True)
    return f.avg_pool2d(f.gelu(f.group_norm(y, 2)), 2)


def loss_net(f: Any, x: Any, w: Any, *_: Any) -> Any:
    y = f.adaptive_avg_pool2d(f.conv2d(x, w), 2)
    return f.cross_entropy(f.layer_norm(y, (2, 2)), f.softmax(y, 1), label_smoothing=0.1)


def transposed_net(f: Any, x: Any, w: Any, *_: Any) -> Any:
    y = f.silu(f.conv_transpose2d(x, w.transpose(0, 1), stride=2, output_padding=1))
    return f.normalize(f.pad(y, (1, 2, 2, 1), mode="reflect"), dim=1)


@pytest.mark.parametrize("net", [conv_net, norm_net, loss_net, transposed_net],
                         ids=lambda net: net.__name__)
def test_second_gradients_are_torchs(net: Callable[..., Any]) -> None:
    arrays = [real(1, 2, 4, 7, 6), real(2, 4, 4, 3, 3), real(3, 4, 2, 2, 1), real(4, 4), real(5, 4)]

    def gradients(f: Any, make: Any, grad: Any) -> list[Any]:
        xs = [make(a) for a in arrays]
        y = net(f, *xs)
        rng = np.random.default_rng(6)
        cotangent = make(rng.standard_normal(tuple(y.shape)))
        first = [g for g in grad(y, xs, cotangent, create_graph=True, allow_unused=True)
                 if g is not None]
        seeds = [make(rng.standard_normal(tuple(g.shape))) for g in first]
        second = grad(first, [*xs, cotangent], seeds, allow_unused=True)
        return [*first, *(g for g in second if g is not None)]

    ours = gradients(F, lambda a: minigrad.tensor(a, requires_grad=True), minigrad.grad)
    theirs = gradients(TF, lambda a: torch.tensor(a, requires_grad=True), torch.autograd.grad)
    for g, expected in zip(ours, theirs, strict=True):
        want = expected.detach().numpy()
        np.testing.assert_allclose(g.data, want, rtol=1e-8, atol=1e-9 * max(1, np.abs(want).max()))


@pytest.mark.parametrize(("name", "options"), [
    ("elu", {}), ("elu", {"alpha": -0.5}), ("hardtanh", {}), ("silu", {}), ("gelu", {}),
    ("gelu", {"approximate": "tanh"}), ("logsigmoid", {}), ("softplus", {}), ("leaky_relu", {}),
    ("normalize", {"p": 0, "dim": 0}), ("normalize", {"p": np.inf, "dim": 0}),
    ("mse_loss", {}), ("l1_loss", {}), ("smooth_l1_loss", {}), ("smooth_l1_loss", {"beta": 2}),
    ("huber_loss", {}), ("huber_loss", {"delta": 0.5}), ("kl_div", {"reduction": "sum"})])
def test_second_gradients_at_kinks_are_torchs(name: str, options: dict[str, Any]) -> None:
    x = np.array([0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -30.0, 700.0, -700.0])
    rng = np.random.default_rng(8)
    first, second, target = rng.uniform(0.5, 2, (3, *x.shape))
    is_loss = "loss" in name or name == "kl_div"

    def both(f: Any, make: Any, grad: Any) -> list[Any]:
        xs, g = make(x), make(first)
        if name == "kl_div":
            y = f(make(target), xs.abs() + 0.5, reduction="none")
        elif is_loss:
            y = f(xs, make(np.zeros_like(x)), reduction="none", **options)
        else:
            y = f(xs, **options)
        by_x = grad([y], [xs], [g], create_graph=True)[0]
        return [by_x, *grad([by_x], [xs, g], [make(second)], allow_unused=True)]

    ours = both(getattr(F, name), lambda a: minigrad.tensor(a, requires_grad=True), minigrad.grad)
    theirs = both(getattr(TF, name), lambda a: torch.tensor(a, requires_grad=True),
                  torch.autograd.grad)
    for a, b in zip(ours, theirs, strict=True):
        found = np.zeros_like(x) if a is None else a.data
        expected = np.zeros_like(x) if b is None else b.numpy(force=True)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


# ---- state ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("momentum", [0.1, 0.7])
@pytest.mark.parametrize("name", ["batch_norm", "instance_norm"])
def test_running_statistics_are_torchs(name: str, momentum: float) -> None:
    x, mean, var = real(1, 3, 2, 4), real(2, 2), real(3, 2) ** 2
    ours, theirs = [minigrad.tensor(a) for a in (x, mean, var)], [torch.tensor(a)
                                                                  for a in (x, mean, var)]
    training = {"training": True} if name == "batch_norm" else {"use_input_stats": True}
    for _ in range(2):
        getattr(F, name)(*ours, momentum=momentum, **training)
        getattr(TF, name)(*theirs, momentum=momentum, **training)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.data, b.numpy(), rtol=1e-13)


@pytest.mark.parametrize("name", ["batch_norm", "instance_norm"])
def test_running_statistics_of_infinities_are_torchs_in_silence(name: str) -> None:
    x, more = real(1, 3, 2, 4), {"training": True} if name == "batch_norm" else {}
    x[0, 0, 0], x[1, 1, 1] = np.inf, np.nan
    ours, theirs = ([new(np.ones(2)) for _ in range(2)] for new in (minigrad.tensor, torch.tensor))
    getattr(F, name)(x, *ours, **more)
    getattr(TF, name)(torch.tensor(x), *theirs, **more)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a.data, b.numpy())


@pytest.mark.parametrize("name", ["batch_norm", "instance_norm"])
def test_an_empty_batch_leaves_running_statistics_alone(name: str) -> None:
    mean, var = minigrad.tensor([1.0, 2.0]), minigrad.tensor([3.0, 4.0])
    training = {"training": True} if name == "batch_norm" else {}
    y = getattr(F, name)(minigrad.zeros(0, 2, 3), mean, var, **training)
    assert y.shape == (0, 2, 3)
    assert (mean.tolist(), var.tolist()) == ([1, 2], [3, 4])


def test_evaluation_leaves_running_statistics_alone() -> None:
    mean, var = minigrad.tensor([1.0, 2.0]), minigrad.tensor([3.0, 4.0])
    F.batch_norm(real(1, 3, 2).astype(np.float32), mean, var)
    assert mean.tolist() == [1, 2]
    assert var.tolist() == [3, 4]


# ---- dropout -------------------------------------------------------------------------------------

def test_dropout_keeps_the_mean_and_masks_the_gradient() -> None:
    minigrad.manual_seed(0)
    x = minigrad.tensor(np.ones((100, 100)), requires_grad=True)
    y = F.dropout(x, 0.3)
    kept = y.data != 0
    assert abs(kept.mean() - 0.7) < 4 * np.sqrt(0.21 / 10_000)
    np.testing.assert_allclose(y.data[kept], 1 / 0.7)
    y.backward(np.full(y.shape, 2.0))
    np.testing.assert_allclose(x.grad.data, 2 * y.data)


def test_dropout_repeats_with_its_seed_only() -> None:
    x = np.ones(100, np.float32)

    def draw(seed: int) -> Any:
        minigrad.manual_seed(seed)
        return F.dropout(x).data
    np.testing.assert_array_equal(draw(1), draw(1))
    assert (draw(1) != draw(2)).any()
    assert draw(1).dtype == np.float32


def test_dropout_at_its_ends() -> None:
    x = minigrad.tensor([1.0, 2.0])
    assert F.dropout(x, 0.5, training=False) is x
    assert F.dropout(x, 0.0).tolist() == [1, 2]
    assert F.dropout(x, 1.0).tolist() == [0, 0]
    with pytest.raises(ValueError, match=r"dropout: p must lie in \[0, 1\]; got 1.5"):
        F.dropout(x, 1.5)


def test_dropout_takes_floats_and_a_number() -> None:
    assert F.dropout(np.arange(3), 0.5, training=False).tolist() == [0, 1, 2]
    assert F.dropout(np.arange(3), 1.0).tolist() == [0, 0, 0]
    with pytest.raises(RuntimeError, match=r"dropout: needs floating point input.* got int64"):
        F.dropout(np.arange(3))
    with pytest.raises(TypeError, match="dropout: p must be a number; got None"):
        F.dropout(minigrad.ones(3), None)


# ---- embedding -----------------------------------------------------------------------------------

ROWS = np.array([[0, 2], [2, 1]])


@pytest.mark.parametrize("norm_type", [2.0, 1, 3, np.inf, 0])
@pytest.mark.parametrize("max_norm", [1.0, 0.5, 0, 9])
def test_max_norm_shortens_the_rows_in_place(max_norm: float, norm_type: float) -> None:
    table = real(1, 4, 3)
    ours, theirs = (new(table, requires_grad=True) for new in (minigrad.tensor, torch.tensor))
    y = F.embedding(ROWS, ours, 1, max_norm, norm_type)
    expected = TF.embedding(torch.tensor(ROWS), theirs, 1, max_norm, norm_type)
    np.testing.assert_allclose(y.data, expected.detach().numpy(), rtol=1e-13)
    np.testing.assert_allclose(ours.data, theirs.detach().numpy(), rtol=1e-13)
    for t in (y, expected):
        (t * t).sum().backward()
    np.testing.assert_allclose(ours.grad.data, theirs.grad.numpy(), rtol=1e-13)


@pytest.mark.parametrize("padding_idx", [None, 2])
def test_gradients_can_be_scaled_by_how_often_a_row_was_used(padding_idx: int | None) -> None:
    table = real(1, 4, 3)
    ours, theirs = (new(table, requires_grad=True) for new in (minigrad.tensor, torch.tensor))
    more = {"padding_idx": padding_idx, "scale_grad_by_freq": True}
    y, expected = F.embedding(ROWS, ours, **more), TF.embedding(torch.tensor(ROWS), theirs, **more)
    np.testing.assert_array_equal(y.data, expected.detach().numpy())
    for t in (y, expected):
        (t * t).sum().backward()
    np.testing.assert_allclose(ours.grad.data, theirs.grad.numpy(), rtol=1e-13)


def test_sparse_gradients_are_refused() -> None:
    with pytest.raises(RuntimeError, match="embedding: sparse=True is not supported"):
        F.embedding(ROWS, minigrad.ones(4, 3), sparse=True)


@pytest.mark.parametrize("padding_idx", [4, -5])
def test_a_padding_row_outside_the_table_is_refused(padding_idx: int) -> None:
    with pytest.raises(ValueError, match=rf"padding_idx must lie in \[-4, 3\]; got {padding_idx}"):
        F.embedding(ROWS, minigrad.ones(4, 3), padding_idx)
