"""The two innermost loops of a matrix product, in vector registers (see vectors.py).

    pack       a panel, some columns of b, is copied so that its values lie in the order in which
               they will be read.
    tile       eight rows of y, as wide as a panel. For each k, it loads the panel's row k, three
               vectors, and spreads a value of each row of a over a vector. All products are added
               to sums that stay in registers throughout: 24 multiplications of vectors for 3 + 8
               loads, so that the loads take less time than the multiplications. Where y has fewer
               columns left, one or two vectors do.

Source: K. Goto and R. van de Geijn, Anatomy of high-performance matrix multiplication, 2008.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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

    emit_pack, emit_tile = intrinsic(pack_typed), intrinsic(tile_typed)

    def compiled_pack(b: Any, panel: Any) -> Callable[..., None]:
        return lambda b, panel: emit_pack(b, panel)

    def compiled_tile(a: Any, panel: Any, bias: Any, y: Any, adds: Any) -> Callable[..., None]:
        return lambda a, panel, bias, y, adds: emit_tile(a, panel, bias, y, adds)

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

    def tile(self, context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, panel, bias, y, adds = self.begin(context, builder, signature, args)
        n = self.matrix(y)[0][1]
        for columns in range(1, self.others + 1):       # vectors that y has columns for
            most = columns * self.pieces * self.lanes
            least = most - self.pieces * self.lanes + 1
            fits = builder.and_(builder.icmp_signed("<=", self.number(least), n),
                                builder.icmp_signed("<=", n, self.number(most)))
            with builder.if_then(fits):
                for rows, vectors in self.parts(self.outs, columns * self.pieces):
                    self.part(a, panel, bias, y, adds, rows, vectors)
        return context.get_dummy_value()

    def part(self, a: Any, panel: Any, bias: Any, y: Any, adds: Any, rows: range, vectors: range
             ) -> None:
        """The part of a tile whose sums the registers hold at once."""
        builder = self.builder
        (m, k), (a_down, a_right) = self.matrix(a)
        (_, n), (y_down, _) = self.matrix(y)
        width = self.number(self.others * self.pieces * self.lanes)
        starts = [self.number(v * self.lanes) for v in vectors]
        # what is beyond the last row is computed from the last, and not stored
        last_row = builder.sub(m, self.number(1))
        known = [self.smaller(self.number(row), last_row) for row in rows]
        sources = [builder.gep(a, [builder.mul(a_down, row)]) for row in known]
        sums = [[self.variable(self.zero) for _ in vectors] for _ in rows]
        targets = [builder.gep(y, [builder.mul(y_down, row)]) for row in known]
        for target in targets:
            for start in starts:
                self.fetch(target, start)
        with self.tools.for_range(builder, k) as loop:
            to_a, to_b = builder.mul(loop.index, a_right), builder.mul(loop.index, width)
            seen = [self.load_whole(panel, builder.add(to_b, start)) for start in starts]
            for source, total in zip(sources, sums, strict=True):
                factor = self.spread(self.load(source, to_a))
                self.add_products([factor] * len(seen), seen, total)
        masks = [self.mask(builder.sub(n, start)) for start in starts]
        added = self.tools.as_bool_bit(builder, adds)
        biased = builder.icmp_signed(">", self.length(bias), self.number(0))
        for row, target, total in zip(rows, targets, sums, strict=True):
            with builder.if_then(builder.icmp_signed("<", self.number(row), m)):
                before = builder.select(added, target, bias)
                for start, mask, value in zip(starts, masks, total, strict=True):
                    with builder.if_then(builder.or_(added, biased)):
                        other = self.load_vector(before, start, mask)
                        builder.store(builder.fadd(other, builder.load(value)), value)
                    self.store_vector(builder.load(value), target, start, mask)

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

    def load_whole(self, array: Any, at: Any) -> Any:
        place = self.builder.bitcast(self.builder.gep(array, [at]), self.vector.as_pointer())
        return self.builder.load(place, align=self.align.constant)

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
