"""Einstein's summation: products of tensors, named dim by named dim.

    einsum("ij,jk->ik", a, b)        y_ik = Σ_j a_ij·b_jk

Operands are taken two at a time, from the left. Dims that only one of the two has, and that nothing
later needs, are summed first. What remains is a batched product of matrices: dims that are in both
and stay are the batch, dims that are summed are the inner dim, the rest are rows and columns. All
of it is made of ops, so it can be differentiated any number of times.
"""

from __future__ import annotations

import math
import string
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from minigrad import autograd
from minigrad.autograd import as_tensor
from minigrad.ops.linalg import matmul, of_one_dtype

if TYPE_CHECKING:
    from minigrad.tensor import Tensor

Label = str | int           # a letter, or a dim under the ellipsis: -1, -2, … from the right
_LETTERS = string.ascii_uppercase + string.ascii_lowercase      # 0 … 51 of the sublist format


def einsum(*args: Any) -> Tensor:
    """The sum, over all subscripts that are not in the output, of the product of the operands.

    einsum(equation, *operands): one letter a dim, operands separated by commas, "->" before the
    output's subscripts. A letter twice in one operand is its diagonal; "..." stands for dims that
    are not named and broadcast; so do named dims of size 1. Without "->" the output has the dims
    under the ellipsis, then the letters that occur once, in alphabetical order (capitals first).
    einsum(operand, subscripts, …, [output]): the same with lists of numbers (0 to 51) and `...`.

    Raises: RuntimeError or ValueError, naming the subscript, for an equation that is malformed or
    does not fit the operands; TypeError for an equation that is not a string.
    Source: torch.einsum.
    """
    terms, output, operands = _parsed(args)
    unnamed = max((x.ndim - len(term) + 1 for x, term in zip(operands, terms, strict=True)
                   if "..." in term), default=0)
    labels = [_labels(i, term, x) for i, (term, x) in enumerate(zip(terms, operands, strict=True))]
    _check_sizes(labels, operands)
    wanted = _output_labels(labels, output, unnamed)

    pairs = [_diagonal(x, names) for x, names in zip(operands, labels, strict=True)]
    y, names = pairs[0]
    for i, (x, x_names) in enumerate(pairs[1:], 2):
        kept = {*wanted, *(label for _, later in pairs[i:] for label in later)}
        y, names = _product(y, names, x, x_names, kept)
    y, names = _sum_away(y, names, set(wanted))
    return y.permute(tuple(names.index(label) for label in wanted))


# ---- reading the equation -----------------------------------------------------------------------

def _parsed(args: Sequence[Any]) -> tuple[list[list[str]], list[str] | None, list[Tensor]]:
    """The subscripts of each operand and of the output (None: not given), and the operands."""
    if len(args) < 2:
        raise ValueError("einsum: needs an equation and at least one operand, or operands each "
                         "with its subscripts")
    if isinstance(args[0], autograd.Tensor):
        count = len(args) // 2
        terms = [_from_numbers(subscripts) for subscripts in args[1::2]]
        output = _from_numbers(args[-1]) if len(args) % 2 else None
        return terms, output, [as_tensor("einsum", x) for x in args[:2 * count:2]]
    equation, *operands = args
    if not isinstance(equation, str):
        raise TypeError(f"einsum: the equation must be a string; got {type(equation).__name__}")
    if len(operands) == 1 and isinstance(operands[0], tuple | list):
        operands = list(operands[0])
    left, arrow, right = equation.partition("->")
    terms = [_from_letters(term, equation) for term in left.split(",")]
    if len(terms) != len(operands):
        raise RuntimeError(f"einsum: {equation!r} has subscripts for {len(terms)} operands; "
                           f"got {len(operands)}")
    output = _from_letters(right, equation) if arrow else None
    return terms, output, [as_tensor("einsum", x) for x in operands]


def _from_letters(term: str, equation: str) -> list[str]:
    before, dots, after = term.partition("...")
    subscripts = [*before, *[dots] * bool(dots), *after]
    for subscript in subscripts:
        if subscript not in (*_LETTERS, " ", "..."):
            raise RuntimeError(f"einsum: {subscript!r} is no subscript; letters and one '...' an "
                               f"operand are; got {equation!r}")
    return [subscript for subscript in subscripts if subscript != " "]


def _from_numbers(subscripts: Any) -> list[str]:
    if not isinstance(subscripts, tuple | list):
        raise TypeError("einsum: after an operand there must be the list of its subscripts; got "
                        f"{type(subscripts).__name__}")
    for n in subscripts:
        if n is not ... and not (isinstance(n, int) and 0 <= n < len(_LETTERS)):
            raise ValueError(f"einsum: subscripts must be ... or numbers 0 to 51; got {n!r}")
    return ["..." if n is ... else _LETTERS[n] for n in subscripts]


