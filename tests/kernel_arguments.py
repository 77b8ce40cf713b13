"""Arguments for each kernel, on geometry that hypothesis draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from minigrad import kernels
from minigrad.kernels.conv_plan import Geometry, input_grad_plan, output_plan
from minigrad.kernels.tile import PANEL_BYTES, ROWS, VECTORS
from minigrad.kernels.winograd import gap_of, scratch_size

EVERY = kernels.load_all()


# ---- for each kernel a function (rng, draw, dtype) → its arguments, with outputs full of junk ----

def junk(shape: Any, dtype: Any) -> Any:
    return np.full(shape, 7, dtype)


def real(rng: Any, shape: Any, dtype: Any) -> Any:
    return rng.standard_normal(shape).astype(dtype)


def convolution(rng: Any, draw: Any, dtype: str, *, least_padding: int = -1) -> dict[str, Any]:
    """A convolution's geometry, and arrays of these sizes."""
    def pair(low: int, high: int) -> Any:
        return draw(st.tuples(st.integers(low, high), st.integers(low, high)))
    size, stride, dilation, padding = pair(1, 3), pair(1, 3), pair(1, 2), pair(least_padding, 3)
    groups, channels = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    outs, images = draw(st.sampled_from([1, 2, 3, 9])), draw(st.sampled_from([1, 2, 3, 17]))
    inside, out = pair(1, 6), pair(1, 4)
    return {"x": real(rng, (groups * channels, *inside, images), dtype),
            "w": real(rng, (groups * outs, channels, *size), dtype),
            "g": real(rng, (groups * outs, *out, images), dtype),
            "geometry": Geometry(size, stride, padding, dilation, groups, inside, out),
            "sizes": (channels, outs, images, np.dtype(dtype).itemsize)}


def threads(draw: Any) -> int:
    return draw(st.integers(1, 3))


