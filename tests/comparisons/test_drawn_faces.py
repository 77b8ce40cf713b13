"""The generated faces: in CK+'s numbers, by CK+'s criteria, and the same for the same seed."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest

from comparisons.datasets.drawn.data import generated
from comparisons.datasets.drawn.generator import CLIPS, RECIPES, generate
from comparisons.datasets.faces.reader import load_faces
from comparisons.errors import DataError


def test_faces_come_in_ck_plus_counts(faces):
    assert faces.x.shape == (981, 1, 16, 16)
    assert faces.x.dtype == np.uint8
    assert faces.x.min() < 30
    assert faces.x.max() > 220
    assert faces.classes == sorted(CLIPS)
    assert len(np.unique(faces.subjects)) == 118
    clips, first, count = np.unique(faces.clips, return_index=True, return_counts=True)
    assert len(clips) == 327
    assert (count == 3).all()
    assert np.bincount(faces.y[first]).tolist() == [45, 18, 59, 25, 69, 28, 83]
    for clip in clips:
        rows = faces.clips == clip
        assert len(set(faces.y[rows])) == 1
        assert set(faces.subjects[rows]) == {clip[:4]}
    assert len(set(zip(faces.subjects[first], faces.y[first], strict=True))) == 327
    assert faces.source.startswith("faces generated with seed 0: 981 images of 16 px")


# Lucey et al. 2010, table 1: all units of at least one of the sets
CRITERIA = {"anger": [{23, 24}], "disgust": [{9}, {10}], "fear": [{1, 2, 4}], "happy": [{12}],
            "sadness": [{1, 4, 15}, {11}], "surprise": [{1, 2}, {5}], "contempt": [{14}]}


@pytest.mark.parametrize("name", CLIPS)
def test_every_variant_of_an_expression_meets_ck_plus_criteria(name):
    for _, units in RECIPES[name]:
        certain = {unit for unit, chance in units.items() if chance == 1}
        assert any(needed <= certain for needed in CRITERIA[name])


def test_faces_are_a_function_of_size_and_seed(faces):
    again, other, larger = generated(16), generated(16, seed=1), generated(32)
    np.testing.assert_array_equal(again.x, faces.x)
    assert np.abs(other.x - faces.x.astype(float)).mean() > 25
    np.testing.assert_array_equal(larger.y, faces.y)
    np.testing.assert_array_equal(larger.clips, faces.clips)
    shrunk = larger.x.reshape(981, 16, 2, 16, 2).mean((2, 4))
    alike = [np.corrcoef(a.ravel(), b.ravel())[0, 1]
             for a, b in zip(shrunk, faces.x[:, 0], strict=True)]
    assert np.median(alike) > 0.9


def test_no_two_faces_are_equal_and_frames_of_a_clip_are_alike(faces):
    assert len(np.unique(faces.x.reshape(981, -1), axis=0)) == 981
    frames = faces.x.astype(float).reshape(327, 3, -1)
    within = np.abs(frames[:, 0] - frames[:, 2]).mean()
    between = np.abs(frames[:-1, 2] - frames[1:, 2]).mean()
    assert within < between / 3


def test_faces_refuse_what_they_cannot_do(tmp_path):
    with pytest.raises(ValueError, match="size must be at least 16 pixels; got 8"):
        generate(8)
    with pytest.raises(DataError, match=re.escape(str(tmp_path))):
        load_faces(tmp_path)


ALL_AS_BYTES = """
import sys, numpy as np
from comparisons.datasets.drawn.generator import generate
faces = generate(32)
np.savez(sys.argv[1], pixels=faces.pixels, labels=faces.labels, subjects=faces.subjects,
         clips=faces.clips)
"""


def test_other_processors_draw_the_same_but_for_a_grey_level_here_and_there(tmp_path):
    """NumPy computes exponentials and sines by other instructions, with other rounding."""
    core = np._core._multiarray_umath
    there = [name for name in core.__cpu_dispatch__ if core.__cpu_features__[name]]
    drawn = []
    for disabled in ("", " ".join(there)):
        path = tmp_path / f"{len(drawn)}.npz"
        subprocess.run([sys.executable, "-c", ALL_AS_BYTES, path], check=True,
                       env=os.environ | {"NPY_DISABLE_CPU_FEATURES": disabled})
        drawn.append(np.load(path))
    usual, plain = drawn
    for name in ("labels", "subjects", "clips"):
        np.testing.assert_array_equal(plain[name], usual[name])
    apart = np.abs(plain["pixels"].astype(int) - usual["pixels"])
    assert apart.max() <= 1
    assert np.mean(apart > 0) < 1e-4
