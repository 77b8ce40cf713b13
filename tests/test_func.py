"""minigrad.func against torch.func: results, structures, nesting, signatures and refusals."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from leaves import leaf
from signatures import assert_signature

import minigrad as mg
from minigrad import func
from minigrad.tensor import Tensor

# torch's first jvp imports scripts
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script")

Program = Callable[..., Any]


class Pair(NamedTuple):
    a: Any
    b: Any


RNG = np.random.default_rng(0)
X, Y, Z = RNG.standard_normal(3), RNG.standard_normal(3), RNG.standard_normal((2, 3))


def plain(result: Any) -> Any:
    """A result of either framework with arrays for its tensors; functions are left out."""
    if isinstance(result, torch.Tensor):
        return result.detach().numpy()
    if isinstance(result, Tensor):
        return result.detach().numpy()
    if isinstance(result, dict):
        return type(result)((k, plain(v)) for k, v in result.items())
    if hasattr(result, "_fields"):
        return type(result)(*map(plain, result))
    if isinstance(result, tuple | list):
        return type(result)(plain(v) for v in result if not callable(v))
    return result


def assert_equal(ours: Any, theirs: Any) -> None:
    assert type(ours) is type(theirs)
    if isinstance(ours, dict):
        assert list(ours) == list(theirs)
        ours, theirs = list(ours.values()), list(theirs.values())
    if isinstance(ours, np.ndarray):
        assert ours.dtype == theirs.dtype
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)
    else:
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            assert_equal(a, b)


def both(program: Program, *arrays: Any) -> None:
    """The program gives the same with torch.func as with minigrad.func."""
    ours = program(func, *(Tensor(a.copy()) for a in arrays))
    theirs = program(torch.func, *(torch.tensor(a) for a in arrays))
    assert_equal(plain(ours), plain(theirs))


def s(*terms: Any) -> Any:
    return sum((t * t * t).sum() for t in terms)


def tree_function(d: Any) -> Any:
    return {"p": [d["x"] * d["y"][0]], "q": (d["x"].sum(), Pair(d["y"][1].sin(), d["x"] * 2))}


# ---- results -------------------------------------------------------------------------------------

PROGRAMS: dict[str, Program] = {
    "grad": lambda f, x, y, z: f.grad(lambda a: s(a))(x),
    "grad by name": lambda f, x, y, z: f.grad(lambda a, k: (a * k).sum())(x, k=y),
    "grad argnums": lambda f, x, y, z: f.grad(lambda a, b: s(a * b), argnums=1)(x, y),
    "grad argnums tuple": lambda f, x, y, z: f.grad(lambda a, b: s(a * b), argnums=(1, 0))(x, y),
    "grad argnums negative": lambda f, x, y, z: f.grad(lambda a, b: s(a * b), argnums=-1)(x, y),
    "grad argnums one": lambda f, x, y, z: f.grad(lambda a, b: s(a * b), argnums=(0,))(x, y),
    "grad of a dict": lambda f, x, y, z: f.grad(lambda d: s(d["x"]))({"x": x, "y": y}),
    "grad of an OrderedDict": lambda f, x, y, z: f.grad(lambda d: s(d["x"]))(OrderedDict(x=x)),
    "grad of lists": lambda f, x, y, z: f.grad(lambda d: s(d[0][0], d[1]))([(x, y), z]),
    "grad of a namedtuple": lambda f, x, y, z: f.grad(lambda p: s(p.a * p.b))(Pair(x, y)),
    "grad of nothing": lambda f, x, y, z: f.grad(lambda d: s(x))(()),
    "grad aux": lambda f, x, y, z: f.grad(lambda a: (s(a), {"k": a * 2}), has_aux=True)(x),
    "grad unused": lambda f, x, y, z: f.grad(lambda a, b: s(a), argnums=(0, 1))(x, y),
    "grad of a constant": lambda f, x, y, z: f.grad(lambda a: y.sum())(x),
    "grad of the input": lambda f, x, y, z: f.grad(lambda a: a)(x[0]),
    "grad_and_value": lambda f, x, y, z: f.grad_and_value(lambda a: s(a))(x),
    "grad_and_value all": lambda f, x, y, z: f.grad_and_value(
        lambda a, b: (s(a * b), [a, (b,)]), argnums=(0, 1), has_aux=True)(x, y),
    "vjp": lambda f, x, y, z: f.vjp(lambda a: a * a, x)[1](y),
    "vjp output": lambda f, x, y, z: f.vjp(lambda a: a * a, x),
    "vjp two": lambda f, x, y, z: f.vjp(lambda a, b: (a * b, b.sum()), x, y)[1]((y, x[0])),
    "vjp dicts": lambda f, x, y, z: f.vjp(lambda a: {"u": a * a, "v": [a.sum()]}, x)[1](
        {"u": y, "v": [y[0]]}),
    "vjp aux": lambda f, x, y, z: f.vjp(lambda a: (a * a, (a.sum(),)), x, has_aux=True),
    "vjp of a tree": lambda f, x, y, z: f.vjp(lambda d: d["x"] * d["y"][0], {"x": x, "y": [y, z]}
                                             )[1](x),
    "vjp unused": lambda f, x, y, z: f.vjp(lambda a, b: a * 2, x, z)[1](y),
    "vjp same argument twice": lambda f, x, y, z: f.vjp(lambda a, b: a * b * b, x, x)[1](y),
    "jvp": lambda f, x, y, z: f.jvp(lambda a: a * a, (x,), (y,)),
    "jvp two": lambda f, x, y, z: f.jvp(lambda a, b: (a * b, b.sum()), (x, y), (y, x)),
    "jvp of trees": lambda f, x, y, z: f.jvp(tree_function, ({"x": x, "y": (y, z)},),
                                             ({"x": y, "y": (x, z * z)},)),
    "jvp aux": lambda f, x, y, z: f.jvp(lambda a: (a * a, {"k": a}), (x,), (y,), has_aux=True),
    "jvp of a constant": lambda f, x, y, z: f.jvp(lambda a: (y * 1, a), (x,), (y,)),
    "jvp of the input": lambda f, x, y, z: f.jvp(lambda a: a, (x,), (y,), strict=True),
    "jacrev": lambda f, x, y, z: f.jacrev(lambda a: a * a.sum())(x),
    "jacfwd": lambda f, x, y, z: f.jacfwd(lambda a: a * a.sum())(x),
    "jacrev of trees": lambda f, x, y, z: f.jacrev(tree_function)({"x": x, "y": (y, z)}),
    "jacfwd of trees": lambda f, x, y, z: f.jacfwd(tree_function)({"x": x, "y": (y, z)}),
    "jacrev argnums": lambda f, x, y, z: f.jacrev(lambda a, b: a @ b.t(), argnums=(1, 0))(z, z),
    "jacfwd argnums": lambda f, x, y, z: f.jacfwd(lambda a, b: a @ b.t(), argnums=(1, 0))(z, z),
    "jacfwd of all": lambda f, x, y, z: f.jacfwd(lambda a, b: a * b, argnums=None)(x, y),
    "jacrev aux": lambda f, x, y, z: f.jacrev(lambda a: (a * a, (a.sum(),)), has_aux=True)(x),
    "jacfwd aux": lambda f, x, y, z: f.jacfwd(lambda a: (a * a, (a.sum(),)), has_aux=True)(x),
    "jacrev in chunks": lambda f, x, y, z: f.jacrev(lambda a: a * a, chunk_size=2)(x),
    "jacrev of nothing": lambda f, x, y, z: f.jacrev(lambda a: a[:0])(x),
    "jacfwd by nothing": lambda f, x, y, z: f.jacfwd(lambda a: a * 2)(x[:0]),
    "jacfwd unused": lambda f, x, y, z: f.jacfwd(lambda a, b: a, argnums=(0, 1))(x, z),
    "jacfwd, randomness": lambda f, x, y, z: f.jacfwd(lambda a: a * a, randomness="same")(x),
    "hessian": lambda f, x, y, z: f.hessian(lambda a: s(a) * a.sum())(x),
    "hessian argnums": lambda f, x, y, z: f.hessian(lambda a, b: s(a * b), argnums=(0, 1))(x, y),
    "hessian of a vector": lambda f, x, y, z: f.hessian(lambda a: a.exp() * a.sum())(x),
    "hessian of a dict": lambda f, x, y, z: f.hessian(lambda d: s(d["x"] * d["y"]))(
        {"x": x, "y": y}),
    "grad of grad": lambda f, x, y, z: f.grad(lambda a: s(f.grad(s)(a)))(x),
    "grad of grad of grad": lambda f, x, y, z: f.grad(f.grad(f.grad(lambda a: a.exp() * a)))(x[0]),
    "jvp of grad": lambda f, x, y, z: f.jvp(f.grad(s), (x,), (y,)),
    "grad of jvp": lambda f, x, y, z: f.grad(lambda a: f.jvp(s, (a,), (y,))[1])(x),
    "grad by tangents": lambda f, x, y, z: f.grad(lambda v: s(f.jvp(s, (x,), (v,))[1]))(y),
    "jvp of jvp": lambda f, x, y, z: f.jvp(lambda a: f.jvp(lambda b: b * b * b, (a,), (y,))[1],
                                          (x,), (y,)),
    "vjp of vjp": lambda f, x, y, z: f.vjp(lambda u: f.vjp(lambda a: a * a, x)[1](u)[0], y)[1](x),
    "jacrev of jacrev": lambda f, x, y, z: f.jacrev(f.jacrev(lambda a: a * a.sum()))(x),
    "jacfwd of jacfwd": lambda f, x, y, z: f.jacfwd(f.jacfwd(lambda a: a * a.sum()))(x),
    "jacrev of jacfwd": lambda f, x, y, z: f.jacrev(f.jacfwd(lambda a: a * a.sum()))(x),
    # the two derivatives are by different variables, although one is closed over
    "no confusion": lambda f, x, y, z: f.grad(
        lambda a: a * f.grad(lambda b: a + b)(x[1]))(x[0]),
    "no confusion of jvps": lambda f, x, y, z: f.jvp(
        lambda a: a * f.jvp(lambda b: a * b, (x,), (y,))[1], (x,), (y,))[1],
    "vjp_fn in a grad": lambda f, x, y, z: f.grad(
        lambda u: s(f.vjp(lambda a: a * a * u, x)[1](y)[0]))(x),
    "an output twice": lambda f, x, y, z: (f.jacfwd(lambda a: [a * a] * 2)(x),
                                           f.vjp(lambda a: [a * a] * 2, x)[1]([x, y])),
    "hessian of a linear function": lambda f, x, y, z: f.hessian(lambda a: (a * y).sum())(x),
    "detached": lambda f, x, y, z: f.jvp(lambda a: a.detach() * a, (x,), (y,)),
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_results_are_torchs(program: Program) -> None:
    both(program, X, Y, Z)


@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node")
def test_linearize_is_torchs() -> None:
    both(lambda f, x, y, z: f.linearize(lambda a, b: (a * b, a.sum()), x, y)[1](y, x), X, Y, Z)
    both(lambda f, x, y, z: f.linearize(lambda a: a * a, x), X, Y, Z)


def test_a_linearized_function_can_be_used_again_and_differentiated() -> None:
    x, v = leaf(3).detach(), leaf(3).detach()
    y, jvp_fn = func.linearize(lambda a: a ** 3, x)
    for k in (1.0, 2.0):
        np.testing.assert_allclose(jvp_fn(v * k).data, (3 * x * x * v * k).data, rtol=1e-12)
    np.testing.assert_allclose(func.jacrev(jvp_fn)(v).data, np.diag(3 * x.data**2), rtol=1e-12)
    np.testing.assert_allclose(y.data, x.data**3)


@pytest.mark.parametrize("name", [n for n in func.__all__ if n != "hvp"])
def test_signatures_are_torchs(name: str) -> None:
    theirs = inspect.signature(getattr(torch.func, name))
    public = theirs.replace(parameters=[p for p in theirs.parameters.values()
                                        if not p.name.startswith("_")])

    def torchs() -> None: ...
    torchs.__signature__ = public           # type: ignore[attr-defined]
    assert_signature(getattr(func, name), torchs)


def test_the_new_function_has_the_name_and_signature_of_the_old() -> None:
    def energy(x: Any, k: Any = 2.0) -> Any:
        """½ k x²"""
        return (x * x).sum() * k / 2

    for transform in (func.grad, func.grad_and_value, func.jacrev, func.jacfwd, func.hessian):
        assert transform(energy).__name__ == "energy"
        assert inspect.signature(transform(energy)) == inspect.signature(energy)


# ---- products with the Hessian -------------------------------------------------------------------

def test_hvp_is_the_hessian_times_a_vector() -> None:
    def f(a: Any, b: Any) -> Any:
        return ((a * b).exp() * a).sum()

    x, y, v, w = (Tensor(RNG.standard_normal(3)) for _ in range(4))
    h = [[block.data for block in row] for row in func.hessian(f, (0, 1))(x, y)]
    rows = [h[i][0] @ v.data + h[i][1] @ w.data for i in (0, 1)]
    for argnums, expected in ((0, rows[0]), (1, rows[1])):
        np.testing.assert_allclose(func.hvp(f, (x, y), (v, w), argnums).data, expected, rtol=1e-12)
    assert_equal(plain(func.hvp(f, (x, y), (v, w), (0, 1))), tuple(rows))
    np.testing.assert_allclose(func.hvp(f, (x, y), (v, w)).data,
                               func.jvp(func.grad(f), (x, y), (v, w))[1].data, rtol=1e-12)
    assert func.hvp(lambda a: a.sum(), (x,), (v,)).tolist() == [0.0, 0.0, 0.0]
    tree = func.hvp(lambda d: f(d["a"], d["b"]), ({"a": x, "b": y},), ({"a": v, "b": w},))
    assert_equal(plain(tree), {"a": rows[0], "b": rows[1]})


# ---- refusals ------------------------------------------------------------------------------------

REFUSED: list[tuple[str, Program]] = [
    ("grad: only floating point .* got int64", lambda f, x, i: f.grad(lambda a: a.sum())(i)),
    ("vjp: only floating point", lambda f, x, i: f.vjp(lambda a: a * 2, i)),
    ("jvp: only floating point", lambda f, x, i: f.jvp(lambda a: a * 2, (i,), (i,))),
    ("jacrev: only floating point", lambda f, x, i: f.jacrev(lambda a: a * 2)(i)),
    ("grad: .* must be Tensors.* got float", lambda f, x, i: f.grad(lambda a: a * 2)(3.0)),
    ("grad: .* got NoneType", lambda f, x, i: f.grad(lambda a: a[0].sum())((x, None))),
    ("grad: .* one scalar Tensor; got shape", lambda f, x, i: f.grad(lambda a: a)(x)),
    ("grad: .* got .*, .*; vjp", lambda f, x, i: f.grad(lambda a: (a.sum(), a))(x)),
    ("grad_and_value: .* one scalar", lambda f, x, i: f.grad_and_value(lambda a: a)(x)),
    (r"grad: .* tuple \(output, aux\); got \*", lambda f, x, i: f.grad(s, has_aux=True)(x)),
    ("grad: aux must", lambda f, x, i: f.grad(lambda a: (s(a), 3), has_aux=True)(x)),
    ("grad: argnums 2 is out of range", lambda f, x, i: f.grad(s, argnums=2)(x)),
    ("grad: argnums .* ints; got .0", lambda f, x, i: f.grad(s, argnums=[0])(x)),
    ("grad: argnums .* got None", lambda f, x, i: f.grad(s, argnums=None)(x)),
    ("jacrev: argnums .* got None", lambda f, x, i: f.jacrev(s, argnums=None)(x)),
    ("jacrev: argnums must .* once", lambda f, x, i: f.jacrev(s, argnums=(0, -1))(x)),
    ("jacfwd: argnums must .* least one", lambda f, x, i: f.jacfwd(s, argnums=())(x)),
    ("vjp: .* returned no Tensor", lambda f, x, i: f.vjp(lambda a: (), x)),
    ("vjp: .* must return Tensors.* int", lambda f, x, i: f.vjp(lambda a: (a, 3), x)),
    ("vjp: the outputs must be floating", lambda f, x, i: f.vjp(lambda a: a.long(), x)),
    ("vjp: cotangents must have the shapes", lambda f, x, i: f.vjp(s, x)[1](x)),
    ("vjp: cotangents must have the struct", lambda f, x, i: f.vjp(s, x)[1]((x[0],))),
    ("vjp: cotangents must be Tensors", lambda f, x, i: f.vjp(s, x)[1](1.0)),
    ("vjp: aux must", lambda f, x, i: f.vjp(lambda a: (a, 3), x, has_aux=True)),
    ("jvp: primals must be a tuple", lambda f, x, i: f.jvp(s, x, x)),
    ("jvp: primals must be a tuple", lambda f, x, i: f.jvp(s, [x], [x])),
    ("jvp: primals must hold", lambda f, x, i: f.jvp(lambda: x, (), ())),
    ("jvp: tangents must have the structure of the primals, ..,.; got", lambda f, x, i: f.jvp(
        s, (x,), x)),
    ("jvp: tangents must have the shapes", lambda f, x, i: f.jvp(s, (x,), (x[:2],))),
    ("jvp: tangents must be Tensors", lambda f, x, i: f.jvp(s, (x,), (1.0,))),
    ("jvp: with strict=True .* output 1", lambda f, x, i: f.jvp(
        lambda a: (a, x * 1), (x,), (x,), strict=True)),
    ("jacrev: chunk_size", lambda f, x, i: f.jacrev(s, chunk_size=0)),
    ("jacfwd: randomness", lambda f, x, i: f.jacfwd(s, randomness="any")(x)),
    ("linearize: tangents", lambda f, x, i: f.linearize(lambda a: a * 2, x)[1](x, x)),
]
"""Calls that both refuse, and what minigrad says."""


@pytest.mark.parametrize(("message", "program"), REFUSED)
@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node")
def test_refusals(message: str, program: Program) -> None:
    with pytest.raises((TypeError, ValueError, RuntimeError), match=f"^{message}"):
        program(func, Tensor(X), Tensor(np.arange(3)))
    with pytest.raises((TypeError, ValueError, RuntimeError, AssertionError)):
        program(torch.func, torch.tensor(X), torch.arange(3))


def test_refusals_of_its_own() -> None:
    x = leaf(3)
    with pytest.raises(ValueError, match=r"^jacfwd: randomness .* once; got 'different'"):
        func.jacfwd(s, randomness="different")
    with pytest.raises(RuntimeError, match=r"^jacrev: the outputs must be floating point"):
        func.jacrev(lambda a: a.long())(x)
    with pytest.raises(RuntimeError, match=r"^hvp: tangents must have the structure of the prim"):
        func.hvp(s, (x,), (x, x))
    with pytest.raises(TypeError, match=r"^hvp: primals must be a tuple; got Tensor"):
        func.hvp(s, x, x)
    with pytest.raises(RuntimeError, match=r"^grad: the function must return one scalar"):
        func.hvp(lambda a: a, (x,), (x,))


def test_vectors_are_converted_and_dicts_matched_by_key() -> None:
    """torch also wants the keys in the same order."""
    x = mg.tensor([1.0, 2.0])
    (g,) = func.vjp(lambda a: {"u": a * 2, "v": a * 3}, x)[1](
        {"v": mg.tensor([1, 0]), "u": mg.tensor([0.0, 1.0], dtype=mg.float64)})
    assert g.dtype == mg.float32
    assert g.tolist() == [3.0, 2.0]
