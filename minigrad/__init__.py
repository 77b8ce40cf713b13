"""minigrad: an automatic differentiation framework on NumPy and Numba, written to be read."""

import os as _os
from importlib import import_module as _import_module

from minigrad import func, functional, nn, optim
from minigrad.autograd import enable_grad, grad, no_grad
from minigrad.creation import (
    arange, bool_ as bool, eye, float32, float64, full, full_like, int64, ones, ones_like, rand,
    rand_like, randn, randn_like, tensor, zeros, zeros_like,
)
from minigrad.ops.activation import log_softmax, relu, sigmoid, softmax, tanh
from minigrad.ops.einsum import einsum
from minigrad.ops.elementwise import (
    abs, add, clamp, cos, div, erf, exp, expm1, floor_divide, log, log1p, maximum, minimum, mul,
    neg, pow, reciprocal, remainder, rsqrt, sign, sin, sqrt, square, sub, tan, where,
)
from minigrad.ops.index import gather, index_select, masked_fill
from minigrad.ops.linalg import bmm, dot, matmul, mm
from minigrad.ops.reduce import (
    all, amax, amin, any, argmax, argmin, cumsum, logsumexp, max, mean, min, prod, std, sum,
    var,
)
from minigrad.ops.shape import (
    cat, chunk, expand as broadcast_to, flatten, flip, permute, reshape, roll, split, squeeze,
    stack, t, transpose, tril, triu, unsqueeze,
)
from minigrad.random import manual_seed
from minigrad.replay import compile
from minigrad.tensor import Tensor

__all__ = [
    "Tensor", "abs", "add", "all", "amax", "amin", "any", "arange", "argmax", "argmin", "bmm",
    "bool", "broadcast_to", "cat", "chunk", "clamp", "compile", "cos", "cumsum", "div", "dot",
    "einsum", "enable_grad", "erf", "exp", "expm1", "eye", "flatten", "flip", "float32",
    "float64", "floor_divide", "full", "full_like", "func", "functional", "gather", "grad",
    "index_select", "int64", "log", "log1p", "log_softmax", "logsumexp", "manual_seed",
    "masked_fill", "matmul", "max", "maximum", "mean", "min", "minimum", "mm", "mul", "neg",
    "nn", "no_grad", "ones", "ones_like", "optim", "permute", "pow", "prod", "rand",
    "rand_like", "randn", "randn_like", "reciprocal", "relu", "remainder", "reshape", "roll",
    "rsqrt", "sigmoid", "sign", "sin", "softmax", "split", "sqrt", "square", "squeeze", "stack",
    "std", "sub", "sum", "t", "tan", "tanh", "tensor", "transpose", "tril", "triu", "unsqueeze",
    "var", "where", "zeros", "zeros_like",
]

if _os.environ.get("MINIGRAD_DEBUG"):       # prints each op; not loaded otherwise
    _import_module("minigrad.inspect.debug")
