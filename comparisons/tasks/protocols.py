"""Protocols: the ways to split recordings of people into a training and a test set."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from comparisons.datasets.base import Array, Data
from comparisons.datasets.splits import clip_split, overlap, person_split, random_split
from comparisons.errors import Fault
from comparisons.tasks.task import Split

PROTOCOLS = ("random", "clip", "person", "given")
"""What is never divided: an image, a clip (recording), a person; or the split given in the data."""
HOLD_OUT = 5            # without folds, one fifth of the data is the test set


def rows_of_splits(data: Data, protocol: str, folds: int | None, repeats: int, seed: int
                   ) -> Iterator[tuple[str, Array, Array]]:
    """Yield the title, the training rows and the test rows of each split.

    protocol: one of PROTOCOLS. folds: the number of parts, each of which is the test set once; None
    for a single split that tests on one fifth. repeats: how often all this is done, with new parts.

    Raises: Fault if the data lack what the protocol needs to know, or have too few groups.
    """
    n = folds or HOLD_OUT
    if protocol == "given":
        if data.test_rows is None:
            raise Fault(f"--protocol given: {data.name} has no test set of its own")
        if folds or repeats > 1:
            raise Fault("--protocol given: there is only one split; give neither --folds nor "
                        "--repeats")
        yield "", np.setdiff1d(np.arange(len(data.y)), data.test_rows), data.test_rows
        return
    groups = {"random": np.arange(len(data.y)), "clip": data.clips,
              "person": data.subjects}[protocol]
    if groups is None:
        others = "random" + " or given" * (data.test_rows is not None)
        raise Fault(f"--protocol {protocol}: {data.name} does not say which images belong to "
                    f"one {protocol}; only --protocol {others} can split it")
    if len(np.unique(groups)) < n:
        what = {"random": "images", "clip": "recordings", "person": "persons"}[protocol]
        raise Fault(f"--folds {n}: {data.name} has only {len(np.unique(groups))} {what} to "
                    "distribute")
    for repeat in range(repeats):
        for k in range(folds or 1):
            if protocol == "random":
                train, test = random_split(data.y, k, n, seed, repeat)
            else:
                split = {"clip": clip_split, "person": person_split}[protocol]
                train, test = split(groups, data.y, k, n, seed, repeat)
            if protocol != "random" and overlap(groups, train, test) > 0:
                raise AssertionError(f"--protocol {protocol}: a {protocol} is on both sides")
            titles = [f"fold {k + 1}/{n}"] if folds else []
            titles += [f"repeat {repeat + 1}/{repeats}"] if repeats > 1 else []
            yield ", ".join(titles), train, test


def groups_of(data: Data, protocol: str) -> Array:
    """What the protocol never divides, as the group of each row. A split that is given with the
    data divides no person, as far as these are known."""
    every = np.arange(len(data.y))
    known = {"random": every, "clip": data.clips, "person": data.subjects}
    if protocol == "given":
        return next(iter(kinds(data).values()), every)
    groups = known[protocol]
    assert groups is not None
    return groups


def kinds(data: Data) -> dict[str, Array]:
    """The person and the clip of each row, as far as they are known."""
    return {kind: groups for kind, groups in (("person", data.subjects), ("clip", data.clips))
            if groups is not None}


def overlaps(data: Data, split: Split) -> dict[str, float]:
    """The share of test images whose person, and whose clip, also occurs in training."""
    return {kind: overlap(groups, split.train_rows, split.test_rows)
            for kind, groups in kinds(data).items()}
