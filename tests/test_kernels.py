"""Each kernel against its NumPy twin, and what a call promises."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, get_type_hints

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from kernel_arguments import ARGUMENTS, EVERY
from reduction_arguments import REDUCTIONS

from minigrad.kernels import convolve, optim

ARGUMENTS |= REDUCTIONS

dtypes = st.sampled_from(["float32", "float64"])
seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)


SMALL = {kernel: kernel.small for kernel in EVERY.values()}


@pytest.fixture(autouse=True, scope="module")
def threads_run_at_any_size() -> Iterator[None]:
    """What is tested here is the parallel loop, also on arrays that a call would not divide."""
    for kernel in SMALL:
        kernel.small = 0
    yield
    for kernel, small in SMALL.items():
        kernel.small = small


def test_every_kernel_is_tested() -> None:
    assert set(ARGUMENTS) == set(EVERY)


def test_the_first_argument_of_every_kernel_is_an_array_of_its_dtype() -> None:
    """A call looks at it to choose between the loop and the twin."""
    for kernel in EVERY.values():
        hint = get_type_hints(kernel.loop, include_extras=True)[kernel.parameters[0]]
        assert hint.__metadata__[1] is None, kernel.name


# ---- what each kernel is held to -----------------------------------------------------------------

def copied(args: tuple[Any, ...]) -> list[Any]:
    """Copies, of which two are one array where two arguments were."""
    copies: dict[int, Any] = {}
    return [copies.setdefault(id(a), a.copy()) if isinstance(a, np.ndarray) else a for a in args]


def results(kernel: Any, args: tuple[Any, ...]) -> list[int]:
    """The arrays among a kernel's arguments that have a meaning after a call: all but scratch."""
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
        # terms that cancel leave the rounding errors of large numbers in a small one
        scale = max(1.0, np.abs(expected).max(initial=0, where=np.isfinite(expected)) / 10)
        np.testing.assert_allclose(by_loop[i], expected, rtol=tolerance, atol=tolerance * scale)


@every_kernel
@given(data=st.data(), rng=seeds, dtype=dtypes)
def test_thread_count_changes_no_bit(name: str, data: st.DataObject, rng: Any, dtype: str) -> None:
    kernel, args = EVERY[name], ARGUMENTS[name](rng, data.draw, dtype)
    bits = []
    before = numba.get_num_threads()
    alone = [(1, math.inf)] if SMALL[kernel] else []
    for count, small in ((1, 0), (min(2, numba.config.NUMBA_NUM_THREADS), 0), *alone):
        numba.set_num_threads(count)
        kernel.small = small
        one = copied(args)
        if "threads" in kernel.parameters:
            one[kernel.parameters.index("threads")] = count
        elif {"panels", "scratch"} & set(kernel.parameters):        # with a row for each thread
            at = kernel.parameters.index("panels" if "panels" in kernel.parameters else "scratch")
            one[at] = np.resize(one[at], (count, *one[at].shape[1:]))
        kernel(*one)
        bits.append([one[i].tobytes() for i in results(kernel, args)])
    numba.set_num_threads(before)
    kernel.small = 0
    assert all(each == bits[0] for each in bits)


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
    """Calls find the signatures that the annotations name: nothing else is ever compiled."""
    rng = np.random.default_rng(0)

    @given(data=st.data())
    def call_each(data: st.DataObject) -> None:
        for name, kernel in EVERY.items():
            kernel.warmup("float32")
            for parallel in (True, False):
                run: Any = kernel.compiled(parallel)
                arguments = ARGUMENTS[name](rng, data.draw, "float32")
                run(*arguments)         # a TypeError, unless these are the types compiled for
                assert len(run.signatures) == len(run.overloads) == 1, name
    call_each()


def test_any_input_layout_and_read_only() -> None:
    x = np.arange(6.0)[::2]
    x.flags.writeable = False
    y = np.empty(3)
    EVERY["erf"](x, y)
    expected = np.empty(3)
    EVERY["erf"].twin(x, expected)
    np.testing.assert_array_equal(y, expected)


def test_another_layout_costs_a_copy_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numba looks for conversions, and composes an error, a hundred times as long."""
    asked: list[str] = []
    kernel, x, y = EVERY["erf"], np.ones((3, 2))[:, 0], np.empty(3)
    kernel(y, y)                                # compiled from here on
    for owner, name in ((type(kernel.compiled()), "_explain_matching_error"),
                        (kernel, "signature")):
        monkeypatch.setattr(owner, name, lambda *_, name=name: asked.append(name))
    kernel(x, y)
    kernel(np.broadcast_to(x[:1], 3), y)
    assert asked == []


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


@pytest.mark.parametrize("images", [1, 5, 40])
def test_a_convolution_is_torchs(images: int) -> None:
    """For any number of images: planes, rows or places are lines of memory."""
    rng = np.random.default_rng(5)
    x, w, g = (rng.standard_normal(shape) for shape in (
        (images, 4, 7, 6), (6, 2, 3, 2), (images, 6, 4, 7)))
    geometry = convolve.Geometry((3, 2), (2, 1), (1, 1), (1, 1), 2, (7, 6), (4, 7))
    tx, tw = (torch.tensor(a, requires_grad=True) for a in (x, w))
    y = torch.nn.functional.conv2d(tx, tw, None, (2, 1), 1, 1, 2)
    dx, dw = torch.autograd.grad(y, [tx, tw], torch.tensor(g))
    for ours, torchs in ((convolve.conv2d(x, w, None, geometry), y),
                         (convolve.conv2d_input_grad(g, w, None, x.shape, geometry), dx),
                         (convolve.conv2d_weight_grad(x, g, w.shape, geometry), dw)):
        np.testing.assert_allclose(ours, torchs.detach().numpy(), rtol=1e-12, atol=1e-12)
    columns = torch.nn.functional.unfold(tx, (3, 2), 1, 1, (2, 1)).detach()
    whole = geometry._replace(groups=1)
    np.testing.assert_array_equal(convolve.unfold(x, whole), columns.numpy())
    np.testing.assert_allclose(
        convolve.fold(columns.numpy(), whole),
        torch.nn.functional.fold(columns, (7, 6), (3, 2), 1, 1, (2, 1)).numpy(), rtol=1e-12)
