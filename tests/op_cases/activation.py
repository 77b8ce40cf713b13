"""Cases of minigrad.ops.activation."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import strategies as st

from minigrad.ops import activation as ops
from minigrad.testing import domains
from minigrad.testing.case import Call, Error, OpCase, example
from minigrad.testing.strategies import unary
from op_cases.reduce import dtypes, integers, out_of_range, over_dim, typed, whole

X = np.array([[-1.5, 0.5, 2.5]])
INTEGERS, BOOLS = np.array([1, -2]), np.array([True, False])


def infinite(rng, shape):
    """`special` without NaN: for NaN torch's gradient differs from one place of an array to the
    next, as its vector and its scalar code disagree."""
    x = domains.special(rng, shape)
    return np.where(np.isnan(x), 0.0, x)


def at_limits(rng, shape):
    return np.asarray(rng.choice([-1.0, -0.25, 0.0, 0.2, 6.0, np.inf, -np.inf], shape))


def activation(name: str, domain=domains.real, corners=domains.special, *, errors=(), takes=(),
               takes_integers=False, examples=(), more_corners=(), **static) -> OpCase:
    """takes: the numbers among its arguments. takes_integers: whether x may hold integers."""
    refused = [Error(Call(X, **{argument: "1"}), TypeError,
                     f"{name}: {argument} must be a number; got '1'") for argument in takes]
    if not takes_integers:
        refused += [Error(Call(INTEGERS), RuntimeError,
                          f"{name}: needs floating point .* got int64"),
                    Error(Call(BOOLS), RuntimeError, f"{name}: needs .* got bool")]
    return OpCase(getattr(ops, name), getattr(F, name), unary(domain, **static),
                  (example(1, domain, (2, 3)), *examples), (*refused, *errors),
                  corners=st.one_of(unary(corners, **static), *more_corners))


def exponential(op, reference) -> OpCase:
    return OpCase(op, typed(reference), over_dim(domains.real, keepdim=False),
                  (example(12, domains.real, (2, 3), dim=1),
                   example(13, domains.real, (2, 3), dim=-2),
                   example(13, domains.real, (2, 3), dim=1, dtype=np.dtype("float64"))),
                  (*out_of_range(op), integers(op, dim=0),
                   Error(Call(X, dim=0, dtype="int64"), RuntimeError,
                         f"{op.__name__}: needs floating point input; got int64")),
                  corners=st.one_of(over_dim(domains.special, keepdim=False),
                                    over_dim(whole, keepdim=False, dtype=dtypes("float64"))))


def dropped(x, *, p, words):
    """x times what PyTorch's side makes of ones."""
    from torch_impl.dropout import factor  # the cases are read without it, too
    return x * factor(x, tuple(x.shape), p, words)


CASES = [
    activation("relu", domains.nonzero, takes_integers=True,
               errors=(Error(Call(BOOLS), RuntimeError, "relu: needs numbers; got bool"),)),
    activation("leaky_relu", domains.nonzero, takes=("negative_slope",),
               examples=(Call(X, negative_slope=-2.0), Call(X, inplace=False)),
               negative_slope=st.sampled_from([0.01, 0.3, 0.0, -1.0, 2])),
    activation("elu", domains.nonzero, infinite, takes=("alpha",),
               examples=(Call(X, alpha=-0.5), Call([-1.5, 0.5, 800.0])),
               alpha=st.sampled_from([1.0, 0.5, -1.0, 2])),
    activation("gelu", approximate=st.sampled_from(["none", "tanh"]),
               examples=(Call(X, approximate="tanh"),),
               errors=(Error(Call(X, approximate="fast"), RuntimeError,
                             "gelu: approximate must be 'none' or 'tanh'; got 'fast'"),
                       Error(Call(X, approximate=True), RuntimeError, "got True"))),
    activation("silu"),
    activation("softplus", takes=("beta", "threshold"), beta=st.sampled_from([1.0, 2, 0.5, -1.0]),
               threshold=st.sampled_from([20.0, 3, -1.7]),
               examples=(Call([-3.0, 1.0, 15.0, 30.0], beta=2.0, threshold=10.0),
                         Call([-3.0, 1.0, 2.0, 5.0], beta=2.0, threshold=3.0))),
    activation("hardtanh", lambda rng, shape: domains.nonzero(rng, shape) * 1.01, at_limits,
               takes_integers=True, takes=("min_val", "max_val"),
               min_val=st.sampled_from([-1.0, -0.25, -np.inf]),
               max_val=st.sampled_from([0.2, 6.0, np.inf]),
               examples=(Call(X, min_val=-0.5, max_val=3), Call(X, max_val=2.5, min_val=2.5)),
               # NaN by itself: torch's code for vectors gives it another gradient than that for one
               more_corners=(st.just(Call(np.array([0, 1, 9], np.uint8), min_val=0, max_val=6)),
                             st.just(Call([np.nan]))),
               errors=(Error(Call(X, min_val=2.0, max_val=1.0), ValueError,
                             "min_val must not be greater than max_val; got 2.0, 1.0"),
                       Error(Call(BOOLS), RuntimeError, "do not go with x of bool"),
                       Error(Call(np.array([1, 2], np.uint8)), RuntimeError, "-1.0 and 1.0 do not"),
                       Error(Call(INTEGERS, max_val=np.inf), RuntimeError, "finite limits"))),
    activation("sigmoid", takes_integers=True),
    activation("logsigmoid"),
    activation("tanh", takes_integers=True),
    exponential(ops.softmax, torch.softmax),
    exponential(ops.log_softmax, torch.log_softmax),
    OpCase(ops.dropped, dropped,
           unary(domains.real, st.just((3, 4)), p=st.sampled_from([0.1, 0.5]),
                 words=st.sampled_from([(1, 2), (2**32 - 1, 7)])),
           (example(1, domains.real, (2, 3, 4), p=0.4, words=(3, 5)),
            example(1, domains.real, (), p=0.4, words=(3, 6)))),
]
