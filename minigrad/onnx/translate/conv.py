"""Convolutions. ONNX's Conv and ConvTranspose take their sizes as attributes: the padding as that
before each dim, then that behind each."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.onnx.graph import Graph, Operand
from minigrad.onnx.translate.registry import CannotTranslate, Op, fixed, translates


@translates("_conv2d")
def conv(graph: Graph, op: Op) -> Operand:
    _insist_on_floats(op)
    return graph("Conv", *op.inputs, **_attributes(op.static["geometry"], op.x.ndim - 2))


@translates("_conv2d_input_grad", sizes=("shape",))
def conv_transpose(graph: Graph, op: Op) -> Operand:
    """The gradient of a convolution is the transposed convolution. output_padding says how much
    larger the result is than its windows need"""
    _insist_on_floats(op)
    geometry, dims = op.static["geometry"], op.x.ndim - 2
    attributes = _attributes(geometry, dims)
    before = attributes["pads"][:dims]
    extra = [n - ((m - 1) * s - 2 * p + d * (k - 1) + 1) for n, m, s, p, d, k in zip(
        geometry.in_size[-dims:], geometry.out_size[-dims:], geometry.stride[-dims:], before,
        geometry.dilation[-dims:], geometry.kernel[-dims:], strict=True)]
    attributes["pads"] = [*before, *before]
    return graph("ConvTranspose", *op.inputs, output_padding=extra, **attributes)


def _insist_on_floats(op: Op) -> None:
    if not op.x.is_float:
        raise CannotTranslate(f"of {op.x.dtype}: ONNX convolves floats only")


def _attributes(geometry: Any, dims: int) -> dict[str, Any]:
    """The attributes of a convolution along `dims` dims; one of one dim has a row of height 1"""
    kernel, stride, before, holes, size, out = (
        list(sizes[-dims:]) for sizes in (geometry.kernel, geometry.stride, geometry.padding,
                                          geometry.dilation, geometry.in_size, geometry.out_size))
    behind = [max((m - 1) * s + d * (k - 1) + 1 - n - p, 0) for n, m, s, d, k, p in zip(
        size, out, stride, holes, kernel, before, strict=True)]
    return {"kernel_shape": kernel, "strides": stride, "pads": [*before, *behind],
            "dilations": holes, "group": geometry.groups}


@translates("_unfold")
def unfold(graph: Graph, op: Op) -> Operand:
    """Windows by their positions: along the rows first, then along the columns"""
    geometry = op.static["geometry"]
    (h, w), (oh, ow), (kh, kw) = geometry.in_size, geometry.out_size, geometry.kernel
    before = list(geometry.padding)
    places = [np.arange(m)[:, None] * s + np.arange(k) * d for m, s, k, d in zip(
        geometry.out_size, geometry.stride, geometry.kernel, geometry.dilation, strict=True)]
    behind = [max(int(each.max()) + 1 - n - p, 0) for each, n, p in zip(places, (h, w), before,
                                                                     strict=True)]
    x: Operand = op.x
    if any((*before, *behind)):
        x = graph("Pad", x, graph.integers((*before, *behind)), graph.like(op.x, 0),
                  graph.integers((2, 3)))
    x = graph("Gather", x, places[0], axis=2)               # (N, C, OH, KH, W)
    x = graph("Gather", x, places[1], axis=4)               # (N, C, OH, KH, OW, KW)
    x = graph("Transpose", x, perm=[0, 1, 3, 5, 2, 4])
    channels = fixed(op.x.shape[1:2])[0]
    return graph.reshape(x, (op.shape[0], channels * kh * kw, oh * ow))


@translates("_fold")
def fold(graph: Graph, op: Op) -> Operand:
    geometry = op.static["geometry"]
    before = list(geometry.padding)
    return graph("Col2Im", op.x, graph.integers(geometry.in_size), graph.integers(geometry.kernel),
                 dilations=list(geometry.dilation), strides=list(geometry.stride),
                 pads=[*before, *before])
