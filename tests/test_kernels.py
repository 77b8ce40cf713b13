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
from minigrad.kernels import conv, optim

EVERY = kernels.load_all()
dtypes = st.sampled_from(["float32", "float64"])
seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)


# ---- arguments: for each kernel (rng, draw, dtype) → its arguments, outputs filled with junk -----

def junk(shape: Any, dtype: Any) -> Any:
    return np.full(shape, 7, dtype)


def real(rng: Any, shape: Any, dtype: Any) -> Any:
    return rng.standard_normal(shape).astype(dtype)


def window(draw: Any) -> dict[str, Any]:
    """A convolution's sizes, padded images that its windows just fill, and which output rows."""
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    size, stride, dilation, out = draw(pair), draw(pair), draw(pair), draw(pair)
    images, channels = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    first = draw(st.integers(0, out[0] - 1))
    rows = draw(st.integers(1, out[0] - first))
    sides = [(o - 1) * s + (k - 1) * d + 1
             for o, s, k, d in zip(out, stride, size, dilation, strict=True)]
    return {"planes": (images, channels, *sides), "first": first,
            "sizes": (*size, *stride, *dilation),
            "columns": (channels * size[0] * size[1], images, rows, out[1])}


def im2col(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    w = window(draw)
    return real(rng, w["planes"], dtype), w["sizes"], w["first"], junk(w["columns"], dtype)


def col2im(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    w = window(draw)
    return real(rng, w["columns"], dtype), w["sizes"], w["first"], real(rng, w["planes"], dtype)


def bounds(rng: Any, draw: Any, *, empty: bool) -> tuple[Any, Any]:
    """x's shape and start and stop of the windows along both axes"""
    shape = tuple(draw(st.integers(1, 6)) for _ in range(3))
    ends = []
    for n in shape[1:]:
        start = rng.integers(0, n, draw(st.integers(1, 4)))
        ends += [start, np.minimum(start + rng.integers(0 if empty else 1, 4, start.shape), n)]
    return shape, ends


def max_pool(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    shape, ends = bounds(rng, draw, empty=True)
    x = rng.choice([0, 1, 2, -np.inf, np.nan], shape).astype(dtype)
    out = (shape[0], len(ends[0]), len(ends[2]))
    step = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    return x, *ends, step, junk(out, dtype), junk(out, np.int32)


def places(rng: Any, draw: Any) -> tuple[Any, Any]:
    shape = tuple(draw(st.integers(1, 5)) for _ in range(3))
    out = (shape[0], draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    return shape, rng.integers(-1, shape[1] * shape[2], out).astype(np.int32)


def scatter(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    shape, indices = places(rng, draw)
    return real(rng, indices.shape, dtype), indices, junk(shape, dtype)


def gather(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    shape, indices = places(rng, draw)
    return real(rng, shape, dtype), indices, junk(indices.shape, dtype)


def avg_pool(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    shape, ends = bounds(rng, draw, empty=False)
    out = (len(ends[0]), len(ends[2]))
    divisor = rng.uniform(1, 9, out).astype(dtype)
    return real(rng, shape, dtype), *ends, divisor, junk((shape[0], *out), dtype)


def avg_pool_grad(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    x, *ends, divisor, y = avg_pool(rng, draw, dtype)
    return real(rng, y.shape, dtype), *ends, divisor, junk(x.shape, dtype)


def lrn_options(draw: Any) -> tuple[Any, ...]:
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 7)),
             draw(st.sampled_from([1, 5, 256, 300])))
    return shape, (draw(st.integers(1, 8)), 0.5, draw(st.sampled_from([0.75, 0.5, 1.3])), 1.5)


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
    return real(rng, shape, dtype), scale * real(rng, (shape[0], 2, 3), dtype), junk(shape, dtype)


def erf(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    n = draw(st.integers(0, 40))
    return 3 * real(rng, n, dtype), junk(n, dtype)


def relu_grad(rng: Any, draw: Any, dtype: str) -> tuple[Any, ...]:
    n = draw(st.integers(0, 40))
    y = rng.choice([0, 1, 2.5, -1, np.nan, np.inf], n).astype(dtype)
    return real(rng, n, dtype), y, junk(n, dtype)


ARGUMENTS: dict[str, Callable[..., tuple[Any, ...]]] = {f.__name__: f for f in (
    im2col, col2im, max_pool, scatter, gather, avg_pool,
    avg_pool_grad, lrn, lrn_grad, adam, sgd, warp_affine, erf, relu_grad)}


def test_every_kernel_is_tested() -> None:
    assert set(ARGUMENTS) == set(EVERY)


# ---- what each kernel is held to -----------------------------------------------------------------

def copied(args: tuple[Any, ...]) -> list[Any]:
    """Copies, of which two are one array where two arguments were."""
    copies: dict[int, Any] = {}
    return [copies.setdefault(id(a), a.copy()) if isinstance(a, np.ndarray) else a for a in args]


every_kernel = pytest.mark.parametrize("name", sorted(ARGUMENTS))


@every_kernel
@given(data=st.data(), rng=seeds, dtype=dtypes)
def test_kernel_equals_its_twin(name: str, data: st.DataObject, rng: Any, dtype: str) -> None:
    kernel, args = EVERY[name], ARGUMENTS[name](rng, data.draw, dtype)
    by_loop, by_twin = copied(args), copied(args)
    kernel(*by_loop)
    kernel.twin(*by_twin)
    tolerance = 5e-5 if dtype == "float32" else 1e-12
    for given_, loop, twin, written in zip(args, by_loop, by_twin, kernel.writes, strict=True):
        if isinstance(given_, np.ndarray):
            expected = twin if written else given_          # and nothing else is written to
            np.testing.assert_allclose(loop, expected, rtol=tolerance, atol=tolerance)


@every_kernel
@given(data=st.data(), rng=seeds, dtype=dtypes)
def test_thread_count_changes_no_bit(name: str, data: st.DataObject, rng: Any, dtype: str) -> None:
    args = ARGUMENTS[name](rng, data.draw, dtype)
    results = []
    before = numba.get_num_threads()
    for threads in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
        numba.set_num_threads(threads)
        one = copied(args)
        EVERY[name](*one)
        results.append([a.tobytes() for a in one if isinstance(a, np.ndarray)])
    numba.set_num_threads(before)
    assert results[0] == results[1]


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
    for loop, twin in zip(by_loop, by_twin, strict=True):
        if isinstance(loop, np.ndarray):
            np.testing.assert_allclose(loop, twin, rtol=tolerance, atol=tolerance)


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


@pytest.mark.parametrize("cached_bytes", [1, 400, 2000, 2**20])
def test_a_convolution_in_pieces_is_torchs(cached_bytes: int, monkeypatch: Any) -> None:
    """Rows of an image, or several images at a time: all pieces come together."""
    monkeypatch.setattr(conv, "CACHED_BYTES", cached_bytes)
    rng = np.random.default_rng(5)
    x, w, g = (rng.standard_normal(shape) for shape in ((5, 4, 7, 6), (6, 2, 3, 2), (5, 6, 4, 7)))
    geometry = conv.Geometry((3, 2), (2, 1), (1, 1), (1, 1), 2, (7, 6), (4, 7))
    tx, tw = (torch.tensor(a, requires_grad=True) for a in (x, w))
    y = torch.nn.functional.conv2d(tx, tw, None, (2, 1), 1, 1, 2)
    dx, dw = torch.autograd.grad(y, [tx, tw], torch.tensor(g))
    for ours, torchs in ((conv.conv2d(x, w, None, geometry), y),
                         (conv.conv2d_input_grad(g, w, x.shape, geometry), dx),
                         (conv.conv2d_weight_grad(x, g, w.shape, geometry), dw)):
        np.testing.assert_allclose(ours, torchs.detach().numpy(), rtol=1e-12, atol=1e-12)
    columns = torch.nn.functional.unfold(tx, (3, 2), 1, 1, (2, 1)).detach()
    whole = geometry._replace(groups=1)
    np.testing.assert_array_equal(conv.unfold(x, whole), columns.numpy())
    np.testing.assert_allclose(
        conv.fold(columns.numpy(), x.shape, whole),
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
            + 'load_all()["lrn"](np.ones((1, 1, 1)), 1, 1.0, 1.0, 1.0, np.ones((1, 1, 1)))')
    said = run(code, tmp_path)
    assert said.count("no folder for compiled kernels is writable") == 1


def test_warmup_command_names_every_kernel() -> None:
    done = subprocess.run([sys.executable, "-m", "minigrad", "warmup"], capture_output=True,
                          text=True, check=True)
    assert all(f" {name}\n" in done.stdout for name in EVERY)
    refused = subprocess.run([sys.executable, "-m", "minigrad", "cool"], capture_output=True,
                             check=False)
    assert refused.returncode == 2
