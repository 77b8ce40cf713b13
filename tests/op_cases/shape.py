"""Cases of minigrad.ops.shape."""

from __future__ import annotations

import math

import numpy as np
import torch
from hypothesis import strategies as st

from minigrad.ops import shape as ops
from minigrad.testing.case import Call, Error, OpCase, example
from minigrad.testing.domains import real, special
from minigrad.testing.strategies import any_shapes, dim_of, dims_of, generators, shapes

X = np.arange(6.0).reshape(2, 3)


@st.composite
def calls(draw, arguments, shape=None) -> Call:
    """One input, and what `arguments(draw, its shape)` gives."""
    drawn = draw(any_shapes() if shape is None else shape)
    return Call(real(draw(generators()), drawn), **arguments(draw, drawn))


def new_shape(draw, shape) -> dict:
    """The same number of elements in other sizes; perhaps one of them -1."""
    n = math.prod(shape)
    if n == 0:
        return {"shape": draw(st.sampled_from([(0,), (0, 2), (3, 0, 1), (-1,), (2, -1)]))}
    first = draw(st.sampled_from([d for d in range(1, n + 1) if n % d == 0]))
    return {"shape": draw(st.sampled_from([(first, n // first), (-1,), (first, -1),
                                           (-1, 1, first), (n,), (1, first, n // first)]))}


def new_size(draw, shape) -> dict:
    return {"size": new_shape(draw, shape)["shape"]}


def order(draw, shape) -> dict:
    dims = draw(st.permutations(range(len(shape))))
    return {"dims": tuple(d - len(shape) if draw(st.booleans()) else d for d in dims)}


def two_dims(draw, shape) -> dict:
    return {"dim0": draw(dim_of(len(shape))), "dim1": draw(dim_of(len(shape)))}


def wider(draw, shape) -> dict:
    sizes = tuple(draw(st.integers(0, 3)) if n == 1 else draw(st.sampled_from([n, -1]))
                  for n in shape)
    return {"size": (*draw(shapes(0, 2)), *sizes)}


def start_end(draw, shape) -> dict:
    n = max(len(shape), 1)
    start = draw(st.integers(0, n - 1))
    end = draw(st.integers(start, n - 1))
    return {"start_dim": start, "end_dim": end - n if draw(st.booleans()) else end}


def several(draw, shape) -> dict:
    dims = draw(dims_of(len(shape), none=False))
    return {"dims": dims if isinstance(dims, tuple) else (dims,)}


def shifts_dims(draw, shape) -> dict:
    if not shape or draw(st.booleans()):
        return {"shifts": draw(st.integers(-5, 5)), "dims": draw(st.sampled_from([None, ()]))}
    dims = draw(st.lists(st.integers(-len(shape), len(shape) - 1), min_size=1, max_size=3))
    return {"shifts": tuple(draw(st.integers(-5, 5)) for _ in dims), "dims": tuple(dims)}


def diagonal(draw, shape) -> dict:
    return {"diagonal": draw(st.integers(-4, 4))}


def pieces(draw, shape) -> dict:
    axis = draw(st.integers(0, len(shape) - 1))
    n = shape[axis]
    cut = draw(st.integers(0, n))
    size = draw(st.sampled_from([max(1, n // 2), n + 1, [cut, n - cut], (0, cut, n - cut),
                                 *([0] if n == 0 else [])]))
    return {"split_size_or_sections": size, "dim": draw(st.sampled_from([axis, axis - len(shape)]))}


def chunks(draw, shape) -> dict:
    return {"chunks": draw(st.integers(1, 5)), "dim": draw(dim_of(len(shape)))}


@st.composite
def joined(draw, stack: bool = False) -> Call:
    """One to four inputs that agree but for their size along `dim`."""
    shape = draw(any_shapes(0 if stack else 1))
    dim = draw(dim_of(len(shape) + stack))
    rng = draw(generators())
    inputs = []
    for _ in range(draw(st.integers(1, 4))):
        sizes = list(shape)
        if not stack:
            sizes[dim] = draw(st.integers(0, 3))
        inputs.append(real(rng, tuple(sizes)))
    return Call(*inputs, dim=dim)


def together(f):
    return lambda *tensors, **static: f(tensors, **static)


def triangle(op, reference) -> OpCase:
    return OpCase(op, reference, calls(diagonal, any_shapes(2)),
                  (example(1, real, (3, 3)), example(2, real, (2, 3, 4), diagonal=1),
                   example(3, real, (4, 2), diagonal=-1)),
                  (Error(Call(np.ones(3)), RuntimeError,
                         rf"{op.__name__}: needs at least 2 dims; got x \(3,\)"),
                   Error(Call(X, diagonal=1.5), TypeError,
                         f"{op.__name__}: diagonal must be an int; got 1.5"),
                   Error(Call(X, diagonal=10**20), ValueError,
                         f"{op.__name__}: diagonal must fit in 64 bits; got 10000")),
                  corners=st.builds(lambda rng, k: Call(special(rng, (3, 3)), diagonal=k),
                                    generators(), st.integers(-100, 100)))


def twice(op, **static) -> Error:
    return Error(Call(X, **static), RuntimeError, f"{op.__name__}: dim .* names a dim twice")


def out_of_range(op, **static) -> Error:
    return Error(Call(X, **static), IndexError, f"{op.__name__}: dim 5 is out of range")


def no_ints(op, argument, *values) -> tuple[Error, ...]:
    """Arguments that must be a tuple of ints."""
    name = f"{op.__name__}: {argument} must be"
    return (Error(Call(X, **{argument: 6}), TypeError, f"{name} a tuple of ints; got 6"),
            Error(Call(X, **{argument: (2.0, 3)}), TypeError, f"{name} an int; got 2.0"),
            Error(Call(X, **{argument: (True, 6)}), TypeError, f"{name} an int; got True"))


def no_int(op, argument, **static) -> tuple[Error, ...]:
    return tuple(Error(Call(X, **static, **{argument: value}), TypeError,
                       f"{op.__name__}: {argument} must be an int; got {value}")
                 for value in (1.0, True))


CASES = [
    OpCase(ops.reshape, torch.reshape, calls(new_shape),
           (example(4, real, (2, 3), shape=(3, 2)), example(5, real, (2, 6), shape=(-1, 2, 2))),
           (*(Error(Call(X, shape=shape), RuntimeError,
                    r"reshape: shape .* is invalid for 6 elements; got x \(2, 3\)")
              for shape in [(4,), (-1, 4), (-1, -1), (-2, -3), ()]),
            Error(Call(np.ones((0, 2)), shape=(-1, 0)), RuntimeError, "reshape: shape"),
            Error(Call(np.ones(4), shape=(-2, -2)), RuntimeError, "reshape: shape"),
            *no_ints(ops.reshape, "shape"))),
    OpCase(ops.view, lambda x, size: x.view(size), calls(new_size),
           (example(6, real, (2, 3), size=(3, 2)),),
           (Error(Call(X, size=(4,)), RuntimeError, "shape .* is invalid for 6 elements"),
            *no_ints(ops.view, "size")[1:])),
    OpCase(ops.permute, torch.permute, calls(order),
           (example(7, real, (2, 3, 4), dims=(2, 0, 1)), example(8, real, (2, 3), dims=(-1, 0))),
           (Error(Call(X, dims=(0,)), RuntimeError, "permute: dims .* each of the 2 dims once"),
            twice(ops.permute, dims=(0, 0)), out_of_range(ops.permute, dims=(0, 5)),
            *no_ints(ops.permute, "dims"))),
    OpCase(ops.transpose, torch.transpose, calls(two_dims),
           (example(9, real, (2, 3, 4), dim0=0, dim1=-1),
            example(10, real, (3, 3), dim0=0, dim1=1)),
           (out_of_range(ops.transpose, dim0=0, dim1=5),
            Error(Call(X, dim0=0, dim1=1.0), TypeError, "transpose: dim must be an int"),
            Error(Call(np.ones(()), dim0=0, dim1=1), IndexError, "transpose: dim 1 is out"))),
    OpCase(ops.t, torch.t, calls(lambda draw, shape: {}, any_shapes(0, 2)),
           (example(11, real, (2, 3)),),
           (Error(Call(np.ones((1, 2, 3))), RuntimeError,
                  r"t: needs at most 2 dims; got x \(1, 2, 3\)"),)),
    OpCase(ops.expand, torch.broadcast_to, calls(wider),
           (example(12, real, (2, 3), size=(2, 2, 3)),
            example(13, real, (1, 3), size=(2, 4, -1)),),
           (*(Error(Call(X, size=size), RuntimeError, r"expand: x \(2, 3\) cannot be expanded to")
              for size in [(3,), (2,), (4, 3), (-1, 2, 3), (2, 6), (-2, 3), (0, 3), (2, 1)]),
            Error(Call(np.ones(()), size=(-1,)), RuntimeError, r"expand: x \(\) cannot be"),
            *no_ints(ops.expand, "size"))),
    OpCase(ops.squeeze, lambda x, dim=None: x.squeeze() if dim is None else x.squeeze(dim),
           calls(lambda draw, shape: {"dim": draw(dims_of(len(shape)))}, shapes()),
           (example(14, real, (1, 2, 1, 3)), example(15, real, (1, 2, 1, 3), dim=-2),
            example(16, real, (1, 2, 1), dim=(0, 1)), example(16, real, (1, 2, 1), dim=()),
            example(16, real, (1, 2, 1), dim=[])),
           (out_of_range(ops.squeeze, dim=5), twice(ops.squeeze, dim=(0, 0)),
            *no_int(ops.squeeze, "dim"), out_of_range(ops.squeeze, dim=(0, 5)),
            Error(Call(np.ones(()), dim=1), IndexError, "squeeze: dim 1 is out of range"))),
    OpCase(ops.unsqueeze, torch.unsqueeze,
           calls(lambda draw, shape: {"dim": draw(st.integers(-len(shape) - 1, len(shape)))}),
           (example(17, real, (2, 3), dim=1),),
           (out_of_range(ops.unsqueeze, dim=5), *no_int(ops.unsqueeze, "dim"),
            Error(Call(X, dim=-4), IndexError, "unsqueeze: dim -4 is out of range"))),
    OpCase(ops.flatten, torch.flatten, calls(start_end),
           (example(18, real, (2, 3, 2)), example(19, real, (2, 3, 2), start_dim=1),
            example(19, real, (2, 3, 2), end_dim=1)),
           (Error(Call(X, start_dim=1, end_dim=0), RuntimeError,
                  "flatten: start_dim 1 comes after end_dim 0"),
            out_of_range(ops.flatten, start_dim=5), out_of_range(ops.flatten, end_dim=5),
            Error(Call(X, start_dim=0.5), TypeError, "flatten: dim must be an int; got 0.5"))),
    OpCase(ops.flip, torch.flip, calls(several),
           (example(20, real, (2, 3), dims=(1,)), example(21, real, (2, 3), dims=(0, -1)),
            example(22, real, (2, 3), dims=())),
           (out_of_range(ops.flip, dims=(5,)), twice(ops.flip, dims=(0, 0)),
            *no_ints(ops.flip, "dims"))),
    OpCase(ops.roll, torch.roll, calls(shifts_dims),
           (example(23, real, (2, 3), shifts=2), example(24, real, (2, 3), shifts=(1, -1),
                                                         dims=(0, 1))),
           (Error(Call(X, shifts=(1, 2), dims=0), RuntimeError, "roll: shifts .* and dims .*"),
            Error(Call(X, shifts=(1, 2)), RuntimeError, "roll: shifts .* and dims .*"),
            Error(Call(X, shifts=1, dims=(0, 1)), RuntimeError, "roll: shifts .* and dims .*"),
            Error(Call(X, shifts=()), RuntimeError, "roll: shifts .* and dims .*"),
            Error(Call(np.ones(()), shifts=1, dims=0), IndexError, "roll: .* out of range"),
            out_of_range(ops.roll, shifts=1, dims=5), *no_int(ops.roll, "shifts"))),
    triangle(ops.tril, torch.tril),
    triangle(ops.triu, torch.triu),
    OpCase(ops.cat, together(torch.cat), joined(),
           (example(25, real, (2, 3), (2, 2), dim=1), example(26, real, (2, 3), (2, 3), (1, 3)),
            example(27, real, (2, 3), dim=-1), example(27, real, (0,), (2, 3), (0,), dim=1),
            example(27, real, (0,), (0,)), example(27, real, (2, 3), (0, 3), (0,))),
           (Error(Call(X, np.ones((2, 2))), RuntimeError,
                  r"cat: sizes must agree except along dim 0; got .*\(2, 3\), \(2, 2\)"),
            Error(Call(X, np.ones(3)), RuntimeError, "cat: sizes must agree"),
            Error(Call(X, np.ones((0, 2))), RuntimeError, "cat: sizes must agree"),
            Error(Call(np.ones(()), np.ones(())), RuntimeError, "cat: 0-d tensors cannot be"),
            Error(Call(X, np.ones(())), RuntimeError, "cat: 0-d tensors cannot be joined"),
            Error(Call(X, X, dim=5), IndexError, "cat: dim 5 is out of range"),
            Error(Call(X, X, dim=1.0), TypeError, "cat: dim must be an int; got 1.0"),
            Error(Call(np.ones(0), X, dim=2), IndexError, "cat: dim 2 is out of range"),
            Error(Call(), ValueError, "cat: needs at least one tensor")),
           corners=st.just(Call(np.ones((2, 0)), np.ones(0))), run=together(ops.cat)),
    OpCase(ops.stack, together(torch.stack), joined(stack=True),
           (example(28, real, (2, 3), (2, 3)), example(29, real, (2, 3), (2, 3), (2, 3), dim=-1),
            example(34, real, (3, 3), (3, 3), (3, 3), dim=1)),
           (Error(Call(X, np.ones((3, 2))), RuntimeError,
                  r"stack: needs tensors of one shape; got .*\(2, 3\), \(3, 2\)"),
            Error(Call(), ValueError, "stack: needs at least one tensor"),
            Error(Call(X, dim=5), IndexError, "stack: dim 5 is out of range")),
           run=together(ops.stack)),
    OpCase(ops.split, torch.split, calls(pieces, any_shapes(1)),
           (example(30, real, (5, 2), split_size_or_sections=2),
            example(31, real, (2, 5), split_size_or_sections=[1, 4], dim=-1)),
           (Error(Call(X, split_size_or_sections=[1, 1], dim=1), RuntimeError,
                  r"split: sizes \[1, 1\] must add up to 3, the size of dim 1; got x \(2, 3\)"),
            Error(Call(X, split_size_or_sections=0), RuntimeError, "split: the size of a piece"),
            Error(Call(X, split_size_or_sections=-1), RuntimeError, "split: the size of a piece"),
            Error(Call(X, split_size_or_sections=[-1, 3]), RuntimeError, "split: sizes .* must"),
            Error(Call(X, split_size_or_sections=[]), RuntimeError, "split: sizes .* must add"),
            *no_int(ops.split, "split_size_or_sections"),
            Error(Call(np.ones(()), split_size_or_sections=1), RuntimeError,
                  "split: needs at least 1 dim"),
            out_of_range(ops.split, split_size_or_sections=1, dim=5)),
           corners=st.sampled_from([Call(np.ones((2, 0)), split_size_or_sections=[], dim=1),
                                    Call(np.ones((0, 2)), split_size_or_sections=0)])),
    OpCase(ops.chunk, torch.chunk, calls(chunks, any_shapes(1)),
           (example(32, real, (5, 2), chunks=2), example(33, real, (2, 5), chunks=3, dim=1)),
           (Error(Call(X, chunks=0), RuntimeError, "chunk: needs at least 1 chunk; got 0"),
            *no_int(ops.chunk, "chunks"),
            Error(Call(np.ones(()), chunks=1), RuntimeError, "chunk: needs at least 1 dim"),
            out_of_range(ops.chunk, chunks=2, dim=5))),
]
