"""What a puzzle is: the source of a right op, the mistakes it may get, and how it is used."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from minigrad import autograd
from minigrad.autograd import Array
from minigrad.tensor import Tensor
from minigrad.testing.puzzle.training import Training

Op = Callable[..., Tensor]
Rng = np.random.Generator

IMPORTS = """\
import numpy as np

from minigrad.autograd import op
from minigrad.tensor import Tensor
"""


@dataclass(frozen=True)
class Mistake:
    """One way to get the source wrong: the fragment `right`, which occurs once, becomes `wrong`."""

    name: str
    right: str
    wrong: str

    def applied(self, source: str) -> str:
        if source.count(self.right) != 1:
            raise ValueError(f"{self.name}: {self.right!r} must occur once in the source; it "
                             f"occurs {source.count(self.right)} times")
        return source.replace(self.right, self.wrong)


@dataclass(frozen=True)
class Call:
    """One call of the op: its inputs, its static arguments, and what is special about them."""

    inputs: list[Array]
    static: dict[str, Any] = field(default_factory=dict)
    special: str = ""                   # "two of the elements are equally large"

    def described(self, op: Op) -> str:
        names = list(inspect.signature(op).parameters)
        arguments = [*names[:len(self.inputs)],
                     *(f"{name}={value}" for name, value in self.static.items())]
        shapes = " and ".join(f"{name} of shape {x.shape}"
                              for name, x in zip(names, self.inputs, strict=False))
        special = f"; {self.special}" if self.special else ""
        return f"{op.__name__}({', '.join(arguments)}) with {shapes}{special}"


@dataclass(frozen=True)
class Puzzle:
    """An op to be corrected.

    source: the right op; $k stands for one of `numbers`, here and in the texts, $less for k - 1.
    mistakes: of which the reader gets one.
    task: what is trained with the op, in one or two sentences.
    calls: on which calls the op is judged.
    hints: from where to look to what to look for; none of them contains the solution.
    why: why the right gradient is right; it is shown with the solution.
    """

    op: str
    source: str
    mistakes: tuple[Mistake, ...]
    task: str
    training: Training
    calls: Callable[[Rng], list[Call]]
    hints: tuple[str, str, str]
    why: str
    numbers: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class Edition:
    """A puzzle as one seed makes it."""

    number: int
    grade: int
    puzzle: Puzzle
    seed: int

    def __post_init__(self) -> None:
        self.mistake.applied(self.right)

    def _numbered(self, text: str) -> str:
        k = self.puzzle.numbers[self.seed % len(self.puzzle.numbers)]
        return text.replace("$k", str(k)).replace("$less", str(k - 1))

    @cached_property
    def mistake(self) -> Mistake:
        one = self.puzzle.mistakes[self.seed % len(self.puzzle.mistakes)]
        return Mistake(one.name, self._numbered(one.right), self._numbered(one.wrong))

    @property
    def right(self) -> str:
        return self._numbered(self.puzzle.source).strip("\n") + "\n"

    @property
    def broken(self) -> str:
        return self.mistake.applied(self.right)

    @property
    def task(self) -> str:
        return self._numbered(self.puzzle.task)

    def hint(self, k: int) -> str:
        """Hint 1, 2 or 3."""
        return self._numbered(self.puzzle.hints[k - 1])

    @property
    def file_name(self) -> str:
        return f"puzzle_{self.number:02}.py"

    @property
    def title(self) -> str:
        """How the reader's file begins; the judge reads the seed from it."""
        return f'"""Puzzle {self.number}, seed {self.seed}:'

    def as_file(self, source: str) -> str:
        command = "python -m minigrad.testing puzzle"
        return (f"{self.title} find the mistake in the gradient of {self.puzzle.op}.\n\n"
                f"Judge your correction:  {command} {self.number} {self.file_name}\n"
                f"Ask for a hint:         {command} {self.number} --hint\n"
                f'"""\n\n{IMPORTS}\n\n{source}')

    def calls(self) -> list[Call]:
        return self.puzzle.calls(np.random.default_rng([self.number, self.seed]))

    def train(self, op: Op) -> list[float]:
        """The losses of training with an op, from the first step to the last."""
        return self.puzzle.training.run(op, np.random.default_rng([self.number, self.seed, 1]))

    def right_op(self) -> Op:
        return self.made_from(self.right, f"<the right {self.puzzle.op}>")

    def broken_op(self) -> Op:
        return self.made_from(self.broken, f"<the broken {self.puzzle.op}>")

    def made_from(self, source: str, file: str) -> Op:
        op: Op = executed(self.as_file(source), file)[self.puzzle.op]
        return op


def executed(text: str, file: str) -> dict[str, Any]:
    """The names that a source defines when it runs as the module `puzzle`."""
    names: dict[str, Any] = {"__name__": "puzzle"}
    with _registry_kept():
        exec(compile(text, file, "exec"), names)
    return names


@contextmanager
def _registry_kept() -> Iterator[None]:
    """The table of minigrad's ops, without those that are made inside."""
    before = dict(autograd.registry)
    try:
        yield
    finally:
        autograd.registry.clear()
        autograd.registry.update(before)
