"""Two of the innermost loops of a convolution, in vector registers; tile.py has the others.

A core multiplies and adds two vectors of 16 float32 values in each cycle. But it loads at most two,
and stores one. So a loop is limited by memory, even by the first-level cache, unless each value is
used several times while it is in a register. Compilers do not arrange this by themselves. So these
two loops are put together from vector instructions, in the language of LLVM, the compiler behind
Numba:

    sums       a line of an output where no other reads the same channels. For each tap of the
               window, it loads some vectors and one weight, and adds the products.
    products   a *tile* of the gradient of weights: some channels × some taps. For each vector of
               positions, it loads the channels of g and what the taps see, and adds all products.

The sums stay in registers throughout. Four channels × six taps, for example, are 24 sums; a vector
of positions loads 4 + 6 vectors, and does 24 multiplications. AVX-512 has 32 registers of 16
values. Where they are shorter or fewer, the tile is computed in parts that fit.

The last vector of a line may have fewer values than lanes. The lanes beyond are neither read nor
written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Lines = tuple[int, int, int, int, int, int, int]

VECTOR_BYTES = 64


def sums(w: Array, b: Array, x: Array, taps: Array, y: Array, adds: bool) -> None:
    """y[v] = b[0] + Σ_k w[k] · x[taps[k] + v], or y[v] += Σ if it `adds`.

    b may be empty.
    """
    seen = x[taps[:, None] + np.arange(len(y))]
    y[:] = (y if adds else b[0] if len(b) else 0) + w @ seen


EMITTED: dict[Callable[..., None], tuple[int, int]] = {}     # with the sizes of their tiles


def _products(outs: int, taps_at_once: int) -> Callable[..., None]:
    def products(g: Array, x: Array, taps: Array, lines: Lines, dw: Array, g_pitch: int,
                 dw_pitch: int, count: int) -> None:
        """dw[o, k] += Σ over positions p of g[o, p] · x[taps[k] + p].

        lines: (rows, segments, length, row and segment in g, row and segment in x). Positions are
        rows × segments stretches of `length` values; the last four numbers say how far apart the
        stretches lie. g_pitch, dw_pitch: how far apart channels lie. count: how many of the `outs`
        channels there are; there may also be fewer taps than taps_at_once.
        """
        rows, segments, length, g_row, g_segment, x_row, x_segment = lines
        row, segment, n = np.ix_(range(rows), range(segments), range(length))
        in_g = (row * g_row + segment * g_segment + n).reshape(-1)
        in_x = (row * x_row + segment * x_segment + n).reshape(-1)
        for o in range(count):
            to = o * dw_pitch
            dw[to:to + len(taps)] += x[taps[:, None] + in_x] @ g[o * g_pitch + in_g]

    EMITTED[products] = outs, taps_at_once
    return products


products_4, products_1 = _products(4, 6), _products(1, 12)


# ---- what they compile to ------------------------------------------------------------------------

def teach_vectors(numba: Any) -> None:
    """Tell Numba what a call of these functions compiles to."""
    types, intrinsic, overload = numba.types, numba.extending.intrinsic, numba.extending.overload

    def sums_typed(_: Any, w: Any, b: Any, x: Any, taps: Any, y: Any, adds: Any) -> Any:
        return types.void(w, b, x, taps, y, adds), Emitter(1, 1).sums

    emit_sums = intrinsic(sums_typed)

    def compiled_sums(w: Any, b: Any, x: Any, taps: Any, y: Any, adds: Any) -> Callable[..., None]:
        return lambda w, b, x, taps, y, adds: emit_sums(w, b, x, taps, y, adds)

    overload(sums, strict=False)(compiled_sums)

    def teach_products(function: Any) -> None:
        def typed(_: Any, g: Any, x: Any, taps: Any, lines: Any, dw: Any, g_pitch: Any,
                 dw_pitch: Any, count: Any) -> Any:
            return (types.void(g, x, taps, lines, dw, g_pitch, dw_pitch, count),
                    Emitter(*EMITTED[function]).products)

        def compiled(g: Any, x: Any, taps: Any, lines: Any, dw: Any, g_pitch: Any, dw_pitch: Any,
                     count: Any) -> Any:
            return lambda g, x, taps, lines, dw, g_pitch, dw_pitch, count: emit(
                g, x, taps, lines, dw, g_pitch, dw_pitch, count)

        emit = intrinsic(typed)
        overload(function, strict=False)(compiled)

    for function in (products_4, products_1):
        teach_products(function)


class Emitter:
    """Writes LLVM instructions. In `sums` and `products`, arguments are those of the functions."""

    def __init__(self, outs: int, others: int) -> None:
        self.outs, self.others = outs, others
        self.ir: Any = import_module("llvmlite.ir")
        self.tools: Any = import_module("numba.core.cgutils")

    # ---- the two loops

    def sums(self, context: Any, builder: Any, signature: Any, args: Any) -> Any:
        w, b, x, taps, y, adds = self.begin(context, builder, signature, args)
        added = self.tools.as_bool_bit(builder, adds)
        biased = builder.icmp_signed(">", self.length(b), self.number(0))
        first, n = self.number(0), self.length(y)
        for vectors in (self.registers * 3 // 8, 4, 1):     # as many as there are, then the rest
            step = self.number(vectors * self.lanes)
            last = builder.sub(n, step if vectors > 1 else self.number(1))
            with self.tools.for_range_slice(builder, first, builder.add(last, self.number(1)),
                                            step, self.long) as (at, _):
                starts = [builder.add(at, self.number(v * self.lanes)) for v in range(vectors)]
                mask = None if vectors > 1 else self.mask(builder.sub(n, at))
                total = [self.variable(self.zero) for _ in starts]
                with self.tools.for_range(builder, self.length(taps)) as loop:
                    tap, factor = self.load(taps, loop.index), self.spread(self.load(w, loop.index))
                    seen = [self.load_vector(x, builder.add(tap, start), mask) for start in starts]
                    self.add_products([factor] * len(seen), seen, total)
                for start, value in zip(starts, total, strict=True):
                    with builder.if_else(added) as (adding, beginning):
                        with adding:
                            self.add_to(value, self.load_vector(y, start, mask))
                        with beginning, builder.if_then(biased):
                            self.add_to(value, self.spread(self.load(b, self.number(0))))
                    self.store_vector(builder.load(value), y, start, mask)
            if vectors > 1:
                whole = builder.sdiv(builder.sub(n, first), step)
                first = builder.add(first, builder.mul(whole, step))
        return context.get_dummy_value()

    def products(self, context: Any, builder: Any, signature: Any, args: Any) -> Any:
        g, x, taps, lines, dw, g_pitch, dw_pitch, count = self.begin(context, builder, signature,
                                                                     args)
        rows, segments, length, g_row, g_segment, x_row, x_segment = (
            builder.extract_value(lines, i) for i in range(7))
        last_out, last_tap = (builder.sub(n, self.number(1)) for n in (count, self.length(taps)))
        for outs, several in self.parts(self.outs, self.others):
            # what is beyond the last channel or tap is computed from the last, and not stored
            in_g = [builder.mul(g_pitch, self.smaller(self.number(o), last_out)) for o in outs]
            in_x = [self.load(taps, self.smaller(self.number(k), last_tap)) for k in several]
            totals = [[self.variable(self.zero) for _ in several] for _ in outs]
            with self.tools.for_range(builder, rows) as row, \
                    self.tools.for_range(builder, segments) as segment:
                to_g = builder.add(builder.mul(row.index, g_row),
                                   builder.mul(segment.index, g_segment))
                to_x = builder.add(builder.mul(row.index, x_row),
                                   builder.mul(segment.index, x_segment))
                with self.tools.for_range_slice(builder, self.number(0), length,
                                                self.number(self.lanes), self.long) as (at, _):
                    mask = self.mask(builder.sub(length, at))
                    slopes = [self.load_vector(g, builder.add(builder.add(to_g, at), start), mask)
                              for start in in_g]
                    for column, start in enumerate(in_x):
                        seen = self.load_vector(x, builder.add(builder.add(to_x, at), start), mask)
                        self.add_products(slopes, [seen] * len(slopes),
                                          [total[column] for total in totals])
            for o, total in zip(outs, totals, strict=True):
                for k, value in zip(several, total, strict=True):
                    wanted = builder.and_(builder.icmp_signed("<=", self.number(o), last_out),
                                          builder.icmp_signed("<=", self.number(k), last_tap))
                    with builder.if_then(wanted):
                        place = builder.gep(dw, [builder.add(builder.mul(dw_pitch, self.number(o)),
                                                             self.number(k))])
                        builder.store(builder.fadd(builder.load(place),
                                                   self.total(builder.load(value))), place)
        return context.get_dummy_value()

    # ---- instructions

    def begin(self, context: Any, builder: Any, signature: Any, args: Any) -> Iterator[Any]:
        """Arrays as pointers, all else as it is."""
        ir = self.ir
        self.builder, self.lengths = builder, {}
        dtype = signature.args[0].dtype
        self.number_type, self.long = context.get_value_type(dtype), ir.IntType(64)
        size = dtype.bitwidth // 8
        register, self.registers = _registers()
        self.lanes, self.pieces = register // size, VECTOR_BYTES // register
        self.vector = ir.VectorType(self.number_type, self.lanes)
        self.align = ir.Constant(ir.IntType(32), size)
        self.zero = ir.Constant(self.vector, [0.0] * self.lanes)
        self.name = f"v{self.lanes}f{8 * size}"
        for kind, value in zip(signature.args, args, strict=True):
            if hasattr(kind, "ndim"):
                array = context.make_array(kind)(context, builder, value)
                data, self.lengths[data] = array.data, builder.extract_value(array.shape, 0)
                yield data
            else:
                yield value

    def parts(self, outs: int, others: int) -> Iterator[tuple[range, range]]:
        """A tile of outs × others vectors in parts whose sums take 3/4 of the registers."""
        high = min(outs, self.registers // 4)
        wide = self.registers * 3 // 4 // high
        for o in range(0, outs, high):
            for v in range(0, others, wide):
                yield range(o, min(o + high, outs)), range(v, min(v + wide, others))

    def length(self, array: Any) -> Any:
        return self.lengths[array]

    def number(self, value: int) -> Any:
        return self.ir.Constant(self.long, value)

    def smaller(self, a: Any, b: Any) -> Any:
        return self.builder.select(self.builder.icmp_signed("<", a, b), a, b)

    def load(self, array: Any, at: Any) -> Any:
        return self.builder.load(self.builder.gep(array, [at]))

    def variable(self, value: Any) -> Any:
        place = self.tools.alloca_once(self.builder, self.vector)
        self.builder.store(value, place)
        return place

    def spread(self, value: Any) -> Any:
        """A vector with this value in all lanes."""
        kind = self.ir.VectorType(value.type, self.lanes)
        empty, first = self.ir.Constant(kind, self.ir.Undefined), self.ir.IntType(32)
        one = self.builder.insert_element(empty, value, self.ir.Constant(first, 0))
        return self.builder.shuffle_vector(
            one, empty, self.ir.Constant(self.ir.VectorType(first, self.lanes), [0] * self.lanes))

    def mask(self, count: Any) -> Any:
        """Which lanes of a vector of `count` values are used."""
        short = self.ir.IntType(32)
        lanes = self.ir.Constant(self.ir.VectorType(short, self.lanes), list(range(self.lanes)))
        return self.builder.icmp_signed("<", lanes, self.spread(self.builder.trunc(count, short)))

    def load_vector(self, array: Any, at: Any, mask: Any = None) -> Any:
        """A vector of memory; with a mask, 0 in the lanes that are not used, which are not read."""
        place = self.builder.bitcast(self.builder.gep(array, [at]), self.vector.as_pointer())
        if mask is None:
            return self.builder.load(place, align=self.align.constant)
        return self.call(f"llvm.masked.load.{self.name}.p0{self.name}", self.vector,
                         place, self.align, mask, self.zero)

    def store_vector(self, value: Any, array: Any, at: Any, mask: Any = None) -> None:
        place = self.builder.bitcast(self.builder.gep(array, [at]), self.vector.as_pointer())
        if mask is None:
            self.builder.store(value, place, align=self.align.constant)
        else:
            self.call(f"llvm.masked.store.{self.name}.p0{self.name}", self.ir.VoidType(),
                      value, place, self.align, mask)

    def add_to(self, total: Any, value: Any) -> None:
        self.builder.store(self.builder.fadd(value, self.builder.load(total)), total)

    def add_products(self, a: list[Any], b: list[Any], totals: list[Any]) -> None:
        """total += a·b, rounded once."""
        for left, right, total in zip(a, b, totals, strict=True):
            value = self.call(f"llvm.fma.{self.name}", self.vector,
                              left, right, self.builder.load(total))
            self.builder.store(value, total)

    def total(self, value: Any) -> Any:
        """The sum of all lanes, halves added to halves."""
        index, lanes = self.ir.IntType(32), self.lanes
        while lanes > 1:
            lanes //= 2
            kind = self.ir.VectorType(index, lanes)
            low, high = (self.ir.Constant(kind, list(range(first, first + lanes)))
                         for first in (0, lanes))
            value = self.builder.fadd(self.builder.shuffle_vector(value, value, low),
                                      self.builder.shuffle_vector(value, value, high))
        return self.builder.extract_element(value, self.ir.Constant(index, 0))

    def call(self, name: str, result: Any, *args: Any) -> Any:
        kind = self.ir.FunctionType(result, [arg.type for arg in args])
        function = self.tools.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(function, args)


def _registers() -> tuple[int, int]:
    """The bytes of a vector register of this machine, and how many registers there are."""
    features = import_module("llvmlite.binding").get_host_cpu_features()
    if features.get("avx512f"):
        return 64, 32
    return (32, 16) if features.get("avx2") else (16, 16)
