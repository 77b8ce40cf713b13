"""The table of ops: one `OpCase` each, by family. A new op needs an entry here and nothing else."""

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
    reduce,
    resize,
    shape,
)
from op_cases.case import Call as Call, Error as Error, OpCase as OpCase

CASES: list[OpCase] = [case for family in (elementwise, reduce, shape, index, linalg, einsum,
                                           conv, pool, norm, activation, loss, class_loss,
                                           resize, functional)
                       for case in family.CASES]
