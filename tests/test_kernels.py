"""Each kernel against its NumPy twin, on geometry that hypothesis draws; and how kernels run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from minigrad import kernels
from minigrad.kernels import convolve, optim

EVERY = kernels.load_all()
dtypes = st.sampled_from(["float32", "float64"])
seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)


# ---- arguments: for each kernel (rng, draw, dtype) → its arguments, outputs filled with junk -----

def junk(shape: Any, dtype: Any) -> Any:
    return np.full(shape, 7, dtype)


def real(rng: Any, shape: Any, dtype: Any) -> Any:
    return rng.standard_normal(shape).astype(dtype)


def convolution(rng: Any, draw: Any, dtype: str) -> dict[str, Any]:
    """Sizes of a convolution, arrays of those, and how it is cut into blocks"""
    def pair(low: int, high: int) -> Any:
        return draw(st.tuples(st.integers(low, high), st.integers(low, high)))
    size, stride, dilation, padding = pair(1, 3), pair(1, 3), pair(1, 2), pair(-1, 3)
    groups, channels, outs = (draw(st.integers(1, n)) for n in (2, 2, 3))
    images, inside, out = draw(st.integers(1, 3)), pair(1, 6), pair(1, 4)
    block = (draw(st.integers(1, out[0])), draw(st.integers(1, out[1])))
    k, run = channels * size[0] * size[1], block[0] * block[1] * images
    return {"x": real(rng, (groups * channels, *inside, images), dtype), "padding": padding,
            "w": real(rng, (groups * outs, channels, *size), dtype),
            "b": real(rng, groups * outs, dtype), "g": real(rng, (groups * outs, *out, images),
                                                              dtype),
            "sizes": (*stride, *dilation, *padding, groups), "block": block, "k": k, "o": outs,
            "scratch": junk((threads(draw), (k + outs) * run + k * outs), dtype)}


def threads(draw: Any) -> int:
    return draw(st.integers(1, 3))      # type: ignore[no-any-return]


def conv(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    c = convolution(rng, draw, dtype)
    return (c["x"], c["w"], c["b"], c["sizes"], c["block"], c["scratch"],
            junk(c["g"].shape, dtype))


def conv_weight_grad(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    c = convolution(rng, draw, dtype)
    lanes = junk((draw(st.integers(1, 4)), c["sizes"][6], c["k"], c["o"]), dtype)
    return (c["x"], c["g"], c["sizes"], c["block"], c["scratch"], lanes, junk(c["w"].shape, dtype))


def conv_input_grad(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    c = convolution(rng, draw, dtype)
    sizes = (*c["sizes"][:4], *(max(p, 0) for p in c["padding"]), c["sizes"][6])
    span, across = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    k = span * c["w"].shape[2] * c["w"].shape[3]
    scratch = junk((threads(draw), k * c["o"] + (k + c["o"]) * across * c["x"].shape[3]), dtype)
    return c["g"], c["w"], sizes, (span, across), scratch, junk(c["x"].shape, dtype)


def conv_direct(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    c = convolution(rng, draw, dtype)
    return c["x"], c["w"], c["b"], c["sizes"], junk(c["g"].shape, dtype)


def conv_direct_weight_grad(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    c = convolution(rng, draw, dtype)
    return c["x"], c["g"], c["sizes"], junk(c["w"].shape, dtype)


def tiled(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    """x, w, g, padding, tiles at a time, scratch"""
    channels, outs, images = (draw(st.integers(1, 3)) for _ in range(3))
    inside, padding = [draw(st.tuples(st.integers(low, high), st.integers(low, high)))
                       for low, high in ((3, 9), (0, 3))]
    out = [n + 2 * p - 2 for n, p in zip(inside, padding, strict=True)]
    count = draw(st.integers(1, 4))
    size = 36 * images * (count * (channels + outs) + 2) + channels * outs
    return (real(rng, (channels, *inside, images), dtype), real(rng, (outs, channels, 3, 3), dtype),
            real(rng, (outs, *out, images), dtype), padding, count,
            junk((threads(draw), size), dtype))


def winograd(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    x, w, g, padding, count, scratch = tiled(rng, draw, dtype)
    return (x, w, real(rng, len(w), dtype), padding, count, junk((36, len(w), len(x)), dtype),
            scratch, junk(g.shape, dtype))


def winograd_weight_grad(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    x, w, g, padding, count, scratch = tiled(rng, draw, dtype)
    lanes = junk((draw(st.integers(1, 3)), 36, len(w), len(x)), dtype)
    return x, g, padding, count, scratch, lanes, junk(w.shape, dtype)


def matmul(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    m, k, n = (draw(st.integers(1, 5)) for _ in range(3))
    a_turned, b_turned, y_turned = (draw(st.booleans()) for _ in range(3))
    scratch = junk((threads(draw), m * (k + n)), dtype)
    return (real(rng, (k, m) if a_turned else (m, k), dtype),
            real(rng, (n, k) if b_turned else (k, n), dtype), a_turned, b_turned, y_turned,
            draw(st.integers(1, m)), scratch, junk((n, m) if y_turned else (m, n), dtype))


def bounds(rng: Any, draw: Any, *, empty: bool) -> tuple[Any, Any]:
    """x's shape and start and stop of the windows along both axes"""
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
    """The places are those of a pool: each within its window, or none"""
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
    divisor = rng.uniform(1, 9, out).astype(dtype)
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
    statistics = (junk((2, shape[0]), dtype) if training
                  else rng.uniform(0.5, 2, (2, shape[0])).astype(dtype))
    return x, w, b, 0.1, training, statistics, junk(shape, dtype)


