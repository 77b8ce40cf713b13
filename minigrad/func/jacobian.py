"""Whole Jacobians, by a loop over basis vectors, and second derivatives.

torch computes all rows at once with vmap, which minigrad does not have.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minigrad.creation import zeros
from minigrad.func import tree
from minigrad.func.gradient import grad
from minigrad.func.products import vjp
from minigrad.func.trace import Argnums, Linear, Trace, chosen, fitting
from minigrad.ops.shape import reshape, stack
from minigrad.tensor import Tensor


def jacrev(func: Callable[..., Any], argnums: Argnums = 0, *, has_aux: bool = False,
           chunk_size: int | None = None) -> Callable[..., Any]:
    """The function that computes the Jacobian of `func` row by row: one vjp for each output value.

        jacrev(f)(x)[i, j] = ∂f_i/∂x_j         of shape f(x).shape + x.shape

    argnums: as in `grad`. If output and arguments are trees, the result is a tree of the output's
    structure whose leaves are trees of the arguments'.
    has_aux: func returns (output, aux), and the new function (Jacobian, aux).
    chunk_size: any positive number or None. Rows are computed one at a time, as torch's are for 1.
    Raises: as `vjp` does; ValueError for chunk_size < 1.
    Source: torch.func.jacrev.
    """
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f"jacrev: chunk_size must be at least 1; got {chunk_size}")

    @functools.wraps(func)
    def jacobian(*args: Any) -> Any:
        if argnums is None:
            raise TypeError("jacrev: argnums must be an int or a tuple of ints; got None")
        trace = Trace("jacrev", func, args, argnums=argnums, has_aux=has_aux)
        record = trace.records()
        blocks = []
        for k, y in enumerate(trace.outputs):
            if y.dtype.kind != "f":
                raise RuntimeError(f"jacrev: the outputs must be floating point; got {y.dtype} "
                                   f"{y.shape}")
            rows = [trace.pull_back(_only(u, k, len(trace.outputs)), keep=True, record=record)
                    for u in _basis(y)]
            blocks.append(trace.results(trace.primals, (
                _joined([row[i] for row in rows], 0, y, x) for i, x in enumerate(trace.inputs))))
        found = tree.build(trace.output, blocks)
        return (found, trace.aux) if has_aux else found
    return jacobian


def jacfwd(func: Callable[..., Any], argnums: Argnums | None = 0, has_aux: bool = False, *,
           randomness: str = "error") -> Callable[..., Any]:
    """The function that computes the Jacobian of `func` column by column: one jvp for each input
    value.

    argnums, has_aux and the result: as in `jacrev`; None stands for all arguments.
    randomness: "error" or "same". func runs once, so its random numbers are the same for all
    columns.
    Raises: as `jvp` does; ValueError for another randomness.
    Source: torch.func.jacfwd.
    """
    if randomness not in ("error", "same"):
        raise ValueError("jacfwd: randomness must be 'error' or 'same', for func runs only once; "
                         f"got {randomness!r}")

    @functools.wraps(func)
    def jacobian(*args: Any) -> Any:
        trace = Trace("jacfwd", func, args, argnums=argnums, has_aux=has_aux)
        linear, record, n = Linear(trace), trace.records(), len(trace.inputs)
        columns = [[linear.push(_only(v, i, n), record=record) for v in _basis(x)]
                   for i, x in enumerate(trace.inputs)]
        found = tree.build(trace.output, (
            trace.results(trace.primals, (_joined([column[k] for column in columns[i]], -1, y, x)
                                          for i, x in enumerate(trace.inputs)))
            for k, y in enumerate(trace.outputs)))
        return (found, trace.aux) if has_aux else found
    return jacobian


def hessian(func: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """The function that computes the second derivatives of `func`, the Jacobian of its Jacobian.

        hessian(f)(x)[…, i, j] = ∂²f/∂x_i∂x_j  of shape f(x).shape + x.shape + x.shape

    argnums: as in `grad`; a tuple gives a tuple of tuples.
    Source: torch.func.hessian.
    """
    return jacfwd(jacrev(func, argnums), argnums)


def hvp(func: Callable[..., Any], primals: tuple[Any, ...], tangents: tuple[Any, ...],
        argnums: Argnums = 0) -> Any:
    """H·v, the Hessian of a scalar `func(*primals)` times a vector, without computing H.

        hvp(f, (x,), (v,)) = jvp(grad(f), (x,), (v,))[1] = Hᵀv, since H is symmetric

    primals, tangents: tuples of equal structure, one entry for each argument of func.
    argnums: the arguments whose rows of H are wanted, as in `grad`; the columns are those of all
    primals.
    Raises: as `grad` and `jvp` do.
    Source: B. Pearlmutter, "Fast exact multiplication by the Hessian", 1994.
    """
    if not isinstance(primals, tuple):
        raise TypeError(f"hvp: primals must be a tuple; got {type(primals).__name__}")
    rows = chosen("hvp", argnums, len(primals))
    fitting("hvp", "tangents", tangents, "primals", primals)
    _, vjp_fn = vjp(grad(func, tuple(range(len(primals)))), *primals)
    found = vjp_fn(tangents)
    return found[rows[0]] if isinstance(argnums, int) else tuple(found[i] for i in rows)


def _basis(t: Tensor) -> Iterator[Tensor]:
    """The vectors of t's shape with a single 1, in order."""
    for place in np.ndindex(t.shape):
        vector = np.zeros(t.shape, t.dtype)
        vector[place] = 1
        yield Tensor(vector)


def _only(vector: Tensor, k: int, n: int) -> list[Tensor | None]:
    """n vectors that are all 0, which is None here, but the k-th"""
    return [vector if i == k else None for i in range(n)]


def _joined(lines: list[Tensor | None], dim: int, y: Tensor, x: Tensor) -> Tensor:
    """Rows (dim 0) or columns (dim -1) as one Jacobian, of shape y.shape + x.shape."""
    shape = (*y.shape, *x.shape)
    if not lines or lines[0] is None:
        return zeros(shape, dtype=x.dtype if dim == 0 else y.dtype)
    return reshape(stack(lines, dim), shape=shape)
