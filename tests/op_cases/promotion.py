"""Cases of minigrad.ops.promotion."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from hypothesis import strategies as st

from minigrad.ops import promotion as ops
from minigrad.testing.case import Call, Error, OpCase, example
from minigrad.testing.domains import real
from minigrad.testing.strategies import binary

X = np.ones((2, 3))
DTYPES = ("float64", "float32", "int64", "int32", "uint8", "bool")


def promoted(a, b=None, *, number=None):
    """Both in the dtype that torch would compute in; the number is left as it is."""
    other = number if b is None else b
    dtype = torch.result_type(a, other)
    return [torch.as_tensor(x).to(dtype) for x in (a, other)]


def mixtures() -> list[Call]:
    """Two arrays of any two dtypes, with dims and 0-d; an array and a Python number."""
    pairs = itertools.product(DTYPES, DTYPES, [(3,), ()], [(3,), ()])
    return [*(Call(np.ones(m, a), np.ones(n, b)) for a, b, m, n in pairs),
            *(Call(np.ones(shape, dtype), number=number) for dtype in DTYPES
              for shape in ((3,), ()) for number in (True, 2, 1.5))]


CASES = [
    OpCase(ops.promote, promoted, binary(real, real),
           (example(1, real, (2, 3), (2, 3)),),
           (Error(Call(X, number="a"), TypeError, "promote: needs a Tensor, .*; got 'a'"),),
           corners=st.sampled_from(mixtures()),
           run=lambda a, b=None, *, number=None: ops.promote(a, number if b is None else b)),
]
