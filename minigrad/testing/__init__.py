"""Checking gradients: what to call on an op or a function of your own.

    >>> import minigrad as mg
    >>> from minigrad.testing import gradcheck
    >>> x = mg.tensor([0.5, 2.0], dtype=mg.float64, requires_grad=True)
    >>> gradcheck(lambda x: x.exp() / x, x)
    True

`gradgradcheck` does the same for second derivatives, and `gradcheck_modules` for each layer of a
network. `check_op` makes these and some twenty further checks, of an op of minigrad's or of another
framework's, and reports what it found. `mutate` breaks a gradient in named ways and shows which
check notices.
"""

from typing import Any

from minigrad.testing.battery import (
    OpCheckError as OpCheckError,
    OpReport as OpReport,
    check_op as check_op,
    op_tests as op_tests,
)
from minigrad.testing.case import (
    Call as Call,
    Error as Error,
    OpCase as OpCase,
    Tolerance as Tolerance,
    example as example,
)
from minigrad.testing.gradcheck import (
    GradcheckError as GradcheckError,
    gradcheck as gradcheck,
    gradgradcheck as gradgradcheck,
)
from minigrad.testing.modules import gradcheck_modules as gradcheck_modules
from minigrad.testing.mutation import mutate as mutate


def __getattr__(name: str) -> Any:
    """`strategies`, which needs hypothesis, is imported when it is first used."""
    if name == "strategies":
        import importlib
        return importlib.import_module("minigrad.testing.strategies")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
