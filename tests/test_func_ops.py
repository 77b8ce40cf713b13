"""Every op of the table under the transforms of minigrad.func, against torch.func.

Where a derivative has a vjp only (there is no second rule for jvp), it must be differentiable by
its cotangent. The op table's examples are smooth points; `AT_CORNERS` are points where a vjp hides
an infinity, which its transpose must not bring back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from op_cases import CASES

import minigrad as mg
import minigrad.functional as F
from minigrad import func
from minigrad.tensor import Tensor
from minigrad.testing import OpCase
from minigrad.testing.case import Call
from minigrad.testing.checks.running import compare, listed

# torch's first jvp imports scripts, and its vmap does not know every op
pytestmark = [pytest.mark.filterwarnings("ignore:.*torch.jit.script"),
              pytest.mark.filterwarnings("ignore:There is a performance drop")]

Function, Arrays = Callable[..., Any], tuple[Any, ...]

USE_AUTOGRAD = {
    "norm.batch_norm": "∂²/∂w∂x is wrong in torch.func: its Hessian is not symmetric",
    "norm.instance_norm": "the same",
    "index.index_select": "torch.func's rule does not take a 0-d tensor",
    "class_loss.cross_entropy": "torch.func's rule does not take class numbers of uint8",
    "class_loss.nll_loss": "the same",
}
"""Where torch.autograd.functional.hessian has to be the reference instead of torch.func.hessian."""


def in_torch(x: Any) -> Any:
    """The same with tensors of PyTorch for arrays."""
    if isinstance(x, np.ndarray):
        return torch.tensor(x)
    return tuple(map(in_torch, x)) if isinstance(x, tuple) else x


def of_floats(run: Function, call: Call, tensor: Function, is_float: Function) -> Function:
    """The op as a function of its floating point inputs, to a tuple of floating point outputs."""
    def fn(*xs: Any) -> tuple[Any, ...]:
        given = iter(xs)
        arguments = [None if a is None else next(given) if a.dtype.kind == "f" else tensor(a)
                     for a in call.arrays]
        return tuple(y for y in listed(run(*arguments)) if is_float(y))
    return fn


def both_sides(case: OpCase, call: Call) -> tuple[Function, Function, Arrays]:
    """minigrad's op, torch's, and the floating point inputs."""
    static = {name: in_torch(value) for name, value in call.static.items()}
    ours = of_floats(lambda *xs: case(*xs, **call.static), call, Tensor,
                     lambda y: y.dtype.kind == "f")
    theirs = of_floats(lambda *xs: case.reference(*xs, **static), call, torch.tensor,
                       torch.Tensor.is_floating_point)
    return ours, theirs, tuple(a for a in call.arrays if a is not None and a.dtype.kind == "f")


def random_like(seed: int, arrays: Any) -> Arrays:
    rng = np.random.default_rng(seed)
    return tuple(np.asarray(rng.standard_normal(a.shape)).astype(a.dtype) for a in arrays)


def in_tensors(arrays: Any) -> tuple[Tensor, ...]:
    return tuple(map(Tensor, arrays))


def assert_all_close(ours: Any, theirs: Any, tolerance: float) -> None:
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert str(a.dtype) == str(b.dtype).removeprefix("torch.")
        compare("a result", a.data, b.detach().numpy(), tolerance)


def differentiable(case: OpCase) -> list[tuple[Function, Function, Arrays, Arrays]]:
    """Its examples that have floating point inputs and outputs; and those outputs."""
    sides = [both_sides(case, call) for call in case.examples]
    return [(ours, theirs, xs, ys) for ours, theirs, xs in sides
            if xs and (ys := ours(*in_tensors(xs)))]


BY_FLOATS = [case for case in CASES if differentiable(case)]
by_case = pytest.mark.parametrize("case", BY_FLOATS, ids=lambda case: case.id)


@by_case
def test_vjp_and_jvp_are_torchs(case: OpCase) -> None:
    for ours, theirs, xs, ys in differentiable(case):
        us, vs = random_like(1, ys), random_like(2, xs)
        y, vjp_fn = func.vjp(ours, *in_tensors(xs))
        expected, torch_vjp_fn = torch.func.vjp(theirs, *in_torch(xs))
        assert_all_close(y, expected, case.tolerance.value)
        assert_all_close(vjp_fn(in_tensors(us)), torch_vjp_fn(in_torch(us)),
                         case.tolerance.gradient)
        y, dy = func.jvp(ours, in_tensors(xs), in_tensors(vs))
        expected, torch_dy = torch.func.jvp(theirs, in_torch(xs), in_torch(vs))
        assert_all_close(y, expected, case.tolerance.value)
        assert_all_close(dy, torch_dy, case.tolerance.gradient)


@by_case
def test_the_jvp_is_the_transpose_of_the_vjp_to_the_last_digits(case: OpCase) -> None:
    """⟨u, Jv⟩ = ⟨Jᵀu, v⟩ up to the rounding of the sums, with one formula on both sides: a vjp is
    computed by the ops that it is made of, and not by a kernel, if it is to be differentiated."""
    for ours, _, xs, ys in differentiable(case):
        us, vs = random_like(3, ys), random_like(4, xs)
        _, vjp_fn = func.vjp(ours, *(Tensor(x, True) for x in xs))
        _, dy = func.jvp(ours, in_tensors(xs), in_tensors(vs))
        gx = vjp_fn(in_tensors(us))
        left = [u * y.data for u, y in zip(us, dy, strict=True)]
        right = [g.data * v for g, v in zip(gx, vs, strict=True)]
        size = sum(float(np.abs(terms).sum()) for terms in left + right)
        difference = sum(float(t.sum()) for t in left) - sum(float(t.sum()) for t in right)
        assert abs(difference) <= 2 * np.finfo(np.float64).eps * size


@by_case
def test_hessians_are_torchs(case: OpCase) -> None:
    """Of Σ u·y², so that first derivatives count as well."""
    for ours, theirs, xs, ys in differentiable(case):
        if sum(x.size for x in xs) > 40 or not all(x.size for x in xs):
            continue                        # torch cannot differentiate by an empty tensor
        us, everything = random_like(5, ys), tuple(range(len(xs)))
        found = func.hessian(weighed(ours, us, Tensor), everything)(*in_tensors(xs))
        loss = weighed(theirs, us, torch.tensor)
        if case.id in USE_AUTOGRAD:
            expected = torch.autograd.functional.hessian(loss, in_torch(xs))
        else:
            expected = torch.func.hessian(loss, everything)(*in_torch(xs))
        for i in everything:
            assert_all_close(found[i], expected[i], 1e-9)
            for j in everything:            # symmetric
                n = xs[i].size
                compare("a block of the Hessian", found[i][j].data.reshape(n, -1).T,
                        found[j][i].data.reshape(-1, n), 1e-10)


def weighed(fn: Function, us: Arrays, tensor: Function) -> Function:
    def loss(*xs: Any) -> Any:
        total = tensor(np.float64(0))
        for y, u in zip(fn(*xs), us, strict=True):
            total = total + (y * y * tensor(u)).sum()
        return total
    return loss


def test_nearly_every_op_was_differentiated() -> None:
    left_out = {case.id for case in CASES if case.differentiable} - {case.id for case in BY_FLOATS}
    assert left_out == set()
    assert len(BY_FLOATS) > 90


# ---- points where a vjp hides an infinity --------------------------------------------------------

AT_CORNERS: list[tuple[str, Function, list[float]]] = [
    ("std of equal numbers", lambda x: x.std(0), [2.0, 2.0, 2.0]),
    ("x ** 1 at 0", lambda x: (x ** 1.0).sum(), [0.0, 2.0]),
    ("x ** 0 at 0", lambda x: (x ** 0.0).sum(), [0.0, 2.0]),
    ("x ** 2 at 0", lambda x: (x ** 2.0).sum(), [0.0, -2.0]),
    ("prod with zeros", lambda x: x.prod(0), [0.0, 3.0, 0.0, 2.0]),
    ("cumsum", lambda x: x.cumsum(0).sum(), [0.0, 1.0]),
    ("var of equal numbers", lambda x: x.var(0), [2.0, 2.0, 2.0]),
    ("tanh far out", lambda x: x.tanh().sum(), [800.0, -800.0]),
    ("sigmoid far out", lambda x: x.sigmoid().sum(), [800.0, -800.0]),
    ("logsumexp far apart", lambda x: x.logsumexp(0), [0.0, 800.0]),
]


@pytest.mark.parametrize(("fn", "values"), [c[1:] for c in AT_CORNERS],
                         ids=[c[0] for c in AT_CORNERS])
def test_no_hidden_infinity_comes_back(fn: Function, values: list[float]) -> None:
    x, v = np.array(values), np.arange(1.0, len(values) + 1)
    assert_all_close([func.jvp(fn, (Tensor(x),), (Tensor(v),))[1], func.hessian(fn)(Tensor(x))],
                     [torch.func.jvp(fn, (torch.tensor(x),), (torch.tensor(v),))[1],
                      torch.func.hessian(fn)(torch.tensor(x))], 1e-12)


# ---- higher orders -------------------------------------------------------------------------------

def batch_normed(x: Any) -> Any:
    centred = x - x.mean((0, 2), keepdim=True)
    return centred / (centred.square().mean((0, 2), keepdim=True) + 1e-5).sqrt()


def layer_normed(x: Any) -> Any:
    centred = x - x.mean((1, 2), keepdim=True)
    return centred / (centred.square().mean((1, 2), keepdim=True) + 1e-5).sqrt()


def response_normed(x: Any) -> Any:
    squares = F.pad(x.square(), (0, 0, 1, 1))
    around = squares[:, :-2] + squares[:, 1:-1] + squares[:, 2:]
    return x / (around * (0.1 / 3) + 1.0) ** 0.75


@pytest.mark.parametrize(("op", "in_ops"), [
    (lambda x: F.batch_norm(x, None, None, training=True), batch_normed),
    (lambda x: F.layer_norm(x, x.shape[1:]), layer_normed),
    (lambda x: F.group_norm(x, 1), layer_normed),
    (lambda x: F.local_response_norm(x, 3, 0.1), response_normed),
], ids=["batch_norm", "layer_norm", "group_norm", "local_response_norm"])
def test_third_derivatives_of_ops_with_kernels(op: Function, in_ops: Function) -> None:
    """d³/dt³ Σ u·op(x + t·v)², by jvps and by gradients. torch's are wrong from the third on."""
    x, v, u = (Tensor(a) for a in random_like(6, [np.zeros((3, 4, 2))] * 3))

    def along(fn: Function) -> Function:
        return lambda t: (fn(x + v * t).square() * u).sum()

    def slope(fn: Function) -> Function:
        return lambda t: func.jvp(fn, (t,), (mg.ones_like(t),))[1]

    t = mg.tensor(0.1, dtype=mg.float64)
    expected = slope(slope(slope(along(in_ops))))(t).item()
    assert slope(slope(slope(along(op))))(t).item() == pytest.approx(expected, rel=1e-10)
    assert func.grad(func.grad(func.grad(along(op))))(t).item() == pytest.approx(expected,
                                                                                 rel=1e-10)
