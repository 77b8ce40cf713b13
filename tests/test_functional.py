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
from minigrad.tensor import Tensor

NOT_OURS = {"inplace", "out", "_stacklevel", "dtype", "max_norm", "norm_type", "scale_grad_by_freq",
            "sparse"}      # in-place results, output arrays, sparse tables
WITH_INDICES = {"max_pool2d": "max_pool2d_with_indices",
                "adaptive_max_pool2d": "adaptive_max_pool2d_with_indices"}


def real(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape)


def torch_parameters(name: str) -> dict[str, Any]:
    """Names and defaults in order, from the signature or, for built-ins, the docstring."""
    function = getattr(TF, WITH_INDICES.get(name, name))
    try:
        parameters = inspect.signature(function).parameters.values()
        return {p.name: p.default for p in parameters if p.name not in NOT_OURS}
    except ValueError:
        listed = re.search(r"\((.*?)\) ->", function.__doc__).group(1)
        pairs = [argument.partition("=") for argument in listed.replace(" ", "").split(",")]
        return {n: eval(value) if value else inspect.Parameter.empty for n, _, value in pairs}


@pytest.mark.parametrize("name", F.__all__)
def test_signatures_are_torchs(name: str) -> None:
    ours = {p.name: p.default for p in inspect.signature(getattr(F, name)).parameters.values()}
    theirs = torch_parameters(name)
    if name in ("softmax", "log_softmax"):
        assert theirs["dim"] is None        # torch guesses, and warns; here it is asked for
        theirs["dim"] = inspect.Parameter.empty
    if name in WITH_INDICES:
        ours["return_indices"] = theirs["return_indices"]       # what picks the variant looked at
    assert list(ours.items()) == list(theirs.items())


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


# ---- corners -------------------------------------------------------------------------------------

def test_padding_same_puts_an_odd_rest_behind() -> None:
    x, w = real(1, 2, 3, 5, 6), real(2, 4, 3, 2, 4)
    expected = TF.conv2d(TF.pad(torch.tensor(x), (1, 2, 0, 1)), torch.tensor(w))
    np.testing.assert_allclose(F.conv2d(x, w, padding="same").data, expected.numpy(), atol=1e-12)


def test_a_window_that_holds_only_padding_is_minus_infinity() -> None:
    x = minigrad.tensor(np.ones((1, 2, 1)), requires_grad=True)
    static = {"kernel_size": 2, "stride": 1, "padding": (0, 1), "dilation": (1, 2)}
    y = F.max_pool2d(x, **static)
    np.testing.assert_array_equal(y.data, TF.max_pool2d(torch.tensor(x.detach().numpy()), **static))
    y.backward(np.ones(y.shape))
    assert x.grad.data.any() == np.isfinite(y.data).any()


def test_one_hot() -> None:
    classes = np.array([[0, 2], [1, 1]])
    for n in (-1, 4):
        expected = TF.one_hot(torch.tensor(classes), n).numpy()
        np.testing.assert_array_equal(F.one_hot(classes, n).data, expected)
    with pytest.raises(RuntimeError, match=r"one_hot: classes must lie in \[0, 1\]; got 0 to 2"):
        F.one_hot(classes, 2)


def test_gradient_of_an_embedding_skips_the_padding_row() -> None:
    weight = minigrad.tensor(real(1, 4, 2), requires_grad=True)
    F.embedding(np.array([0, 1, 1]), weight, padding_idx=-3).sum().backward()
    assert weight.grad.tolist() == [[1, 1], [0, 0], [0, 0], [0, 0]]


def test_losses_of_different_shapes_warn_and_broadcast_as_in_torch() -> None:
    x, t = real(1, 3, 1), real(2, 3)
    for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"):
        with pytest.warns(UserWarning, match=rf"{name}: target \(3,\) and x \(3, 1\) differ"):
            loss = getattr(F, name)(x, t)
        with pytest.warns(UserWarning, match="target size"):
            expected = getattr(TF, name)(torch.tensor(x), torch.tensor(t))
        np.testing.assert_allclose(loss.item(), expected.item(), rtol=1e-13)


