"""The table of ops: one `OpCase` each, by family. A new op needs an entry here and nothing else."""

from dataclasses import replace

from minigrad.testing import OpCase
from op_cases import (
    activation,
    class_loss,
    conv,
    einsum,
    elementwise,
    functional,
    index,
    linalg,
    loss,
    norm,
    pool,
    promotion,
    reduce,
    resize,
    shape,
)

DTYPES = ("float32", "float64", "int64", "bool")
FLOATS_ONLY = {activation.ops.dropped}

CASES: list[OpCase] = [
    case if case.op in FLOATS_ONLY else replace(case, dtypes=DTYPES)
    for family in (elementwise, promotion, reduce, shape, index, linalg, einsum, conv, pool, norm,
                   activation, loss, class_loss, resize, functional)
    for case in family.CASES]
