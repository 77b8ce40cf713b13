"""Whether the generated faces are a fair test: hard for simple methods, and for the right reason.

Drawn faces can be easy in ways that nobody intended: the pictures of a class may differ in their
light, show other persons, or be recognisable by a single wrinkle. A gate measures one such way on
persons that do not occur in training, and sets a bound: an accuracy that must not be exceeded or,
in the last gate, must be reached.

Every gate is measured with several seeds, each of which draws faces of other persons. For a gate
with a network, one network is trained per seed, on four fifths of the persons, so that the command
takes only minutes; it is tested on about 65 recordings, so a single seed is uncertain by about ten
points. What is judged is the mean over the seeds: its whole interval must meet the bound, not only
its more favourable end, with which everything would pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

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
from comparisons.datasets.stored import Images
from comparisons.tasks.classification import linear_guesses
from comparisons.tasks.dexpression import DexpressionOptions, DexpressionTask
from comparisons.tasks.protocols import kinds
from comparisons.tasks.task import Split
from comparisons.training.differences import over_seeds
from comparisons.training.training import prepare

FOLDS = 5
BROWS = slice(0.0, 0.34)        # fractions of the height: forehead, brows and upper lids
MOUTH = slice(0.66, 1.0)        # from below the nose
WHOLE = slice(0.0, 1.0)
GREY = 0.5
EPOCHS = 24                     # as in docs/dexpression.md, so that the network learns what it can

Guess = Callable[[Split, int], Array]


@dataclass(frozen=True)
class Gate:
    """An accuracy on the test persons' images, once per seed, and the bounds that it must meet."""

    title: str
    accuracies: Array           # (seeds,)
    least: float = 0.0
    most: float = 1.0

    @property
    def mean(self) -> float:
        return float(self.accuracies.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of the mean over the seeds, by Student's t."""
        return over_seeds(self.accuracies).interval()

    @property
    def passed(self) -> bool:
        """Whether the whole interval meets the bounds."""
        low, high = self.interval
        return self.least <= low and high <= self.most

    def line(self) -> str:
        """The gate as a line of the table."""
        low, high = self.interval
        bound = f"at least {self.least:.1%}" if self.least else f"at most {self.most:.1%}"
        return (f"{self.title:36}{self.mean:>7.1%}  {low:>6.1%} to {high:<6.1%}  "
                f"{self.accuracies.min():>6.1%} to {self.accuracies.max():<6.1%}  {bound:16}  "
                f"{'✓' if self.passed else 'FAILS'}")


HEADER = f"{'':36}{'mean':>7}  {'95% interval':16}  {'single seeds':16}  bound"


def gates(faces: Mapping[int, Data], guess: Guess) -> Iterator[Gate]:
    """Each gate in turn.

    faces: by seed. guess: trains a network on a split, with a seed, and returns its classes for the
    split's test images.
    """
    def measured(accuracy: Callable[[Data, int], float]) -> Array:
        return np.array([accuracy(data, seed) for seed, data in faces.items()])

    def linear(data: Data) -> float:
        return pooled(data, lambda split: linear_guesses(split, DexpressionTask.linear_c))

    def network(data: Data, seed: int, rows: slice = WHOLE) -> float:
        split = only(held_out(data, seed), rows)
        return float(np.mean(guess(split, seed) == split.y_test))

    def shuffled(data: Data, seed: int) -> Data:
        return with_labels_shuffled(data, seed)

    some = next(iter(faces.values()))           # the sizes of the classes are those of every seed
    chance = np.bincount(some.y).max() / len(some.y)
    clips = len(np.unique(kinds(some)["clip"]))

    def by_chance(count: int) -> float:
        """The share of the commonest class plus two standard errors, within reach of chance."""
        return float(chance + 2 * np.sqrt(chance * (1 - chance) / count))

    yield Gate("person, light and pose, linear",
               measured(lambda _, seed: nuisance_accuracy(seed)), most=by_chance(clips))
    pixels = Gate("pixels, linear", measured(lambda data, _: linear(data)), most=0.65)
    yield pixels
    yield Gate("pixels, linear, labels shuffled",
               measured(lambda data, seed: linear(shuffled(data, seed))), most=by_chance(clips))
    yield Gate("brows alone, network",
               measured(lambda data, seed: network(data, seed, BROWS)), most=0.75)
    yield Gate("mouth alone, network",
               measured(lambda data, seed: network(data, seed, MOUTH)), most=0.75)
    # measured on one fifth of the clips, so the margin of chance is wider
    yield Gate("whole face, network, labels shuffled",
               measured(lambda data, seed: network(shuffled(data, seed), seed)),
               most=by_chance(clips // FOLDS))
    yield Gate("whole face, network", measured(network), least=max(0.88, pixels.mean + 0.2))


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


def pooled(data: Data, guess: Callable[[Split], Array]) -> float:
    """The accuracy on the test images of all splits together."""
    parts = [guess(split) == split.y_test for split in splits(data)]
    return float(np.concatenate(parts).mean())


def splits(data: Data) -> Iterator[Split]:
    """The folds, no person on both sides."""
    yield from DexpressionTask().splits(data, DexpressionOptions(folds=FOLDS))


def held_out(data: Data, seed: int) -> Split:
    """The fold that is the test set with this seed."""
    return next(islice(splits(data), seed % FOLDS, None))


def with_labels_shuffled(data: Data, seed: int) -> Data:
    """The data with the labels of the recordings permuted; frames of one still share a label."""
    _, first, clip = np.unique(kinds(data)["clip"], return_index=True, return_inverse=True)
    return replace(data, y=np.random.default_rng(seed).permutation(data.y[first])[clip])


def only(split: Split, rows: slice) -> Split:
    """The split with its images grey except for some rows."""
    height = split.x.shape[2]
    kept = slice(round(rows.start * height), round(rows.stop * height))

    def covered(images: Images) -> Array:
        shown = np.full(images.shape, GREY, np.float32)
        shown[:, :, kept] = inputs(images[:, :, kept])
        return shown

    return replace(split, x=covered(split.x), x_test=covered(split.x_test))


def main(impl: str, seed: int, count: int) -> int:
    """Print a line for each gate, over `count` seeds from `seed` on; return 1 if any fails."""
    task, implementation = DexpressionTask(), implementations.get(impl)
    faces = {k: generated(seed=k) for k in range(seed, seed + count)}

    def guess(split: Split, seed: int) -> Array:
        training = prepare(task, implementation, faces[seed], split,
                           DexpressionOptions(seed=seed, epochs=EPOCHS), seed)
        training.fit()
        guesses: Array = training.outputs(split.x_test).argmax(1)
        return guesses

    for data in faces.values():
        print(data.source)
    print(HEADER)
    failed = 0
    for gate in gates(faces, guess):
        print(gate.line(), flush=True)
        failed += not gate.passed
    return int(failed > 0)
