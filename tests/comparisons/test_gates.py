"""The gates of the generated faces: those without a network are passed, and each can fail."""

from dataclasses import replace

import numpy as np
import pytest

from comparisons.audits import gates
from comparisons.datasets.base import unit
from comparisons.datasets.drawn.data import generated
from comparisons.datasets.drawn.generator import nuisances


@pytest.fixture(scope="module")
def faces():
    return generated(24)


@pytest.fixture(scope="module")
def linear_gates(faces):
    """All gates, with the true labels in place of what the networks would guess."""
    return list(gates.gates(faces, lambda split: split.y_test))


def test_linear_classifiers_do_not_pass(linear_gates):
    found = {gate.title: gate for gate in linear_gates}
    for title in ("person, light and pose, linear", "pixels, linear",
                  "pixels, linear, labels shuffled"):
        assert found[title].passed, found[title].line()
    assert found["pixels, linear"].accuracy > 0.35      # but they are no noise: chance gives 0.25


def test_a_network_that_knows_too_much_fails(linear_gates):
    for gate in linear_gates[3:6]:
        assert gate.accuracy == 1
        assert not gate.passed
        assert gate.line().endswith("FAILS")
    assert linear_gates[6].passed
    assert linear_gates[6].least >= 0.88


def test_light_that_tells_the_label_is_noticed(faces, monkeypatch):
    lit = replace(faces, x=unit(faces.x) + 0.2 * faces.y[:, None, None, None].astype(np.float32))
    told = next(gate for gate in gates.gates(lit, lambda split: split.y_test)
                if gate.title == "pixels, linear")
    assert told.accuracy > 0.65
    assert not told.passed
    factors, label, person = nuisances()
    monkeypatch.setattr(gates, "nuisances", lambda seed: (
        np.c_[factors, np.eye(7)[label]], label, person))
    assert not next(gates.gates(faces, lambda split: split.y_test)).passed


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
