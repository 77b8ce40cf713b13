"""The innermost loops of matrix products and of convolutions, in vector registers (see vectors.py).

    pack       a panel, some columns of b, is copied so that its values lie in the order in which
               they will be read.
    tile       eight rows of y, as wide as a panel. For each k, it loads the panel's row k, three
               vectors, and spreads a value of each row of a over a vector. All products are added
               to sums that stay in registers throughout: 24 multiplications of vectors for 3 + 8
               loads, so that the loads take less time than the multiplications. Where y has fewer
               columns left, one or two vectors do, and four rows where it has no more.

A convolution is such a product, too, and its b is what the taps of the window see of x (conv.py):

    gather     a panel of it: for each tap, three vectors of x.
    tile_at    eight rows of y, whose three vectors lie at any three places.

And one for the order of dims in memory:

    transpose  a square of values, as wide as a vector.

Source: K. Goto and R. van de Geijn, Anatomy of high-performance matrix multiplication, 2008.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.kernels.vectors import VECTOR_BYTES, Emitter

Array = NDArray[Any]

ROWS, VECTORS = 8, 3                        # of a tile
PANEL_BYTES = VECTORS * VECTOR_BYTES        # in a row of a panel


def pack(b: Array, panel: Array) -> None:
    """panel[:k, :n] = b; whatever else the panel holds means nothing.

    Shapes: b (k, n), its rows or its columns contiguous; panel (K, W), with k up to the next
    multiple of a vector's lanes ≤ K and n ≤ W.
    """
    panel[:b.shape[0], :b.shape[1]] = b


def tile(a: Array, panel: Array, bias: Array, y: Array, adds: bool) -> None:
    """y = a @ panel + bias, or y += a @ panel if it `adds`, for the panel's first k rows and n
    columns.

    Shapes: a (m ≤ ROWS, k), any strides; panel (K ≥ k, W); bias (n,), or empty for none;
    y (m, n ≤ W), its rows contiguous.
    """
    product = a @ panel[:a.shape[1], :y.shape[1]]
    if adds:
        y += product
    else:
        y[:] = product + bias if len(bias) else product


def gather(x: Array, taps: Array, starts: Array, panel: Array) -> None:
    """Row k of the panel = x[taps[k] + v] for each of three vectors v.

    taps (k,): where each reads, relative to a vector's start. starts (3, VECTORS): where each
    vector starts in x, and in y, and how many values it has; vectors with none are the last. The
    panel has room for k rows of whole vectors; whatever is beyond a vector's values means nothing.
    """
    lanes = VECTOR_BYTES // x.itemsize
    for v, (at, _, count) in enumerate(starts.T):
        panel[:len(taps), v * lanes:v * lanes + count] = x[at + taps[:, None] + np.arange(count)]


def tile_at(a: Array, panel: Array, bias: Array, starts: Array, y: Array, pitch: int, adds: bool
            ) -> None:
    """Row i of y = a[i] @ panel + bias[i], or y += a[i] @ panel if it `adds`, for three vectors.

    Shapes: a (m ≤ ROWS, k), any strides; panel (K ≥ k, W) and starts (3, VECTORS) of `gather`;
    bias (m,), or empty for none; y (n,), whose rows lie `pitch` apart.
    """
    product, lanes = a @ panel[:a.shape[1]], VECTOR_BYTES // y.itemsize
    for i, row in enumerate(product):
        for v, (_, to, count) in enumerate(starts.T):
            values = y[to + i * pitch:to + i * pitch + count]
            before = values if adds else bias[i] if len(bias) else 0
            values[:] = before + row[v * lanes:v * lanes + count]


def transpose(x: Array, y: Array) -> None:
    """y = xᵀ

    Shapes: x (m, n), y (n, m), neither longer than a vector; the rows of both contiguous.
    """
    y[:] = x.T


# ---- what they compile to ------------------------------------------------------------------------

def teach_tile(numba: Any) -> None:
    """Tell Numba what a call of these functions compiles to.

    As in vectors.py: after an edit of this file, touch the files of the kernels that call them.
    """
    types, intrinsic, overload = numba.types, numba.extending.intrinsic, numba.extending.overload

    def pack_typed(_: Any, b: Any, panel: Any) -> Any:
        return types.void(b, panel), TileEmitter(ROWS, VECTORS).pack

    def tile_typed(_: Any, a: Any, panel: Any, bias: Any, y: Any, adds: Any) -> Any:
        return types.void(a, panel, bias, y, adds), TileEmitter(ROWS, VECTORS).tile

    def gather_typed(_: Any, x: Any, taps: Any, starts: Any, panel: Any) -> Any:
        return types.void(x, taps, starts, panel), TileEmitter(ROWS, VECTORS).gather

    def tile_at_typed(_: Any, a: Any, panel: Any, bias: Any, starts: Any, y: Any, pitch: Any,
                      adds: Any) -> Any:
        return (types.void(a, panel, bias, starts, y, pitch, adds),
                TileEmitter(ROWS, VECTORS).tile_at)

    def transpose_typed(_: Any, x: Any, y: Any) -> Any:
        return types.void(x, y), TileEmitter(ROWS, VECTORS).transpose

    emit_transpose = intrinsic(transpose_typed)
    emit_pack, emit_tile = intrinsic(pack_typed), intrinsic(tile_typed)
    emit_gather, emit_tile_at = intrinsic(gather_typed), intrinsic(tile_at_typed)

    def compiled_pack(b: Any, panel: Any) -> Callable[..., None]:
        return lambda b, panel: emit_pack(b, panel)

    def compiled_tile(a: Any, panel: Any, bias: Any, y: Any, adds: Any) -> Callable[..., None]:
        return lambda a, panel, bias, y, adds: emit_tile(a, panel, bias, y, adds)

    def compiled_gather(x: Any, taps: Any, starts: Any, panel: Any) -> Callable[..., None]:
        return lambda x, taps, starts, panel: emit_gather(x, taps, starts, panel)

    def compiled_tile_at(a: Any, panel: Any, bias: Any, starts: Any, y: Any, pitch: Any, adds: Any
                         ) -> Callable[..., None]:
        return lambda a, panel, bias, starts, y, pitch, adds: emit_tile_at(
            a, panel, bias, starts, y, pitch, adds)

    def compiled_transpose(x: Any, y: Any) -> Callable[..., None]:
        return lambda x, y: emit_transpose(x, y)

    overload(transpose, strict=False)(compiled_transpose)
    overload(gather, strict=False)(compiled_gather)
    overload(tile_at, strict=False)(compiled_tile_at)
    overload(pack, strict=False)(compiled_pack)
    overload(tile, strict=False)(compiled_tile)


class TileEmitter(Emitter):
    """Writes the LLVM instructions of `pack` and `tile`, whose arguments theirs are."""

    def pack(self, context: Any, builder: Any, signature: Any, args: Any) -> Any:
        b, panel = self.begin(context, builder, signature, args)
        (k, n), (down, right) = self.matrix(b)
        width = self.number(self.others * self.pieces * self.lanes)
        starts = [self.number(v * self.lanes) for v in range(self.others * self.pieces)]
        every_lane = self.mask(self.number(self.lanes))
        with builder.if_else(builder.icmp_signed("==", right, self.number(1))) as (rows, columns):
            with rows:
                masks = [self.mask(builder.sub(n, start)) for start in starts]
                with self.tools.for_range(builder, k) as loop:
                    row = builder.gep(b, [builder.mul(loop.index, down)])
                    to = builder.mul(loop.index, width)
                    for start, mask in zip(starts, masks, strict=True):
                        self.store_vector(self.load_vector(row, start, mask), panel,
                                          builder.add(to, start), every_lane)
            with columns:
                last = builder.sub(n, self.number(1))
                with self.tools.for_range_slice(builder, self.number(0), k,
                                                self.number(self.lanes), self.long) as (at, _):
                    mask = self.mask(builder.sub(k, at))
                    for start in starts:        # beyond the last column, the last once more
                        square = [self.load_vector(b, builder.add(at, builder.mul(
                            right, self.smaller(builder.add(start, self.number(i)), last))), mask)
                            for i in range(self.lanes)]
                        for i, vector in enumerate(self.transposed(square)):
                            row = builder.mul(builder.add(at, self.number(i)), width)
                            self.store_vector(vector, panel, builder.add(row, start), every_lane)
        return context.get_dummy_value()

    def transpose(self, context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x, y = self.begin(context, builder, signature, args)
        ((m, n), (x_down, _)), (_, (y_down, _)) = self.matrix(x), self.matrix(y)
        for top in range(0, self.pieces * self.lanes, self.lanes):
            for left in range(0, self.pieces * self.lanes, self.lanes):
                wide, high = (self.mask(builder.sub(size, self.number(first)))
                              for size, first in ((n, left), (m, top)))
                square = [self.load_vector(x, builder.add(builder.mul(
                    x_down, self.within(m, top + i)), self.number(left)), wide)
                    for i in range(self.lanes)]
                for i, vector in enumerate(self.transposed(square)):
                    with builder.if_then(builder.icmp_signed("<", self.number(left + i), n)):
                        place = builder.add(builder.mul(y_down, self.number(left + i)),
                                            self.number(top))
                        self.store_vector(vector, y, place, high)
        return context.get_dummy_value()

    def tile(self, context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, panel, bias, y, adds = self.begin(context, builder, signature, args)
        (m, n), (down, _) = self.matrix(y)
        added = self.tools.as_bool_bit(builder, adds)
        biased = builder.icmp_signed(">", self.length(bias), self.number(0))
        across = self.number(self.pieces * self.lanes)
        used = builder.sdiv(builder.add(n, builder.sub(across, self.number(1))), across)
        for rows, vectors in self.sizes(m, used):
            starts = [self.number(v * self.lanes) for v in vectors]
            masks = [self.mask(builder.sub(n, start)) for start in starts]
            targets = [builder.gep(y, [builder.mul(down, self.within(m, row))]) for row in rows]
            sums = [[self.variable(self.zero) for _ in vectors] for _ in rows]
            self.add_up(a, panel, rows, vectors, sums, [(target, start) for target in targets
                                                        for start in starts])
            for row, target, total in zip(rows, targets, sums, strict=True):
                with builder.if_then(builder.icmp_signed("<", self.number(row), m)):
                    before = builder.select(added, target, bias)
                    for start, mask, value in zip(starts, masks, total, strict=True):
                        with builder.if_then(builder.or_(added, biased)):
                            self.add_to(value, self.load_vector(before, start, mask))
                        self.store_vector(builder.load(value), target, start, mask)
        return context.get_dummy_value()

    def gather(self, context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x, taps, starts, panel = self.begin(context, builder, signature, args)
        width = self.number(self.others * self.pieces * self.lanes)
        vectors = range(self.others * self.pieces)
        places, masks = self.lines(starts, 0, vectors)
        with self.tools.for_range(builder, self.length(taps)) as loop:
            tap, to = self.load(taps, loop.index), builder.mul(loop.index, width)
            for v, place, mask in zip(vectors, places, masks, strict=True):
                self.store_vector(self.load_vector(x, builder.add(tap, place), mask), panel,
                                 builder.add(to, self.number(v * self.lanes)))
        return context.get_dummy_value()

    def tile_at(self, context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, panel, bias, starts, y, pitch, adds = self.begin(context, builder, signature, args)
        added = self.tools.as_bool_bit(builder, adds)
        m, used = self.matrix(a)[0][0], self.number(0)
        for v in range(self.others):
            count = self.load(starts, self.number(2 * self.others + v))
            used = builder.add(used, builder.zext(
                builder.icmp_signed(">", count, self.number(0)), self.long))
        biased = builder.icmp_signed(">", self.length(bias), self.number(0))
        for rows, vectors in self.sizes(m, used):
            places, masks = self.lines(starts, 1, vectors)
            targets = [builder.gep(y, [builder.mul(pitch, self.within(m, row))]) for row in rows]
            sums = [[self.variable(self.zero) for _ in vectors] for _ in rows]
            self.add_up(a, panel, rows, vectors, sums, [(target, place) for target in targets
                                                        for place in places])
            for row, target, total in zip(rows, targets, sums, strict=True):
                with builder.if_then(builder.icmp_signed("<", self.number(row), m)):
                    for place, mask, value in zip(places, masks, total, strict=True):
                        with builder.if_else(added) as (adding, beginning):
                            with adding:
                                self.add_to(value, self.load_vector(target, place, mask))
                            with beginning, builder.if_then(biased):
                                self.add_to(value, self.spread(self.load(bias, self.number(row))))
                        self.store_vector(builder.load(value), target, place, mask)
        return context.get_dummy_value()

    # ---- parts of them

    def sizes(self, m: Any, used: Any) -> Iterator[tuple[range, range]]:
        """For each size that a tile of m rows and of so many vectors may need, its parts, whose
        sums the registers hold at once."""
        builder, few = self.builder, self.outs // 2
        for outs, order in ((few, "<="), (self.outs, ">")):
            for columns in range(1, self.others + 1):
                with builder.if_then(builder.and_(
                        builder.icmp_signed(order, m, self.number(few)),
                        builder.icmp_signed("==", used, self.number(columns)))):
                    yield from self.parts(outs, columns * self.pieces)

    def within(self, m: Any, row: int) -> Any:
        """A row, or the last: what is beyond is computed from the last, and not stored."""
        return self.smaller(self.number(row), self.builder.sub(m, self.number(1)))

    def lines(self, starts: Any, which: int, vectors: range) -> tuple[list[Any], list[Any]]:
        """Where vectors start, in x or in y, and which of their lanes are used."""
        places, masks = [], []
        for v, first in ((v // self.pieces, v % self.pieces * self.lanes) for v in vectors):
            at, count = (self.load(starts, self.number(row * self.others + v))
                         for row in (which, 2))
            places.append(self.builder.add(at, self.number(first)))
            masks.append(self.mask(self.builder.sub(count, self.number(first))))
        return places, masks

    def add_up(self, a: Any, panel: Any, rows: range, vectors: range, sums: list[list[Any]],
               targets: list[tuple[Any, Any]]) -> None:
        """sums += a @ panel. Meanwhile, the cache lines of the targets are fetched."""
        builder = self.builder
        (m, k), (down, right) = self.matrix(a)
        width = self.number(self.others * self.pieces * self.lanes)
        starts = [self.number(v * self.lanes) for v in vectors]
        sources = [builder.gep(a, [builder.mul(down, self.within(m, row))]) for row in rows]
        for target, place in targets:
            self.fetch(target, place)
        with self.tools.for_range(builder, k) as loop:
            to_a, to_b = builder.mul(loop.index, right), builder.mul(loop.index, width)
            seen = [self.load_vector(panel, builder.add(to_b, start)) for start in starts]
            for source, total in zip(sources, sums, strict=True):
                factor = self.spread(self.load(source, to_a))
                self.add_products([factor] * len(seen), seen, total)

    # ---- instructions

    def matrix(self, data: Any) -> Any:
        """The sizes and the steps of an array of two dims, which `begin` has seen."""
        return self.matrices[data]

    def begin(self, context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = list(super().begin(context, builder, signature, args))
        self.matrices = {}
        size = self.number(signature.args[0].dtype.bitwidth // 8)
        for data, kind, value in zip(values, signature.args, args, strict=True):
            if hasattr(kind, "ndim"):
                array = context.make_array(kind)(context, builder, value)
                self.matrices[data] = (
                    self.tools.unpack_tuple(builder, array.shape),
                    [builder.sdiv(step, size)
                     for step in self.tools.unpack_tuple(builder, array.strides)])
        return values

    def fetch(self, array: Any, at: Any) -> None:
        """Ask for a cache line that will be written to."""
        place = self.builder.bitcast(self.builder.gep(array, [at]), self.ir.IntType(8).as_pointer())
        flags = (self.ir.Constant(self.ir.IntType(32), flag) for flag in (1, 3, 1))
        self.call("llvm.prefetch.p0i8", self.ir.VoidType(), place, *flags)

    def transposed(self, square: list[Any]) -> list[Any]:
        """Vectors that hold the rows of a square, from those that hold its columns.

        Blocks of size 1 are exchanged across the diagonal of each block of 2, then 2 in 4, …
        """
        short, lanes, apart = self.ir.IntType(32), self.lanes, 1
        kind = self.ir.VectorType(short, lanes)
        while apart < lanes:
            low = [lane if not lane & apart else lanes + lane - apart for lane in range(lanes)]
            high = [lane + apart if not lane & apart else lanes + lane for lane in range(lanes)]
            for i in range(lanes):
                if not i & apart:
                    pair = square[i], square[i + apart]
                    square[i], square[i + apart] = (
                        self.builder.shuffle_vector(*pair, self.ir.Constant(kind, order))
                        for order in (low, high))
            apart *= 2
        return square