def conv(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    transposed = draw(st.booleans())
    c = convolution(rng, draw, dtype, least_padding=-1 + transposed)
    x, y = (c["g"], c["x"]) if transposed else (c["x"], c["g"])
    plan = (input_grad_plan if transposed else output_plan)(c["geometry"], *c["sizes"])
    b = real(rng, draw(st.sampled_from([0, len(y)])), dtype)
    panels = junk((threads(draw), draw(st.integers(1, 3)), max(1, plan.longest),
                   PANEL_BYTES // x.itemsize), dtype)
    return x, c["w"], b, *plan[:3], panels, junk(plan.scratch, dtype), junk(y.shape, dtype)


def conv_weight_grad(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    c = convolution(rng, draw, dtype)
    x, plan = c["x"], output_plan(c["geometry"], *c["sizes"], True)
    return (x, c["g"], *plan[:3], draw(st.sampled_from([(4, 6), (1, 12)])), threads(draw),
            junk(plan.scratch, dtype), junk(c["w"].shape, dtype))


def tiled(rng: Any, draw: Any, dtype: str, count: int) -> tuple[Any, ...]:
    """x, w, g, padding, scratch for `count` vectors, and the gap between transformed weights."""
    channels, outs = draw(st.sampled_from([1, 3, 17])), draw(st.sampled_from([1, 3, 9]))
    images, lanes = draw(st.sampled_from([1, 3, 17])), 64 // np.dtype(dtype).itemsize
    inside, padding = [draw(st.tuples(st.integers(low, high), st.integers(low, high)))
                       for low, high in ((3, 9), (0, 3))]
    out = [n + 2 * p - 2 for n, p in zip(inside, padding, strict=True)]
    size = scratch_size(channels, outs, count, lanes)
    return (real(rng, (channels, *inside, images), dtype), real(rng, (outs, channels, 3, 3), dtype),
            real(rng, (outs, *out, images), dtype), padding, junk((threads(draw), size), dtype),
            gap_of(outs * -(-channels // lanes), lanes))


def winograd(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    x, w, g, padding, scratch, gap = tiled(rng, draw, dtype, VECTORS)
    return (x, w, real(rng, len(w), dtype), padding, junk((36, gap), dtype), scratch,
            junk(g.shape, dtype))


def winograd_weight_grad(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    count = draw(st.integers(1, 4))
    x, w, g, padding, scratch, gap = tiled(rng, draw, dtype, count)
    partials = junk((draw(st.integers(1, 3)), 36, gap), dtype)
    return x, g, padding, count, scratch, partials, junk(w.shape, dtype)


def turn(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    outer, inner = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    rows, columns = draw(st.sampled_from([1, 3, 300])), draw(st.sampled_from([1, 5, 64, 130]))
    return (real(rng, (outer, rows, inner, columns), dtype).swapaxes(1, 2),
            junk((columns, outer, inner, rows), dtype).transpose(1, 2, 0, 3))


def matmul(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    outer, inner = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    m, k, n = (draw(st.sampled_from(sizes)) for sizes in (
        (1, 5, 8, 20, 60), (1, 5, 16, 35, 100), (1, 7, 24, 30, 48, 100)))
    a, b = (real(rng, (draw(st.sampled_from([1, outer])), draw(st.sampled_from([1, inner])),
                       *shape), dtype) for shape in ((m, k), (k, n)))
    width = PANEL_BYTES // a.itemsize
    lanes, panels = width // VECTORS, 1
    if draw(st.booleans()):
        a = np.ascontiguousarray(a.swapaxes(2, 3)).swapaxes(2, 3)
        panels += draw(st.sampled_from([0, -(-(m + ROWS) // width)]))
    if draw(st.booleans()):                     # side by side
        b = np.ascontiguousarray(b.swapaxes(1, 2)).swapaxes(1, 2)
    if draw(st.booleans()):
        b = np.ascontiguousarray(b.swapaxes(2, 3)).swapaxes(2, 3)
    bias = real(rng, (draw(st.sampled_from([0, n])),), dtype)
    parts = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    scratch = junk((threads(draw), panels, lanes * draw(st.integers(1, 3)), width), dtype)
    return a, b, bias, parts, scratch, junk((outer, inner, m, n), dtype)


def few_rows(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    m, k, n = draw(st.integers(1, 4)), draw(st.integers(1, 40)), draw(st.integers(1, 40))
    a, b = real(rng, (m, k), dtype), real(rng, (k, n), dtype)
    if draw(st.booleans()):
        b = np.ascontiguousarray(b.T).T
    bias = real(rng, (draw(st.sampled_from([0, n])),), dtype)
    return a, b, bias, draw(st.integers(1, n)), junk((m, n), dtype)


def dots(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    n = draw(st.sampled_from([1, 30, 9000]))
    return real(rng, (n,), dtype), real(rng, (n,), dtype), junk(draw(st.integers(1, 3)), "float64")


def bounds(rng: Any, draw: Any, *, empty: bool) -> tuple[Any, Any]:
    """The shape of x, and where windows start and stop along both axes."""
    shape = (*(draw(st.integers(1, 6)) for _ in range(3)), draw(st.integers(0, 4)))
    ends = []
    for n in shape[1:3]:
        start = rng.integers(0, n, draw(st.integers(1, 4)))
        ends += [start, np.minimum(start + rng.integers(0 if empty else 1, 4, start.shape), n)]
    return shape, ends


def max_pool(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    shape, ends = bounds(rng, draw, empty=True)
    x = rng.choice([0, 1, 2, -np.inf, np.nan], shape).astype(dtype)
    out = (shape[0], len(ends[0]), len(ends[2]), shape[3])
    step = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    return x, *ends, step, junk(out, dtype), junk(out, np.int32)


def max_pool_grad(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    """The indices are those of a pool: each names a place within its window, or none."""
    x, *windows, y, indices = max_pool(rng, draw, dtype)
    EVERY["max_pool"].twin(x, *windows, y, indices)
    return real(rng, y.shape, dtype), *windows, indices, junk(x.shape, dtype)


def gather(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    c, h, w, n = (draw(st.integers(low, 5)) for low in (1, 1, 1, 0))
    out = (c, draw(st.integers(1, 4)), draw(st.integers(1, 4)), n)
    indices = rng.integers(-1, h * w, out).astype(np.int32)
    return real(rng, (c, h, w, n), dtype), indices, junk(out, dtype)


def avg_pool(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    shape, ends = bounds(rng, draw, empty=False)
    out = (len(ends[0]), len(ends[2]))
    divisor = rng.uniform(1, 9, out)
    return real(rng, shape, dtype), *ends, divisor, junk((shape[0], *out, shape[3]), dtype)


def avg_pool_grad(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    x, *ends, divisor, y = avg_pool(rng, draw, dtype)
    return real(rng, y.shape, dtype), *ends, divisor, junk(x.shape, dtype)


def channels(draw: Any) -> tuple[int, int]:
    return draw(st.integers(1, 7)), draw(st.sampled_from([1, 5, 64, 256, 300, 5000]))


def channel_sums(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    shape = channels(draw)
    return real(rng, shape, dtype), junk(shape[0], dtype)


def batch_norm(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    shape = channels(draw)
    w, b = real(rng, shape[0], dtype), real(rng, shape[0], dtype)
    x = (3 + real(rng, shape, dtype)).astype(dtype)
    training = draw(st.booleans())
    statistics = (junk((2, shape[0]), "float64") if training
                  else rng.uniform(0.5, 2, (2, shape[0])))
    return x, w, b, 0.1, training, statistics, junk(shape, dtype)


def batch_norm_grad(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    x, w, b, eps, training, statistics, y = batch_norm(rng, draw, dtype)
    EVERY["batch_norm"].twin(x, w, b, eps, training, statistics, y)
    # divided so that the sums over short and long channels have values of the same size
    g = (real(rng, x.shape, dtype) / np.sqrt(x.shape[1])).astype(dtype)
    return g, x, w, eps, training, statistics, junk((2, len(x)), dtype), junk(x.shape, dtype)


def lrn_options(draw: Any) -> tuple[Any, ...]:
    return channels(draw), (draw(st.integers(1, 8)), 0.5, draw(st.sampled_from([0.75, 0.5, 1.3])),
                            1.5)


def lrn(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    shape, options = lrn_options(draw)
    return real(rng, shape, dtype), *options, junk(shape, dtype)


def lrn_grad(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    shape, options = lrn_options(draw)
    return real(rng, shape, dtype), real(rng, shape, dtype), *options, junk(shape, dtype)


def adam(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    n = draw(st.integers(0, 40))
    p, g, m = (real(rng, n, dtype) for _ in range(3))
    v, v_max = (rng.uniform(0, 1, n).astype(dtype) for _ in range(2))
    return (p, g, m, v, v if draw(st.booleans()) else v_max, draw(st.sampled_from([1.0, 0.9])),
            draw(st.sampled_from([0.0, 0.1])), 0.9, 0.999, 0.01, 0.3, 1e-8)


def sgd(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    n = draw(st.integers(0, 40))
    p, g, v = (real(rng, n, dtype) for _ in range(3))
    return p, g, v, 0.1, draw(st.sampled_from([0.0, 0.9])), 0.3, 0.01, draw(st.booleans())


def warp(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    shape = tuple(draw(st.integers(1, 6)) for _ in range(4))
    scale = draw(st.sampled_from([0.0, 1.0, 10.0]))
    moves = real(rng, (draw(st.sampled_from([0, shape[0]])), 2, *shape[2:]), dtype)
    return (real(rng, shape, dtype), scale * real(rng, (shape[0], 2, 3), dtype), 3 * moves,
            draw(st.sampled_from([0, 1])), junk(shape, dtype))


def of_one(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    n = draw(st.integers(0, 40))
    return 3 * real(rng, n, dtype), junk(n, dtype)


def of_positive(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    x, y = of_one(rng, draw, dtype)
    return np.abs(x), y


def gradient(*options: Any) -> Any:
    """Arguments (x, g, options …, dx)."""
    def arguments(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
        x, dx = of_one(rng, draw, dtype)
        return x, real(rng, len(x), dtype), *(draw(st.sampled_from(o)) for o in options), dx
    return arguments


def with_options(*options: Any) -> Any:
    """Arguments (x, options …, y)."""
    def arguments(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
        x, y = of_one(rng, draw, dtype)
        return x, *(draw(st.sampled_from(o)) for o in options), y
    return arguments


def relu(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    n = draw(st.integers(0, 40))
    return rng.choice([0, 1, 2.5, -1, np.nan, np.inf], n).astype(dtype), junk(n, dtype)


def relu_grad(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    y, dx = relu(rng, draw, dtype)
    return y, real(rng, len(y), dtype), dx


def arithmetic(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    """Operands of which some dims are repeated; the loop never sees two rows with a step of 0."""
    sizes = tuple(draw(st.integers(1, 4)) for _ in range(3))
    kept = [[draw(st.booleans()) for _ in sizes] for _ in range(2)]
    kept[0][2] |= not kept[1][2]
    operands, steps = [], []
    for own in kept:
        shape = [n if keep else 1 for n, keep in zip(sizes, own, strict=True)]
        operands.append(real(rng, int(np.prod(shape)), dtype))
        steps.append(tuple(int(np.prod(shape[i + 1:])) * keep for i, keep in enumerate(own)))
    kind = draw(st.integers(0, 3))
    return (*operands, kind, sizes, *steps, junk(int(np.prod(sizes)), dtype))


ARGUMENTS: dict[str, Callable[..., tuple[Any, ...]]] = {f.__name__: f for f in (
    conv, conv_weight_grad, winograd, winograd_weight_grad, turn, matmul, few_rows, dots,
    max_pool, max_pool_grad, gather, avg_pool, avg_pool_grad, channel_sums, batch_norm,
    batch_norm_grad, relu, lrn, lrn_grad, adam, sgd, warp, relu_grad, arithmetic)}
ARGUMENTS |= dict.fromkeys(("erf", "exp", "tanh", "sigmoid", "gelu", "gelu_tanh", "silu"), of_one)
ARGUMENTS |= dict.fromkeys(("tanh_grad", "sigmoid_grad", "gelu_grad", "gelu_tanh_grad",
                            "silu_grad"), gradient())
NUMBERS, SLOPES = [0.5, 1.0, -2.0], [0.1, 0.0, -1.0]
ARGUMENTS |= {"log": of_positive, "elu": with_options(NUMBERS), "elu_grad": gradient(NUMBERS),
              "leaky_relu": with_options(SLOPES), "leaky_relu_grad": gradient(SLOPES),
              "softplus": with_options(NUMBERS, [2.0, 20.0]),
              "softplus_grad": gradient(NUMBERS, [2.0, 20.0])}


# ---- along one dim -------------------------------------------------------------------------------

def distributions(draw: Any) -> tuple[int, int, int]:
    return (draw(st.integers(0, 3)), draw(st.sampled_from([1, 5, 16, 70])),
            draw(st.sampled_from([1, 2, 150])))


def softmax(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    shape = distributions(draw)
    return 3 * real(rng, shape, dtype), junk(shape, dtype)


def softmax_grad(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    x, y = softmax(rng, draw, dtype)
    EVERY["softmax"].twin(x, y)
    return y, real(rng, x.shape, dtype), junk(x.shape, dtype)


def log_softmax_grad(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    y, g, dx = softmax_grad(rng, draw, dtype)
    return np.log(y), g, dx


def cross_entropy(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    x, _ = softmax(rng, draw, dtype)
    items = (x.shape[0], x.shape[2])
    return (x, rng.integers(-1, x.shape[1], items), real(rng, items, dtype), junk(items, dtype),
            junk(items, dtype))


def cross_entropy_grad(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    x, target, weight, normalizer, loss = cross_entropy(rng, draw, dtype)
    EVERY["cross_entropy"].twin(x, target, weight, normalizer, loss)
    return x, target, weight, normalizer, junk(x.shape, dtype)


ARGUMENTS |= {"softmax": softmax, "log_softmax": softmax, "softmax_grad": softmax_grad,
              "log_softmax_grad": log_softmax_grad, "cross_entropy": cross_entropy,
              "cross_entropy_grad": cross_entropy_grad}


# ---- sets of values ------------------------------------------------------------------------------

def layer_norm(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    rows, n = draw(st.integers(1, 5)), draw(st.sampled_from([1, 3, 40, 700]))
    return (real(rng, (rows, n), dtype), real(rng, n, dtype), real(rng, n, dtype), 0.1,
            junk((2, rows), "float64"), junk((rows, n), dtype))


def layer_norm_grad(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    x, w, b, eps, statistics, y = layer_norm(rng, draw, dtype)
    EVERY["layer_norm"].twin(x, w, b, eps, statistics, y)
    return (real(rng, x.shape, dtype), x, w, statistics,
            junk((draw(st.integers(1, 1)), 2, x.shape[1]), "float64"), junk(x.shape, dtype))


def group_norm(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    groups, channels, size = (draw(st.integers(1, 3)) for _ in range(3))
    items, last = draw(st.sampled_from([1, 2, 300])), draw(st.booleans())
    shape = (groups, channels * size, items) if last else (groups * items, channels * size, 1)
    w, b = (real(rng, groups * channels, dtype) for _ in range(2))
    return (real(rng, shape, dtype), w, b, groups, size, 0.1,
            junk((2, shape[0], shape[2]), "float64"), junk(shape, dtype))


def group_norm_grad(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    x, w, b, groups, size, eps, statistics, y = group_norm(rng, draw, dtype)
    EVERY["group_norm"].twin(x, w, b, groups, size, eps, statistics, y)
    return (real(rng, x.shape, dtype), x, w, groups, size, statistics,
            junk((2, len(x), x.shape[1] // size, x.shape[2]), "float64"), junk(x.shape, dtype))


ARGUMENTS |= {f.__name__: f for f in (layer_norm, layer_norm_grad, group_norm, group_norm_grad)}


def dropout(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    x, y = of_one(rng, draw, dtype)
    batch = draw(st.sampled_from([n for n in (1, 2, 3, 7) if len(x) % n == 0]))
    return x, rng.integers(0, 2**32, 2), draw(st.sampled_from([0.1, 0.5, 0.99])), batch, y


def scatter_rows(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    n, rows, columns = (draw(st.integers(1, 20)) for _ in range(3))
    return (real(rng, (n, columns), dtype), rng.integers(0, rows, n), junk((rows, columns), dtype))


ARGUMENTS |= {"dropout": dropout, "scatter_rows": scatter_rows}
