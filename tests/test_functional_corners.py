"""What torch.nn.functional's functions do at the edges: nothing to work on, one of a kind, other
dtypes, infinities; and what they warn of or refuse beyond the op table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numba
import numpy as np
import pytest
import torch
import torch.nn.functional as TF

import minigrad
from minigrad import functional as F
from minigrad.tensor import Tensor


def real(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_converts_first_and_guesses_a_dim(name: str) -> None:
    ours, theirs = getattr(F, name), getattr(TF, name)
    x = np.array([[1, 2, 4]])
    y = ours(x, 1, dtype=np.float64)
    np.testing.assert_allclose(y.data, theirs(torch.tensor(x), 1, dtype=torch.float64), rtol=1e-13)
    with pytest.raises(RuntimeError, match=f"{name}: needs floating point input"):
        ours(minigrad.ones(2), 0, dtype=np.int64)
    for shape in ((), (3,), (2, 3), (2, 3, 4), (2, 3, 4, 5)):
        x = real(1, *shape)
        with pytest.warns(UserWarning, match=f"{name}: dim was not given; . is guessed"):
            y = ours(x)
        with pytest.warns(UserWarning, match="Implicit dimension choice"):
            expected = theirs(torch.tensor(x))
        np.testing.assert_allclose(y.data, expected.numpy(), rtol=1e-12, atol=1e-15)


@pytest.fixture
def all_threads() -> Iterator[None]:
    before = numba.get_num_threads()
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    yield
    numba.set_num_threads(before)


def test_a_convolution_is_a_matrix_product_of_what_unfold_gives() -> None:
    x, w = minigrad.tensor(real(1, 2, 3, 5, 6)), minigrad.tensor(real(2, 4, 3, 3, 2))
    y = w.reshape(4, -1) @ F.unfold(x, (3, 2), padding=1)
    np.testing.assert_allclose(y.data, F.conv2d(x, w, padding=1).data.reshape(2, 4, -1), atol=1e-12)


def test_masks_can_be_unfolded() -> None:
    x = real(1, 2, 3, 4) > 0
    expected = TF.unfold(torch.tensor(x), 2, padding=1).numpy()
    y = F.unfold(x, 2, padding=1)
    assert y.dtype == np.bool_
    np.testing.assert_array_equal(y.data, expected)


def test_infinities_pass_through_convolutions_in_silence(all_threads: None) -> None:
    x, w = real(1, 9, 2, 4, 4), real(2, 3, 2, 2, 2)
    x[:, 0, 1, 1], x[:, 1, 2, 2], x[3] = np.inf, np.nan, -np.inf
    ours, theirs = minigrad.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    ours_w, theirs_w = minigrad.tensor(w, requires_grad=True), torch.tensor(w, requires_grad=True)
    y, expected = F.conv2d(ours, ours_w, padding=1), TF.conv2d(theirs, theirs_w, padding=1)
    np.testing.assert_allclose(y.data, expected.detach().numpy(), rtol=1e-12, atol=1e-12)
    g = np.where(real(3, *y.shape) > 0, 1.0, np.inf)
    y.backward(minigrad.tensor(g))
    expected.backward(torch.tensor(g))
    np.testing.assert_allclose(ours.grad.data, theirs.grad.numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ours_w.grad.data, theirs_w.grad.numpy(), rtol=1e-12, atol=1e-12)


def test_images_of_bytes_keep_their_values_at_the_nearest_place() -> None:
    x = np.arange(24, dtype=np.uint8).reshape(1, 2, 3, 4)
    y = F.interpolate(x, (5, 3))
    assert y.dtype == np.uint8
    np.testing.assert_array_equal(y.data, TF.interpolate(torch.tensor(x), (5, 3)).numpy())


def test_an_average_over_no_channels_is_empty() -> None:
    assert F.adaptive_avg_pool2d(minigrad.zeros(2, 0, 3, 4), (2, 1)).shape == (2, 0, 2, 1)



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
    assert F.one_hot(np.zeros((2, 0), np.int64), 3).shape == (2, 0, 3)
    for bad, n, kind, message in (
            (classes, 2, RuntimeError, r"classes must lie in \[0, 1\]; got 0 to 2"),
            (np.array([-1]), -1, RuntimeError, r"classes must lie in \[0, -1\]; got -1 to -1"),
            (np.array([], np.int64), -1, RuntimeError, "num_classes must be given"),
            (np.array([1], np.int32), -1, RuntimeError, "needs int64; got int32"),
            (classes, 3.0, TypeError, "num_classes must be an int; got 3.0")):
        with pytest.raises(kind, match=f"one_hot: {message}"):
            F.one_hot(bad, n)


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
    for smoothing in (0.0, 0.1):
        loss = F.cross_entropy(np.ones((2, 3)), np.array([-100, -100]), label_smoothing=smoothing)
        assert np.isnan(loss.item())


def test_losses_of_shapes_that_do_not_broadcast_are_refused() -> None:
    for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "kl_div"):
        with pytest.raises(RuntimeError, match=rf"{name}: x \(2, 3\) and target \(2, 4\) do not"):
            getattr(F, name)(np.ones((2, 3)), np.ones((2, 4)))


def test_the_divergence_of_one_distribution() -> None:
    x, t = np.log([0.2, 0.8]), np.array([0.5, 0.5])
    for reduction in ("sum", "batchmean"):
        expected = TF.kl_div(torch.tensor(x), torch.tensor(t), reduction=reduction).item()
        assert F.kl_div(x, t, reduction=reduction).item() == pytest.approx(expected, rel=1e-13)
    assert F.kl_div(x[0], t[0], reduction="batchmean").shape == ()


def test_a_length_beyond_all_numbers_makes_a_cosine_of_0_as_in_torch() -> None:
    a, b = np.array([[1e200, 1e200]]), np.array([[1.0, 2.0]])
    assert TF.cosine_similarity(torch.tensor(a), torch.tensor(b)).item() == 0
    assert F.cosine_similarity(a, b).item() == 0


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
    with pytest.raises(TypeError, match="conv2d: needs a Tensor, an array or numbers; got None"):
        F.conv2d(None, minigrad.ones(1, 1, 1, 1))


def test_batch_norm_sends_back_whatever_gradient_comes() -> None:
    """Again, and changed in place meanwhile"""
    rng = np.random.default_rng(0)
    x, w, g = (rng.standard_normal(shape) for shape in ((4, 3, 2), (3,), (4, 3, 2)))
    for change in ("tensor", "array"):
        ours = [minigrad.tensor(a.copy(), requires_grad=True) for a in (x, w)]
        theirs = [torch.tensor(a, requires_grad=True) for a in (x, w)]
        y = F.batch_norm(ours[0], None, None, ours[1], training=True)
        t = TF.batch_norm(theirs[0], None, None, theirs[1], training=True)
        gy, gt = minigrad.tensor(g.copy()), torch.tensor(g)
        y.backward(gy, retain_graph=True), t.backward(gt, retain_graph=True)
        if change == "tensor":
            gy[0] = 0.0
        else:
            gy.numpy()[0] = 0
        gt[0] = 0
        y.backward(gy), t.backward(gt)
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_a_response_norms_gradient_is_the_same_when_it_is_recorded() -> None:
    x = np.random.default_rng(0).standard_normal((2, 7, 3)).astype(np.float32) * 1e15
    x[0, 3, 0] = np.nan
    grads = []
    for recorded in (False, True):
        t = minigrad.tensor(x, requires_grad=True)
        y = F.local_response_norm(t, 3).sum()
        grads.append(minigrad.grad(y, t, create_graph=recorded)[0].detach().numpy())
    np.testing.assert_array_equal(*grads)


def test_large_float16_is_computed_as_small_is() -> None:
    x = np.random.default_rng(0).standard_normal((300, 300)).astype(np.float16)
    t = minigrad.tensor(x)
    for y, exact in ((F.relu(t), np.maximum(x, 0)), (t @ t, x @ x), (F.linear(t, t), x @ x.T)):
        assert y.dtype == np.float16
        np.testing.assert_allclose(y.numpy(), exact, rtol=1e-2, atol=0.2)

