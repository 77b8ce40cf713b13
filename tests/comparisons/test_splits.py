"""Splits: every row is tested once, and what must stay apart does."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from comparisons.datasets.splits import (
    clip_split,
    overlap,
    person_split,
    random_split,
    stratified_folds,
)


@given(counts=st.lists(st.integers(1, 40), min_size=1, max_size=4), folds=st.integers(2, 10),
       seed=st.integers(0, 1000))
@settings(deadline=None)
def test_stratified_folds(counts, folds, seed):
    y = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    if len(y) < folds:
        with pytest.raises(ValueError, match="folds must be from 2 to the number of groups"):
            list(stratified_folds(y, folds))
        return
    splits = list(stratified_folds(y, folds, seed=seed))
    assert len(splits) == folds
    tests = [test for _, test in splits]
    np.testing.assert_array_equal(np.sort(np.concatenate(tests)), np.arange(len(y)))
    assert np.ptp([len(test) for test in tests]) <= 1
    for k in range(len(counts)):
        assert np.ptp([(y[test] == k).sum() for test in tests]) <= 1
    for train, test in splits:
        np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(len(y)))
    again = list(stratified_folds(y, folds, seed=seed))
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(splits, again, strict=True))


def test_seeds_and_repeats_shuffle_anew():
    y = np.arange(100) % 2
    tests = [tuple(test) for seed in range(3) for _, test in stratified_folds(y, 5, seed=seed)]
    tests += [tuple(random_split(y, 0, 5, 0, repeat)[1]) for repeat in range(1, 4)]
    assert len(set(tests)) == len(tests)


def splits_of(faces, protocol, folds=5, seed=0):
    split = {"person": lambda k: person_split(faces.subjects, faces.y, k, folds, seed),
             "clip": lambda k: clip_split(faces.clips, faces.y, k, folds, seed),
             "random": lambda k: random_split(faces.y, k, folds, seed)}[protocol]
    return [split(k) for k in range(folds)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("folds", [5, 10])
@pytest.mark.parametrize("protocol", ["person", "clip", "random"])
def test_splits_cover_everything_once_and_keep_classes_even(faces, protocol, folds, seed):
    splits = splits_of(faces, protocol, folds, seed)
    np.testing.assert_array_equal(np.sort(np.concatenate([test for _, test in splits])),
                                  np.arange(981))
    share = np.bincount(faces.y) / 981
    for train, test in splits:
        assert not set(train) & set(test)
        assert len(train) + len(test) == 981
        assert len(test) == pytest.approx(981 / folds, abs=25)
        # a group is three images or more: a class may be off by one or two of them
        assert np.abs(np.bincount(faces.y[test], minlength=7) - share * len(test)).max() <= 10


def test_what_each_protocol_keeps_apart(faces):
    for train, test in splits_of(faces, "person"):
        assert overlap(faces.subjects, train, test) == 0
        assert overlap(faces.clips, train, test) == 0
    for train, test in splits_of(faces, "clip"):
        assert overlap(faces.clips, train, test) == 0
        assert overlap(faces.subjects, train, test) > 0.5
    for train, test in splits_of(faces, "random"):
        assert overlap(faces.clips, train, test) > 0.9
        assert overlap(faces.subjects, train, test) > 0.95


def test_overlap_is_a_share_of_the_test_rows():
    groups = np.array(list("aabbc"))
    assert overlap(groups, np.array([0, 2]), np.array([1, 3, 4])) == pytest.approx(2 / 3)


def test_splits_refuse_a_fold_that_is_not_there(faces):
    with pytest.raises(ValueError, match="fold must be from 0 to 4; got 5"):
        random_split(faces.y, 5, 5)
    with pytest.raises(ValueError, match="folds must be from 2 to the number of groups, 118; got"):
        person_split(faces.subjects, faces.y, 0, 119)
