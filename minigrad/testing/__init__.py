"""Checking gradients: what to call on an op or a function of your own, and how it is done.

    >>> import minigrad as mg
    >>> from minigrad.testing import gradcheck
    >>> x = mg.tensor([0.5, 2.0], dtype=mg.float64, requires_grad=True)
    >>> gradcheck(lambda x: x.exp() / x, x)
    True

`gradgradcheck` does the same for second derivatives, and `gradcheck_modules` for each layer of a
network. `check_op` makes these and some twenty further checks, of an op of minigrad's or of another
framework's, and reports what it found. `mutate` breaks a gradient in named ways and shows which
check notices. `python -m minigrad.testing puzzle` has broken gradients to find for yourself.

For readers of the source. The core is small, and is best read in this order:

    probe.py            a function at one point: its outputs weighed, its gradients, its response
                        where an input is moved
    differences.py      slopes by moving inputs: two-sided, order 4, complex step, directions
    gradcheck.py        `gradcheck`: the gradients against these slopes
    causes.py           what a wrong gradient looks like, and hence its likely cause

`check_op` goes through the following:

    arguments.py        what the arguments mean, and a clear sentence where they mean nothing
    case.py             the outcome: an OpCase, with a Call for each example
    foreign/            functions of PyTorch, JAX and NumPy become functions of Tensors
    battery.py          `check_op` itself, and `op_tests`: all checks, one after the other
    examples.py         are the examples points at which there is a derivative?
    search.py           one check: at the examples and at drawn calls; a failure is made smaller
    variations.py       the drawn calls: other sizes and other numbers than the examples'
    checks/             the checks, a function each; running.py has what they share
    mutation.py         at the end: would wrong gradients have been noticed? (also `mutate`)
    mutants.py          the wrong gradients
    report.py           what was found, a line for each check

`gradcheck_modules` has files of its own around the same core:

    modules.py          each layer, then what contains it, then the ops in a wrong layer
    calls.py            a layer's calls in a network that runs, to be made again
    network.py          the arguments

Beside these:

    domains.py, strategies.py       numbers and calls for tests, the latter for hypothesis
    __main__.py, users.py           the commands; cases for ops in a user's file
    survey.py, source.py, trials.py     `mutate --source`: which changes of an op's source are
                                    noticed; the mutants, and the processes that try them
    puzzle/             the puzzles

Two rules hold everywhere. An AssertionError says that something is wrong with the op; a ValueError
or TypeError, that it cannot be checked like that. And all is computed in float64, at points where
the op is smooth or kinks are known, unless a check is about just the opposite.
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