@pytest.mark.parametrize("argument", ["size_average", "reduce"])
@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss", "mse_loss", "l1_loss",
                                  "smooth_l1_loss", "binary_cross_entropy", "kl_div",
                                  "binary_cross_entropy_with_logits"])
def test_arguments_that_torch_deprecated_are_refused(name: str, argument: str) -> None:
    with pytest.raises(TypeError, match=f"{name}: size_average and reduce went out of use"):
        getattr(F, name)(np.ones((2, 3)), np.ones((2, 3)), **{argument: True})


@pytest.mark.parametrize(("name", "options"), [
    ("binary_cross_entropy", {"weight": [0.5, 2.0, 1.0]}),
    ("binary_cross_entropy_with_logits", {"weight": [[0.5], [2.0]]}),
    ("binary_cross_entropy_with_logits", {"pos_weight": [0.5, 2.0, 3.0]}),
    ("mse_loss", {"weight": [[0.5, 2.0, 3.0], [1.0, 1.0, 2.0]]}),
    ("l1_loss", {"weight": [[0.5, 2.0, 3.0], [1.0, 1.0, 2.0]]}),
    ("huber_loss", {"weight": [[0.5, 2.0, 3.0], [1.0, 1.0, 2.0]], "delta": 0.2}),
])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_weighted_losses_are_torchs(name: str, options: dict[str, Any], reduction: str) -> None:
    rng = np.random.default_rng(1)
    x, t = rng.uniform(0.1, 0.9, (2, 2, 3))
    xs, ts = minigrad.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)

    def given(new: Any, dtype: Any) -> dict[str, Any]:
        return {k: new(v, dtype=dtype) if isinstance(v, list) else v for k, v in options.items()}
    y = getattr(F, name)(xs, t, reduction=reduction, **given(minigrad.tensor, np.float64))
    expected = getattr(TF, name)(ts, torch.tensor(t), reduction=reduction,
                                 **given(torch.tensor, torch.float64))
    np.testing.assert_allclose(y.data, expected.detach().numpy(), rtol=1e-12)
    y.sum().backward()
    expected.sum().backward()
    np.testing.assert_allclose(xs.grad.data, ts.grad.numpy(), rtol=1e-12)


def test_a_mean_over_no_item_is_nan_as_in_torch() -> None:
    with np.errstate(invalid="ignore"):
        loss = F.cross_entropy(np.ones((2, 3)), np.array([-100, -100]))
    assert np.isnan(loss.item())


def test_results_are_tensors_whatever_the_arguments_are() -> None:
    x, w = real(1, 2, 3).astype(np.float32), real(2, 4, 3).astype(np.float32)
    assert isinstance(F.linear(x, w), Tensor)
    assert isinstance(F.relu(x.tolist()), Tensor)


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss"])
def test_weights_of_another_shape_are_refused(name: str) -> None:
    x = np.ones((2, 4))
    with pytest.raises(ValueError, match=rf"{name}: weight must have x's shape"):
        getattr(F, name)(x, x, weight=np.ones(4))


def test_cross_entropys_errors_bear_its_name() -> None:
    x = np.ones((2, 3))
    with pytest.raises(IndexError, match="cross_entropy: target must lie in"):
        F.cross_entropy(x, np.array([0, 5]))
    with pytest.raises(ValueError, match="cross_entropy: reduction must be"):
        F.cross_entropy(x, np.array([0, 1]), reduction="average")


def test_cross_entropy_of_no_probabilities_is_nan() -> None:
    assert np.isnan(F.cross_entropy(minigrad.zeros(0, 3), minigrad.zeros(0, 3)).item())


def test_convolutions_of_nothing_are_refused() -> None:
    with pytest.raises(TypeError, match="cannot hold data"):
        F.conv2d(None, minigrad.ones(1, 1, 1, 1))
