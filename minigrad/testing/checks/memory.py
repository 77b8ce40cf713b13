"""How inputs lie in memory, of what dtype they are, and how many threads work on them."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minigrad.autograd import Array
from minigrad.testing.case import Call, OpCase
from minigrad.testing.checks import REFUSALS, NotTried, check
from minigrad.testing.checks.derivatives import no_reference
from minigrad.testing.checks.running import (
    bound,
    compare_all,
    compare_rounded,
    cotangents,
    gradient_names,
    listed,
    output_names,
    reference,
    run,
    tensors,
    values_and_gradients,
    vjp,
)
from minigrad.testing.foreign import NoGradientError


def strided(x: Array, step: int = 2) -> Array:
    """The same values in memory with gaps and with the dims in reverse order; a negative step: and
    backwards."""
    room = np.zeros([2 * n + 1 for n in reversed(x.shape)], x.dtype)
    y = np.asarray(room[(slice(1, None, 2),) * x.ndim]).transpose()
    if step < 0:
        y = y[::-1] if x.ndim else y
    y[...] = x
    return y


def batch_last(x: Array) -> Array:
    """The same values with the first dim running fastest in memory, the others in their order."""
    return np.moveaxis(np.moveaxis(x, 0, -1).copy(), -1, 0) if x.ndim else x.copy()


def read_only(x: Array) -> Array:
    y = x.copy()
    y.flags.writeable = False
    return y


@check("inputs kept", "neither inputs nor cotangents are written to", share=0.25,
       differentiable=False)
def check_inputs_kept(case: OpCase, call: Call) -> None:
    because = "it writes into an input or into the gradient that arrives: work on a copy"
    try:
        protected = values_and_gradients(case, call, read_only)
    except ValueError as error:
        if "read-only" not in str(error):
            raise
        raise AssertionError(f"{error}\nlikely cause: {because}") from None
    kept: list[tuple[Array, Array]] = []

    def watched(x: Array) -> Array:
        kept.append((x.copy(), x.copy()))
        return kept[-1][0]

    compare_all(call, protected, values_and_gradients(case, call, watched), 0.0, because)
    for after, before in kept:
        if not np.array_equal(after, before, equal_nan=before.dtype.kind == "f"):
            raise AssertionError(f"an input or cotangent of shape {before.shape} was written to\n"
                                 f"likely cause: {because}")


@check("memory layout", "results do not depend on how inputs lie in memory", share=0.5,
       differentiable=False)
def check_layout(case: OpCase, call: Call) -> float:
    expected, apart = values_and_gradients(case, call, np.array), 0.0
    for place in (strided, lambda x: strided(x, -2), batch_last):
        try:
            found = values_and_gradients(case, call, place)
        except RuntimeError:
            if not _reference_refuses(case, call):      # as torch's view() does
                raise
            continue
        apart = max(apart, compare_all(call, found, expected, 1e-12,
            "it depends on how an input lies in memory (strides, order of dims): reshape, ravel "
            "and NumPy's order= are the usual suspects"))
    return apart


def _reference_refuses(case: OpCase, call: Call) -> bool:
    """Whether the reference does not take scattered memory either."""
    with contextlib.suppress(NotTried):
        judge = reference(case, call)[1]
        try:
            judge(*tensors(call.map(strided)))
        except REFUSALS:
            return True
    return False


@check("float32", "float32 stays float32, and is as exact as float32 can be", share=0.25,
       unless=lambda case: "" if "float32" in case.dtypes else "it is not for float32")
def check_float32(case: OpCase, call: Call) -> float:
    """Within PyTorch's tolerance of what comes from the same numbers in float64: where rounding
    errors grow, its float32 results are as far from that as anybody's."""
    single = call.astype(np.float32)
    double = single.astype(np.float64)
    exact_of, in_single = bound(case, double), None
    with contextlib.suppress(NotTried):
        framework, exact_of = reference(case, double)
        in_single = None if framework == "NumPy" else listed(exact_of(*tensors(single)))
    xs, ys = run(case, single)
    exact_xs = tensors(double)
    exact_ys = listed(exact_of(*exact_xs))
    for k, (name, y, _) in enumerate(zip(output_names(len(ys)), ys, exact_ys, strict=True)):
        if y.dtype == np.float64 and (in_single is None or in_single[k].dtype != y.dtype):
            raise AssertionError(f"{name} is float64 though all floating-point inputs are float32\n"
                                 "likely cause: a float64 constant or array takes part, or NumPy "
                                 "makes float64 of float32 and an integer input; for an op that is "
                                 'meant for float64 only: dtypes=("float64",)')
    gs = cotangents(ys)
    try:
        exact = vjp(exact_xs, exact_ys, [g.astype(np.float64) for g in gs])
        names = output_names(len(ys)) + gradient_names(call)
        found = [y.data for y in ys] + vjp(xs, ys, gs)
    except NoGradientError:
        exact, names, found = [], output_names(len(ys)), [y.data for y in ys]
    right = [y.data for y in exact_ys] + exact
    slacks = _one_ulp(exact_of, double, right)
    if in_single is None:               # nothing shows that a gradient of float32 can be surer
        noise = _one_ulp(bound(case, single), single, found)
        slacks[len(ys):] = [np.fmax(slack, 2 * own.max(initial=0)) for slack, own in zip(
            slacks[len(ys):], noise[len(ys):], strict=True)]
    return max((compare_rounded(*each) for each in zip(names, found, right, slacks, strict=True)),
               default=0.0)


