"""Cases of minigrad.ops.einsum."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import strategies as st

from minigrad.ops import einsum as ops
from minigrad.testing.case import Call, Error, OpCase, example
from minigrad.testing.domains import real
from minigrad.testing.strategies import generators

X, Y = np.arange(6.0).reshape(2, 3), np.arange(6.0).reshape(3, 2)


@st.composite
def equations(draw) -> Call:
    """One to three operands whose subscripts overlap, repeat, broadcast and hide in ellipses."""
    size = {letter: draw(st.integers(0, 3)) for letter in "ijkL"}
    hidden = draw(st.lists(st.integers(0, 3), max_size=2))
    rng = draw(generators())
    terms, arrays, used = [], [], []
    for _ in range(draw(st.integers(1, 3))):
        term = draw(st.lists(st.sampled_from("ijkL"), max_size=3))
        shape = [1 if term.count(letter) == 1 and draw(st.integers(0, 4)) == 0 else size[letter]
                 for letter in term]
        used += term
        if draw(st.booleans()):
            at = draw(st.integers(0, len(term)))
            under = [1 if draw(st.integers(0, 4)) == 0 else n
                     for n in hidden[draw(st.integers(0, len(hidden))):]]
            term, shape = [*term[:at], "...", *term[at:]], [*shape[:at], *under, *shape[at:]]
        terms.append(draw(st.sampled_from(["", " "])).join(term))
        arrays.append(real(rng, tuple(shape)))
    equation = ",".join(terms)
    if draw(st.booleans()):
        output = draw(st.permutations(sorted(set(used))))[:draw(st.integers(0, 3))]
        dots = draw(st.integers(0, len(output)))
        output = [*output[:dots], *["..."] * draw(st.integers(0, 1)), *output[dots:]]
        equation += "->" + "".join(output)
    return Call(*arrays, equation=equation)


def refused(message: str, *arrays, kind=RuntimeError, **static) -> Error:
    return Error(Call(*arrays, **static), kind, f"einsum: {message}")


def by_equation(f):
    return lambda *xs, equation, listed=False: f(equation, list(xs)) if listed else f(equation, *xs)


def by_lists(f):
    def call(*xs, lists, output=None):
        parts = [part for pair in zip(xs, lists, strict=True) for part in pair]
        return f(*parts) if output is None else f(*parts, output)
    return call


CASES = [
    OpCase(ops.einsum, by_equation(torch.einsum), equations(),
           (example(1, real, (2, 3), (3, 4), equation="ij,jk->ik"),
            example(2, real, (2, 3), (3, 4), equation=" kj , ji"),
            example(3, real, (2, 3, 4), (2, 4, 3), equation="bij,bjk->kb"),
            example(4, real, (2, 3), (3, 2), (2, 4), equation="ij,jk,kl"),
            example(5, real, (3, 3), (3, 2), equation="ii,ij->ij"),
            example(6, real, (2, 3, 3), (3,), equation="...ii,i->...i"),
            example(7, real, (2, 1, 3), (4, 3), equation="i...k,...k->i..."),
            example(8, real, (2, 3), (1, 3), equation="ij,ij->j"),
            example(9, real, (2, 3), (4,), equation="ij,k->jk"),
            example(10, real, (2, 3), (2,), (3,), equation="ij,i,j->"),
            example(11, real, (3, 3, 3, 2), (2, 2), equation="iiij,jk->ik"),
            example(15, real, (2, 3), (3, 2), equation="ij,ji->i", listed=True)),
           (refused("needs an equation and at least one operand", kind=ValueError, equation="ij"),
            refused("the equation must be a string; got int", X, kind=TypeError, equation=3),
            *(refused("'.' is no subscript", X, equation=equation)
              for equation in ("i1", "i_", "ij-i", "ij->i->j", "ij - > ji", "i.j", "i..j",
                               "...i...", ".. .ij")),
            refused("'ij,jk' has subscripts for 2 operands; got 1", X, equation="ij,jk"),
            refused("'ij' has subscripts for 1 operands; got 2", X, X, equation="ij"),
            refused(r"operand 0 has 1 subscripts, 'i', for 2 dims; got \(2, 3\)", X, equation="i"),
            refused("operand 1 has 3 subscripts", X, Y, equation="ij,jkl"),
            refused(r"operand 0 has 3 subscripts, 'i\.\.\.jk', for 2", X, equation="i...jk"),
            refused("subscript 'i' has size 3 in operand 0, .*, but size 2 before", X,
                    equation="ii"),
            refused("subscript 'j' has size 2 in operand 1, .*, but size 3 before", X, X,
                    equation="ij,jk"),
            refused("subscript 'i' has size 3 in operand 0, .* but size 1", X[:1], equation="ii"),
            refused("subscript 'i' has size 3 in operand 2, .* but size 2", X, X[:1], Y,
                    equation="ij,ij,ik"),
            refused("subscript -2 under the ellipsis has size 3 in operand 1", X, Y,
                    equation="...,..."),
            refused("subscript 'i' is twice in the output", X, equation="ij->ii"),
            refused("subscript 'k' of the output is in no operand", X, equation="ij->ik"),
            refused("operands must be numbers; got bool", X > 1, Y > 1, equation="ij,jk"),
            refused("operands must have one dtype; got float64, float32", X, Y.astype(np.float32),
                    equation="ij,jk")),
           run=by_equation(ops.einsum)),
    OpCase(ops.einsum, by_lists(torch.einsum),
           st.builds(lambda rng, output: Call(real(rng, (2, 3)), real(rng, (2, 3, 4)),
                                              lists=([0, 30], [..., 30, 2]), output=output),
                     generators(), st.sampled_from([None, [], [2, 0], [..., 30], [0, 2, ...]])),
           (example(12, real, (2, 3), (3, 4), lists=([26, 1], (1, 0))),
            example(13, real, (2, 3), (3, 4), lists=([26, 1], (1, 0)), output=[26, 0]),
            example(14, real, (5, 2, 3), (3, 4), lists=([..., 1], [1, 51]), output=[51, ...])),
           (refused("subscripts must be ... or numbers 0 to 51; got 52", X, lists=([0, 52],),
                    kind=ValueError),
            refused("subscripts must be ... or numbers 0 to 51; got -1", X, lists=([0, -1],),
                    kind=ValueError),
            refused("operand 0 has 3 subscripts, 'AAB'", X, lists=([0, 0, 1],)),
            refused(r"operand 0 has more than one ellipsis", X, lists=([..., ...],)),
            refused("after an operand there must be the list of its subscripts; got int", X,
                    lists=(0,), kind=TypeError)),
           run=by_lists(ops.einsum), name="einsum_of_lists"),
]
