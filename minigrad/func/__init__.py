"""Functions that make derivatives of functions: torch.func's names, arguments and results.

    grad(f)(x)                  the gradient of a scalar f
    vjp(f, x)                   f(x), and the function u → Jᵀu
    jvp(f, (x,), (v,))          f(x) and Jv
    jacrev(f)(x), jacfwd(f)(x)  J, row by row or column by column
    hessian(f)(x)               the second derivatives
    hvp(f, (x,), (v,))          Hv, without H

They nest, leave every `.grad` alone and give the same results inside `no_grad()`. Arguments and
results may be Tensors or tuples, lists and dicts of them, nested in any way. There is no `vmap`:
Jacobians are computed by a loop. docs/func.md is an introduction.
"""

from minigrad.func.call import functional_call
from minigrad.func.gradient import grad, grad_and_value
from minigrad.func.jacobian import hessian, hvp, jacfwd, jacrev
from minigrad.func.products import jvp, linearize, vjp

__all__ = [
    "functional_call", "grad", "grad_and_value", "hessian", "hvp", "jacfwd", "jacrev", "jvp",
    "linearize", "vjp",
]
