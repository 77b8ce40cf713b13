"""Whether the generated faces are a fair test: hard for simple methods, and for the right reason.

Drawn faces can be easy in ways that nobody intended: the pictures of a class may differ in their
light, show other persons, or be recognisable by a single wrinkle. A gate measures one such way on
persons that do not occur in training, and sets a bound: an accuracy that must not be exceeded or,
in the last gate, must be reached.

For a gate with a network, one network is trained on four fifths of the persons, so that the command
takes only minutes. Such a gate is measured on about 65 recordings and is uncertain by about ten
points. The interval is printed beside the accuracy, but the accuracy itself must meet the bound: if
it were enough that the more favourable end of the interval does, everything would pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from comparisons import implementations
from comparisons.datasets.base import Array, Data
from comparisons.datasets.drawn.data import generated
from comparisons.datasets.drawn.generator import nuisances
from comparisons.datasets.levels import inputs
from comparisons.datasets.splits import person_split
from comparisons.tasks.classification import linear_guesses
from comparisons.tasks.dexpression import DexpressionOptions, DexpressionTask
from comparisons.tasks.protocols import kinds
from comparisons.tasks.statistics import wilson
from comparisons.tasks.task import Split
from comparisons.training.training import prepare

FOLDS = 5
BROWS = slice(0.0, 0.34)        # fractions of the height: forehead, brows and upper lids
MOUTH = slice(0.66, 1.0)        # from below the nose
GREY = 0.5
EPOCHS = 24                     # as in docs/dexpression.md, so that the network learns what it can

Guess = Callable[[Split], Array]


@dataclass(frozen=True)
class Gate:
    """An accuracy that was measured on the test persons' images, and the bounds it must meet."""

    title: str
    accuracy: float
    count: int                  # independent recordings, not images
    least: float = 0.0
    most: float = 1.0

    @property
    def passed(self) -> bool:
        """Whether the accuracy meets the bounds."""
        return self.least <= self.accuracy <= self.most

    def line(self) -> str:
        """The gate as a line of the table."""
        low, high = wilson(round(self.accuracy * self.count), self.count)
        bound = f"at least {self.least:.1%}" if self.least else f"at most {self.most:.1%}"
        return (f"{self.title:44}{self.accuracy:>8.1%}  ({low:.0%} to {high:.0%})  {bound:18}"
                f"{'✓' if self.passed else 'FAILS'}")


def gates(data: Data, guess: Guess, seed: int = 0) -> Iterator[Gate]:
    """Each gate in turn.

    guess: trains a network on a split and returns its classes for the split's test images.
    """
    chance = np.bincount(data.y).max() / len(data.y)
    clips = len(np.unique(kinds(data)["clip"]))
    # the share of the commonest class plus two standard errors, within reach of chance
    by_chance = chance + 2 * np.sqrt(chance * (1 - chance) / clips)
    yield Gate("person, light and pose, linear", nuisance_accuracy(seed), clips, most=by_chance)
    pixels = pooled(data, lambda split: linear_guesses(split, DexpressionTask.linear_c))
    yield Gate("pixels, linear", pixels, clips, most=0.65)
    shuffled = with_labels_shuffled(data, seed)
    yield Gate("pixels, linear, labels shuffled", pooled(
        shuffled, lambda split: linear_guesses(split, DexpressionTask.linear_c)), clips,
        most=by_chance)
    part = clips // FOLDS
    split = next(splits(data))
    yield Gate("brows alone, network", accuracy(only(split, BROWS), guess), part, most=0.75)
    yield Gate("mouth alone, network", accuracy(only(split, MOUTH), guess), part, most=0.75)
    # measured on one fifth of the clips, so the margin of chance is wider
    yield Gate("whole face, network, labels shuffled",
               accuracy(next(splits(shuffled)), guess), part,
               most=chance + 2 * np.sqrt(chance * (1 - chance) / part))
    yield Gate("whole face, network", accuracy(split, guess), part, least=max(0.88, pixels + 0.2))


def nuisance_accuracy(seed: int) -> float:
    """The accuracy of a linear classifier that is given everything but the expression.

    Test persons do not occur in training.
    """
    x, y, person = nuisances(seed)
    right = []
    for fold in range(FOLDS):
        train, test = person_split(person, y, fold, FOLDS)
        classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
        right.append(classifier.fit(x[train], y[train]).predict(x[test]) == y[test])
    return float(np.concatenate(right).mean())


def pooled(data: Data, guess: Guess) -> float:
    """The accuracy on the test images of all splits together."""
    parts = [guess(split) == split.y_test for split in splits(data)]
    return float(np.concatenate(parts).mean())


def splits(data: Data) -> Iterator[Split]:
    """The folds, no person on both sides."""
    yield from DexpressionTask().splits(data, DexpressionOptions(folds=FOLDS))


def accuracy(split: Split, guess: Guess) -> float:
    """The accuracy on the test images of one split."""
    return float(np.mean(guess(split) == split.y_test))


def with_labels_shuffled(data: Data, seed: int) -> Data:
    """The data with the labels of the recordings permuted; frames of one still share a label."""
    _, first, clip = np.unique(kinds(data)["clip"], return_index=True, return_inverse=True)
    return replace(data, y=np.random.default_rng(seed).permutation(data.y[first])[clip])


def only(split: Split, rows: slice) -> Split:
    """The split with its images grey except for some rows."""
    height = split.x.shape[2]
    kept = slice(round(rows.start * height), round(rows.stop * height))

    def covered(images: Array) -> Array:
        shown = np.full(images.shape, GREY, np.float32)
        shown[:, :, kept] = inputs(images[:, :, kept])
        return shown

    return replace(split, x=covered(split.x), x_test=covered(split.x_test))


def main(impl: str, seed: int) -> int:
    """Print a line for each gate; return 1 if any fails."""
    task, options = DexpressionTask(), DexpressionOptions(seed=seed, epochs=EPOCHS)
    data, implementation = generated(seed=seed), implementations.get(impl)

    def guess(split: Split) -> Array:
        training = prepare(task, implementation, data, split, options, seed)
        training.fit()
        guesses: Array = training.outputs(split.x_test).argmax(1)
        return guesses

    print(data.source)
    failed = 0
    for gate in gates(data, guess, seed):
        print(gate.line(), flush=True)
        failed += not gate.passed
    return int(failed > 0)
