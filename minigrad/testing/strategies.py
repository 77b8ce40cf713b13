"""hypothesis strategies for testing ops: shapes, dims, arrays and Tensors in a domain, whole calls.

    >>> from hypothesis import given
    >>> from minigrad.testing import domains, strategies as st
    >>> @given(st.tensors(domains.positive, st.shapes(max_dims=2)))
    ... def test_log_undoes_exp(x):
    ...     assert abs(x.exp().log() - x).sum() < 1e-12
    >>> test_log_undoes_exp()

hypothesis chooses, and shrinks, shapes and arguments; the numbers come from a generator whose seed
it chooses. It is an extra package: `pip install hypothesis`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from minigrad.autograd import Array
from minigrad.tensor import Tensor
from minigrad.testing.case import Call
from minigrad.testing.domains import Domain, Shape, real

# ---- shapes --------------------------------------------------------------------------------------

def shapes(min_dims: int = 0, max_dims: int = 3, *, min_side: int = 1, max_side: int = 4
           ) -> st.SearchStrategy[Shape]:
    """0-d upwards; sides of size 1 come often."""
    side = st.integers(min_side, max_side)
    if min_side <= 1:
        side = st.one_of(st.just(1), side)
    return st.lists(side, min_size=min_dims, max_size=max_dims).map(tuple)


def any_shapes(min_dims: int = 0, max_dims: int = 3) -> st.SearchStrategy[Shape]:
    """Empty ones too: sides of size 0."""
    return st.one_of(shapes(min_dims, max_dims), shapes(min_dims, max_dims, min_side=0))


@st.composite
def broadcastable_shapes(draw: st.DrawFn, n: int = 2, max_dims: int = 3) -> tuple[Shape, ...]:
    """n shapes that broadcast together: dims set to 1 or left off in front."""
    full = draw(any_shapes(0, max_dims))

    def part() -> Shape:
        kept = full[draw(st.integers(0, len(full))):] if draw(st.booleans()) else full
        return tuple(1 if draw(st.booleans()) and draw(st.booleans()) else side for side in kept)
    return tuple(part() for _ in range(n))


@st.composite
def image_shapes(draw: st.DrawFn, *, max_batch: int = 2, max_channels: int = 4,
                  min_side: int = 1, max_side: int = 7) -> Shape:
    """(N, C, H, W)"""
    return (draw(st.integers(1, max_batch)), draw(st.integers(1, max_channels)),
            draw(st.integers(min_side, max_side)), draw(st.integers(min_side, max_side)))


@st.composite
def dim_of(draw: st.DrawFn, ndim: int) -> int:
    """A dim, from the front or from the end; 0 and -1 for 0-d."""
    n = max(ndim, 1)
    return draw(st.integers(-n, n - 1))


@st.composite
def dims_of(draw: st.DrawFn, ndim: int, *, none: bool = True) -> int | tuple[int, ...] | None:
    """What `dim=` takes: None, an int, or a tuple of several, some from the end."""
    choices: list[st.SearchStrategy[Any]] = [dim_of(ndim), *([st.none()] if none else [])]
    if ndim:
        several = st.lists(st.integers(0, ndim - 1), min_size=1, unique=True).map(
            lambda dims: tuple(d - ndim if d % 2 else d for d in dims))
        choices.append(several)
    chosen: int | tuple[int, ...] | None = draw(st.one_of(choices))
    return chosen



# ---- numbers, and whole calls --------------------------------------------------------------------

def generators() -> st.SearchStrategy[np.random.Generator]:
    """Seeded generators, for a domain to draw from."""
    return st.integers(0, 2**32 - 1).map(np.random.default_rng)


def _require_domain(name: str, domain: Any) -> None:
    if not callable(domain):
        raise TypeError(f"{name}: domain must be a function (rng, shape) -> array, as "
                        f"domains.real; got {domain!r}")


def _require_strategy(name: str, argument: str, value: Any) -> None:
    if not hasattr(value, "flatmap"):           # as all strategies have
        raise TypeError(f"{name}: {argument} must be a hypothesis strategy, for one value just(…) "
                        f"of hypothesis.strategies; got {value!r}")


def arrays(domain: Domain = real, shape: st.SearchStrategy[Shape] | None = None
           ) -> st.SearchStrategy[Array]:
    """float64 arrays with numbers of a domain, of any shape if none is given."""
    _require_domain("arrays", domain)
    if shape is not None:
        _require_strategy("arrays", "shape", shape)
    return st.builds(lambda rng, drawn: domain(rng, drawn), generators(),
                     any_shapes() if shape is None else shape)


def tensors(domain: Domain = real, shape: st.SearchStrategy[Shape] | None = None, *,
            dtype: Any = np.float64, requires_grad: bool = True) -> st.SearchStrategy[Tensor]:
    """Tensors with numbers of a domain, of any shape if none is given."""
    return arrays(domain, shape).map(lambda x: Tensor(x.astype(dtype), requires_grad))


def calls(*inputs: Domain, shapes: st.SearchStrategy[tuple[Shape, ...]],
          **static: st.SearchStrategy[Any]) -> st.SearchStrategy[Call]:
    """Calls with an input in each of the domains, of shapes drawn together; static arguments are
    drawn independently of them.

        calls(real, real, shapes=st.just(((2, 3), (3, 4))))
    """
    for domain in inputs:
        _require_domain("calls", domain)
    _require_strategy("calls", "shapes", shapes)
    for name, values in static.items():
        _require_strategy("calls", name, values)
    return st.builds(
        lambda rng, drawn, **more: Call(*(domain(rng, shape) for domain, shape
                                          in zip(inputs, drawn, strict=True)), **more),
        generators(), shapes, **static)


def unary(domain: Domain = real, shapes: st.SearchStrategy[Shape] | None = None,
          **static: st.SearchStrategy[Any]) -> st.SearchStrategy[Call]:
    """Calls with one input, of any shape if none is given."""
    one = any_shapes() if shapes is None else shapes
    _require_strategy("unary", "shapes", one)
    return calls(domain, shapes=one.map(lambda shape: (shape,)), **static)


def binary(a: Domain = real, b: Domain = real, **static: st.SearchStrategy[Any]
           ) -> st.SearchStrategy[Call]:
    """Calls with two inputs whose shapes broadcast."""
    return calls(a, b, shapes=broadcastable_shapes(2), **static)
