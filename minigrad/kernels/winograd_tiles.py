"""The transforms of Winograd's convolution (winograd.py), in vector registers.

Each takes a square of values, one vector of images for each, and multiplies it by a matrix from
the left and by its transpose from the right. A matrix is written as a *formula*, which says how a
column of values becomes another. NumPy arrays go through a formula, and so do the registers of the
compiled code:

    input_tile          Bᵀ d B      6×6 places of a plane → a tile of 6×6
    gradient_tile       A g Aᵀ      4×4 places of a plane → a tile of 6×6
    weight_tile         G w Gᵀ      the 3×3 weights → a tile of 6×6
    output_tile         Aᵀ m A      a tile of 6×6 → 4×4 places of a plane
    weight_grad_tile    Gᵀ m G      a tile of 6×6 → the gradient of the 3×3 weights

A plane lies in memory as (height, width, images); its values start at `at`. Of its images, those
from number n on are looked at, as many as a vector has lanes. Value (i, j) of a tile is the vector
that starts at `at` + (6i + j)·gap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.kernels.vectors import VECTOR_BYTES, Emitter

Array = NDArray[Any]
Formula = Callable[..., Sequence[Any]]

A, B = 0.5**0.5, 2**0.5             # the points; A·B = 1, A² = ½, B² = 2


# ---- the formulas --------------------------------------------------------------------------------

def by_bt(x0: Any, x1: Any, x2: Any, x3: Any, x4: Any, x5: Any) -> Sequence[Any]:
    """Bᵀ x."""
    even, odd = x4 - x2 * 2, x3 * A - x1 * B
    even_b, odd_b = x4 - x2 * 0.5, x3 * B - x1 * A
    return (x0 - x2 * 2.5 + x4, even + odd, even - odd, even_b + odd_b, even_b - odd_b,
            x1 - x3 * 2.5 + x5)


def by_a(x0: Any, x1: Any, x2: Any, x3: Any) -> Sequence[Any]:
    """A x."""
    even, odd = x0 + x2 * 0.5, x1 * A + x3 * (A / 2)
    even_b, odd_b = x0 + x2 * 2, x1 * B + x3 * (2 * B)
    return x0, even + odd, even - odd, even_b + odd_b, even_b - odd_b, x3


def by_at(x0: Any, x1: Any, x2: Any, x3: Any, x4: Any, x5: Any) -> Sequence[Any]:
    """Aᵀ x."""
    even, odd, even_b, odd_b = x1 + x2, x1 - x2, x3 + x4, x3 - x4
    return (x0 + even + even_b, odd * A + odd_b * B, even * 0.5 + even_b * 2,
            odd * (A / 2) + odd_b * (2 * B) + x5)


def by_g(x0: Any, x1: Any, x2: Any) -> Sequence[Any]:
    """G x."""
    even, odd = x0 * (-2 / 3) - x2 * (1 / 3), x1 * (-2 / 3 * A)
    even_b, odd_b = x0 * (1 / 6) + x2 * (1 / 3), x1 * (B / 6)
    return x0, even + odd, even - odd, even_b + odd_b, even_b - odd_b, x2


def by_gt(x0: Any, x1: Any, x2: Any, x3: Any, x4: Any, x5: Any) -> Sequence[Any]:
    """Gᵀ x."""
    even, odd, even_b, odd_b = x1 + x2, x1 - x2, x3 + x4, x3 - x4
    return (x0 - even * (2 / 3) + even_b * (1 / 6), odd * (-2 / 3 * A) + odd_b * (B / 6),
            even_b * (1 / 3) - even * (1 / 3) + x5)


def both_ways(formula: Formula, square: Sequence[Sequence[Any]]) -> list[Sequence[Any]]:
    """The columns of a square through a formula, and then the rows of what has become of it."""
    columns = [formula(*column) for column in zip(*square, strict=True)]
    return [formula(*row) for row in zip(*columns, strict=True)]


# ---- the transforms ------------------------------------------------------------------------------

EMITTED: dict[Callable[..., None], tuple[str, Formula, int]] = {}   # with the side of the square


def _to_tile(formula: Formula, side: int) -> Callable[..., None]:
    def to_tile(x: Array, at: int, top: int, left: int, height: int, width: int, images: int,
                n: int, zeros: Array, v: Array, to: int, gap: int) -> None:
        """A tile at v[to] from the places of a plane at x[at] from (top, left) on.

        Places outside of the plane hold `zeros`, as do lanes beyond the last image.
        """
        lanes = VECTOR_BYTES // x.itemsize
        square = np.zeros((side, side, lanes), x.dtype)
        for i in range(side):
            for j in range(side):
                if 0 <= top + i < height and 0 <= left + j < width:
                    start = at + ((top + i) * width + left + j) * images
                    seen = x[start + n:start + min(n + lanes, images)]
                    square[i, j, :len(seen)] = seen
        tile = np.array(both_ways(formula, list(square))).reshape(36, lanes)
        for k in range(36):
            v[to + k * gap:to + k * gap + lanes] = tile[k]

    EMITTED[to_tile] = "to_tile", formula, side
    return to_tile


def _to_plane(formula: Formula, side: int) -> Callable[..., None]:
    def to_plane(m: Array, at: int, gap: int, bias: float, y: Array, to: int, top: int, left: int,
                 height: int, width: int, images: int, n: int, unused: Array) -> None:
        """From a tile at m[at] the places of a plane at y[to] from (top, left) on, plus a bias.

        What would lie outside of the plane is written to `unused`.
        """
        lanes = VECTOR_BYTES // m.itemsize
        square = [[m[at + (6 * i + j) * gap:][:lanes] for j in range(6)] for i in range(6)]
        for i, row in enumerate(both_ways(formula, square)):
            for j, value in enumerate(row):
                if 0 <= top + i < height and 0 <= left + j < width:
                    start = to + ((top + i) * width + left + j) * images
                    place = y[start + n:start + min(n + lanes, images)]
                    place[:] = (value + bias)[:len(place)]

    EMITTED[to_plane] = "to_plane", formula, side
    return to_plane


input_tile, gradient_tile, weight_tile = _to_tile(by_bt, 6), _to_tile(by_a, 4), _to_tile(by_g, 3)
output_tile, weight_grad_tile = _to_plane(by_at, 4), _to_plane(by_gt, 3)


# ---- what they compile to ------------------------------------------------------------------------

def teach_winograd(numba: Any) -> None:
    """Tell Numba what a call of these functions compiles to."""
    types, intrinsic, overload = numba.types, numba.extending.intrinsic, numba.extending.overload

    def teach_to_tile(function: Any, formula: Formula, side: int) -> None:
        def typed(_: Any, x: Any, at: Any, top: Any, left: Any, height: Any, width: Any,
                  images: Any, n: Any, zeros: Any, v: Any, to: Any, gap: Any) -> Any:
            return (types.void(x, at, top, left, height, width, images, n, zeros, v, to, gap),
                    TransformEmitter(formula, side).to_tile)

        def compiled(x: Any, at: Any, top: Any, left: Any, height: Any, width: Any, images: Any,
                     n: Any, zeros: Any, v: Any, to: Any, gap: Any) -> Any:
            return lambda x, at, top, left, height, width, images, n, zeros, v, to, gap: emit(
                x, at, top, left, height, width, images, n, zeros, v, to, gap)

        emit = intrinsic(typed)
        overload(function, strict=False)(compiled)

    def teach_to_plane(function: Any, formula: Formula, side: int) -> None:
        def typed(_: Any, m: Any, at: Any, gap: Any, bias: Any, y: Any, to: Any, top: Any,
                  left: Any, height: Any, width: Any, images: Any, n: Any, unused: Any) -> Any:
            return (types.void(m, at, gap, bias, y, to, top, left, height, width, images, n,
                               unused), TransformEmitter(formula, side).to_plane)

        def compiled(m: Any, at: Any, gap: Any, bias: Any, y: Any, to: Any, top: Any, left: Any,
                     height: Any, width: Any, images: Any, n: Any, unused: Any) -> Any:
            return (lambda m, at, gap, bias, y, to, top, left, height, width, images, n, unused:
                    emit(m, at, gap, bias, y, to, top, left, height, width, images, n, unused))

        emit = intrinsic(typed)
        overload(function, strict=False)(compiled)

    teach = {"to_tile": teach_to_tile, "to_plane": teach_to_plane}
    for function, (kind, formula, side) in EMITTED.items():
        teach[kind](function, formula, side)


class Vector:
    """A register of the compiled code, or a number in all of its lanes, for formulas."""

    def __init__(self, emitter: TransformEmitter, value: Any) -> None:
        self.emitter, self.value = emitter, value

    def __add__(self, other: Vector) -> Vector:
        return self._by("fadd", other.value)

    def __sub__(self, other: Vector) -> Vector:
        return self._by("fsub", other.value)

    def __mul__(self, number: float) -> Vector:
        return self._by("fmul", self.emitter.ir.Constant(self.emitter.vector,
                                                         [number] * self.emitter.lanes))

    def _by(self, instruction: str, other: Any) -> Vector:
        write = getattr(self.emitter.builder, instruction)
        return Vector(self.emitter, write(self.value, other, flags=("contract",)))


class TransformEmitter(Emitter):
    """Writes the LLVM instructions of a transform, whose arguments are those of the function."""

    def __init__(self, formula: Formula, side: int) -> None:
        super().__init__(side, side)
        self.formula, self.side = formula, side

    def to_tile(self, context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x, at, top, left, height, width, images, n, zeros, v, to, gap = self.begin(
            context, builder, signature, args)
        places = self.places(builder.gep(x, [at]), zeros, top, left, height, width, images, n)
        for first in range(0, self.pieces * self.lanes, self.lanes):
            start, mask = self.number(first), self.mask(builder.sub(images, builder.add(
                n, self.number(first))))
            square = [[Vector(self, self.load_vector(place, start, mask)) for place in row]
                      for row in places]
            for i, row in enumerate(both_ways(self.formula, square)):
                for j, value in enumerate(row):
                    target = builder.add(to, builder.mul(gap, self.number(6 * i + j)))
                    self.store_vector(value.value, v, builder.add(target, start))
        return context.get_dummy_value()

    def to_plane(self, context: Any, builder: Any, signature: Any, args: Any) -> Any:
        m, at, gap, bias, y, to, top, left, height, width, images, n, unused = self.begin(
            context, builder, signature, args)
        places = self.places(builder.gep(y, [to]), unused, top, left, height, width, images, n)
        offset = Vector(self, self.spread(bias))
        for first in range(0, self.pieces * self.lanes, self.lanes):
            start, mask = self.number(first), self.mask(builder.sub(images, builder.add(
                n, self.number(first))))
            square = [[Vector(self, self.load_vector(m, builder.add(builder.add(at, start),
                                                                   builder.mul(gap, self.number(
                                                                       6 * i + j)))))
                       for j in range(6)] for i in range(6)]
            for targets, row in zip(places, both_ways(self.formula, square), strict=True):
                for target, value in zip(targets, row, strict=True):
                    self.store_vector((value + offset).value, target, start, mask)
        return context.get_dummy_value()

    def places(self, plane: Any, elsewhere: Any, top: Any, left: Any, height: Any, width: Any,
               images: Any, n: Any) -> list[list[Any]]:
        """Where in memory the places of a square start; `elsewhere` for those not in the plane."""
        builder = self.builder
        line, start, ways = builder.mul(width, images), builder.gep(plane, [n]), []
        for first, size, step in ((top, height, line), (left, width, images)):
            each = [builder.add(first, self.number(i)) for i in range(self.side)]
            # as unsigned numbers, those below 0 are large
            ways.append([(builder.mul(k, step), builder.icmp_unsigned("<", k, size)) for k in each])
        return [[builder.select(builder.and_(high, wide), builder.gep(start, [builder.add(
            down, across)]), elsewhere) for across, wide in ways[1]] for down, high in ways[0]]