def _labels(i: int, term: list[str], x: Tensor) -> list[Label]:
    """A label for each dim of x, the i-th operand."""
    named = len(term) - term.count("...")
    if term.count("...") > 1:
        raise RuntimeError(f"einsum: operand {i} has more than one ellipsis")
    if named > x.ndim or (named < x.ndim and "..." not in term):
        raise RuntimeError(f"einsum: operand {i} has {named} subscripts, {''.join(term)!r}, for "
                           f"{x.ndim} dims; got {x.shape}")
    return [label for subscript in term
            for label in (range(named - x.ndim, 0) if subscript == "..." else [subscript])]


def _output_labels(labels: list[list[Label]], output: list[str] | None,
                   unnamed: int) -> list[Label]:
    ellipsis = list(range(-unnamed, 0))
    times = Counter(label for names in labels for label in names if isinstance(label, str))
    if output is None:
        return [*ellipsis, *sorted(label for label, n in times.items() if n == 1)]
    for label in output:
        if output.count(label) > 1:
            raise RuntimeError(f"einsum: subscript {label!r} is twice in the output")
        if label not in times and label != "...":
            raise RuntimeError(f"einsum: subscript {label!r} of the output is in no operand")
    return [label for subscript in output
            for label in (ellipsis if subscript == "..." else [subscript])]


def _check_sizes(labels: list[list[Label]], operands: list[Tensor]) -> None:
    sizes: dict[Label, int] = {}
    for i, (names, x) in enumerate(zip(labels, operands, strict=True)):
        own: dict[Label, int] = {}
        for label, n in zip(names, x.shape, strict=True):
            known = own.get(label, n) if label in own else sizes.get(label, 1)
            if known != n and (label in own or 1 not in (known, n)):
                which = repr(label) if isinstance(label, str) else f"{label} under the ellipsis"
                raise RuntimeError(f"einsum: subscript {which} has size {n} in operand {i}, "
                                   f"{x.shape}, but size {known} before")
            own[label] = n
        sizes |= {label: n for label, n in own.items() if n != 1}


# ---- products and sums --------------------------------------------------------------------------

def _diagonal(x: Tensor, names: list[Label]) -> tuple[Tensor, list[Label]]:
    """x with each label once: dims of one label become one, along the diagonal."""
    for label in dict.fromkeys(names):
        while names.count(label) > 1:
            i = names.index(label)
            j = names.index(label, i + 1)
            n, others = x.shape[i], [k for k in range(x.ndim) if k not in (i, j)]
            x = x.permute((*others, i, j)).reshape((*(x.shape[k] for k in others), n * n))
            x = x[..., ::n + 1]                     # element (k, k) is number k·(n + 1)
            names = [*(names[k] for k in others), label]
    return x, names


def _sum_away(x: Tensor, names: list[Label], kept: set[Label]) -> tuple[Tensor, list[Label]]:
    dims = tuple(i for i, label in enumerate(names) if label not in kept)
    return (x.sum(dims) if dims else x), [label for label in names if label in kept]


def _squeeze_for(x: Tensor, names: list[Label], y: Tensor,
                 y_names: list[Label]) -> tuple[Tensor, list[Label]]:
    """x without the dims of size 1 that y has as well, in whatever size."""
    dims = tuple(i for i, label in enumerate(names) if x.shape[i] == 1 and label in y_names
                 and y.shape[y_names.index(label)] != 1)
    return x.squeeze(dims), [label for i, label in enumerate(names) if i not in dims]


def _product(a: Tensor, a_names: list[Label], b: Tensor, b_names: list[Label],
             kept: set[Label]) -> tuple[Tensor, list[Label]]:
    """The product of a and b, summed over the labels of both that are not to be kept."""
    (a, a_names), (b, b_names) = (_squeeze_for(a, a_names, b, b_names),
                                  _squeeze_for(b, b_names, a, a_names))
    a, a_names = _sum_away(a, a_names, kept | set(b_names))
    b, b_names = _sum_away(b, b_names, kept | set(a_names))
    batch = [label for label in a_names if label in b_names and label in kept]
    inner = [label for label in a_names if label in b_names and label not in kept]
    rows = [label for label in a_names if label not in b_names]
    columns = [label for label in b_names if label not in a_names]

    size = dict(zip((*a_names, *b_names), (*a.shape, *b.shape), strict=True))

    def sizes(*parts: list[Label]) -> tuple[int, ...]:
        return tuple(size[label] for part in parts for label in part)

    a = a.permute(tuple(a_names.index(label) for label in (*batch, *rows, *inner)))
    b = b.permute(tuple(b_names.index(label) for label in (*batch, *inner, *columns)))
    if inner:
        a, b = of_one_dtype("einsum", a, b)
        n, k, m = (math.prod(sizes(part)) for part in (rows, inner, columns))
        y = matmul(a.reshape((*sizes(batch), n, k)), b.reshape((*sizes(batch), k, m)))
    else:
        y = (a.reshape((*sizes(batch, rows), *[1] * len(columns)))
             * b.reshape((*sizes(batch), *[1] * len(rows), *sizes(columns))))
    return y.reshape(sizes(batch, rows, columns)), [*batch, *rows, *columns]
