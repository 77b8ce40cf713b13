"""Digits in pictures: what is cut out is what was put in, in the form that MNIST has."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from scipy import ndimage
from untrained import enlarged, grey

from comparisons.datasets import digits


def on_paper(parts: list[tuple[Any, int, int]], rng: np.random.Generator, ink: float = 0.6) -> Any:
    """Parts at (left, top), on paper of 600×300 lit from the left, with a camera's noise."""
    written = np.zeros((300, 600))
    for part, left, top in parts:
        h, w = part.shape
        written[top:top + h, left:left + w] = part
    light = np.linspace(0.95, 0.5, 600) - 0.1 * np.linspace(-1, 1, 300)[:, None] ** 2
    return light * (1 - ink * written) + rng.normal(0, 0.02, written.shape)


def overlap(a: Any, b: Any) -> float:
    """Common ink over all ink, at the best shift by a pixel, as places are rounded to pixels."""
    return max(np.minimum(moved, b).sum() / np.maximum(moved, b).sum()
               for moved in (np.roll(a, shift, (0, 1))
                             for shift in itertools.product((-1, 0, 1), repeat=2)))


@pytest.mark.parametrize("kind", ["large", "dark on light", "on paper", "chalk"])
def test_a_digit_is_cut_out_as_mnist_does(digit_images, kind):
    """What is cut out is the digit that was enlarged and hidden: it shares most of its ink with
    that digit, and less with every other."""
    rng = np.random.default_rng(0)
    for i, digit in enumerate(digit_images):
        large = enlarged(digit, 168)
        if kind in ("large", "dark on light"):
            picture = grey(large if kind == "large" else 1 - large)
        else:
            paper = on_paper([(large, rng.integers(20, 400), rng.integers(10, 120))], rng)
            picture = grey(paper if kind == "on paper" else 1 - paper)
        (found,) = digits.digits(picture, (28, 28))
        assert found.pixels.dtype == np.float32
        overlaps = [overlap(found.pixels, other) for other in digit_images]
        assert overlaps[i] > 0.6
        assert np.argmax(overlaps) == i
        assert np.abs(np.array(ndimage.center_of_mass(found.pixels)) - 14).max() <= 0.51
        rows, columns = np.nonzero(found.pixels)
        assert 19 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 20


def test_digits_of_a_row_are_found_in_order_and_in_place(digit_images):
    rng = np.random.default_rng(1)
    places = [(20, 40), (160, 90), (300, 60), (440, 120)]
    parts = [(enlarged(digit, 112), left, top)
             for digit, (left, top) in zip(digit_images, places, strict=False)]
    found = digits.digits(grey(on_paper(parts, rng)), (28, 28))
    assert len(found) == 4
    for crop, (part, left, top) in zip(found, parts, strict=True):
        rows, columns = np.nonzero(part > 0.4)
        box = (left + columns.min(), top + rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)
        np.testing.assert_allclose(crop.box, box, atol=4)


def test_a_thin_pen_is_thickened():
    picture = np.ones((300, 300))
    picture[50:250, 149:152] = 0            # a one, 3 pixels by 200
    (found,) = digits.digits(grey(picture), (28, 28))
    widths = found.pixels.sum(1)
    assert np.median(widths[widths > 0]) == pytest.approx(digits.STROKE, abs=0.5)


@pytest.mark.parametrize("noise", [0, 0.03])
def test_an_empty_sheet_has_no_digit(noise):
    rng = np.random.default_rng(2)
    assert digits.digits(grey(on_paper([], rng, noise)), (28, 28)) == []


def test_a_shadow_at_the_edge_and_specks_are_no_digits(digit_images):
    picture = on_paper([(enlarged(digit_images[0], 112), 250, 90)], np.random.default_rng(3))
    picture[:, :12] = 0.1
    picture[20:24, 500:504] = 0.1
    assert len(digits.digits(grey(picture), (28, 28))) == 1