def batch_norm_grad(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    x, w, b, eps, training, statistics, y = batch_norm(rng, draw, dtype)
    EVERY["batch_norm"].twin(x, w, b, eps, training, statistics, y)
    # of a short channel the sums are as exact as of a long one only on its own scale
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


def warp_affine(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    shape = tuple(draw(st.integers(1, 6)) for _ in range(4))
    scale = draw(st.sampled_from([0.0, 1.0, 10.0]))
    return (real(rng, shape, dtype), scale * real(rng, (shape[0], 2, 3), dtype),
            draw(st.sampled_from([0, 1])), junk(shape, dtype))


def erf(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    n = draw(st.integers(0, 40))
    return 3 * real(rng, n, dtype), junk(n, dtype)


def relu(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    n = draw(st.integers(0, 40))
    return rng.choice([0, 1, 2.5, -1, np.nan, np.inf], n).astype(dtype), junk(n, dtype)


def relu_grad(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    y, dx = relu(rng, draw, dtype)
    return y, real(rng, len(y), dtype), dx


ARGUMENTS: dict[str, Callable[..., tuple[Any, ...]]] = {f.__name__: f for f in (
    conv, conv_weight_grad, conv_input_grad, conv_direct, conv_direct_weight_grad, winograd,
    winograd_weight_grad, matmul,
    max_pool, max_pool_grad, gather, avg_pool, avg_pool_grad, channel_sums, batch_norm,
    batch_norm_grad, relu, lrn, lrn_grad, adam, sgd, warp_affine, erf, relu_grad)}


def test_every_kernel_is_tested() -> None:
    assert set(ARGUMENTS) == set(EVERY)


# ---- what each kernel is held to -----------------------------------------------------------------

def copied(args: tuple[Any, ...]) -> list[Any]:
    """Copies, of which two are one array where two arguments were."""
    copies: dict[int, Any] = {}
    return [copies.setdefault(id(a), a.copy()) if isinstance(a, np.ndarray) else a for a in args]


def results(kernel: Any, args: tuple[Any, ...]) -> list[int]:
    """Which of its arguments tell what a kernel did: all but scratch"""
    return [i for i, name in enumerate(kernel.parameters)
            if isinstance(args[i], np.ndarray) and name not in kernel.scratch]


every_kernel = pytest.mark.parametrize("name", sorted(ARGUMENTS))


@every_kernel
@given(data=st.data(), rng=seeds, dtype=dtypes)
def test_kernel_equals_its_twin(name: str, data: st.DataObject, rng: Any, dtype: str) -> None:
    kernel, args = EVERY[name], ARGUMENTS[name](rng, data.draw, dtype)
    by_loop, by_twin = copied(args), copied(args)
    kernel(*by_loop)
    kernel.twin(*by_twin)
    tolerance = 5e-5 if dtype == "float32" else 1e-12
    for i in results(kernel, args):
        expected = by_twin[i] if kernel.writes[i] else args[i]      # nothing else is written to
        np.testing.assert_allclose(by_loop[i], expected, rtol=tolerance, atol=tolerance)


@every_kernel
@given(data=st.data(), rng=seeds, dtype=dtypes)
def test_thread_count_changes_no_bit(name: str, data: st.DataObject, rng: Any, dtype: str) -> None:
    kernel, args = EVERY[name], ARGUMENTS[name](rng, data.draw, dtype)
    bits = []
    before = numba.get_num_threads()
    for count in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
        numba.set_num_threads(count)
        one = copied(args)
        if "scratch" in kernel.parameters:          # which has a row for each thread
            at = kernel.parameters.index("scratch")
            one[at] = np.resize(one[at], (count, one[at].shape[1]))
        kernel(*one)
        bits.append([one[i].tobytes() for i in results(kernel, args)])
    numba.set_num_threads(before)
    assert bits[0] == bits[1]


@every_kernel
@given(data=st.data(), rng=seeds, dtype=dtypes)
def test_loop_equals_its_twin_without_compiler(name: str, data: st.DataObject, rng: Any, dtype: str
                                               ) -> None:
    kernel, args = EVERY[name], ARGUMENTS[name](rng, data.draw, dtype)
    by_loop, by_twin = copied(args), copied(args)
    with np.errstate(all="ignore"):
        kernel.loop(*by_loop)
    kernel.twin(*by_twin)
    tolerance = 5e-5 if dtype == "float32" else 1e-12
    for i in results(kernel, args):
        np.testing.assert_allclose(by_loop[i], by_twin[i], rtol=tolerance, atol=tolerance)


def test_warmup_compiles_what_calls_use() -> None:
    """Calls find the signatures that the annotations name: nothing is compiled twice."""
    rng = np.random.default_rng(0)

    @given(data=st.data())
    def call_each(data: st.DataObject) -> None:
        for name, kernel in EVERY.items():
            kernel.warmup("float32")
            known = len(kernel.compiled().signatures)       # type: ignore[attr-defined]
            kernel(*ARGUMENTS[name](rng, data.draw, "float32"))
            assert len(kernel.compiled().signatures) == known, name     # type: ignore[attr-defined]
    call_each()


def test_any_input_layout_and_read_only() -> None:
    x = np.arange(6.0)[::2]
    x.flags.writeable = False
    y = np.empty(3)
    EVERY["erf"](x, y)
    expected = np.empty(3)
    EVERY["erf"].twin(x, expected)
    np.testing.assert_array_equal(y, expected)


def test_outputs_must_be_contiguous_and_writeable() -> None:
    locked = np.empty(3)
    locked.flags.writeable = False
    for y in (np.empty(6)[::2], locked):
        with pytest.raises(ValueError, match="erf: y must be contiguous and writeable"):
            EVERY["erf"](np.ones(3), y)


def test_adam_may_use_v_as_its_own_maximum() -> None:
    p, g, m, v = np.ones(3), np.ones(3), np.zeros(3), np.zeros(3)
    optim.adam(p, g, m, v, v, 1.0, 0.0, 0.9, 0.999, 0.1 / (1 - 0.9), np.sqrt(1 - 0.999), 1e-8)
    np.testing.assert_allclose(p, 0.9, atol=1e-6)       # the first step has length lr


@pytest.mark.parametrize("cached_bytes", [1, 4000, 20_000, 2**20])
def test_a_convolution_in_pieces_is_torchs(cached_bytes: int, monkeypatch: Any) -> None:
    """Rows of an image, or several images at a time: all pieces come together."""
    monkeypatch.setattr(convolve, "CACHED_BYTES", cached_bytes)
    rng = np.random.default_rng(5)
    x, w, g = (rng.standard_normal(shape) for shape in ((5, 4, 7, 6), (6, 2, 3, 2), (5, 6, 4, 7)))
    geometry = convolve.Geometry((3, 2), (2, 1), (1, 1), (1, 1), 2, (7, 6), (4, 7))
    tx, tw = (torch.tensor(a, requires_grad=True) for a in (x, w))
    y = torch.nn.functional.conv2d(tx, tw, None, (2, 1), 1, 1, 2)
    dx, dw = torch.autograd.grad(y, [tx, tw], torch.tensor(g))
    for ours, torchs in ((convolve.conv2d(x, w, None, geometry), y),
                         (convolve.conv2d_input_grad(g, w, x.shape, geometry), dx),
                         (convolve.conv2d_weight_grad(x, g, w.shape, geometry), dw)):
        np.testing.assert_allclose(ours, torchs.detach().numpy(), rtol=1e-12, atol=1e-12)
    columns = torch.nn.functional.unfold(tx, (3, 2), 1, 1, (2, 1)).detach()
    whole = geometry._replace(groups=1)
    np.testing.assert_array_equal(convolve.unfold(x, whole), columns.numpy())
    np.testing.assert_allclose(
        convolve.fold(columns.numpy(), x.shape, whole),
        torch.nn.functional.fold(columns, (7, 6), (3, 2), 1, 1, (2, 1)).numpy(), rtol=1e-12)


# ---- how kernels run: in a process of their own --------------------------------------------------

CALL = """
import numpy as np
from minigrad.kernels import load_all
y = np.empty(2)
load_all()["erf"](np.array([0.0, 10.0]), y)
assert y.tolist() == [0, 1], y
"""


def run(code: str, cache: Path, **environment: str) -> str:
    """Run code in a fresh process; what it wrote to stderr"""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True,
        env=os.environ | {"NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": os.pathsep.join(sys.path)}
        | environment)
    return result.stderr


def test_compilation_is_announced_once_and_cached(tmp_path: Path) -> None:
    twice = CALL + 'load_all()["erf"](np.array([0, 10], np.float32), np.empty(2, np.float32))'
    assert run(twice, tmp_path).count("compiling kernels") == 1
    assert run(twice, tmp_path) == ""


def test_twins_and_plain_loops_run_without_compiling(tmp_path: Path) -> None:
    numpy_only = CALL + "import sys; assert 'numba' not in sys.modules"
    assert run(numpy_only, tmp_path, MINIGRAD_KERNELS="numpy") == ""
    assert run(CALL, tmp_path, NUMBA_DISABLE_JIT="1") == ""
    assert not list(tmp_path.rglob("*.nbi"))


def test_import_does_not_import_numba(tmp_path: Path) -> None:
    run("import minigrad, sys; assert 'numba' not in sys.modules", tmp_path)


def test_world_writable_cache_is_not_used(tmp_path: Path) -> None:
    open_folder = tmp_path / "open"
    open_folder.mkdir()
    open_folder.chmod(0o777)
    said = run(CALL, open_folder)
    assert "others may write to the cache folder" in said
    assert not list(tmp_path.rglob("*.nbi"))


def test_without_a_writable_cache_kernels_run_and_say_so_once(tmp_path: Path) -> None:
    code = ("import numba.core.caching as caching\n"
            "caching.CacheImpl._locator_classes = []\n" + CALL
            + 'load_all()["lrn"](np.ones((1, 1)), 1, 1.0, 1.0, 1.0, np.ones((1, 1)))')
    said = run(code, tmp_path)
    assert said.count("no folder for compiled kernels is writable") == 1


def test_warmup_command_names_every_kernel() -> None:
    done = subprocess.run([sys.executable, "-m", "minigrad", "warmup"], capture_output=True,
                          text=True, check=True)
    assert all(f" {name}\n" in done.stdout for name in EVERY)
    refused = subprocess.run([sys.executable, "-m", "minigrad", "cool"], capture_output=True,
                             check=False)
    assert refused.returncode == 2
