"""Networks as ONNX files, which other programs run: onnxruntime, for example, in many languages.

    minigrad.onnx.export(net, x, "net.onnx")

Needs the package onnx: pip install "minigrad[onnx]". See docs/export.md.
"""

from minigrad.onnx.errors import ExportError
from minigrad.onnx.export import Exported, export

__all__ = ["ExportError", "Exported", "export"]
