"""How each op is written in ONNX: a function for each, by family."""

from minigrad.onnx.translate import (
    activation as activation,
    conv as conv,
    elementwise as elementwise,
    index as index,
    linalg as linalg,
    loss as loss,
    norm as norm,
    pool as pool,
    reduce as reduce,
    resize as resize,
    shape as shape,
)
from minigrad.onnx.translate.registry import TRANSLATORS as TRANSLATORS
