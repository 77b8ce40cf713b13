"""Sums of very many float32 numbers keep their digits: in every op, along any dim, in any order of
memory, in compiled loops and in their twins.

A float32 has 24 bits. Where a million equal numbers are added one after the other, each addition
rounds in the same direction, and the errors add up to a percent. Equal numbers are the hardest
case; random ones are rounded up as often as down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import functional as F, nn
from minigrad.kernels import compile as kernel_compiler, winograd
from minigrad.ops.reduce import vector_norm

N = 2**18
BOUND = 2e-6
PRODUCTS = 2e-5         # an inner dim is added up in float32, but no more than 1024 numbers of it

Array = Any
Results = Iterator[tuple[str, Any, Any]]        # what was computed, as found, and exactly
Make = Callable[..., Array]


@cache
def values(kind: str) -> Array:
    """2²² positive numbers, all equal or random."""
    if kind == "equal":
        return np.full(2**22, 0.1, np.float32)
    return np.random.default_rng(0).uniform(0.01, 1, 2**22).astype(np.float32)


@pytest.fixture(params=["equal", "random"])
def make(request: pytest.FixtureRequest) -> Make:
    def make(*shape: int, order: Any = "C") -> Array:
        return np.array(values(request.param)[:np.prod(shape)].reshape(shape), order=order)
    return make


@pytest.fixture(autouse=True, params=["loops", "twins"])
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_compiler, "TWINS_ONLY", request.param == "twins")


def wide(x: Any) -> Array:
    return np.asarray(x.data if isinstance(x, mg.Tensor) else x, np.float64)


def check(results: Results, bound: float = BOUND) -> None:
    wrong = []
    for name, found, exact in results:
        found = wide(found)
        assert found.shape == np.shape(exact), name
        error = np.max(np.abs(found - exact) / np.abs(exact))
        if not error <= bound:
            wrong.append(f"{name}: {error:.1e}")
    assert not wrong, ", ".join(wrong)


def leaf(*shape: int) -> mg.Tensor:
    return mg.zeros(*shape, requires_grad=True)


def gradient(x: mg.Tensor, y: mg.Tensor, g: Array) -> mg.Tensor:
    """The gradient of x, where that of y is g."""
    x.grad = None
    y.backward(mg.tensor(g))
    assert x.grad is not None
    return x.grad


# ---- reductions ----------------------------------------------------------------------------------

def layouts(make: Make, n: int) -> Iterator[tuple[str, Array, Any]]:
    """n numbers in arrays of different shapes and orders of memory, and the dims to reduce."""
    yield "vector", make(n), 0
    yield "vector, every other", make(2 * n)[::2], 0
    yield "vector, backwards", make(n)[::-1], 0
    yield "rows", make(2, n // 2), 1
    yield "rows, column by column", make(2, n // 2, order="F"), 1
    yield "columns", make(n // 2, 2), 0
    yield "columns, column by column", make(n // 2, 2, order="F"), 0
    yield "columns with gaps", make(n // 2, 4)[:, ::2], (0, 1)
    yield "all, transposed", make(2, n // 8, 4).transpose(1, 2, 0), (0, 1, 2)
    yield "all but the middle", make(n // 16, 2, 8), (0, 2)
    yield "the middle", make(4, n // 8, 2), 1
    yield "the middle, images last", make(n // 8, 2, 4).transpose(2, 0, 1), 1
    yield "expanded", np.broadcast_to(make(n // 8, 1), (n // 8, 8)), (0, 1)


@pytest.mark.parametrize("n", [2**9, 2**12, 2**14, N])
def test_reductions(make: Make, n: int) -> None:
    def results() -> Results:
        for name, x, dims in layouts(make, n):
            exact = wide(x)
            yield f"sum {name}", mg.sum(x, dims), exact.sum(dims)
            yield f"mean {name}", mg.mean(x, dims), exact.mean(dims)
            norm = np.sqrt((exact**2).sum(dims))
            yield f"norm {name}", vector_norm(x, 2, dims), norm
            yield f"logsumexp {name}", mg.logsumexp(x, dims), np.log(np.exp(exact).sum(dims))
            spread = exact.std(dims, ddof=1)
            if np.all(spread > 0.01):
                yield f"std {name}", mg.std(x, dims), spread
                yield f"var {name}", mg.var(x, dims), spread**2
    check(results())


@pytest.mark.parametrize("n", [2**9, 2**14, N])
def test_running_sums(make: Make, n: int) -> None:
    def results() -> Results:
        for name, x, _ in layouts(make, n):
            for dim in range(x.ndim):
                yield f"{name} along {dim}", mg.cumsum(x, dim), wide(x).cumsum(dim)
    check(results())


def test_softmax(make: Make) -> None:
    def results() -> Results:
        for name, x, dims in layouts(make, N):
            dim = dims if isinstance(dims, int) else 0
            exp = np.exp(wide(x))
            softmax = exp / exp.sum(dim, keepdims=True)
            yield f"softmax {name}", mg.softmax(x, dim), softmax
            yield f"log_softmax {name}", mg.log_softmax(x, dim), np.log(softmax)
    check(results())


def test_gradients_of_broadcasts(make: Make) -> None:
    def results() -> Results:
        for order in "CF":
            g = make(N // 4, 4, order=order)
            sums = wide(g).sum(0)
            b = leaf(4)
            yield f"bias {order}", gradient(b, mg.zeros(N // 4, 4) + b, g), sums
            b = leaf(1, 4)
            yield f"expand {order}", gradient(b, b.expand(N // 4, 4), g), sums[None]
            linear = nn.Linear(2, 4)
            assert linear.bias is not None
            y = linear(mg.zeros(N // 4, 2))
            yield f"linear {order}", gradient(linear.bias, y, g), sums
        images = make(N // 256, 4, 64)
        for shape in ((8, 8), (64,)):
            conv = nn.Conv2d(1, 4, 1) if len(shape) == 2 else nn.Conv1d(1, 4, 1)
            assert conv.bias is not None
            y = conv(mg.zeros(N // 256, 1, *shape))
            yield (f"conv {shape}", gradient(conv.bias, y, images.reshape(y.shape)),
                   wide(images).sum((0, 2)))
    check(results())


# ---- norms ---------------------------------------------------------------------------------------

NORMS: dict[str, tuple[Callable[[], Any], tuple[int, ...], tuple[int, ...]]] = {
    "batch norm": (lambda: nn.BatchNorm2d(4), (N // 256, 4, 8, 8), (0, 2, 3)),
    "batch norm of few channels": (lambda: nn.BatchNorm1d(2), (N // 2, 2), (0,)),
    "layer norm of many": (lambda: nn.LayerNorm(8), (N // 8, 8), (0,)),
    "group norm of large groups": (lambda: nn.GroupNorm(2, 4), (2, 4, N // 8), (0, 2)),
    "group norm of many": (lambda: nn.GroupNorm(2, 4), (N // 64, 4, 4, 4), (0, 2, 3)),
    "instance norm": (lambda: nn.InstanceNorm2d(4, affine=True, track_running_stats=True),
                      (N // 256, 4, 8, 8), (0, 2, 3))}


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("last", [False, True])
def test_norms(make: Make, name: str, last: bool) -> None:
    """Running statistics and the gradients of weight and bias, also with images batch last."""
    build, shape, dims = NORMS[name]
    layer = build()
    x = values("random")[:N].reshape(shape)
    g = make(*shape)
    if last:
        x, g = (np.moveaxis(np.moveaxis(array, 0, -1).copy(), -1, 0) for array in (x, g))
    exact = wide(x)
    y = layer(mg.tensor(x))
    g = g * (y.data > 0)                            # so that no summand of Σ g·x̂ is negative

    def results() -> Results:
        yield "bias", gradient(layer.bias, layer(mg.tensor(x)), g), wide(g).sum(dims)
        yield "weight", gradient(layer.weight, layer(mg.tensor(x)), g), (wide(g) * normal).sum(dims)
        if "batch" in name or "instance" in name:
            over = dims if "batch" in name else dims[1:]
            mean, var = exact.mean(over), exact.var(over, ddof=1)
            if "instance" in name:
                mean, var = mean.mean(0), var.mean(0)
            layer.reset_running_stats()
            layer(mg.tensor(x))
            yield "running mean", layer.running_mean, 0.1 * mean
            yield "running variance", layer.running_var, 0.9 + 0.1 * var

    sets = {"layer": (-1,), "batch": dims}.get(name[:5], tuple(range(2, x.ndim)))
    grouped = exact.reshape(len(x), 2, -1) if "group" in name else exact
    sets = (2,) if "group" in name else sets
    centred = grouped - grouped.mean(sets, keepdims=True)
    normal = (centred / np.sqrt(np.square(centred).mean(sets, keepdims=True) + 1e-5)).reshape(shape)
    check(results())


# ---- windows and places --------------------------------------------------------------------------

@pytest.mark.parametrize("images", [1, 2, 16])
def test_pools(make: Make, images: int) -> None:
    def results() -> Results:
        for last in (False, True):
            x = make(images, 1, 256, N // 256 // images)
            x = x.transpose(1, 2, 3, 0).copy().transpose(3, 0, 1, 2) if last else x
            mean = wide(x).mean((2, 3), keepdims=True)
            yield f"adaptive, last {last}", F.adaptive_avg_pool2d(x, 1), mean
            yield f"average, last {last}", F.avg_pool2d(x, x.shape[2:]), mean
        x = make(images, 1, N // images)
        yield "row", F.avg_pool1d(x, N // images), wide(x).mean(2, keepdims=True)
        t = leaf(images, 1, 64, 64)
        g = make(images, 1, 64, 64)[:, :, :48, :48].copy()
        found = gradient(t, F.avg_pool2d(t, 33, 1, 8), g)
        exact = wide(g)[:, 0, 8:41, 8:41].sum((1, 2)) / 33**2
        yield "gradient of overlapping windows", found[:, 0, 32, 32], exact
        t = leaf(images, 1, 65, 65)
        t.data[:, :, 32, 32] = 1
        g = make(images, 1, 33, 33)
        found = gradient(t, F.max_pool2d(t, 33, 1), g)
        yield "gradient of one maximum", found[:, 0, 32, 32], wide(g).sum((1, 2, 3))
    check(results())


def test_values_added_up_in_places(make: Make) -> None:
    rows, columns = np.ones(N // 4, np.int64), np.ones((3, N // 4), np.int64)

    def results() -> Results:
        g = make(N // 4, 4)
        sums, table = wide(g).sum(0), leaf(3, 4)
        for name, y in (("embedding", F.embedding(mg.tensor(rows), table)), ("rows", table[rows]),
                        ("index_select", table.index_select(0, mg.tensor(rows)))):
            yield name, gradient(table, y, g)[1], sums
        yield "places", gradient(table, table[rows, rows], g[:, 0])[1, 1], sums[0]
        across = g[:, :3].T.copy()
        for name, y in (("gather", table.gather(1, mg.tensor(columns))),
                        ("columns", table[:, rows]),
                        ("index_select 1", table.index_select(1, mg.tensor(rows)))):
            yield name, gradient(table, y, across)[:, 1], sums[:3]
        line = make(N // 4)
        x = mg.tensor(line[:8].reshape(1, 1, 8), requires_grad=True)
        y = F.pad(x, (N // 4 - 8, 0), mode="replicate")
        yield "replicate", gradient(x, y, line.reshape(y.shape))[0, 0, 0], wide(line[:-7]).sum()
        y = F.interpolate(x, N // 4)
        yield ("nearest", gradient(x, y, line.reshape(y.shape))[0, 0],
               wide(line).reshape(8, -1).sum(1))
    check(results())


# ---- losses, products, norms of gradients --------------------------------------------------------

def test_losses(make: Make) -> None:
    def results() -> Results:
        for shape in ((N,), (N // 4, 4), (N // 4, 4, 1)):
            x, zero = make(*shape), np.zeros(shape, np.float32)
            exact = wide(x)
            yield "l1", F.l1_loss(x, zero), exact.mean()
            yield "mse", F.mse_loss(x, zero), (exact**2).mean()
            yield "mse, a sum", F.mse_loss(x, zero, reduction="sum"), (exact**2).sum()
            weights = np.full(shape, 0.1, np.float32)
            yield "mse, weighted", F.mse_loss(x, zero, weight=weights), (exact**2).mean()
        logits, t = make(N // 4, 4), np.ones(N // 4, np.int64)
        exact = wide(logits)
        log_p = exact - np.log(np.exp(exact).sum(1, keepdims=True))
        w = np.full(4, 0.1, np.float32)
        for weight in (None, w):
            yield "cross-entropy", F.cross_entropy(logits, t, weight), -log_p[:, 1].mean()
            yield "nll", F.nll_loss(-logits, t, weight), exact[:, 1].mean()
            smooth = F.cross_entropy(logits, t, weight, label_smoothing=0.1)
            yield "smoothed", smooth, -(0.9 * log_p[:, 1] + 0.1 * log_p.mean(1)).mean()
        yield "sum", F.cross_entropy(logits, t, reduction="sum"), -log_p[:, 1].sum()
        mean = np.full_like(logits, 0.25)
        yield "soft", F.cross_entropy(logits, mean), -log_p.mean(1).mean()
        for shape in ((2, N // 2), (2, N // 4, 2)):         # of very many classes
            x = make(*shape)
            classes = np.zeros((2, *shape[2:]), np.int64)
            exact = np.log(np.exp(wide(x)).sum(1)) - wide(x)[:, 0]
            yield "many classes", F.cross_entropy(x, classes, reduction="none"), exact
    check(results())


def test_norms_of_vectors(make: Make) -> None:
    def results() -> Results:
        for p in (1, 2, 3):
            g = make(N)
            exact = (wide(g)**p).sum() ** (1 / p)
            weight = leaf(N)
            weight.grad = mg.tensor(g)
            yield f"clip {p}", nn.utils.clip_grad_norm_([weight], 1e9, p), exact
            parts = [leaf(N // 2), leaf(1, N // 2)]
            for part, half in zip(parts, g.reshape(2, -1), strict=True):
                part.grad = mg.tensor(half.reshape(part.shape))
            yield f"clip {p}, two", nn.utils.clip_grad_norm_(parts, 1e9, p), exact
            yield f"norm {p}", vector_norm(g, p), exact
        a, b = make(2, N // 2), make(2, N // 2)[::-1]
        norms = [np.sqrt((wide(x)**2).sum(1)) for x in (a, b)]
        cosine = (wide(a) * wide(b)).sum(1) / norms[0] / norms[1]
        yield "cosine", F.cosine_similarity(a, b), cosine
        yield "normalize", F.normalize(mg.tensor(a)), wide(a) / norms[0][:, None]
        yield "normalize 0", F.normalize(mg.tensor(a.T), dim=0), (wide(a) / norms[0][:, None]).T
    check(results())


@pytest.mark.parametrize(("m", "n"), [
    (1, 1), (1, 2), (2, 1), (4, 4), (8, 1), (1, 8), (8, 8), (9, 3)])
@pytest.mark.parametrize("k", [2**10, 2**13, 2**17])
def test_products(make: Make, m: int, n: int, k: int) -> None:
    def results() -> Results:
        for left in "CF":
            for right in "CF":
                a, b = make(m, k, order=left), make(k, n, order=right)
                yield f"{left}{right}", mg.matmul(a, b), wide(a) @ wide(b)
        a, b = make(3, m, k // 4), make(3, k // 4, n)
        yield "stack", mg.matmul(a, b), wide(a) @ wide(b)
        a, b = make(2, k, m), make(2, k, n)
        yield "einsum", mg.einsum("bki,bkj->ij", a, b), np.einsum("bki,bkj->ij", wide(a), wide(b))
        yield "einsum, a sum", mg.einsum("bki->i", a), wide(a).sum((0, 1))
        x, w = mg.tensor(make(k, m)), leaf(n, m)
        g = make(k, n)
        yield "linear's weight", gradient(w, F.linear(x, w), g), wide(g).T @ wide(x)
    check(results(), PRODUCTS)


@pytest.mark.parametrize(("channels", "outs", "kernel"), [
    (1, 1, 1), (2, 4, 1), (2, 4, 3), (16, 16, 3)])
def test_gradients_of_a_convolution_s_weights(make: Make, channels: int, outs: int, kernel: int
                                              ) -> None:
    def results() -> Results:
        for images in (2, 128):
            side = 8 * int((N // 64 // images / channels) ** 0.5)
            x, g = make(images, channels, side, side), make(images, outs, side, side)
            w = leaf(outs, channels, kernel, kernel)
            dw = gradient(w, F.conv2d(x, w, padding=kernel // 2), g)
            exact = np.tensordot(wide(g), wide(x), ((0, 2, 3), (0, 2, 3)))
            yield f"{images} images", dw[:, :, kernel // 2, kernel // 2], exact
    check(results(), PRODUCTS)


def test_gradient_of_winograd_s_weights_over_many_tiles(make: Make) -> None:
    x, g = make(8, 80, 80, 16), make(8, 80, 80, 16)     # 400 tiles, of which 64 are a pass
    dw = np.empty((8, 8, 3, 3), np.float32)
    scratch = np.empty((1, winograd.scratch_size(8, 8, 1, 16)), np.float32)
    partials = np.empty((1, 36, winograd.gap_between(8 * 16, 16)), np.float32)
    winograd.winograd_weight_grad(x, g, (1, 1), 1, scratch, partials, dw)
    exact = np.tensordot(wide(g), wide(x), ((1, 2, 3), (1, 2, 3)))
    check(iter([("middle", dw[:, :, 1, 1], exact)]), PRODUCTS)


@pytest.mark.parametrize(("images", "channels", "outs", "kernel", "side"), [
    (1, 4096, 4, 3, 6), (16, 2048, 16, 3, 8), (2, 3, 4096, 3, 6), (1, 16384, 2, 1, 3),
    (16, 4, 8192, 1, 2), (2, 1, 2, 65, 68), (1, 12, 1, 33, 34)])
def test_convolutions_with_thousands_of_taps(make: Make, images: int, channels: int, outs: int,
                                             kernel: int, side: int) -> None:
    """y adds up all taps of all channels, dx those of all outputs. 16 images go Winograd's way."""
    x = mg.tensor(make(images, channels, side, side), requires_grad=True)
    w = mg.tensor(make(outs, channels, kernel, kernel), requires_grad=True)
    y = F.conv2d(x, w, padding=int(kernel == 3))
    g = make(*y.shape)
    y.backward(mg.tensor(g))
    x_exact, w_exact = (torch.tensor(wide(t), requires_grad=True) for t in (x, w))
    exact = torch.nn.functional.conv2d(x_exact, w_exact, padding=int(kernel == 3))
    exact.backward(torch.tensor(wide(g)))
    pairs = (y, exact.detach()), (x.grad, x_exact.grad), (w.grad, w_exact.grad)
    check(((name, found, wide(wanted)) for name, (found, wanted)
           in zip(("y", "dx", "dw"), pairs, strict=True)), PRODUCTS)


