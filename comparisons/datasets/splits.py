"""Splits rows into training and test sets. Each split depends on its arguments alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from comparisons.datasets.base import Array

Split = tuple[Array, Array]       # row numbers: (train, test), each ascending


def stratified_folds(y: Array, folds: int = 10, *, seed: int = 0) -> Iterator[Split]:
    """k-fold cross-validation with the classes spread evenly over the folds.

    The sizes of two folds differ by at most one, and so do their numbers of items of each class.

    Raises: ValueError if `folds` is below 2 or above the number of rows.
    """
    home = _folds(np.arange(len(y)), y, folds, (seed, 0))
    for fold in range(folds):
        yield np.flatnonzero(home != fold), np.flatnonzero(home == fold)


def person_split(subjects: Array, y: Array, fold: int, folds: int, seed: int = 0,
                 repeat: int = 0) -> Split:
    """A split in which no person is on both sides. Each `repeat` distributes the persons anew."""
    return _split(subjects, y, fold, folds, (seed, repeat))


def clip_split(clips: Array, y: Array, fold: int, folds: int, seed: int = 0,
               repeat: int = 0) -> Split:
    """A split in which no recording is on both sides, though a person may be."""
    return _split(clips, y, fold, folds, (seed, repeat))


def random_split(y: Array, fold: int, folds: int, seed: int = 0, repeat: int = 0) -> Split:
    """A split of single images at random: frames of one recording may be on both sides."""
    return _split(np.arange(len(y)), y, fold, folds, (seed, repeat))


def share_split(groups: Array, y: Array, share: float, seed: int = 0) -> Split:
    """A split whose second part has about this share of the rows, in whole groups.

    Raises: ValueError if a single group is more than this share of all groups.
    """
    if (count := len(np.unique(groups))) * share < 1:
        raise ValueError(f"split: {count} groups are too few for a share of {share:g}")
    home = _deal(groups, y, np.array([1 - share, share]), (seed, 0))
    return np.flatnonzero(home == 0), np.flatnonzero(home == 1)


def overlap(groups: Array, train: Array, test: Array) -> float:
    """The share of test rows whose group (person or recording) is also in the training set."""
    return float(np.isin(groups[test], groups[train]).mean())


def _split(groups: Array, y: Array, fold: int, folds: int,
           seed: tuple[int, int]) -> Split:
    if not 0 <= fold < folds:
        raise ValueError(f"split: fold must be from 0 to {folds - 1}; got {fold}")
    home = _folds(groups, y, folds, seed)
    return np.flatnonzero(home != fold), np.flatnonzero(home == fold)


def _folds(groups: Array, y: Array, folds: int, seed: tuple[int, int]) -> Array:
    """The fold of each row."""
    if not 2 <= folds <= (count := len(np.unique(groups))):
        raise ValueError(f"split: folds must be from 2 to the number of groups, {count}; "
                         f"got {folds}")
    return _deal(groups, y, np.ones(folds), seed)


def _deal(groups: Array, y: Array, weights: Array, seed: tuple[int, int]) -> Array:
    """The part of each row. Groups stay whole; classes are as even as the groups allow.

    If every row is a group of its own, the rows are sorted by class and dealt like cards: the next
    one goes to the part with the least (size + 1) / weight. Otherwise each group, the largest
    first, goes to the part in which Σ (count of a class / its total)² / weight then grows least.
    This keeps every class even, the rare ones too.

    weights: how large the parts are beside one another.
    """
    names, group = np.unique(groups, return_inverse=True)
    parts = len(weights)
    shuffled = np.random.default_rng(seed).permutation(len(names))
    label = np.unique(y, return_inverse=True)[1]
    home = np.empty(len(names), np.int64)
    if len(names) == len(y):
        rows = np.argsort(group)
        turns = np.argsort(np.arange(1, len(names) + 1)[:, None] / weights, axis=None,
                           kind="stable")[:len(names)] % parts
        home[shuffled[np.argsort(label[rows][shuffled], kind="stable")]] = turns
        return home[group]
    count = np.zeros((len(names), label.max() + 1))
    np.add.at(count, (group, label), 1)
    count /= count.sum(0)
    held = np.zeros((parts, count.shape[1]))
    for g in shuffled[np.argsort(-count[shuffled].sum(1), kind="stable")]:
        gain = ((held + count[g])**2 - held**2).sum(1) / weights
        home[g] = gain.argmin()
        held[home[g]] += count[g]
    return home[group]