def _one_ulp(exact_of: Callable[..., Any], call: Call, right: list[Array]) -> list[Array]:
    """By how much each result changes, twice, where the inputs move by a float32's last digit: no
    function of float32 numbers can be surer than that."""
    slacks = [np.zeros(y.shape) for y in right]
    rng = np.random.default_rng(3)
    for _ in range(3):
        moved = call.map(lambda x: (x + rng.choice([-1.0, 1.0], x.shape) * np.spacing(
            np.abs(x).astype(np.float32))).astype(x.dtype) if x.dtype.kind == "f" else x)
        xs = tensors(moved)
        ys = listed(exact_of(*xs))
        if [y.shape for y in ys] != [y.shape for y in right[:len(ys)]]:
            continue
        results = [y.data for y in ys]
        if len(right) > len(ys):
            results += vjp(xs, ys, [g.astype(np.float32).astype(g.dtype) for g in cotangents(ys)])
        with np.errstate(invalid="ignore"):
            slacks = [np.fmax(slack, 2 * np.abs(moved.astype(float) - y.astype(float)))
                      for slack, moved, y in zip(slacks, results, right, strict=True)]
    return slacks


@check("dtypes", "every mixture of dtypes gives PyTorch's dtype and values", at="first",
       differentiable=False, unless=no_reference)
def check_dtypes(case: OpCase, call: Call) -> None:
    """Where PyTorch has an answer. Bools may be refused."""
    if reference(case, call)[0] != "PyTorch":
        raise NotTried("the reference is not PyTorch's")
    n = sum(x is not None for x in call.arrays)
    for dtypes in itertools.product(case.dtypes, repeat=min(2, n)):
        mixed = call.astype(*dtypes)
        try:
            expected = listed(reference(case, mixed)[1](*tensors(mixed, False)))
        except REFUSALS:
            continue
        try:
            ys = run(case, mixed)[1]
        except REFUSALS:
            if "bool" in dtypes:
                continue
            raise AssertionError(
                f"{case.id} refuses {dtypes}, and PyTorch does not: take them as well (@float_op "
                "turns integers into floats), or leave them out of the case's dtypes") from None
        for name, y, t in zip(output_names(len(ys)), ys, expected, strict=True):
            if y.dtype != t.dtype:
                raise AssertionError(f"{name} for {dtypes} has dtype {y.dtype}; PyTorch's has "
                                     f"{t.dtype}")
            compare_rounded(name, y.data, t.data)


@contextlib.contextmanager
def threads(n: int | None) -> Iterator[None]:
    """Kernels run on n threads (None: on all there are), if Numba has been loaded for one."""
    numba = sys.modules.get("numba")
    if numba is None:
        yield
        return
    before = numba.get_num_threads()
    numba.set_num_threads(n or numba.config.NUMBA_NUM_THREADS)
    try:
        yield
    finally:
        numba.set_num_threads(before)


@check("determinism", "the same bits each time, for any number of threads", at="examples",
       differentiable=False)
def check_determinism(case: OpCase, call: Call) -> None:
    for dtype in {"float32", "float64"} & set(case.dtypes):
        cast = call.astype(dtype)
        with threads(1):
            alone = values_and_gradients(case, cast, np.array)
            again = values_and_gradients(case, cast, np.array)
        with threads(None):
            together = values_and_gradients(case, cast, np.array)
        compare_all(cast, again, alone, 0.0,
                    "two calls with the same inputs differ: it draws random numbers, or keeps "
                    "something from one call to the next")
        compare_all(cast, together, alone, 0.0,
                    "several threads add to the same number, in an order that changes")
