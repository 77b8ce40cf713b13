"""Picking elements by position: Slice for slices, Gather for positions along one dim, GatherND for
several dims at once, GatherElements for a position of each element."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.onnx.errors import NotDynamic
from minigrad.onnx.graph import Graph, Operand, Value
from minigrad.onnx.program import Size
from minigrad.onnx.translate.registry import CannotTranslate, Op, fixed, translates
from minigrad.onnx.translate.shape import END


@translates("_rows")
def rows(graph: Graph, op: Op) -> Operand:
    return graph("Gather", op.x, op.static["rows"], axis=0)


@translates("gather")
def gather(graph: Graph, op: Op) -> Operand:
    index: Value = op.static["index"]
    if 0 in op.shape:
        return np.zeros([n for n in op.shape if isinstance(n, int)], op.dtype)
    if op.x.ndim and index.ndim:
        return graph("GatherElements", op.x, index, axis=op.static["dim"])
    flat = graph("GatherElements", graph.reshape(op.x, [-1]), graph.reshape(index, [-1]), axis=0)
    return graph.reshape(flat, op.shape)


@translates("_getitem", sizes=("key",))
def getitem(graph: Graph, op: Op) -> Operand:
    """First what is a slice, then arrays, then ints and None, which change the number of dims"""
    entries = _spelled_out(op.static["key"], op.x.ndim)
    x = _sliced(graph, op.x, entries)
    arrays = [(d, k) for d, k in enumerate(k for k in entries if k is not None)
              if isinstance(k, Value)]
    ints = [d for d, k in enumerate(k for k in entries if k is not None) if isinstance(k, int)]
    if arrays and (ints or None in entries) and len(arrays) > 1:
        raise CannotTranslate("several index arrays beside ints or None")
    if len(arrays) == 1:
        (d, k), = arrays
        x = graph("Gather", x, k, axis=d)
        # dims behind the array have moved, where it has not exactly one
        ints = [i + (k.ndim - 1 if i > d else 0) for i in ints]
    elif arrays:
        x = _gather_several(graph, x, op.x.ndim, arrays)
    if ints:
        x = graph("Squeeze", x, graph.integers(ints))
    new = _places_of_new_dims(entries)
    return graph("Unsqueeze", x, graph.integers(new)) if new else x


def _spelled_out(key: Any, ndim: int) -> list[Any]:
    """The parts of an index, one for each dim of x, and None for each new one; masks as positions,
    which are as many arrays as the mask has dims"""
    entries: list[Any] = []
    for k in key if isinstance(key, tuple) else (key,):
        if isinstance(k, Value) and k.dtype.kind == "b":
            if k.array is None:
                raise CannotTranslate("by a mask: how many elements it picks depends on the values "
                                      "of the input; where() keeps the shape")
            if k.ndim == 0:
                raise CannotTranslate("by a single bool")
            entries += [Value("", np.dtype(np.int64), places.shape, places)
                        for places in np.nonzero(k.array)]
        else:
            entries.append(k)
    taken = sum(k is not None and k is not ... for k in entries)
    rest = [slice(None)] * (ndim - taken)
    at = next((i for i, k in enumerate(entries) if k is ...), len(entries))
    return [*entries[:at], *rest, *(k for k in entries[at:] if k is not ...)]


def _sliced(graph: Graph, x: Operand, entries: list[Any]) -> Operand:
    """x cut to its slices, and to one place where there is an int"""
    bounds = []
    for axis, k in enumerate(k for k in entries if k is not None):
        if isinstance(k, slice) and k != slice(None):
            stop = END if k.stop is None else k.stop
            bounds.append((k.start or 0, stop, axis, k.step or 1))
        elif isinstance(k, int):
            bounds.append((k, k + 1 if k != -1 else END, axis, 1))
        elif isinstance(k, Size):
            raise NotDynamic("picks a place that depends on the batch size")
    if not bounds:
        return x
    starts, stops, axes, strides = zip(*bounds, strict=True)
    strides = () if set(strides) == {1} else (graph.integers(strides),)
    return graph("Slice", x, graph.sizes(starts), graph.sizes(stops), graph.integers(axes),
                 *strides)


def _gather_several(graph: Graph, x: Operand, ndim: int, arrays: list[tuple[int, Value]]
                    ) -> Operand:
    """x at positions along several dims. The dims of the positions stand where those dims stood if
    these are neighbours, otherwise in front."""
    dims = [d for d, _ in arrays]
    shape = np.broadcast_shapes(*(fixed(k.shape) for _, k in arrays))
    constants = [k.array for _, k in arrays if k.array is not None]
    if len(constants) == len(arrays):
        index: Operand = np.stack(np.broadcast_arrays(*constants), -1).astype(np.int64)
    else:
        index = graph("Concat", *(graph("Unsqueeze", graph("Expand", k, graph.integers(shape)),
                                        graph.integers([-1])) for _, k in arrays), axis=-1)
    others = [d for d in range(ndim) if d not in dims]
    x = graph("Transpose", x, perm=[*dims, *others])
    y = graph("GatherND", x, index)
    if dims != list(range(dims[0], dims[0] + len(dims))) or dims[0] == 0:
        return y
    front = list(range(len(shape)))
    behind = list(range(len(shape), len(shape) + len(others)))
    return graph("Transpose", y, perm=[*behind[:dims[0]], *front, *behind[dims[0]:]])


def _places_of_new_dims(entries: list[Any]) -> list[int]:
    """Where the None are in the result"""
    places, at = [], 0
    for k in entries:
        if k is None:
            places.append(at)
            at += 1
        elif isinstance(k, Value):
            at += k.ndim
        else:
            at += not isinstance(k, int)
    return places
