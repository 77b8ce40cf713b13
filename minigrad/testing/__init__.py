"""Checking gradients: what to call on an op or a function of your own.

    >>> import minigrad as mg
    >>> from minigrad.testing import gradcheck
    >>> x = mg.tensor([0.5, 2.0], dtype=mg.float64, requires_grad=True)
    >>> gradcheck(lambda x: x.exp() / x, x)
    True

`gradgradcheck` does the same for second derivatives. `mutate` breaks a gradient in named ways and
shows which check notices.
"""

from minigrad.testing.gradcheck import (
    GradcheckError as GradcheckError,
    gradcheck as gradcheck,
    gradgradcheck as gradgradcheck,
)
from minigrad.testing.mutation import mutate as mutate
