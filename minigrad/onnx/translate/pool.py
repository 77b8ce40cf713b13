"""Pooling.

minigrad's ops know where each window begins and ends. Most windows lie in a regular grid, and are
written as MaxPool or AveragePool with a kernel, strides and paddings; rounding up (ceil_mode) is
padding behind. Others, such as adaptive ones of unequal sizes, are written out: a maximum over
gathered places, or a sum as a product with a matrix of zeros and ones.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minigrad.autograd import Array
from minigrad.onnx.graph import Graph, Operand, Value
from minigrad.onnx.translate.registry import CannotTranslate, Op, fixed, translates


class Grid(NamedTuple):
    """Regular windows along a dim: kernel places that are `holes` apart, `stride` from window to
    window; paddings before and behind."""

    kernel: int
    stride: int
    before: int
    behind: int
    holes: int


def grid_of(start: Array, stop: Array, n: int, holes: int = 1) -> Grid | None:
    """The grid that these windows lie in, once they are cut to n places; None if there is none.

    A cut window begins at its first place that is not padding.
    """
    count = len(start)
    if (start >= stop).any():
        return None
    for stride in ([1] if count == 1 else range(1, n + 1)):
        for span in range(1, 2 * n + 1, holes):
            for before in range(span // 2 + 1):
                begin = np.arange(count) * stride - before
                cut = np.where(begin < 0, begin % holes, begin)
                if np.array_equal(cut, start) and np.array_equal(np.minimum(begin + span, n), stop):
                    behind = max(int(begin[-1]) + span - n, 0)
                    return Grid((span - 1) // holes + 1, stride, before, behind, holes)
    return None


def grids_of(windows: Any, x: Value, step: tuple[int, int] = (1, 1)) -> list[Grid] | None:
    """The grids along the dims of x's planes; a line is a plane of one row."""
    bounds = [each.array for each in windows[:4]]
    sizes = fixed(x.shape[2:])
    found = [grid_of(bounds[0], bounds[1], sizes[0] if len(sizes) == 2 else 1, step[0]),
             grid_of(bounds[2], bounds[3], sizes[-1], step[1])][-len(sizes):]
    grids = [grid for grid in found if grid is not None]
    # runtimes refuse padding that is as large as the window
    if len(grids) < len(sizes) or any(max(g.before, g.behind) >= g.kernel for g in grids):
        return None
    return grids


def _attributes(grids: list[Grid]) -> dict[str, Any]:
    return {"kernel_shape": [g.kernel for g in grids], "strides": [g.stride for g in grids],
            "pads": [*(g.before for g in grids), *(g.behind for g in grids)],
            "dilations": [g.holes for g in grids]}


def _planes(graph: Graph, x: Operand, ndim: int) -> Operand:
    """A line as a plane of one row"""
    return x if ndim == 4 else graph("Unsqueeze", x, graph.integers([2]))


def _like(graph: Graph, y: Operand, ndim: int) -> Operand:
    return y if ndim == 4 else graph("Squeeze", y, graph.integers([2]))


# ---- the largest ---------------------------------------------------------------------------------

@translates("_window_max")
def window_max(graph: Graph, op: Op) -> Operand:
    x, windows = op.x, op.static["windows"]
    if 0 in op.shape:
        return _nothing(op)
    if windows.empty:
        raise CannotTranslate("of windows that hold no place")
    grids = grids_of(windows, x, op.static["step"]) if x.is_float else None
    if grids:
        return graph("MaxPool", x, **_attributes(grids))
    h_start, h_stop, w_start, w_stop = (each.array for each in windows[:4])
    y: Operand = _planes(graph, x, x.ndim)
    for axis, start, stop, holes in ((2, h_start, h_stop, op.static["step"][0]),
                                     (3, w_start, w_stop, op.static["step"][1])):
        places = _places(start, stop, holes)
        y = graph("Gather", y, places, axis=axis)           # each window's places in a new dim
        y = graph("ReduceMax", y, graph.integers([axis + 1]), keepdims=0)
    return _like(graph, y, x.ndim)


def _places(start: Array, stop: Array, holes: int) -> Array:
    """The places of each window, the last again and again where others have more"""
    counts = (stop - start - 1) // holes
    within = np.minimum(np.arange(counts.max() + 1), counts[:, None])
    return np.asarray(start[:, None] + holes * within)


@translates("window_places")
def window_places(graph: Graph, op: Op) -> Operand:
    """Where each maximum was: h·W + w. ONNX counts through the whole tensor"""
    grids = grids_of(op.static["windows"], op.x, op.static["step"])
    if not grids or op.static["windows"].empty:
        raise CannotTranslate("with return_indices, of windows of unequal sizes")
    # onnxruntime's MaxPool has no int64
    x = op.x if op.x.is_float else graph.cast(op.x, np.float64)
    _, places = graph.several(2, "MaxPool", x, **_attributes(grids))
    plane = int(np.prod(fixed(op.x.shape[2:])))
    return graph("Mod", places, np.asarray(plane))


# ---- the mean ------------------------------------------------------------------------------------

@translates("_window_mean")
def window_mean(graph: Graph, op: Op) -> Operand:
    """The mean over all places of a window, padding too, or over those of x alone, if that is what
    the sums are divided by; otherwise the first, times what makes up for the difference"""
    x, windows, divisor = op.x, op.static["windows"], op.static["divisor"].array
    if 0 in op.shape:
        return _nothing(op)
    bounds = [each.array for each in windows[:4]]
    grids = grids_of(windows, x)
    if not grids or not x.is_float:
        return _like(graph, _sums(graph, op, bounds, divisor), x.ndim)
    counts = np.multiply.outer(bounds[1] - bounds[0], bounds[3] - bounds[2])
    if np.array_equal(counts, divisor):
        return graph("AveragePool", x, count_include_pad=0, **_attributes(grids))
    y = graph("AveragePool", x, count_include_pad=1, **_attributes(grids))
    factor = np.prod([g.kernel for g in grids]) / divisor
    if (factor == 1).all():
        return y
    return graph("Mul", y, graph.like(x, factor if x.ndim == 4 else factor[0]))


def _sums(graph: Graph, op: Op, bounds: list[Array], divisor: Array) -> Operand:
    x: Operand = _planes(graph, op.x, op.x.ndim)
    height, width = ([1, *fixed(op.x.shape[2:])])[-2:]
    rows = _members(bounds[0], bounds[1], height).astype(op.dtype)
    columns = _members(bounds[2], bounds[3], width).astype(op.dtype)
    total = graph("MatMul", graph("MatMul", rows, x), columns.T)
    return graph("Div", total, divisor.astype(op.dtype))


def _members(start: Array, stop: Array, n: int) -> Array:
    """(windows, n): 1 where a place belongs to a window"""
    place = np.arange(n)
    return (place >= start[:, None]) & (place < stop[:, None])


def _nothing(op: Op) -> Operand:
    return np.zeros(fixed(op.shape), op.dtype)
