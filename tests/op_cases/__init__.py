"""The table of ops: one `OpCase` each, by family. A new op needs an entry here and nothing else."""

from op_cases import elementwise, index, linalg, reduce, shape
from op_cases.case import Call as Call, Error as Error, OpCase as OpCase

CASES: list[OpCase] = [case for family in (elementwise, reduce, shape, index, linalg)
                       for case in family.CASES]
