"""What `speed --ops` times: each function, with inputs of about n values.

An entry is one text for both frameworks: `call(t, F, *inputs)`, where t is minigrad or torch and F
its `functional`. `inputs(n)` are the shapes and kinds of what it is called with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np

from comparisons.datasets.base import Array

Random = np.random.Generator
Inputs = Callable[[Random, int], list[Array]]

CLASSES, WIDTH, SIDE, CHANNELS = 16, 128, 16, 16
LARGEST_MATRIX = 1024                   # a product of larger ones would take too long
TABLE = 1024                            # rows of the table that `embedding` reads


@dataclass(frozen=True)
class Function:
    """A function with its inputs. name: as in torch; variant: how it is used, if in several ways.

    gradient: whether the inputs want one. torch has none of floor_divide.
    """

    name: str
    call: Callable[..., Any]
    inputs: Inputs
    variant: str = ""
    gradient: bool = True

    @property
    def title(self) -> str:
        return f"{self.name}, {self.variant}" if self.variant else self.name


# ---- inputs --------------------------------------------------------------------------------------

def real(random: Random, *shape: int) -> Array:
    return random.standard_normal(shape, np.float32)


def positive(random: Random, *shape: int) -> Array:
    return random.uniform(0.5, 2, shape).astype(np.float32)


def share(random: Random, *shape: int) -> Array:
    """Numbers between 0 and 1."""
    return random.uniform(0.1, 0.9, shape).astype(np.float32)


def flat(*kinds: Callable[..., Array]) -> Inputs:
    """One input of n values for each kind."""
    return lambda random, n: [kind(random, n) for kind in kinds]


def rows(*kinds: Callable[..., Array]) -> Inputs:
    """Inputs of n values each, as rows of WIDTH."""
    return lambda random, n: [kind(random, n // WIDTH, WIDTH) for kind in kinds]


def vectors(count: int) -> Inputs:
    """n values as rows, and vectors as long as a row: weights and biases."""
    return lambda random, n: [real(random, n // WIDTH, WIDTH),
                              *(positive(random, WIDTH) for _ in range(count))]


def logits(random: Random, n: int) -> list[Array]:
    """Scores of CLASSES classes, and the right ones."""
    return [real(random, n // CLASSES, CLASSES), random.integers(0, CLASSES, n // CLASSES)]


def images(*shapes: tuple[int, ...]) -> Inputs:
    """n values as images, and weights of the given shapes."""
    return lambda random, n: [
        real(random, n // (CHANNELS * SIDE**2), CHANNELS, SIDE, SIDE),
        *(real(random, *shape) for shape in shapes)]


def lines(*shapes: tuple[int, ...]) -> Inputs:
    """n values as lines, and weights of the given shapes."""
    return lambda random, n: [
        real(random, n // (CHANNELS * SIDE**2), CHANNELS, SIDE**2),
        *(real(random, *shape) for shape in shapes)]


def columns(random: Random, n: int) -> list[Array]:
    """The columns that `unfold` makes of small images with 3×3 windows, n values in all."""
    return [real(random, max(1, n // (9 * SIDE**2)), 9, SIDE**2)]


def matrices(random: Random, n: int) -> list[Array]:
    """Two square matrices."""
    side = min(isqrt(n), LARGEST_MATRIX)
    return [real(random, side, side), real(random, side, side)]


def stacks(count: int) -> Inputs:
    """Stacks of 64×64 matrices, n values in each."""
    return lambda random, n: [real(random, n // 64**2, 64, 64) for _ in range(count)]


def affine(random: Random, n: int) -> list[Array]:
    """Rows, a matrix and a vector."""
    return [real(random, n // WIDTH, WIDTH), real(random, WIDTH, WIDTH), real(random, WIDTH)]


def places(random: Random, n: int) -> list[Array]:
    """Rows, and numbers of rows."""
    return [real(random, n // WIDTH, WIDTH), random.integers(0, n // WIDTH, n // WIDTH)]


def places_in_rows(random: Random, n: int) -> list[Array]:
    """Rows, and for each element a place in its row."""
    return [real(random, n // WIDTH, WIDTH), random.integers(0, WIDTH, (n // WIDTH, WIDTH))]


def masked(random: Random, n: int) -> list[Array]:
    """n values, and n bools."""
    return [real(random, n), random.random(n) < 0.5]


def words(random: Random, n: int) -> list[Array]:
    """Numbers of words, and the table of their vectors."""
    return [random.integers(0, TABLE, n // WIDTH), real(random, TABLE, WIDTH)]


def classes(random: Random, n: int) -> list[Array]:
    return [random.integers(0, CLASSES, n // CLASSES)]


# ---- functions -----------------------------------------------------------------------------------

def of_torch(names: str, inputs: Inputs, *arguments: Any, variant: str = "", **options: Any
             ) -> list[Function]:
    """Functions of the framework itself that are called alike."""
    def entry(name: str) -> Function:
        return Function(name, lambda t, F, *xs: getattr(t, name)(*xs, *arguments, **options),
                        inputs, variant)
    return [entry(name) for name in names.split()]


def of_functional(names: str, inputs: Inputs, *arguments: Any, **options: Any) -> list[Function]:
    """Functions of `functional` that are called alike."""
    def entry(name: str) -> Function:
        return Function(name, lambda t, F, *xs: getattr(F, name)(*xs, *arguments, **options),
                        inputs)
    return [entry(name) for name in names.split()]


ELEMENTWISE = [
    *of_torch("neg square exp expm1 erf sin cos tan abs sign", flat(real)),
    *of_torch("reciprocal log log1p sqrt rsqrt", flat(positive)),
    *of_torch("add sub mul maximum minimum", flat(real, real)),
    *of_torch("div remainder pow", flat(positive, positive)),
    *of_torch("add mul", vectors(1), variant="a row to each row"),
    *of_torch("clamp", flat(real), -1, 1),
    Function("where", lambda t, F, x, y: t.where(x > y, x, y), flat(real, real)),
    Function("compare", lambda t, F, x, y: x > y, flat(real, real)),
    Function("floor_divide", lambda t, F, x, y: t.floor_divide(x, y), flat(positive, positive),
             gradient=False),
    Function("clone", lambda t, F, x: x.clone(), flat(real)),
    Function("cast", lambda t, F, x: x.to(t.float64), flat(real)),
]
REDUCTIONS = [
    *of_torch("sum mean prod var std amax amin argmax argmin logsumexp cumsum", rows(real), -1),
    *of_torch("max min any all", rows(real), 1),
    *of_torch("sum mean var amax", rows(real), 0, variant="of columns"),
    *of_torch("sum mean var max", flat(real), variant="of all"),
    *of_torch("max min", flat(real, real), variant="of two"),
]
PRODUCTS = [
    *of_torch("matmul mm", matrices), *of_torch("bmm", stacks(2)),
    *of_torch("matmul", stacks(2), variant="of stacks"), *of_torch("dot", flat(real, real)),
    Function("matmul", lambda t, F, x, y: x @ y.transpose(-2, -1), stacks(2), "transposed stacks"),
    Function("einsum", lambda t, F, x, y: t.einsum("bij,bkj->bik", x, y), stacks(2)),
]
MOVES = [
    Function("flip", lambda t, F, x: t.flip(x, (1,)).contiguous(), rows(real), "copied"),
    *of_torch("roll", flat(real), 3),
    *of_torch("tril triu", stacks(1)),
    Function("cat", lambda t, F, x, y: t.cat([x, y], 1), rows(real, real)),
    Function("stack", lambda t, F, x, y: t.stack([x, y], 1), rows(real, real)),
    Function("transpose", lambda t, F, x: x.transpose(0, 1).contiguous(), rows(real), "copied"),
    Function("getitem", lambda t, F, x: x[:, 1:-1], rows(real), "a slice"),
    Function("getitem", lambda t, F, x, place: x[place], places, "rows"),
    Function("getitem", lambda t, F, x, mask: x[mask], masked, "a mask"),
    Function("index_select", lambda t, F, x, place: t.index_select(x, 0, place), places),
    Function("gather", lambda t, F, x, place: t.gather(x, 1, place), places_in_rows),
    Function("masked_fill", lambda t, F, x, mask: t.masked_fill(x, mask, 0.5), masked),
]
ACTIVATIONS = [
    *of_functional("relu leaky_relu elu gelu silu softplus hardtanh sigmoid logsigmoid tanh",
                   flat(real)),
    *of_functional("softmax log_softmax", rows(real), -1),
    *of_functional("dropout", flat(real), 0.1),
]
NORMS = [
    Function("layer_norm", lambda t, F, x, w, b: F.layer_norm(x, (WIDTH,), w, b), vectors(2)),
    Function("batch_norm", lambda t, F, x, w, b: F.batch_norm(x, None, None, w, b, True),
             images((CHANNELS,), (CHANNELS,))),
    Function("group_norm", lambda t, F, x, w, b: F.group_norm(x, 4, w, b),
             images((CHANNELS,), (CHANNELS,))),
    Function("instance_norm", lambda t, F, x, w, b: F.instance_norm(x, None, None, w, b),
             images((CHANNELS,), (CHANNELS,))),
    *of_functional("local_response_norm", images(), 5), *of_functional("normalize", rows(real)),
    *of_functional("cosine_similarity", rows(real, real)),
]
WINDOWS = [
    *of_functional("conv2d", images((CHANNELS, CHANNELS, 3, 3), (CHANNELS,)), padding=1),
    *of_functional("conv1d", lines((CHANNELS, CHANNELS, 3), (CHANNELS,)), padding=1),
    *of_functional("conv_transpose2d", images((CHANNELS, CHANNELS, 4, 4), (CHANNELS,)), 2, 1),
    *of_functional("conv_transpose1d", lines((CHANNELS, CHANNELS, 4), (CHANNELS,)), 2, 1),
    *of_functional("max_pool2d avg_pool2d", images(), 2),
    *of_functional("max_pool1d avg_pool1d", lines(), 2),
    *of_functional("adaptive_avg_pool2d adaptive_max_pool2d", images(), 4),
    *of_functional("adaptive_avg_pool1d adaptive_max_pool1d", lines(), 4),
    *of_functional("unfold", images(), 3, 1, 1),
    *of_functional("fold", columns, (SIDE, SIDE), 3, 1, 1),
    *of_functional("interpolate", images(), scale_factor=2, mode="bilinear"),
    *of_functional("pad", images(), (1, 1, 1, 1)),
]
LOSSES = [
    *of_functional("mse_loss l1_loss smooth_l1_loss huber_loss", flat(real, real)),
    *of_functional("binary_cross_entropy binary_cross_entropy_with_logits", flat(share, share)),
    Function("kl_div", lambda t, F, x, y: F.kl_div(x, y, reduction="batchmean"), rows(real, share)),
    *of_functional("cross_entropy nll_loss", logits),
]
TABLES = [
    *of_functional("linear", affine), *of_functional("embedding", words),
    *of_functional("one_hot", classes, CLASSES),
]

FUNCTIONS = (*ELEMENTWISE, *REDUCTIONS, *PRODUCTS, *MOVES, *ACTIVATIONS, *NORMS, *WINDOWS, *LOSSES,
             *TABLES)
