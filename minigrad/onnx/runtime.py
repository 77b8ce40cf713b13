"""Running an ONNX file with onnxruntime, to compare its outputs with the network's."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.autograd import Array
from minigrad.onnx.errors import ExportError

CLOSE = 1e-5        # relative to the largest output, at least 1: what rounding explains
WRONG = 1e-3        # what no rounding explains


def largest_difference(model: bytes, inputs: Sequence[Mapping[str, Array]],
                       expected: Sequence[Sequence[Array]]) -> tuple[float | None, str]:
    """How far onnxruntime's outputs are from those expected; None, and why, if it cannot tell.

    Warns where they are further away than rounding alone explains, unless the network makes small
    differences large, as the norm of nearly equal numbers does.
    Raises: ExportError where they are wrong.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        return None, "onnxruntime is not installed"
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:      # its classes of errors are not exported
        text = " ".join(str(error).split())
        if "NOT_IMPLEMENTED" in text:
            return None, f"onnxruntime lacks a node: {text}"
        raise ExportError(f"onnxruntime cannot load the graph: {text}") from error
    worst = 0.0
    for given, ys in zip(inputs, expected, strict=True):
        try:
            found: list[Any] = session.run(None, dict(given))
        except Exception as error:
            raise ExportError("onnxruntime cannot run the graph: "
                              f"{' '.join(str(error).split())}") from error
        for name, got, y in zip((o.name for o in session.get_outputs()), found, ys, strict=True):
            worst = max(worst, _distance(name, np.asarray(got), y))
    if worst > CLOSE:
        warnings.warn(f"export: onnxruntime's outputs differ by {worst:.1e} from the network's, "
                      "relative to the largest; rounding alone makes less than 1e-5", stacklevel=3)
    return worst, ""


def _distance(name: str, got: Array, y: Array) -> float:
    """max |got - y| / max(1, max |y|)"""
    if got.shape != y.shape or got.dtype != y.dtype:
        raise ExportError(f"onnxruntime gives {got.dtype} {got.shape} for {name}; the network "
                          f"{y.dtype} {y.shape}")
    if y.dtype.kind != "f":
        wrong = int((got != y).sum())
        if wrong:
            raise ExportError(f"onnxruntime gives other values in {wrong} places of {name}")
        return 0.0
    with np.errstate(all="ignore"):
        far = np.where((got == y) | (np.isnan(got) & np.isnan(y)), 0, np.abs(got - y))
    scale = np.abs(y[np.isfinite(y)]).max(initial=1)
    distance = float((far / scale).max(initial=0))
    if not distance <= WRONG:
        raise ExportError(f"onnxruntime's {name} differs by {distance:.1e} from the network's")
    return distance