@pytest.mark.parametrize(("channels", "size"), [(101, 101), (1200, 801), (3000, 6001)])
def test_response_norm_over_many_channels(make: Make, channels: int, size: int) -> None:
    x = mg.tensor(make(2, channels, 2), requires_grad=True)
    g = make(*x.shape)

    def results() -> Results:
        for beta in (0.75, 0.5):
            x.grad = None
            y = F.local_response_norm(x, size, 1.0, beta, 0.01)
            y.backward(mg.tensor(g))
            wanted = torch.tensor(wide(x), requires_grad=True)
            exact = torch.nn.functional.local_response_norm(wanted, size, 1.0, beta, 0.01)
            exact.backward(torch.tensor(wide(g)))
            assert wanted.grad is not None
            yield f"y, beta {beta}", y, exact.detach().numpy()
            # a difference, which may be close to 0: measured by what is subtracted from
            first = (wide(g) * exact.detach().numpy() / wide(x)).max()
            yield f"dx, beta {beta}", wide(x.grad) - wanted.grad.numpy() + first, \
                np.full(x.shape, first)
    check(results())


def test_folds_of_many_overlaps(make: Make) -> None:
    x = make(2, 33 * 33, 40 * 40)
    exact = torch.nn.functional.fold(torch.tensor(wide(x)), 72, 33)
    check(iter([("fold", F.fold(x, 72, 33), exact.numpy())]))
