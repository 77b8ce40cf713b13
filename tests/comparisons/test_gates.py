"""The gates of the generated faces: those without a network are passed, and each can fail."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from comparisons.audits import gates
from comparisons.cli import main
from comparisons.datasets.base import unit
from comparisons.datasets.drawn.data import generated
from comparisons.datasets.drawn.generator import nuisances


@pytest.fixture(scope="module")
def faces():
    return generated(24)


@pytest.fixture(scope="module")
def linear_gates(faces):
    """All gates, with the true labels in place of what the networks would guess."""
    return list(gates.gates({0: faces, 1: generated(24, seed=1), 2: generated(24, seed=2)},
                            lambda split, seed: split.y_test))


def test_linear_classifiers_do_not_pass(linear_gates):
    found = {gate.title: gate for gate in linear_gates}
    for title in ("person, light and pose, linear", "pixels, linear",
                  "pixels, linear, labels shuffled"):
        assert found[title].passed, found[title].line()
    assert found["pixels, linear"].mean > 0.35      # but they are no noise: chance gives 0.25


def test_a_network_that_knows_too_much_fails(linear_gates):
    for gate in linear_gates[3:6]:
        assert gate.mean == 1
        assert not gate.passed
        assert gate.line().endswith("FAILS")
    assert linear_gates[6].passed
    assert linear_gates[6].least >= 0.88


def test_light_that_tells_the_label_is_noticed(faces, monkeypatch):
    lit = replace(faces, x=unit(faces.x) + 0.2 * faces.y[:, None, None, None].astype(np.float32))
    told = next(gate for gate in gates.gates({0: lit, 1: lit}, lambda split, seed: split.y_test)
                if gate.title == "pixels, linear")
    assert told.mean > 0.65
    assert not told.passed
    factors, label, person = nuisances()
    monkeypatch.setattr(gates, "nuisances", lambda seed: (
        np.c_[factors, np.eye(7)[label]], label, person))
    assert not next(gates.gates({0: faces, 1: faces}, lambda split, seed: split.y_test)).passed


def test_the_whole_interval_over_the_seeds_must_meet_the_bound():
    """Its ends are SciPy's."""
    found = np.array([0.70, 0.74, 0.75, 0.73, 0.71])
    low, high = scipy.stats.t.interval(0.95, 4, found.mean(), found.std(ddof=1) / 5**0.5)
    for least, most, passed in ((0, high + 1e-9, True), (0, high - 1e-9, False),
                                (low - 1e-9, 1, True), (low + 1e-9, 1, False)):
        gate = gates.Gate("some", found, least, most)
        assert gate.interval == pytest.approx((low, high), abs=1e-12)
        assert gate.passed == passed
        assert gate.line().endswith("✓" if passed else "FAILS")
    assert "72.6%   70.0% to 75.2%    70.0% to 75.0%   at most 75.0%" in gates.Gate(
        "some", found, most=0.75).line()


def test_every_seed_has_faces_and_a_fold_of_its_own(faces):
    """So the means are over other persons, and over other fifths of them."""
    others, seen = replace(faces, y=faces.y[::-1].copy()), []

    def guess(split, seed):
        seen.append((seed, tuple(split.test_rows)))
        return split.y_test

    list(gates.gates({3: faces, 4: others}, guess))
    for seed, data in ((3, faces), (4, others)):
        fold = list(gates.splits(data))[seed]
        assert (seed, tuple(fold.test_rows)) in seen
        assert sum(s == seed for s, _ in seen) == 4     # networks


def test_two_seeds_are_not_enough(capsys):
    assert main(["gates", "--seeds", "2"]) == 2
    assert "--seeds: must be at least 3; got 2" in capsys.readouterr().err


def test_nuisances_are_those_of_the_pictures(faces):
    factors, label, person = nuisances()
    assert factors.shape[0] == len(label) == len(person) == 327
    np.testing.assert_array_equal(np.repeat(label, 3), faces.y)
    np.testing.assert_array_equal([f"S{p + 1:03}" for p in np.repeat(person, 3)], faces.subjects)
    # the picture's light is among them: its mean brightness follows
    x = np.c_[factors, np.ones(327)]
    bright = faces.x.mean((1, 2, 3))[::3]
    rest = bright - x @ np.linalg.lstsq(x, bright)[0]
    assert 1 - rest.var() / bright.var() > 0.8


def test_all_but_a_part_is_grey(faces):
    split = next(gates.splits(faces))
    shown = gates.only(split, slice(0.5, 0.75))
    for before, after in ((split.x, shown.x), (split.x_test, shown.x_test)):
        np.testing.assert_array_equal(after[:, :, 12:18], unit(before[:, :, 12:18]))
        assert (after[:, :, :12] == 0.5).all()
        assert (after[:, :, 18:] == 0.5).all()


def test_shuffled_labels_stay_with_recordings(faces):
    shuffled = gates.with_labels_shuffled(faces, 0)
    np.testing.assert_array_equal(np.bincount(shuffled.y), np.bincount(faces.y))
    assert (shuffled.y.reshape(-1, 3) == shuffled.y[::3, None]).all()
    assert 0.05 < np.mean(shuffled.y == faces.y) < 0.35
