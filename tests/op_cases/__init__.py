"""The table of ops: one `OpCase` each, by family. A new op needs an entry here and nothing else."""

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
    reduce,
    resize,
    shape,
)

CASES: list[OpCase] = [case for family in (elementwise, reduce, shape, index, linalg, einsum,
                                           conv, pool, norm, activation, loss, class_loss,
                                           resize, functional)
                       for case in family.CASES]
